//! What L1 judges a decryption share by, pinned in `tests/vectors/settlement-v1.json` for Rust and Solidity
//! alike. The file was computed apart from both, by py_ecc 8. Changing it is a protocol change.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use conclave_encryption::{PublicKey, SealedBlock, SecretShare};
use conclave_types::{
    Digest, EncryptionKey, Era, G1Bytes, G2Bytes, Height, dkg_result_root, merkle,
};
use serde_json::Value;

fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
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
    let key = PublicKey::new(read(&row["network"]), &key).unwrap();

    let capsules = row["bundles"].as_array().unwrap().iter().map(|bundle| &bundle["capsule"]);
    let us: Vec<G1Bytes> =
        capsules.map(|capsule| capsule.as_str().unwrap()[..2 + 96].parse().unwrap()).collect();
    let header = &row["header"];
    let height = Height::new(number(&header["height"]));
    let block = SealedBlock::new(&key, height, read(&header["id"]), &us).unwrap();
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
