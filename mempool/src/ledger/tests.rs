use std::collections::BTreeMap;

use conclave_types::digest::keccak;
use proptest::prelude::*;

use super::*;
use crate::testing::{BASE_FEE, genesis, header, ledger, params, payer};

fn check(ledger: &Ledger, headers: &[BundleHeader]) -> Result<Vec<Charge>, LedgerError> {
    ledger.check_block(&headers.iter().collect::<Vec<_>>(), &params())
}

fn charge(payer: PayerAddress, lane: u64, sequence: u64, amount: u64) -> Charge {
    Charge { payer, nonce: BundleNonce { lane, sequence }, amount: Gwei::new(amount) }
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
    let changed = ledger.apply(Height::new(1), &charges, &[]).unwrap();
    let account = |balance, lanes: &[(u64, u64)]| Account {
        balance: Gwei::new(balance),
        lanes: lanes.iter().copied().collect(),
    };
    assert_eq!(changed, vec![(a, account(1_995, &[(0, 2), (3, 1)])), (b, account(0, &[(9, 1)]))]);
    assert_eq!(ledger.account(&a), &account(1_995, &[(0, 2), (3, 1)]));
}

#[test]
fn a_deposit_is_credited_once_behind_the_charges() {
    let (a, b) = (payer(1), payer(2));
    let mut ledger = ledger(&[(a, 1_500)]);
    let deposit = |payer, amount| Deposit { payer, amount: Gwei::new(amount) };
    let twice = [charge(a, 0, 0, 1_000), charge(a, 0, 1, 1_000)];
    let before = ledger.clone();
    let short =
        LedgerError::Balance { payer: a, expected: Gwei::new(1_000), found: Gwei::new(500) };
    assert_eq!(ledger.apply(Height::new(1), &twice, &[deposit(a, 900)]), Err(short));
    assert_eq!(ledger, before, "a deposit does not pay for its own block");
    let deposits = [deposit(b, 3), deposit(a, 900), deposit(b, 4)];
    let changed = ledger.apply(Height::new(1), &twice[..1], &deposits).unwrap();
    let account = |balance, lanes: &[(u64, u64)]| Account {
        balance: Gwei::new(balance),
        lanes: lanes.iter().copied().collect(),
    };
    assert_eq!(changed, vec![(a, account(1_400, &[(0, 1)])), (b, account(7, &[]))]);
    ledger.apply(Height::new(2), &twice[1..], &[]).unwrap();
    assert_eq!(ledger.account(&a).balance, Gwei::new(400));
    ledger.apply(Height::new(3), &[], &[deposit(b, u64::MAX)]).unwrap();
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
    ledger.apply(Height::new(1), &charges, &[]).unwrap();
    let again = LedgerError::Nonce { payer: a, lane: 4, expected: 1, found: 0 };
    assert_eq!(check(&ledger, &[header(a, 4, 0, 0)]), Err(again.clone()));
    let before = ledger.clone();
    assert_eq!(ledger.apply(Height::new(2), &charges, &[]), Err(again));
    assert_eq!(ledger, before, "charges that do not fit change nothing");
}

#[test]
fn an_account_has_no_more_lanes_than_allowed() {
    let a = payer(1);
    let mut ledger = ledger(&[(a, u64::MAX)]);
    let lanes = LANES_MAX as u64;
    let all: Vec<_> = (0..lanes).map(|lane| header(a, lane, 0, 0)).collect();
    let charges = check(&ledger, &all).unwrap();
    ledger.apply(Height::new(1), &charges, &[]).unwrap();
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
    ledger.apply(Height::new(1), &[], &[]).unwrap();
    let tag = b"conclave/ledger/v1".as_slice();
    let number = |number: u64| number.to_be_bytes();
    let second = keccak(&[tag, first.as_bytes(), &number(1), &number(0), &number(0)].concat());
    assert_eq!(ledger.digest(), second);
    let deposit = Deposit { payer: payer(7), amount: Gwei::new(9) };
    ledger.apply(Height::new(2), &[charge(a, 7, 0, 1_234)], &[deposit]).unwrap();
    let depositor = payer(7);
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
        let changed = ledger.apply(Height::new(height), &charges, &[]).unwrap();
        let bytes = borsh::to_vec(&changed).unwrap();
        stored.extend(borsh::from_slice::<Vec<(PayerAddress, Account)>>(&bytes).unwrap());
    }
    assert_eq!(Ledger::restore(stored, ledger.digest()), ledger);
}

proptest! {
    #[test]
    fn balances_and_charges_add_up_to_the_genesis(
        balances in prop::collection::vec(0..20_000_u64, 1..6),
        blocks in prop::collection::vec(
            prop::collection::vec((0..7_u16, 0..3_u64, 0..4_u64, 0..3_000_u64), 0..8),
            0..20,
        ),
    ) {
        let accounts: Vec<_> = (0_u16..).map(payer).zip(balances.iter().copied()).collect();
        let mut ledger = ledger(&accounts);
        let mut charged = 0;
        let mut used = std::collections::BTreeSet::new();
        for (height, rows) in (1..).map(Height::new).zip(blocks) {
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
            ledger.apply(height, &charges, &[]).unwrap();
            let left: u64 = ledger.accounts().map(|(_, account)| account.balance.as_u64()).sum();
            prop_assert_eq!(left + charged, balances.iter().sum::<u64>());
        }
    }
}
