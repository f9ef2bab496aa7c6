use std::collections::BTreeMap;

use conclave_types::{Payee, WithdrawalRequest, digest::keccak};
use proptest::prelude::*;

use super::*;
use crate::testing::{BASE_FEE, genesis, header, ledger, params, payer, turn};

fn check(ledger: &Ledger, headers: &[BundleHeader]) -> Result<Vec<Charge>, LedgerError> {
    ledger.check_block(&headers.iter().collect::<Vec<_>>(), &params())
}

fn charge(payer: PayerAddress, lane: u64, sequence: u64, amount: u64) -> Charge {
    Charge { payer, nonce: BundleNonce { lane, sequence }, amount: Gwei::new(amount) }
}

fn deposit(payer: PayerAddress, amount: u64) -> L1Content {
    L1Content::Deposit(Deposit { payer, amount: Gwei::new(amount) })
}

/// A request that asks for a payment to somebody else.
fn request(payer: PayerAddress, amount: u64) -> L1Content {
    let recipient = recipient(payer);
    L1Content::Withdrawal(WithdrawalRequest { payer, recipient, amount: Gwei::new(amount) })
}

fn recipient(payer: PayerAddress) -> PayerAddress {
    let mut address = *payer.as_bytes();
    address[19] = 0xee;
    PayerAddress::new(address)
}

/// Entries 40 and on.
fn queue(contents: &[L1Content]) -> Vec<L1Entry> {
    let entry = |(index, content): (u64, &L1Content)| L1Entry {
        index,
        l1_block: 1,
        content: content.clone(),
    };
    (40..).zip(contents).map(entry).collect()
}

#[test]
fn a_block_charges_its_bundles_in_order() {
    let (a, b) = (payer(1), payer(2));
    let mut ledger = ledger(&[(a, 5_000), (b, 1_007)]);
    let headers = [header(a, 0, 0, 0), header(b, 9, 0, 7), header(a, 0, 1, 5), header(a, 3, 0, 0)];
    let charges = check(&ledger, &headers).unwrap();
    let expected = vec![
        charge(a, 0, 0, 1_000),
        charge(b, 9, 0, 1_007),
        charge(a, 0, 1, 1_005),
        charge(a, 3, 0, 1_000),
    ];
    assert_eq!(charges, expected);
    let changed = ledger.apply(&turn(Height::new(1), &charges)).unwrap();
    let account = |balance, lanes: &[(u64, u64)]| Account {
        balance: Gwei::new(balance),
        granted: Gwei::new(balance),
        lanes: lanes.iter().copied().collect(),
    };
    let expected = vec![(a, account(1_995, &[(0, 2), (3, 1)])), (b, account(0, &[(9, 1)]))];
    assert_eq!(changed.accounts, expected);
    assert_eq!(ledger.account(&a), &account(1_995, &[(0, 2), (3, 1)]));
}

#[test]
fn a_deposit_is_credited_once_behind_the_charges() {
    let (a, b) = (payer(1), payer(2));
    let mut ledger = ledger(&[(a, 1_500)]);
    let twice = [charge(a, 0, 0, 1_000), charge(a, 0, 1, 1_000)];
    let before = ledger.clone();
    let short =
        LedgerError::Balance { payer: a, expected: Gwei::new(1_000), found: Gwei::new(500) };
    let entries = queue(&[deposit(a, 900)]);
    let turn_of = |height, charges, entries| Turn { entries, ..turn(Height::new(height), charges) };
    assert_eq!(ledger.apply(&turn_of(1, &twice, &entries)), Err(short));
    assert_eq!(ledger, before, "a deposit does not pay for its own block");
    let entries = queue(&[deposit(b, 3), deposit(a, 900), deposit(b, 4)]);
    let changed = ledger.apply(&turn_of(1, &twice[..1], &entries)).unwrap();
    let account = |balance, granted, lanes: &[(u64, u64)]| Account {
        balance: Gwei::new(balance),
        granted: Gwei::new(granted),
        lanes: lanes.iter().copied().collect(),
    };
    let expected = vec![(a, account(1_400, 500, &[(0, 1)])), (b, account(7, 0, &[]))];
    assert_eq!(changed.accounts, expected);
    ledger.apply(&turn(Height::new(2), &twice[1..])).unwrap();
    assert_eq!(ledger.account(&a).balance, Gwei::new(400));
    let entries = queue(&[deposit(b, u64::MAX)]);
    ledger.apply(&turn_of(3, &[], &entries)).unwrap();
    assert_eq!(ledger.account(&b).balance, Gwei::new(u64::MAX), "a balance can be full");
}

