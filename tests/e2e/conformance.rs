//! What must be the same on every L1, each from one body: on the embedded one and on anvil.
//!
//! | what | body |
//! |---|---|
//! | an operator's life, and what each step of it costs | [`stake`](crate::stake) |
//! | a deposit becomes a balance, is spent, withdrawn and paid; on the way commitments settle | [`withdraw`](crate::withdraw) |
//! | the queue is carried first and in order | [`l1`](crate::l1) |
//! | a double vote takes the stake of who signed it; another's announcement is taken over | [`stake`](crate::stake) |
//! | two proposals, two attestations, a premature share, each by another validator | here |
//! | jail, served and left; rewards and refunds, paid | here |
//! | a thousand heights in one posting, and proofs of older ones | here |

use std::path::Path;

use alloy::primitives::{B256, U256};
use conclave_consensus::{Evidence, SignedProposal};
use conclave_contracts::{ConclaveElection, ConclaveInbox, FeeVault, posting};
use conclave_node::l1::{
    Call, election,
    evidence::{self, Exhibit, Offence, PrematureShare, SettledProof},
};
use conclave_sequencer::{DoubleAttestation, ShareMessage};
use conclave_types::{
    BlockCommitment, BlockId, Digest, Epoch, Height, Round, SignatureBytes, ValidatorIndex,
};
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use crate::harness::{l1::L1, staged::Staged, transactions::DEV_KEYS};

/// Every body, on every L1.
macro_rules! on_every_l1 {
    ($($body:ident = $at:path;)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $body() {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let l1 = crate::harness::l1::L1::start(directory.path()).await;
                $at(directory.path(), l1).await;
            })*
        }
        mod anvil {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $body() {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let l1 = crate::harness::l1::L1::anvil(directory.path()).await;
                $at(directory.path(), l1).await;
            })*
        }
    };
}

on_every_l1! {
    a_payer_deposits_spends_withdraws_and_is_paid_on_l1 = crate::withdraw::paid_on;
    the_queue_is_carried_first_and_in_order_and_a_deposit_pays_for_who_had_nothing = crate::l1::carried_on;
    evidence_of_a_double_vote_takes_the_stake_of_who_signed_it = crate::stake::convicted_on;
    each_form_of_evidence_takes_the_stake_of_who_signed_it = super::convicted_on;
    who_has_served_its_time_in_jail_is_in_the_next_epochs_committee = super::unjailed_on;
    a_report_is_rewarded_and_a_posting_refunded_to_the_wei = super::claimed_on;
    a_backlog_of_thousands_settles_in_one_transaction_and_what_is_older_stays_provable = super::settled_on;
}

const STAKE_GWEI: u64 = 32_000_000_000;
const DAY: u64 = 86_400;

