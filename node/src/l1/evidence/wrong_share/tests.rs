//! Claims from the shares that `tests/vectors/settlement-v1.json` pins; the contract judges the same.

use alloy::primitives::B256;
use conclave_sequencer::ShareMessage;
use conclave_types::{
    BlockHeader, BlockId, BundleOutline, ConsensusKey, Digest, DkgResult, EncryptionKey, Epoch,
    Era, G1Bytes, Height, L1Origin, Member, NetworkId, PayerSignature, SettlementSecret,
    SignatureBytes, Time, ValidatorIndex, digest::SigningDomain,
};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::Value;

use super::*;

/// L1 lists it in row 5, and the chain as its third validator.
const ACCUSED: ValidatorIndex = ValidatorIndex::new(2);
const EPOCH: Epoch = Epoch::new(3);

fn rows() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/settlement-v1.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all["sealed_shares"].as_array().unwrap().clone()
}

fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> Vec<T> {
    value.as_array().unwrap().iter().map(read).collect()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

fn raw(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().trim_start_matches("0x")).unwrap()
}

fn key(index: u16) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(index).unwrap() + 1; 32])
}

fn committee() -> Committee {
    let seats = (0_u16..).zip([10_u32, 20, 60, 30, 40, 50, 70]).map(|(index, validator)| {
        let seed = [u8::try_from(index).unwrap() + 1; 32];
        let member = Member {
            name: String::new(),
            consensus_key: ConsensusKey::new(key(index).verifying_key().to_bytes()),
            network_key: ConsensusKey::new([seed[0] + 100; 32]),
            settlement_key: SettlementSecret::from_seed(&seed).key(),
            validator,
            power: 1,
        };
        (ValidatorIndex::new(index), member)
    });
    Committee::seated(seats).unwrap()
}

fn domain(network: NetworkId) -> SigningDomain {
    SigningDomain { network, l1_chain_id: 1, l1_contract: [7; 20] }
}

fn header(row: &Value) -> BlockHeader {
    let of = &row["header"];
    BlockHeader {
        network: read(&row["network"]),
        height: Height::new(number(&of["height"])),
        parent: read(&of["parent"]),
        parent_certificate: read(&of["parent_certificate"]),
        proposer: ValidatorIndex::new(number(&of["proposer"])),
        time: Time::from_micros(number(&of["time_micros"])),
        epoch: Epoch::new(number(&of["epoch"])),
        l1_origin: L1Origin { number: number(&of["l1_number"]), hash: read(&of["l1_hash"]) },
        l1_entries_root: read(&of["l1_entries_root"]),
        key_id: read(&of["key_id"]),
        sharing_root: read(&of["sharing_root"]),
        bundle_root: read(&of["bundle_root"]),
        bundle_count: number(&of["bundle_count"]),
        revealed_height: Height::new(number(&of["revealed_height"])),
        reveal_digest: read(&of["reveal_digest"]),
        ledger_digest: read(&of["ledger_digest"]),
    }
}

fn sharing(row: &Value) -> DkgResult {
    let key = EncryptionKey {
        suite: number(&row["suite"]),
        era: Era::new(number(&row["era"])),
        secrecy: number(&row["secrecy"]),
        packing: number(&row["packing"]),
        public_key: read(&row["public_key"]),
        public_key_g2: read(&row["public_key_g2"]),
        verification_keys: list(&row["verification_keys"]),
    };
    let points = |points: &Value| number(&points[0])..number(&points[1]);
    DkgResult { key, holders: row["holders"].as_array().unwrap().iter().map(points).collect() }
}

fn outline(bundle: &Value) -> (BundleOutline, Vec<Digest>) {
    let outline = BundleOutline {
        label: read(&bundle["label"]),
        body_hash: read(&bundle["body_hash"]),
        capsule: raw(&bundle["capsule"]),
        signature: PayerSignature::new(raw(&bundle["signature"]).try_into().unwrap()),
    };
    assert_eq!(outline.id(), read(&bundle["id"]));
    (outline, list(&bundle["path"]))
}