#[test]
fn bytes_are_charged_for() {
    let fees = FeeParams { bundle_fee_gwei: 7, byte_fee_gwei: 3 };
    let found = Charge::of(&header(payer(1), 0, 0, 11), &fees).unwrap().amount;
    assert_eq!(found, Gwei::new(7 + 3 * 272 + 11));
}

#[test]
fn a_bundle_that_cannot_be_charged_for_makes_the_block_invalid() {
    let a = payer(1);
    let start = ledger(&[(a, 2_500)]);
    let balance = |expected, found| LedgerError::Balance {
        payer: a,
        expected: Gwei::new(expected),
        found: Gwei::new(found),
    };
    let nonce = |expected, found| LedgerError::Nonce { payer: a, lane: 0, expected, found };
    let mut stingy = header(a, 0, 0, 10);
    stingy.max_fee = Gwei::new(1_009);
    let mut greedy = header(a, 0, 0, 0);
    greedy.priority_fee = Gwei::new(u64::MAX);
    let fee = |expected: Option<u64>, found| LedgerError::Fee {
        payer: a,
        expected: expected.map(Gwei::new),
        found: Gwei::new(found),
    };
    let cases = [
        ("gap", vec![header(a, 0, 1, 0)], nonce(0, 1)),
        ("reuse", vec![header(a, 0, 0, 0), header(a, 0, 0, 0)], nonce(1, 0)),
        ("reversed", vec![header(a, 0, 1, 0), header(a, 0, 0, 0)], nonce(0, 1)),
        ("the last number there is", vec![header(a, 0, u64::MAX, 0)], nonce(0, u64::MAX)),
        ("too dear", vec![header(a, 0, 0, 1_501)], balance(2_501, 2_500)),
        (
            "too many",
            vec![header(a, 0, 0, 0), header(a, 1, 0, 0), header(a, 2, 0, 0)],
            balance(1_000, 500),
        ),
        ("above its maximum", vec![stingy], fee(Some(1_010), 1_009)),
        ("more than exists", vec![greedy], fee(None, 1_000)),
        (
            "a stranger",
            vec![header(payer(2), 0, 0, 0)],
            LedgerError::Balance { payer: payer(2), expected: Gwei::new(1_000), found: Gwei::ZERO },
        ),
    ];
    for (name, headers, expected) in cases {
        assert_eq!(check(&start, &headers), Err(expected), "{name}");
    }
}

#[test]
fn a_nonce_is_charged_once_over_blocks() {
    let a = payer(1);
    let mut ledger = ledger(&[(a, 10_000)]);
    let charges = check(&ledger, &[header(a, 4, 0, 0)]).unwrap();
    ledger.apply(&turn(Height::new(1), &charges)).unwrap();
    let again = LedgerError::Nonce { payer: a, lane: 4, expected: 1, found: 0 };
    assert_eq!(check(&ledger, &[header(a, 4, 0, 0)]), Err(again.clone()));
    let before = ledger.clone();
    assert_eq!(ledger.apply(&turn(Height::new(2), &charges)), Err(again));
    assert_eq!(ledger, before, "charges that do not fit change nothing");
}

#[test]
fn an_account_has_no_more_lanes_than_allowed() {
    let a = payer(1);
    let mut ledger = ledger(&[(a, u64::MAX)]);
    let lanes = LANES_MAX as u64;
    let all: Vec<_> = (0..lanes).map(|lane| header(a, lane, 0, 0)).collect();
    let charges = check(&ledger, &all).unwrap();
    ledger.apply(&turn(Height::new(1), &charges)).unwrap();
    let beyond = LedgerError::Lanes { payer: a, lane: lanes };
    assert_eq!(check(&ledger, &[header(a, lanes, 0, 0)]), Err(beyond));
    assert_eq!(check(&ledger, &[header(a, 0, 1, 0)]), Ok(vec![charge(a, 0, 1, BASE_FEE)]));
}