fn number(done: &Value, name: &str) -> u64 {
    done[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {done}"))
}

/// Two proposals of one member for one height and round.
fn proposals(staged: &Staged, proposer: usize) -> Offence {
    let propose = |block: u8| {
        let mut proposal = SignedProposal {
            height: Height::new(7),
            round: Round::new(1),
            block: BlockId::new([block; 32]),
            pol_round: None,
            proposer: index(proposer),
            signature: SignatureBytes::new([0; 64]),
        };
        let digest = proposal.digest(&staged.domain(), staged.epoch());
        proposal.signature = sign(staged, proposer, &digest);
        proposal
    };
    Offence::Equivocation(Box::new(Evidence::Proposals(propose(0xc1), propose(0xc2))))
}

fn index(member: usize) -> ValidatorIndex {
    ValidatorIndex::new(u16::try_from(member).expect("few members"))
}

fn sign(staged: &Staged, member: usize, digest: &Digest) -> SignatureBytes {
    let signature = staged.secrets[member].consensus.sign(digest.as_bytes());
    SignatureBytes::new(signature.to_bytes())
}

/// Two commitments to one height, attested by one member.
fn attestations(staged: &Staged, member: usize, one: &BlockCommitment) -> Offence {
    let other = BlockCommitment { history_root: Digest::new([0xee; 32]), ..one.clone() };
    let [first, second] =
        [one.clone(), other].map(|commitment| staged.certify(commitment, &[index(member)]));
    Offence::DoubleAttestation(Box::new(DoubleAttestation { first, second, held: None }))
}

/// Shares of another block than the one that has settled.
fn share(staged: &Staged, member: usize, settled: &BlockCommitment) -> Offence {
    let (epoch, height) = (settled.epoch, settled.height);
    let (block, shares) = (BlockId::new([0xf0; 32]), Vec::new());
    let digest = ShareMessage::digest(&staged.domain(), epoch, height, block, &shares);
    let signature = sign(staged, member, &digest);
    let shares = ShareMessage { epoch, height, block, validator: index(member), shares, signature };
    let path = staged.path(height.as_u64());
    let settled_proof = Some(SettledProof { under: height, path });
    let commitment = settled.clone();
    Offence::PrematureShare(Box::new(PrematureShare { shares, commitment, settled: settled_proof }))
}

/// Reports an offence from the account with that number; what the command says.
fn report(staged: &Staged, directory: &Path, offence: Offence, account: usize) -> Value {
    let committee = (0..).map(ValidatorIndex::new).zip(staged.genesis.members.clone()).collect();
    let exhibit = Exhibit { epoch: Epoch::ZERO, committee, offence };
    let file = directory.join("evidence");
    std::fs::write(&file, evidence::file(&exhibit)).expect("evidence is written");
    staged.run(&["evidence", "submit", &file.to_string_lossy()], account)
}

/// Bonded and in escrow.
fn stake(staged: &Staged, validator: u32) -> (u64, u64) {
    let standing = staged.standing(validator);
    (number(&standing, "bonded_gwei"), number(&standing, "escrow_gwei"))
}

async fn convicted_on(directory: &Path, l1: L1) {
    let mut staged = Staged::open(directory, l1).await;
    let settled = staged.commitment(9).await;
    staged.settle(settled.clone()).await;
    let offences = [
        (2, 3, proposals(&staged, 1)),
        (3, 4, attestations(&staged, 2, &settled)),
        (4, 5, share(&staged, 3, &settled)),
    ];
    let mut reported = Vec::new();
    for (validator, kind, offence) in offences {
        assert_eq!(stake(&staged, validator), (STAKE_GWEI, 0));
        let done = report(&staged, directory, offence, 0);
        assert_eq!(number(&done, "seized_gwei"), STAKE_GWEI, "{done}");
        assert_eq!(stake(&staged, validator), (0, STAKE_GWEI));
        let (endpoints, contracts) = (staged.sender.endpoints(), &staged.contracts);
        let records = evidence::convictions(endpoints, contracts, validator).await;
        let kinds: Vec<_> = records.expect("an answer").iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [kind], "validator {validator}");
        reported.push((validator, done["offence"].as_str().expect("an offence").to_owned()));
    }
    assert_eq!(stake(&staged, 1), (STAKE_GWEI, 0), "nobody else");
    staged.advance(3 * DAY + 1).await;
    for (validator, offence) in &reported {
        staged.run(&["evidence", "resolve", offence], 0);
        // Three quarters of the power stand convicted: it costs everything.
        assert_eq!(stake(&staged, *validator), (0, 0));
    }
    assert_eq!(stake(&staged, 1), (STAKE_GWEI, 0), "nobody else");
}

async fn unjailed_on(directory: &Path, l1: L1) {
    let mut staged = Staged::open(directory, l1).await;
    let all = staged.office().settlement_digest();
    staged.end_epoch(all, &[0, 1, 2, 3]).await;
    // Whoever does not take part is left out of an offer that its epoch's end then names.
    let whole = staged.elect().await;
    let leaving_out = ConclaveElection::offerWithoutCall {
        committeeHash: B256::from(*whole.as_bytes()),
        absent: U256::from(0b1000),
    };
    let offer = Call::new(staged.contracts.election, &leaving_out);
    let offered = staged.sender.send(offer).await.expect("less than a third is left out");
    let offered = offered.event::<ConclaveElection::CommitteeOffered>().expect("an offer");
    staged.end_epoch(Digest::new(offered.committeeHash.0), &[0, 1, 2]).await;
    let until = number(&staged.standing(4), "jailed_until");
    assert!(until > 0, "{}", staged.standing(4));

    let unjail = ["stake", "unjail", "--validator", "4"];
    let said = staged.refusal(&unjail, 3);
    assert!(said.contains("IsJailed"), "{said}");
    assert_eq!(number(&staged.standing(4), "elected_power"), 0);
    staged.advance(DAY).await;
    let said = staged.refusal(&unjail, 2);
    assert!(said.contains("NotOperator"), "{said}");
    let done = staged.run(&unjail, 3);
    assert_eq!(
        (number(&done, "validator"), &done["transactions"][0]["what"]),
        (4, &json!("unjailed"))
    );
    let standing = staged.standing(4);
    assert_eq!(
        (number(&standing, "jailed_until"), number(&standing, "bonded_gwei")),
        (0, STAKE_GWEI)
    );
    assert_eq!(number(&standing, "elected_power"), STAKE_GWEI);
    let next = staged.elect().await;
    staged.end_epoch(next, &[0, 1, 2, 3]).await;
    let members = async |epoch| {
        let (endpoints, contracts) = (staged.sender.endpoints(), &staged.contracts);
        let rows = election::serving(endpoints, contracts, Epoch::new(epoch)).await;
        rows.expect("a committee").iter().map(|row| row.validator).collect::<Vec<_>>()
    };
    assert_eq!((members(2).await, members(3).await), (vec![1, 2, 3], vec![1, 2, 3, 4]));
    // And its signature counts there.
    let newest = staged.commitment(20).await;
    staged.settle(newest).await;
}

