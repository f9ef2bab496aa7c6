//! What L1 rebuilds, pinned in `tests/vectors/settlement-v1.json` for Rust and Solidity alike. The file was
//! computed apart from this code, its points and signatures by py_ecc 8. Changing it is a protocol change.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests are free to panic; this lets their helpers too"
)]

use conclave_types::{
    BlockCommitment, Committee, ConsensusKey, Digest, Epoch, EpochEnd, G2Bytes, Gwei, Height,
    L1Content, L1Entry, L1Origin, Member, Payee, PayerAddress, SettlementCertificate,
    SettlementError, SettlementKey, SettlementMember, SettlementSecret, ValidatorIndex, Withdrawal,
    WithdrawalRequest, digest::SigningDomain, eip2537_g2, g2_of_eip2537, mmr, settlement_committee,
    sum_of_signatures, withdrawal_path, withdrawals_root,
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

fn commitment(row: &Value) -> BlockCommitment {
    let end = EpochEnd {
        next_committee: read(&row["next_committee"]),
        dkg_result: read(&row["dkg_result"]),
    };
    BlockCommitment {
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
    }
}

#[test]
fn commitments_have_the_pinned_digests() {
    let all = vectors();
    let rows = all["commitments"].as_array().unwrap();
    for row in rows {
        let commitment = commitment(row);
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

/// What the contract is given, as validators send it: compressed.
fn compressed(eip2537: &Value) -> G2Bytes {
    let bytes: [u8; 256] = bytes(eip2537);
    let word = |i: usize| &bytes[64 * i + 16..64 * (i + 1)];
    let usual = [word(1), word(0), word(3), word(2)].concat();
    let point = blst::min_pk::Signature::deserialize(&usual).unwrap();
    G2Bytes::new(point.compress())
}

/// The pinned committee, with the members in another order than L1 lists them in.
fn committee(all: &Value) -> Committee {
    let rows = all["committee"]["members"].as_array().unwrap();
    let member = |(index, row): (u8, &Value)| Member {
        name: index.to_string(),
        // The file's are no points; those of a committee are.
        consensus_key: ConsensusKey::new(
            ed25519_dalek::SigningKey::from_bytes(&[index; 32]).verifying_key().to_bytes(),
        ),
        network_key: ConsensusKey::new([index; 32]),
        settlement_key: SettlementKey::new(bytes(&row["settlement_key"])),
        validator: number(&row["validator"]),
        power: number(&row["power"]),
    };
    let mut members: Vec<_> = (0..).zip(rows).map(member).collect();
    members.reverse();
    Committee::new(members).unwrap()
}

#[test]
fn a_point_is_read_from_its_one_encoding() {
    let encoded: [u8; 256] = bytes(&vectors()["certificate"]["signature"]);
    assert_eq!(g2_of_eip2537(&[0; 256]).and_then(|it| eip2537_g2(&it)), Some([0; 256]));
    // Padding that is not zero, flags of the usual encoding, and points off the curve.
    for at in [0, 15, 16, 63, 64, 80, 128, 144, 192, 208, 255] {
        for bit in [0x01, 0x20, 0x40, 0x80] {
            let mut other = encoded;
            other[at] ^= bit;
            assert_eq!(g2_of_eip2537(&other), None, "{at}, {bit}");
        }
    }
}

#[test]
fn the_pinned_certificate_is_one_and_no_change_of_it_is() {
    let all = vectors();
    let committee = committee(&all);
    let row = &all["certificate"];
    let rows: Vec<_> = committee.rows().into_iter().map(|(index, _)| index).collect();
    let signers = row["signers"].as_array().unwrap().iter().map(number::<usize>);
    let mut signers: Vec<_> = signers.map(|at| rows[at]).collect();
    signers.sort();
    let commitment = commitment(&all["commitments"][0]);
    let signature = compressed(&row["signature"]);
    let eip2537 = eip2537_g2(&signature).unwrap();
    assert_eq!(eip2537, bytes(&row["signature"]));
    assert_eq!(g2_of_eip2537(&eip2537), Some(signature));
    let good = SettlementCertificate { commitment, signers, signature };
    assert_eq!(good.verify(&committee, &domain(&all)), Ok(()));
    let last = *good.signers.last().unwrap();
    let wrong = Err(SettlementError::BadSignature);
    let with = |change: &dyn Fn(&mut SettlementCertificate)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.verify(&committee, &domain(&all))
    };
    let stranger = ValidatorIndex::new(4);
    let absent = rows.iter().find(|index| !good.signers.contains(index)).copied().unwrap();
    assert_eq!(with(&|c| c.commitment.height = Height::new(1)), wrong);
    assert_eq!(with(&|c| c.signature = G2Bytes::new([0xc0; 96])), wrong, "no point");
    let mut infinity = [0; 96];
    infinity[0] = 0xc0;
    assert_eq!(with(&|c| c.signature = G2Bytes::new(infinity)), wrong, "infinity");
    assert_eq!(with(&|c| c.signers.push(stranger)), Err(SettlementError::UnknownSigner(stranger)));
    assert_eq!(with(&|c| c.signers.push(last)), Err(SettlementError::Order(last)));
    let more = |c: &mut SettlementCertificate| {
        c.signers.push(absent);
        c.signers.sort();
    };
    assert_eq!(with(&more), wrong, "who did not sign is named");
    let expected = committee.quorum_power();
    assert_eq!(with(&|c| c.signers.clear()), Err(SettlementError::NoQuorum { expected, found: 0 }));
    let other = SigningDomain { l1_chain_id: 1, ..domain(&all) };
    assert_eq!(good.verify(&committee, &other), wrong);
}

#[test]
fn possession_and_attestation_are_signed_apart_and_add_up() {
    let secrets = [1, 2, 3].map(|seed| SettlementSecret::from_seed(&[seed; 32]));
    let digest = Digest::new([9; 32]);
    let signed = secrets.each_ref().map(|secret| secret.sign(&digest));
    for (secret, signature) in secrets.iter().zip(&signed) {
        let key = secret.key().parse().unwrap();
        assert!(key.has_signed(&digest, signature));
        assert!(!key.has_signed(&digest, &secret.possess(&digest)));
        assert!(!key.has_signed(&Digest::new([8; 32]), signature));
        let again = SettlementSecret::from_bytes(&secret.expose()).unwrap();
        assert_eq!(again.key(), secret.key());
    }
    let keys = secrets.each_ref().map(|secret| secret.key().parse().unwrap());
    let [one, two, three] = keys.each_ref();
    let sum = sum_of_signatures(&[one, two, three], &digest, &signed).unwrap();
    assert!(!signed.contains(&sum));
    let [first, second, _] = signed;
    let wrong = [(vec![], vec![]), (vec![one], vec![second]), (vec![one, two], vec![first])];
    let no_point = (vec![one, two], vec![first, G2Bytes::ZERO]);
    let twice = (vec![one, two, three], vec![first, second, second]);
    for (keys, signatures) in wrong.into_iter().chain([no_point, twice]) {
        assert_eq!(sum_of_signatures(&keys, &digest, &signatures), None);
    }
    assert_eq!(format!("{:?}", secrets[0]), "SettlementSecret(…)");
    for scalar in [[0; 32], [0xff; 32]] {
        assert!(SettlementSecret::from_bytes(&scalar).is_none());
    }
}

#[test]
fn what_is_no_settlement_key_is_refused() {
    let good = *SettlementSecret::from_seed(&[1; 32]).key().as_bytes();
    assert!(SettlementKey::new(good).parse().is_some());
    let mut infinity = [0; 96];
    infinity[0] = 0x40;
    let mut compressed = [0; 96];
    let point = blst::min_pk::PublicKey::deserialize(&good).unwrap().compress();
    compressed[..48].copy_from_slice(&point);
    let mut off = good;
    off[95] ^= 1;
    for bytes in [[0; 96], infinity, compressed, off] {
        assert!(SettlementKey::new(bytes).parse().is_none(), "{bytes:?}");
    }
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

fn gwei(value: &Value) -> Gwei {
    Gwei::new(value.as_str().unwrap().parse().unwrap())
}

#[test]
fn requests_to_withdraw_have_the_pinned_hashes() {
    let all = vectors();
    let rows = all["withdrawals"]["requests"].as_array().unwrap();
    for row in rows {
        let request = WithdrawalRequest {
            payer: read(&row["payer"]),
            recipient: read(&row["recipient"]),
            amount: gwei(&row["amount_gwei"]),
        };
        let (index, l1_block) = (number(&row["index"]), number(&row["l1_block"]));
        let entry = L1Entry { index, l1_block, content: L1Content::Withdrawal(request) };
        assert_eq!(entry.hash(), read(&row["hash"]));
    }
    assert_eq!(rows.len(), 2);
}

#[test]
fn withdrawals_have_the_pinned_leaves_root_and_paths() {
    let all = vectors();
    for tree in all["withdrawals"]["trees"].as_array().unwrap() {
        let rows = tree["withdrawals"].as_array().unwrap();
        let withdrawal = |row: &Value| Withdrawal {
            index: number(&row["index"]),
            payee: match (read(&row["recipient"]), number(&row["validator"])) {
                (PayerAddress::ZERO, 0) => Payee::Pot,
                (PayerAddress::ZERO, validator) => Payee::Stake(validator),
                (recipient, _) => Payee::Account(recipient),
            },
            amount: gwei(&row["amount_gwei"]),
        };
        let withdrawals: Vec<_> = rows.iter().map(withdrawal).collect();
        assert_eq!(withdrawals_root(&withdrawals), read(&tree["root"]));
        for (place, row) in rows.iter().enumerate() {
            assert_eq!(withdrawals[place].leaf(), read(&row["leaf"]));
            assert_eq!(withdrawal_path(&withdrawals, place).unwrap(), digests(&row["path"]));
        }
        assert_eq!(withdrawal_path(&withdrawals, rows.len()), None);
    }
    assert_eq!(withdrawals_root(&[]), Digest::ZERO);
}
