//! What L1 judges a decryption share by, pinned in `tests/vectors/settlement-v1.json` for Rust and Solidity
//! alike. The file was computed apart from both, by py_ecc 8; `tests/vectors/sealed_share.py` computes again what
//! follows from the block. Changing it is a protocol change.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use conclave_encryption::{PublicKey, SealedBlock, SecretShare};
use conclave_types::{
    BlockBody, BlockHeader, Digest, EncryptionKey, Epoch, Era, G1Bytes, G2Bytes, Height, L1Origin,
    NetworkId, Time, ValidatorIndex, dkg_result_root, merkle,
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

#[test]
fn the_pinned_shares_are_those_of_the_pinned_block() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/settlement-v1.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let row = &all["sealed_share"];
    let verification_keys = row["verification_keys"].as_array().unwrap();
    let key = EncryptionKey {
        suite: number(&row["suite"]),
        era: Era::new(number(&row["era"])),
        secrecy: number(&row["secrecy"]),
        packing: number(&row["packing"]),
        public_key: read(&row["public_key"]),
        public_key_g2: read(&row["public_key_g2"]),
        verification_keys: verification_keys.iter().map(read::<G2Bytes>).collect(),
    };
    assert_eq!(dkg_result_root(&key), read(&row["dkg_result"]));
    let network = read(&row["network"]);
    let header = header(network, &row["header"]);
    assert_eq!(header.id(), read(&row["header"]["id"]));
    assert_eq!(header.key_id, key.id(&network));
    let bundles = row["bundles"].as_array().unwrap();
    let ids = bundles.iter().map(|bundle| read(&bundle["id"])).collect();
    let body = BlockBody { bundles: ids, ..BlockBody::default() };
    assert_eq!(body.bundle_root(), header.bundle_root);
    let key = PublicKey::new(network, &key).unwrap();

    let capsules = bundles.iter().map(|bundle| &bundle["capsule"]);
    let us: Vec<G1Bytes> =
        capsules.map(|capsule| capsule.as_str().unwrap()[..2 + 96].parse().unwrap()).collect();
    let block = SealedBlock::new(&key, header.height, header.id(), &us).unwrap();
    let party = number(&row["party"]);
    let secret = read::<Digest>(&row["secret_share"]);
    let secret = SecretShare::from_bytes(secret.as_bytes()).unwrap();
    assert!(secret.matches(&key, party));

    let shares = block.share(&secret, party);
    let pinned: Vec<G1Bytes> = row["shares"].as_array().unwrap().iter().map(read).collect();
    assert_eq!(shares, pinned);
    let leaves: Vec<_> = shares.iter().map(|share| merkle::leaf(share.as_bytes())).collect();
    assert_eq!(merkle::root(&leaves), read(&row["share_root"]));
    assert_eq!(block.blame(&[(party, &shares)], &[7; 32]), Vec::<u16>::new());
}