/// Share `index` of the pinned message, with `share` in its place if there is one, signed anew.
fn case(row: &Value, index: u32, share: Option<G1Bytes>) -> WrongShare {
    let header = header(row);
    let (mut shares, sharing): (Vec<G1Bytes>, _) = (list(&row["shares"]), sharing(row));
    if let Some(share) = share {
        shares[usize::try_from(index).unwrap()] = share;
    }
    let domain = domain(header.network);
    let digest = ShareMessage::digest(&domain, header.epoch, header.height, header.id(), &shares);
    let signature = key(ACCUSED.as_u16()).sign(digest.as_bytes());
    let shares = ShareMessage {
        epoch: header.epoch,
        height: header.height,
        block: header.id(),
        validator: ACCUSED,
        shares,
        signature: SignatureBytes::new(signature.to_bytes()),
    };
    let mut case = WrongShare { shares, index, header, sharing, bundles: Vec::new() };
    let seat = case.seat(&committee()).unwrap();
    let bundles = row["bundles"].as_array().unwrap();
    case.bundles = case.entries(seat).map(|at| outline(&bundles[at])).collect();
    case
}

fn convicts(case: &WrongShare) -> bool {
    case.convicts(&committee(), &domain(case.header.network), EPOCH)
}

fn words(path: &[Digest]) -> Vec<B256> {
    path.iter().map(|digest| B256::from(*digest.as_bytes())).collect()
}

#[test]
fn the_wrong_share_convicts_and_the_right_one_does_not_at_each_point_and_in_each_sub_batch() {
    let mut count = 0;
    for row in rows() {
        let shares: Vec<G1Bytes> = list(&row["shares"]);
        for (index, share) in (0_u32..).zip(&shares) {
            let another = *shares.iter().find(|other| *other != share).unwrap();
            assert!(!convicts(&case(&row, index, None)), "{index}");
            assert!(convicts(&case(&row, index, Some(another))), "{index}");
            count += 1;
        }
    }
    assert_eq!(count, 3 + 9 + 5);
}

#[test]
fn the_claim_has_the_paths_that_the_contract_is_tested_with() {
    for row in rows() {
        let held = row["points"].as_array().unwrap();
        let count = list::<G1Bytes>(&row["shares"]).len() / held.len();
        for index in 0..count * held.len() {
            let place = index / count;
            let case = case(&row, u32::try_from(index).unwrap(), None);
            let claim = claim(&case, &committee()).unwrap().on_l1().unwrap();
            assert_eq!(usize::from(claim.place), place);
            assert_eq!(
                u64::from(claim.point),
                row["holders"][5][0].as_u64().unwrap() + place as u64
            );
            assert_eq!(claim.subBatch as usize, index % count);
            assert_eq!(claim.key.path, words(&list(&row["key_path"])));
            assert_eq!(claim.verificationPath, words(&list(&held[place]["verification_path"])));
            assert_eq!(claim.verificationKey.to_vec(), raw(&held[place]["verification_key"]));
            assert_eq!(claim.sharePath, words(&list(&row["share_paths"][index])));
        }
    }
}

#[test]
fn parts_that_do_not_belong_together_convict_nobody() {
    let row = &rows()[1];
    // Share 4 is that of the second point for the second sub-batch: a full one of two bundles.
    let wrong = list::<G1Bytes>(&row["shares"])[0];
    let good = case(row, 4, Some(wrong));
    assert!(convicts(&good));
    let alter: [fn(&mut WrongShare); 11] = [
        |case| case.shares.validator = ValidatorIndex::new(3),
        |case| case.shares.shares.swap(0, 1),
        |case| case.shares.epoch = Epoch::new(4),
        |case| case.shares.block = BlockId::ZERO,
        |case| case.header.bundle_count += 1,
        |case| case.sharing.key.era = Era::new(9),
        // As many as there are points: beyond the last one.
        |case| case.index = 9,
        // Another's, right where it stands.
        |case| case.index = 3,
        |case| case.bundles.truncate(1),
        |case| case.bundles.swap(0, 1),
        |case| case.bundles[0].0.capsule[3] ^= 1,
    ];
    for (number, alter) in alter.into_iter().enumerate() {
        let mut bad = good.clone();
        alter(&mut bad);
        assert!(!convicts(&bad), "{number}");
    }
    let mut points = good.clone();
    points.sharing.holders = (0..16).map(|point| point..point + 1).collect();
    assert_eq!(points.seat(&committee()), None, "one point, and a share of the second");
    let domain = domain(good.header.network);
    assert!(!good.convicts(&committee(), &domain, Epoch::new(2)), "another epoch's committee");
}