/// What an account has, in wei.
fn balance(staged: &Staged, account: usize) -> U256 {
    let signer: alloy::signers::local::PrivateKeySigner =
        DEV_KEYS[account].parse().expect("a well-known key");
    let found = staged.l1.call("eth_getBalance", json!([signer.address(), "latest"]));
    serde_json::from_value(found).expect("a quantity")
}

/// Runs a claim of an account; what the command says, and by how many wei its balance has grown, but for the fee.
fn claim(staged: &Staged, what: &str, account: usize) -> (Value, U256) {
    let before = balance(staged, account);
    let done = staged.run(&["stake", "claim", what], account);
    let transaction = &done["transactions"][0];
    let receipt = staged.l1.call("eth_getTransactionReceipt", json!([transaction["hash"]]));
    let quantity =
        |name: &str| -> U256 { serde_json::from_value(receipt[name].clone()).expect("a quantity") };
    let fee = quantity("gasUsed") * quantity("effectiveGasPrice");
    (done, balance(staged, account) + fee - before)
}

async fn claimed_on(directory: &Path, l1: L1) {
    let mut staged = Staged::open(directory, l1).await;
    let fund = Call::new(staged.contracts.vault, &FeeVault::fundCall {}).with_gwei(1_000_000_000);
    staged.sender.send(fund).await.expect("anybody may fill the pot");
    let first = staged.commitment(600).await;
    let posted = staged.settle(first).await;
    let (refunded, grown) = claim(&staged, "--refunds", 0);
    let wei: U256 = refunded["amount_wei"].as_str().expect("an amount").parse().expect("a number");
    assert_eq!(grown, wei, "{refunded}");
    // 350,000 gas at the price of the block that had the posting.
    let block = posted.receipt.block_number.expect("it is in a block");
    let block = staged.l1.call("eth_getBlockByNumber", json!([format!("{block:#x}"), false]));
    let price: U256 = serde_json::from_value(block["baseFeePerGas"].clone()).expect("a price");
    assert_eq!(wei, price * U256::from(350_000));
    assert!(wei > U256::ZERO);
    let said = staged.refusal(&["stake", "claim", "--refunds"], 0);
    assert!(said.contains("NothingToClaim"), "{said}");

    let reported = report(&staged, directory, proposals(&staged, 3), 1);
    let offence = reported["offence"].as_str().expect("an offence");
    let rewards = ["stake", "claim", "--rewards"];
    let said = staged.refusal(&rewards, 1);
    assert!(said.contains("NothingToClaim"), "before the verdict: {said}");
    staged.advance(3 * DAY + 1).await;
    staged.run(&["evidence", "resolve", offence], 2);
    let (rewarded, grown) = claim(&staged, "--rewards", 1);
    // A twentieth of three quarters.
    assert_eq!(number(&rewarded, "amount_gwei"), STAKE_GWEI * 3 / 4 / 20);
    assert_eq!(grown, U256::from(STAKE_GWEI * 3 / 4 / 20) * U256::from(1_000_000_000));
    let said = staged.refusal(&rewards, 2);
    assert!(said.contains("NothingToClaim"), "who had it resolved: {said}");
}

async fn settled_on(directory: &Path, l1: L1) {
    let mut staged = Staged::open(directory, l1).await;
    let early = staged.commitment(1).await;
    staged.settle(early.clone()).await;
    let middle = staged.commitment(700).await;
    staged.settle(middle.clone()).await;
    let newest = staged.commitment(4_001).await;
    let sent = staged.settle(newest.clone()).await;
    assert_eq!(sent.events::<ConclaveInbox::Settled>().len(), 1);
    let (endpoints, contracts) = (staged.sender.endpoints(), &staged.contracts);
    let head = election::head(endpoints, contracts).await.expect("a head");
    assert_eq!((head.height.to::<u64>(), head.previousHeight.to::<u64>()), (4_001, 700));
    for commitment in [&early, &middle, &newest] {
        let path = staged.path(commitment.height.as_u64());
        let mut proof = ConclaveInbox::HistoryProof {
            commitment: posting::commitment(commitment),
            under: 4_001,
            path: path.iter().map(|digest| B256::from(*digest.as_bytes())).collect(),
        };
        let call = ConclaveInbox::proveCommitmentCall { proof: proof.clone() };
        let proven = endpoints.call(contracts.inbox, &call).await.expect("it has settled");
        assert_eq!(proven.0, *staged.domain().commitment(commitment).as_bytes());
        proof.commitment.blockId = B256::repeat_byte(0xf0);
        let call = ConclaveInbox::proveCommitmentCall { proof };
        assert!(endpoints.call(contracts.inbox, &call).await.is_err(), "another block");
    }
}
