//! A fork that the honest had no part in: L1 has settled another block than they have decided, so their shares look
//! premature there. Everyone who holds the certificate of the shared block shows it, and nobody loses anything.

use std::{path::Path, time::Duration};

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall as _,
};
use conclave_contracts::{ConclaveInbox, ConclaveSlasher, ConclaveStake, posting::posting};
use conclave_node::{
    keys,
    l1::{
        Call,
        evidence::{self, Exhibit, Offence, PrematureShare, SettledProof},
    },
    store::RocksStore,
};
use conclave_sequencer::archive;
use conclave_types::{
    BlockCommitment, BlockId, Committee, Epoch, Genesis, Height, SettlementCertificate,
    ValidatorIndex, add_signatures, digest::SigningDomain,
};
use serde_json::{Value, json};

use crate::{
    harness::{
        l1::L1,
        l1_liar::{Liar, Lie},
        network::Network,
        wait::until,
    },
    relay::{opened_through, opened_with},
};

/// A look at L1, two turns, and a transaction of each.
const PATIENCE: Duration = Duration::from_secs(90);

fn store(network: &Network, index: usize, genesis: &Genesis) -> RocksStore {
    let database = network.data_dir(index).join("db");
    RocksStore::open_read_only(&database, &genesis.network_id()).expect("the node's archive")
}

/// Settles another block at a height than the validators have decided there, signed by all of their keys.
async fn fork(l1: &L1, network: &Network, genesis: &Genesis, height: u64) -> BlockCommitment {
    let settled = network.wait_l1(3, "an answer", |_| true).await.settled_height;
    let store = store(network, 3, genesis);
    let found = archive::posting(&store, Height::new(settled), Height::new(height));
    let archive::Posting { certificate, peaks, added } =
        found.expect("the archive reads").expect("the height is certified and not settled");
    let forged = BlockCommitment { block: BlockId::new([0xf0; 32]), ..certificate.commitment };
    let digest = SigningDomain::of(genesis).commitment(&forged);
    let signatures: Vec<_> = (0..genesis.members.len())
        .map(|index| {
            let file = network.validator_dir(index).join("settlement.key");
            keys::read_settlement_key(&file).expect("a key").sign(&digest)
        })
        .collect();
    let signature = add_signatures(&signatures).expect("points");
    assert_eq!(forged.epoch_end, None, "it ends no epoch");
    let signers = (0..4).map(ValidatorIndex::new).collect();
    let certificate = SettlementCertificate { commitment: forged, signers, signature };
    let committee = Committee::new(genesis.members.clone()).expect("a committee");
    let posting = posting(&certificate, (&peaks, &added), &committee).expect("everyone signed");
    let (sender, contracts) = l1.witness(genesis).await;
    let call = ConclaveInbox::commitCall { posting }.abi_encode();
    // Handed in at once, the certificate would be there for every node to read, and convict all who signed it.
    let created = sender.send(holding(contracts.inbox, &call)).await.expect("a contract");
    let holder = created.receipt.contract_address.expect("its address");
    let trigger = Call { to: Some(holder), value: U256::ZERO, data: Bytes::new(), gas: None };
    sender.send(trigger).await.expect("L1 believes a quorum");
    certificate.commitment
}

