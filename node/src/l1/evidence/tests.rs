//! Evidence of two histories as a file, and as the contract is told of it: `tests/vectors/evidence-v1.json`, which
//! `contracts/test/verify/Evidence.t.sol` reports.

use std::collections::BTreeMap;

use alloy::{hex, primitives::Address};
use conclave_types::{
    ConsensusKey, HistoryEntry, L1Origin, NetworkId, SettlementSecret, add_signatures,
    mmr::{self, Peaks},
};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::{report::Report, *};
use crate::l1::Contracts;

const EPOCH: Epoch = Epoch::new(3);
const COUNT: u16 = 7;
/// The last height that both histories have in common, of heights from 1.
const FORK: u64 = 4;

fn domain() -> SigningDomain {
    SigningDomain {
        network: NetworkId::new([0x11; 32]),
        l1_chain_id: 560_048,
        l1_contract: [0x22; 20],
    }
}

fn secret(index: u16) -> SettlementSecret {
    SettlementSecret::from_seed(&[u8::try_from(index).unwrap() + 1; 32])
}

/// Seven of equal power, of whom five are a quorum. L1 lists them in this order, by their numbers.
fn committee() -> Vec<(ValidatorIndex, Member)> {
    let consensus = |index: u16| SigningKey::from_bytes(&[u8::try_from(index).unwrap() + 0x41; 32]);
    let member = |index: u16| Member {
        name: format!("validator-{index}"),
        consensus_key: ConsensusKey::new(consensus(index).verifying_key().to_bytes()),
        network_key: ConsensusKey::new([u8::try_from(index).unwrap(); 32]),
        settlement_key: secret(index).key(),
        validator: u32::from(index) + 1,
        power: 1,
    };
    (0..COUNT).map(|index| (ValidatorIndex::new(index), member(index))).collect()
}

/// The commitments of a history, and what its paths are made of.
struct History {
    commitments: Vec<BlockCommitment>,
    subtrees: BTreeMap<mmr::Subtree, Digest>,
}

impl History {
    fn new(salt: u8) -> Self {
        let (mut peaks, mut subtrees, mut commitments) =
            (Peaks::default(), BTreeMap::new(), vec![]);
        for height in 1..=9 {
            let salt = if height > FORK { salt } else { 0 };
            let commitment = BlockCommitment {
                epoch: EPOCH,
                height: Height::new(height),
                block: BlockId::new([salt; 32]),
                history_root: peaks.root(),
                reveal_root: Digest::ZERO,
                rollup_count: 0,
                l1_origin: L1Origin::default(),
                forced_cursor: 0,
                withdrawals_root: Digest::ZERO,
                epoch_end: None,
            };
            subtrees.extend(peaks.append(&domain().commitment(&commitment)));
            commitments.push(commitment);
        }
        Self { commitments, subtrees }
    }

    fn at(&self, height: u64) -> &BlockCommitment {
        &self.commitments[usize::try_from(height - 1).unwrap()]
    }

    fn certificate(&self, height: u64, signers: [u16; 5]) -> SettlementCertificate {
        let commitment = self.at(height).clone();
        let digest = domain().commitment(&commitment);
        let signatures = signers.map(|signer| secret(signer).sign(&digest));
        let signature = add_signatures(&signatures).unwrap();
        let signers = signers.map(ValidatorIndex::new).to_vec();
        SettlementCertificate { commitment, signers, signature }
    }

    fn entry(&self, height: u64, under: u64) -> HistoryEntry {
        let subtree = |at| self.subtrees.get(&at).copied();
        let path = mmr::prove_inclusion(under - 1, height - 1, subtree).unwrap();
        HistoryEntry { digest: domain().commitment(self.at(height)), path }
    }
}

/// Members 2, 3 and 4 certify height 6 of one history and height 9 of another.
fn exhibit() -> Exhibit {
    let (one, other) = (History::new(1), History::new(2));
    let both = DoubleAttestation {
        first: one.certificate(6, [0, 1, 2, 3, 4]),
        second: other.certificate(9, [2, 3, 4, 5, 6]),
        held: Some(other.entry(6, 9)),
    };
    let offence = Offence::DoubleAttestation(Box::new(both));
    Exhibit { epoch: EPOCH, committee: committee(), offence }
}