#[test]
fn the_digest_chains_every_height() {
    let a = payer(0x0102);
    let genesis = genesis(&[(a, 10_000)]);
    let mut ledger = Ledger::new(&genesis);
    let tag = b"conclave/ledger-genesis/v1".as_slice();
    let first = keccak(&[tag, genesis.network_id().as_bytes()].concat());
    assert_eq!(ledger.digest(), first);
    ledger.apply(&turn(Height::new(1), &[])).unwrap();
    let tag = b"conclave/ledger/v1".as_slice();
    let number = |number: u64| number.to_be_bytes();
    let none = number(0);
    let second = keccak(&[tag, first.as_bytes(), &number(1), &none, &none, &none].concat());
    assert_eq!(ledger.digest(), second);
    let depositor = payer(7);
    let entries = queue(&[deposit(depositor, 9), request(depositor, 4)]);
    let charges = [charge(a, 7, 0, 1_234)];
    let paid = ledger.apply(&Turn { entries: &entries, ..turn(Height::new(2), &charges) });
    let leaf = paid.unwrap().withdrawals[0].leaf();
    let parts = [
        tag,
        second.as_bytes(),
        &number(2),
        &number(1),
        a.as_bytes(),
        &number(7),
        &number(0),
        &number(1_234),
        &number(1),
        depositor.as_bytes(),
        &number(9),
        &number(1),
        leaf.as_bytes(),
    ];
    assert_eq!(ledger.digest(), keccak(&parts.concat()));
}

#[test]
fn a_stored_ledger_is_the_same_ledger() {
    let (a, b) = (payer(1), payer(2));
    let mut ledger = ledger(&[(a, 10_000), (b, 5)]);
    let mut stored: BTreeMap<_, _> = ledger.accounts().map(|(k, v)| (*k, v.clone())).collect();
    for height in 1..4 {
        let charges = check(&ledger, &[header(a, height, 0, 0)]).unwrap();
        let changed = ledger.apply(&turn(Height::new(height), &charges)).unwrap();
        let bytes = borsh::to_vec(&changed.accounts).unwrap();
        stored.extend(borsh::from_slice::<Vec<(PayerAddress, Account)>>(&bytes).unwrap());
    }
    assert_eq!(Ledger::restore(stored, ledger.till().clone(), ledger.digest()), ledger);
}

#[test]
fn a_withdrawal_takes_what_there_is_behind_the_charges_and_nothing_that_was_granted() {
    let (a, b, c) = (payer(1), payer(2), payer(3));
    let mut ledger = ledger(&[(a, 1_500), (c, 700)]);
    let entries = queue(&[
        request(a, 5),
        deposit(a, 900),
        request(b, 1),
        request(a, 100),
        deposit(b, 50),
        request(b, 60),
        request(b, 60),
        request(c, 700),
    ]);
    let charges = [charge(a, 0, 0, 1_000)];
    let turn = Turn { entries: &entries, ..turn(Height::new(1), &charges) };
    let found = ledger.apply(&turn).unwrap();
    let paid = |index, payer, amount| Withdrawal {
        index,
        payee: Payee::Account(recipient(payer)),
        amount: Gwei::new(amount),
    };
    assert_eq!(found.withdrawals, vec![paid(0, a, 100), paid(1, b, 50)]);
    let outcome = |index| RequestOutcome { height: Height::new(1), index };
    let expected = [(40, None), (42, None), (43, Some(0)), (45, Some(1)), (46, None), (47, None)];
    assert_eq!(found.requests, expected.map(|(entry, index)| (entry, outcome(index))));
    let left = |payer| (ledger.account(&payer).balance, ledger.account(&payer).withdrawable());
    assert_eq!(left(a), (Gwei::new(1_300), Gwei::new(800)));
    assert_eq!(left(b), (Gwei::ZERO, Gwei::ZERO));
    assert_eq!(left(c), (Gwei::new(700), Gwei::ZERO), "a grant is never paid out");
    assert_eq!(ledger.account(&a).lanes, [(0, 1)].into(), "nonces are as before");
    assert_eq!(ledger.till().withdrawals, 2);
}