/// Creates a contract that, whoever calls it, calls `to` with `input`: what it is called with shows none of that.
fn holding(to: Address, input: &[u8]) -> Call {
    const INIT_BYTES: u8 = 12;
    const CODE_BYTES: u16 = 50;
    const JUMP: u8 = 48;
    let length = u16::try_from(input.len()).expect("a short call");
    let [high, low] = length.to_be_bytes();
    let [code_high, code_low] = CODE_BYTES.to_be_bytes();
    // CODECOPY(0, CODE_BYTES, length), CALL(gas, to, 0, 0, length, 0, 0)
    let mut code = vec![0x61, high, low, 0x61, code_high, code_low, 0x5f, 0x39];
    code.extend([0x5f, 0x5f, 0x61, high, low, 0x5f, 0x5f, 0x73]);
    code.extend(to.as_slice());
    code.extend([0x5a, 0xf1]);
    // If that failed, its error is this one's; else STOP.
    code.extend([0x60, JUMP, 0x57, 0x3d, 0x5f, 0x5f, 0x3e, 0x3d, 0x5f, 0xfd, 0x5b, 0x00]);
    assert_eq!(code.len(), usize::from(CODE_BYTES));
    code.extend(input);
    let [high, low] = u16::try_from(code.len()).expect("a short contract").to_be_bytes();
    // CODECOPY(0, INIT_BYTES, length), RETURN(0, length)
    let mut data = vec![0x61, high, low, 0x60, INIT_BYTES, 0x5f, 0x39, 0x61, high, low, 0x5f, 0xf3];
    data.extend(code);
    Call { to: None, value: U256::ZERO, data: data.into(), gas: None }
}

/// What convicts a validator of having shared the block that it decided, by a settled commitment of another.
fn accusation(
    network: &Network,
    genesis: &Genesis,
    index: usize,
    commitment: &BlockCommitment,
) -> Vec<u8> {
    let (store, height) = (store(network, index, genesis), commitment.height);
    let shares = archive::own_shares(&store, height).expect("the archive reads");
    let shares = shares.expect("it has shared that block");
    let path = archive::settled_path(&store, height, height).expect("the archive reads");
    let path = path.expect("the history has come so far");
    let committee = archive::committee(&store, Epoch::new(1)).expect("the archive reads");
    let committee: Committee = committee.expect("the committee of the epoch");
    let settled = Some(SettledProof { under: height, path });
    let share = PrematureShare { shares, commitment: commitment.clone(), settled };
    let offence = Offence::PrematureShare(Box::new(share));
    let committee = committee.iter().map(|(index, member)| (index, member.clone())).collect();
    let exhibit = Exhibit { epoch: Epoch::new(1), committee, offence };
    evidence::file(&exhibit)
}

fn standing(l1: &L1, genesis: &Path, index: usize) -> Value {
    let (genesis, number) = (genesis.to_string_lossy(), (index + 1).to_string());
    l1.run(&["stake", "status", "--genesis", &genesis, "--validator", &number])
}

/// They post the end of epoch 0, and then nothing for a day.
const SELDOM: &str = "every_heights = 1000000\nevery_seconds = 86400\ntakeover_seconds = 2\n";

/// Has L1 settle another block than all have decided, when the validators' archives have come so far.
async fn forked(l1: &L1, network: &Network, genesis: &Genesis) -> BlockCommitment {
    let begun = network.wait_l1(3, "epoch 1 is in office", |l1| l1.settled_height > 0).await;
    let height = begun.settled_height + 2;
    for index in [1, 2, 3] {
        let found = until("the height is certified", PATIENCE, async || {
            archive::certificate(&store(network, index, genesis), Height::new(height)).ok()?
        });
        found.await;
    }
    fork(l1, network, genesis, height).await
}

/// Accuses a validator on L1, of which all its stake is seized.
fn accuse(l1: &L1, network: &Network, directory: &Path, index: usize, accusation: &[u8]) {
    let path = directory.join(format!("accusation-{index}"));
    std::fs::write(&path, accusation).expect("evidence is written");
    let (genesis, path) = (network.genesis_file(), path.to_string_lossy().into_owned());
    let (genesis, witness) = (genesis.to_string_lossy(), l1.key(0));
    let submit = ["evidence", "submit", "--genesis", &genesis, "--account-key", &witness, &path];
    let report = l1.run(&submit);
    assert_eq!(report["seized_gwei"], json!(32_000_000_000_u64), "{report}");
}