fn vector() -> Value {
    let exhibit = exhibit();
    let seated = Committee::seated(exhibit.committee.clone()).unwrap();
    let rows: Vec<_> = seated.rows().into_iter().map(|(_, row)| row).collect();
    let nowhere = Address::ZERO;
    let contracts = Contracts {
        stake: nowhere,
        election: nowhere,
        inbox: nowhere,
        forced: nowhere,
        vault: nowhere,
        registry: nowhere,
        slasher: nowhere,
        since: 0,
    };
    let report = Report::of(&exhibit, &rows, &domain(), &contracts).unwrap();
    let key = |row: &conclave_types::SettlementMember| {
        let (x, y) = row.settlement_key.as_bytes().split_at(48);
        hex::encode_prefixed([[0; 16].as_slice(), x, [0; 16].as_slice(), y].concat())
    };
    json!({
        "domain": {
            "network": hex::encode_prefixed(domain().network.as_bytes()),
            "l1_chain_id": domain().l1_chain_id,
            "l1_contract": hex::encode_prefixed(domain().l1_contract),
        },
        "epoch": EPOCH.as_u64(),
        "consensus_keys": rows.iter().map(|row| hex::encode_prefixed(row.consensus_key.as_bytes())).collect::<Vec<_>>(),
        "settlement_keys": rows.iter().map(key).collect::<Vec<_>>(),
        "validators": rows.iter().map(|row| row.validator).collect::<Vec<_>>(),
        "file": hex::encode_prefixed(file(&exhibit)),
        "call": hex::encode_prefixed(&report.call.data),
        "offences": report.offences.iter().map(hex::encode_prefixed).collect::<Vec<_>>(),
    })
}

#[test]
fn evidence_is_that_of_the_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/evidence-v1.json");
    let pinned = std::fs::read_to_string(path).unwrap();
    let pinned: Value = serde_json::from_str(&pinned).unwrap();
    let found = vector();
    assert_eq!(pinned, found, "{}", serde_json::to_string_pretty(&found).unwrap());
    let file = hex::decode(pinned["file"].as_str().unwrap()).unwrap();
    let read = decode(&file).unwrap();
    assert_eq!(read, exhibit());
    assert!(read.convicts(&domain()));
    assert_eq!(read.accused().map(|(_, member)| member.validator).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(read.offence.height(), Height::new(6));
}

#[test]
fn what_is_changed_is_no_evidence() {
    assert!(exhibit().convicts(&domain()));
    let bytes = file(&exhibit());
    for cut in [0, 1, MAGIC.len() - 1, MAGIC.len(), bytes.len() - 1] {
        assert!(decode(&bytes[..cut]).is_err(), "{cut}");
    }
    assert!(decode(&bytes[1..]).is_err());
    assert!(decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    let (one, other) = (History::new(1), History::new(2));
    let changes: [fn(&mut DoubleAttestation, &History, &History); 9] = [
        |both, _, _| both.held = None,
        |both, _, other| both.held = Some(other.entry(5, 9)),
        |both, _, other| both.held = Some(other.entry(6, 8)),
        |both, one, _| both.held = Some(one.entry(6, 9)),
        |both, _, _| both.held.as_mut().unwrap().path.truncate(1),
        |both, _, _| both.held.as_mut().unwrap().digest = Digest::ZERO,
        |both, _, _| std::mem::swap(&mut both.first, &mut both.second),
        |both, _, other| both.first = other.certificate(6, [0, 1, 2, 3, 4]),
        |both, _, _| both.first.commitment.epoch = EPOCH.next(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut exhibit = exhibit();
        let Offence::DoubleAttestation(both) = &mut exhibit.offence else { panic!("two") };
        change(both, &one, &other);
        assert!(!exhibit.convicts(&domain()), "change {number}");
    }
    // Each by itself, they were never both signed by anybody.
    let mut exhibit = exhibit();
    let Offence::DoubleAttestation(both) = &mut exhibit.offence else { panic!("two") };
    both.second.signers = [0, 1, 2, 5, 6].map(ValidatorIndex::new).to_vec();
    assert!(!exhibit.convicts(&domain()));
}
