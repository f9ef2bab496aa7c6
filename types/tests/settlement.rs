//! What L1 rebuilds, pinned in `tests/vectors/settlement-v1.json` for Rust and Solidity alike. The file was
//! computed apart from this code, its points and signatures by py_ecc 8. Changing it is a protocol change.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use conclave_types::{
    BlockCommitment, ConsensusKey, Digest, EncryptionKey, Epoch, EpochEnd, Era, Height, L1Origin,
    PayerAddress, SettlementKey, SettlementMember, digest::SigningDomain, dkg_result_root, mmr,
    settlement_committee,
};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/settlement-v1.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn digests(value: &Value) -> Vec<Digest> {
    value.as_array().unwrap().iter().map(read).collect()
}

fn domain(all: &Value) -> SigningDomain {
    let row = &all["domain"];
    SigningDomain {
        network: read(&row["network"]),
        l1_chain_id: number(&row["l1_chain_id"]),
        l1_contract: bytes(&row["l1_contract"]),
    }
}

#[test]
fn commitments_have_the_pinned_digests() {
    let all = vectors();
    let rows = all["commitments"].as_array().unwrap();
    for row in rows {
        let end = EpochEnd {
            next_committee: read(&row["next_committee"]),
            dkg_result: read(&row["dkg_result"]),
        };
        let commitment = BlockCommitment {
            epoch: Epoch::new(number(&row["epoch"])),
            height: Height::new(number(&row["height"])),
            block: read(&row["block"]),
            history_root: read(&row["history_root"]),
            reveal_root: read(&row["reveal_root"]),
            rollup_count: number(&row["rollup_count"]),
            l1_origin: L1Origin {
                number: number(&row["origin_number"]),
                hash: read(&row["origin_hash"]),
            },
            forced_cursor: number(&row["forced_cursor"]),
            withdrawals_root: read(&row["withdrawals_root"]),
            epoch_end: Some(end).filter(|end| end.next_committee != Digest::ZERO),
        };
        assert_eq!(domain(&all).commitment(&commitment), read(&row["digest"]));
    }
    assert_eq!(rows.len(), 2, "one inside an epoch, one at its end");
}

#[test]
fn a_committee_and_its_proofs_of_possession_have_the_pinned_digests() {
    let (all, mut members) = (vectors(), Vec::new());
    for row in all["committee"]["members"].as_array().unwrap() {
        let member = SettlementMember {
            consensus_key: ConsensusKey::new(bytes(&row["consensus_key"])),
            validator: number(&row["validator"]),
            power: number(&row["power"]),
            settlement_key: SettlementKey::new(bytes(&row["settlement_key"])),
        };
        let owner: PayerAddress = read(&row["owner"]);
        let domain = domain(&all);
        let found = domain.consensus_key_possession(&owner, &member.consensus_key);
        assert_eq!(found, read(&row["consensus_possession"]));
        let found = domain.settlement_key_possession(&owner, &member.settlement_key);
        assert_eq!(found, read(&row["settlement_possession"]));
        members.push(member);
    }
    assert_eq!(settlement_committee(&members), read(&all["committee"]["hash"]));
}

#[test]
fn a_history_has_the_pinned_roots_and_proofs() {
    let all = vectors();
    let row = &all["history"];
    let (entries, roots) = (digests(&row["entries"]), digests(&row["roots"]));
    let (mut peaks, mut subtrees) = (mmr::Peaks::default(), std::collections::BTreeMap::new());
    assert_eq!(peaks.root(), roots[0]);
    for (entry, root) in entries.iter().zip(&roots[1..]) {
        subtrees.extend(peaks.append(entry));
        assert_eq!(peaks.root(), *root);
    }
    let subtree = |at: mmr::Subtree| subtrees.get(&at).copied();
    for row in row["inclusions"].as_array().unwrap() {
        let (size, index) = (number(&row["size"]), number(&row["index"]));
        let path = mmr::prove_inclusion(size, index, subtree).unwrap();
        assert_eq!(path, digests(&row["path"]), "entry {index} of {size}");
    }
    for row in row["extensions"].as_array().unwrap() {
        let (old, new) = (number(&row["prefix"]), number(&row["size"]));
        let path = mmr::prove_extension(old, new, subtree).unwrap();
        assert_eq!(path, digests(&row["path"]), "{old} of {new}");
    }
}

#[test]
fn a_sharing_has_the_pinned_root() {
    let all = vectors();
    let row = &all["dkg_result"];
    let key = EncryptionKey {
        suite: number(&row["suite"]),
        era: Era::new(number(&row["era"])),
        secrecy: number(&row["secrecy"]),
        packing: number(&row["packing"]),
        public_key: read(&row["public_key"]),
        public_key_g2: read(&row["public_key_g2"]),
        verification_keys: row["verification_keys"].as_array().unwrap().iter().map(read).collect(),
    };
    assert_eq!(dkg_result_root(&key), read(&row["root"]));
}