/// Waits until nobody accuses a validator any more; it has lost nothing.
async fn acquitted(l1: &L1, network: &Network, index: usize) {
    let file = network.genesis_file();
    let standing = until("an acquittal", PATIENCE, async || {
        let standing = standing(l1, &file, index);
        (standing["accused"] == json!(false)).then_some(standing)
    });
    let standing = standing.await;
    let (bonded, escrow) = (&standing["bonded_gwei"], &standing["escrow_gwei"]);
    assert_eq!((bonded, escrow), (&json!(32_000_000_000_u64), &json!(0)), "{standing}");
    assert_eq!(standing["tombstoned"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shared_what_was_decided_is_acquitted_by_itself_or_by_the_others() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (l1, mut network) = opened_with(directory.path(), 10_000, SELDOM).await;
    let genesis = network.genesis();
    let forged = forked(&l1, &network, &genesis).await;
    // One that lives, and one that cannot defend itself.
    let accused = [1, 2];
    let accusations = accused.map(|index| accusation(&network, &genesis, index, &forged));
    network.kill(2);
    for (index, accusation) in accused.into_iter().zip(accusations) {
        accuse(&l1, &network, directory.path(), index, &accusation);
    }
    for index in accused {
        acquitted(&l1, &network, index).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_of_three_keeps_nobody_from_being_acquitted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let l1 = L1::start(directory.path()).await;
    let liar = Liar::before(&l1.address);
    let endpoints = [liar.url(), l1.url(), l1.twin()];
    let opened = opened_through(directory.path(), l1, &endpoints, 10_000, SELDOM).await;
    let (l1, network) = opened;
    let genesis = network.genesis();
    let forged = forked(&l1, &network, &genesis).await;
    // It hides the case, calls it one that nobody could answer, and takes what is sent for itself.
    let lies = [Lie::NoLogs, Lie::Ones, Lie::FalseReceipts, Lie::Poor, Lie::Dear];
    liar.tell(&lies);
    accuse(&l1, &network, directory.path(), 1, &accusation(&network, &genesis, 1, &forged));
    acquitted(&l1, &network, 1).await;
    for lie in lies {
        assert!(liar.told(lie) > 0, "nobody has heard {lie:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_an_answer_and_came_too_late_has_the_case_lapse_and_closes_what_has() {
    const LAPSED: u8 = 4;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (l1, mut network) = opened_with(directory.path(), 10_000, SELDOM).await;
    let genesis = network.genesis();
    let forged = forked(&l1, &network, &genesis).await;
    let accused = [1, 2];
    let accusations = accused.map(|index| accusation(&network, &genesis, index, &forged));
    for index in 0..4 {
        network.kill(index);
    }
    for (index, accusation) in accused.into_iter().zip(accusations) {
        accuse(&l1, &network, directory.path(), index, &accusation);
    }
    // The three days pass while nobody is there, and so do thirty. Of all that could end it now one knows better.
    l1.advance(31 * 86_400);
    let (sender, contracts) = l1.witness(&genesis).await;
    let mut offences = Vec::new();
    for number in [2, 3] {
        let found = evidence::convictions(sender.endpoints(), &contracts, number).await;
        let found: Vec<_> = found.expect("an answer").iter().map(|case| case.offence).collect();
        assert_eq!(found.len(), 1, "{number}: {found:?}");
        offences.extend(found);
    }
    // Somebody has one of the two given back what was seized, and leaves the case as it is.
    let call = Call::new(contracts.stake, &ConclaveStake::lapseCall { offence: offences[1] });
    until("its time to be over", PATIENCE, async || sender.send(call.clone()).await.ok()).await;
    network.launch(3);
    for (index, offence) in accused.into_iter().zip(offences) {
        acquitted(&l1, &network, index).await;
        let closed = until("the case to be closed", PATIENCE, async || {
            let question = ConclaveSlasher::caseOfCall { offence };
            let case = sender.endpoints().call(contracts.slasher, &question).await.ok()?;
            (case.state != 1).then_some(case.state)
        });
        assert_eq!(closed.await, LAPSED, "{index}");
    }
}