#[test]
fn whoever_has_nothing_leaves_nothing_behind() {
    let (a, b, c) = (payer(1), payer(2), payer(3));
    let mut ledger = ledger(&[(a, 1_500)]);
    let before = ledger.clone();
    fn at(height: u64, entries: &[L1Entry]) -> Turn<'_> {
        Turn { entries, ..turn(Height::new(height), &[]) }
    }
    // A stranger, and one whose deposit goes as it came.
    let entries = queue(&[request(b, 5), deposit(c, 50), request(c, 50)]);
    let found = ledger.apply(&at(1, &entries)).unwrap();
    assert_eq!(found.accounts, vec![]);
    assert_eq!(found.withdrawals.len(), 1, "{found:?}");
    assert!(ledger.accounts().eq(before.accounts()));
    // Who had something is written down as having nothing, and is gone after a restart as well.
    ledger.apply(&at(2, &queue(&[deposit(c, 50)]))).unwrap();
    let mut stored: BTreeMap<_, _> = ledger.accounts().map(|(k, v)| (*k, v.clone())).collect();
    let found = ledger.apply(&at(3, &queue(&[request(c, 50)]))).unwrap();
    assert_eq!(found.accounts, vec![(c, Account::EMPTY)]);
    assert!(ledger.accounts().eq(before.accounts()));
    stored.extend(found.accounts);
    assert_eq!(Ledger::restore(stored, ledger.till().clone(), ledger.digest()), ledger);
}

#[test]
fn a_grant_is_spent_first_and_only_deposits_become_fees() {
    let a = payer(1);
    let mut ledger = ledger(&[(a, 1_500)]);
    let entries = queue(&[deposit(a, 5_000)]);
    let first = [charge(a, 0, 0, 1_000)];
    ledger.apply(&Turn { entries: &entries, ..turn(Height::new(1), &first) }).unwrap();
    assert_eq!(ledger.till().fees, Gwei::ZERO);
    let more = [charge(a, 0, 1, 1_000), charge(a, 0, 2, 1_000)];
    ledger.apply(&turn(Height::new(2), &more)).unwrap();
    assert_eq!(ledger.till().fees, Gwei::new(1_500), "of 2,000, 500 were granted");
    assert_eq!(ledger.account(&a).withdrawable(), Gwei::new(3_500));
    assert_eq!(ledger.account(&a).balance, Gwei::new(3_500));
}

#[test]
fn fees_are_shared_out_by_blocks_at_an_epochs_end_and_what_is_left_over_stays() {
    let a = payer(1);
    let mut ledger = ledger(&[]);
    let entries = queue(&[deposit(a, 10_000)]);
    let at = |height, proposer| Turn { proposer, ..turn(Height::new(height), &[]) };
    ledger.apply(&Turn { entries: &entries, ..at(1, 7) }).unwrap();
    let charges = [charge(a, 0, 0, 1_003)];
    let idle = ledger.apply(&Turn { charges: &charges, ..at(2, 3) }).unwrap();
    assert_eq!(idle.withdrawals, vec![], "inside an epoch nobody is paid");
    // Whoever has no number on L1 cannot be paid there.
    ledger.apply(&at(3, 0)).unwrap();
    let asked = queue(&[request(a, 1)]);
    let last = Turn { ends_epoch: true, entries: &asked, ..at(4, 7) };
    let found = ledger.apply(&last).unwrap();
    // A fifth is 200; of 803, validator 7 built two blocks of three.
    let paid = |index, payee, amount| Withdrawal { index, payee, amount: Gwei::new(amount) };
    let expected = vec![
        paid(0, Payee::Account(recipient(a)), 1),
        paid(1, Payee::Stake(3), 267),
        paid(2, Payee::Stake(7), 535),
        paid(3, Payee::Pot, 200),
    ];
    assert_eq!(found.withdrawals, expected);
    let till = Till { fees: Gwei::new(1), withdrawals: 4, ..Till::default() };
    assert_eq!(*ledger.till(), till);

    // One gwei is not to be shared, and an epoch in which nobody can be paid leaves all of it.
    let found = ledger.apply(&Turn { ends_epoch: true, ..at(5, 3) }).unwrap();
    assert_eq!(found.withdrawals, vec![paid(4, Payee::Stake(3), 1)]);
    let charges = [charge(a, 0, 1, 1_000)];
    let unpaid = Turn { ends_epoch: true, charges: &charges, ..at(6, 0) };
    assert_eq!(ledger.apply(&unpaid).unwrap().withdrawals, vec![]);
    assert_eq!(ledger.till().fees, Gwei::new(1_000));
}

