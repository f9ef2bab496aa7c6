//! What L1 judges a decryption share by, pinned in `tests/vectors/settlement-v1.json` for Rust and Solidity
//! alike, for members who hold one point and several, under either suite. `tests/vectors/sealed_share.py` computes it
//! apart from both. Changing it is a protocol change.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests are free to panic; this lets their helpers too"
)]

use conclave_encryption::{Encapsulation, PublicKey, SealedBlock, SecretShare, SubBatch};
use conclave_types::{
    BlockBody, BlockHeader, BlockId, Digest, DkgResult, EncryptionKey, Epoch, Era, G1Bytes, Height,
    L1Origin, NetworkId, Time, ValidatorIndex, eip2537_g1, eip2537_g2, merkle,
};
use serde_json::Value;

fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

/// The block, as validators hash it. The file has these fields, its id, and no other.
fn header(network: NetworkId, row: &Value) -> BlockHeader {
    let header = BlockHeader {
        network,
        height: Height::new(number(&row["height"])),
        parent: read(&row["parent"]),
        parent_certificate: read(&row["parent_certificate"]),
        proposer: ValidatorIndex::new(number(&row["proposer"])),
        time: Time::from_micros(number(&row["time_micros"])),
        epoch: Epoch::new(number(&row["epoch"])),
        l1_origin: L1Origin { number: number(&row["l1_number"]), hash: read(&row["l1_hash"]) },
        l1_entries_root: read(&row["l1_entries_root"]),
        key_id: read(&row["key_id"]),
        sharing_root: read(&row["sharing_root"]),
        bundle_root: read(&row["bundle_root"]),
        bundle_count: number(&row["bundle_count"]),
        revealed_height: Height::new(number(&row["revealed_height"])),
        reveal_digest: read(&row["reveal_digest"]),
        ledger_digest: read(&row["ledger_digest"]),
    };
    assert_eq!(row.as_object().unwrap().len(), 17);
    header
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> Vec<T> {
    value.as_array().unwrap().iter().map(read).collect()
}

/// The key of a row, with who holds its points.
fn result(row: &Value) -> DkgResult {
    let key = EncryptionKey {
        suite: number(&row["suite"]),
        era: Era::new(number(&row["era"])),
        secrecy: number(&row["secrecy"]),
        packing: number(&row["packing"]),
        public_key: read(&row["public_key"]),
        public_key_g2: read(&row["public_key_g2"]),
        verification_keys: list(&row["verification_keys"]),
    };
    let points = |row: &Value| number(&row[0])..number(&row[1]);
    let holders = row["holders"].as_array().unwrap().iter().map(points).collect();
    DkgResult { key, holders }
}

#[test]
fn the_pinned_shares_are_those_of_the_pinned_blocks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/settlement-v1.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows = all["sealed_shares"].as_array().unwrap();
    let suites: Vec<u8> = rows.iter().map(|row| number(&row["suite"])).collect();
    assert_eq!(suites, [1, 1, 2]);
    rows.iter().for_each(shares_are_right);
}

fn shares_are_right(row: &Value) {
    let result = result(row);
    assert_eq!(result.root(), read(&row["dkg_result"]));
    assert_eq!(result.key_path(), list(&row["key_path"]));
    let network = read(&row["network"]);
    let header = header(network, &row["header"]);
    assert_eq!(header.id(), read(&row["header"]["id"]));
    assert_eq!(header.key_id, result.key.id(&network));
    let bundles = row["bundles"].as_array().unwrap();
    let ids = bundles.iter().map(|bundle| read(&bundle["id"])).collect();
    let body = BlockBody { bundles: ids, ..BlockBody::default() };
    assert_eq!(body.bundle_root(), header.bundle_root);
    let key = PublicKey::new(network, &result.key).unwrap();

    let capsules = bundles.iter().map(|bundle| &bundle["capsule"]);
    let us: Vec<G1Bytes> =
        capsules.map(|capsule| capsule.as_str().unwrap()[..2 + 96].parse().unwrap()).collect();
    for (u, bundle) in us.iter().zip(bundles) {
        let pinned = bundle["u"].as_str().unwrap();
        assert_eq!(format!("0x{}", hex::encode(eip2537_g1(u).unwrap())), pinned);
    }
    // Shares depend on u alone.
    let encapsulated: Vec<_> = us.iter().copied().map(Encapsulation::from).collect();
    let block = SealedBlock::new(&key, header.height, header.id(), &encapsulated).unwrap();
    let count = block.share_count();

    let pinned: Vec<G1Bytes> = list(&row["shares"]);
    let leaves: Vec<_> = pinned.iter().map(|share| merkle::leaf(share.as_bytes())).collect();
    assert_eq!(merkle::root(&leaves), read(&row["share_root"]));
    let points = result.points(number(&row["member"]));
    let held = row["points"].as_array().unwrap();
    assert_eq!((points.len(), pinned.len()), (held.len(), held.len() * count));
    for ((point, held), shares) in points.zip(held).zip(pinned.chunks(count)) {
        let verification_key = eip2537_g2(&result.key.verification_keys[usize::from(point)]);
        let verification_key = format!("0x{}", hex::encode(verification_key.unwrap()));
        assert_eq!(verification_key, held["verification_key"].as_str().unwrap());
        assert_eq!(result.point_path(point).unwrap(), list(&held["verification_path"]));
        let secret = read::<Digest>(&held["secret_share"]);
        let secret = SecretShare::from_bytes(secret.as_bytes()).unwrap();
        assert!(secret.matches(&key, point));
        assert_eq!(block.share(&secret, point), shares);
        assert_eq!(block.blame(&[(point, shares)], &[7; 32]), Vec::<u16>::new());
        assert_eq!(block.first_wrong(point, shares), None);
        each_is_right_by_itself(&key, (header.height, header.id()), &block, (point, shares, &us));
    }
}

/// Seen with the ciphertexts of its own sub-batch only.
fn each_is_right_by_itself(
    key: &PublicKey,
    place: (Height, BlockId),
    block: &SealedBlock,
    (point, shares, us): (u16, &[G1Bytes], &[G1Bytes]),
) {
    for (index, share) in shares.iter().enumerate() {
        let another = shares[(index + 1) % shares.len()];
        // Entry 0 is the beacon's, bundle i entry i + 1.
        let entries = block.opening_range(index..index + 1);
        let us = &us[entries.start.saturating_sub(1)..entries.end - 1];
        let sub_batch = SubBatch::new(key, place, index, us).unwrap();
        assert!(sub_batch.is_share(point, share) && !sub_batch.is_share(point ^ 1, share));
        assert!(!sub_batch.is_share(point, &another));
        let mut wrong = shares.to_vec();
        wrong[index] = us.first().copied().unwrap_or(another);
        assert_eq!(block.first_wrong(point, &wrong), Some(index));
    }
}