#[test]
fn who_cheats_is_not_paid_for_what_it_builds_and_nobody_gets_more_for_it() {
    let a = payer(1);
    let mut ledger = ledger(&[]);
    let entries = queue(&[deposit(a, 10_000)]);
    let at = |height, proposer| Turn { proposer, ..turn(Height::new(height), &[]) };
    ledger.apply(&Turn { entries: &entries, ..at(1, 3) }).unwrap();
    // One is of the next committee only, one has no number on L1.
    ledger.apply(&Turn { cheats: &[7, 9, 0], ..at(2, 7) }).unwrap();
    let charges = [charge(a, 0, 0, 1_000)];
    let found = ledger.apply(&Turn { ends_epoch: true, charges: &charges, ..at(3, 7) }).unwrap();
    let paid = |index, payee, amount| Withdrawal { index, payee, amount: Gwei::new(amount) };
    // Of 800, two thirds would be validator 7's.
    let expected = vec![paid(0, Payee::Stake(3), 266), paid(1, Payee::Pot, 200)];
    assert_eq!(found.withdrawals, expected);
    assert_eq!(ledger.till().fees, Gwei::new(534), "for those who build in the next epoch");

    // It is forgiven then; who has earned nothing yet is not.
    ledger.apply(&at(4, 7)).unwrap();
    let found = ledger.apply(&Turn { ends_epoch: true, ..at(5, 9) }).unwrap();
    assert_eq!(found.withdrawals, vec![paid(2, Payee::Stake(7), 214), paid(3, Payee::Pot, 106)]);
    assert_eq!(*ledger.till(), Till { fees: Gwei::new(214), withdrawals: 4, ..Till::default() });
}

proptest! {
    #[test]
    fn balances_charges_and_withdrawals_add_up_to_the_genesis_and_the_deposits(
        balances in prop::collection::vec(0..20_000_u64, 1..6),
        blocks in prop::collection::vec(
            prop::collection::vec((0..7_u16, 0..3_u64, 0..4_u64, 0..3_000_u64), 0..8),
            0..20,
        ),
        asked in prop::collection::vec(
            prop::collection::vec((0..7_u16, any::<bool>(), 0..9_000_u64), 0..5),
            20,
        ),
    ) {
        let accounts: Vec<_> = (0_u16..).map(payer).zip(balances.iter().copied()).collect();
        let mut ledger = ledger(&accounts);
        let (mut charged, mut deposited, mut withdrawn, mut paid_out) = (0, 0, 0, 0);
        let mut used = std::collections::BTreeSet::new();
        for ((height, rows), asked) in (1..).map(Height::new).zip(blocks).zip(asked) {
            let mut headers = Vec::new();
            for (who, lane, sequence, fee) in rows {
                headers.push(header(payer(who), lane, sequence, fee));
                if check(&ledger, &headers).is_err() {
                    headers.pop();
                }
            }
            let charges = check(&ledger, &headers).unwrap();
            prop_assert_eq!(charges.len(), headers.len());
            for (charge, header) in charges.iter().zip(&headers) {
                prop_assert_eq!(charge.amount.as_u64(), BASE_FEE + header.priority_fee.as_u64());
                prop_assert!(used.insert((charge.payer, charge.nonce)), "a nonce was charged twice");
                charged += charge.amount.as_u64();
            }
            let contents: Vec<_> = asked
                .iter()
                .map(|(who, is_deposit, amount)| {
                    let ask = if *is_deposit { deposit } else { request };
                    ask(payer(*who), *amount)
                })
                .collect();
            let entries = queue(&contents);
            let ends_epoch = height.as_u64() % 4 == 0;
            let proposer = u32::try_from(height.as_u64() % 3).unwrap();
            let turn = Turn { entries: &entries, proposer, ends_epoch, ..turn(height, &charges) };
            let before = ledger.till().withdrawals;
            let applied = ledger.apply(&turn).unwrap();
            deposited +=
                entries.iter().filter_map(L1Entry::deposit).map(|d| d.amount.as_u64()).sum::<u64>();
            for (index, withdrawal) in (before..).zip(&applied.withdrawals) {
                prop_assert_eq!(withdrawal.index, index);
                if let Payee::Account(_) = withdrawal.payee {
                    withdrawn += withdrawal.amount.as_u64();
                }
                paid_out += withdrawal.amount.as_u64();
            }
            let left: u64 = ledger.accounts().map(|(_, account)| account.balance.as_u64()).sum();
            let genesis = balances.iter().sum::<u64>();
            prop_assert_eq!(left + charged + withdrawn, genesis + deposited);
            let backed: u64 =
                ledger.accounts().map(|(_, account)| account.withdrawable().as_u64()).sum();
            let till = ledger.till().fees.as_u64();
            prop_assert_eq!(backed + till + paid_out, deposited, "L1 pays what was deposited");
        }
    }
}
