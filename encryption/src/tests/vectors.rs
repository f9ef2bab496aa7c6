//! The bytes that leave the process, pinned. Changing them is a protocol change.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::{
    Suite, beacon,
    seal::{encode_legs, seal_plaintext},
};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");

#[test]
fn the_pinned_vectors_hold() {
    pinned(Suite::Packed, "encryption-v1.json");
    pinned(Suite::Baseline, "encryption-baseline-v1.json");
}

fn pinned(suite: Suite, name: &str) {
    let committee = committee(suite, 4);
    let legs = vec![leg(1, b"pinned"), leg(4_294_967_296, &[0xab; 64])];
    let plaintext = encode_legs(&legs).unwrap();
    let sealed = seal_plaintext(committee.key.sealing_key(), header(7), plaintext, &SEED).unwrap();
    let block = committee.block_with(std::slice::from_ref(&sealed));
    let sent = committee.send_all(&block);
    let openings = block.combine(&sent.list(), 0..block.share_count()).unwrap();
    assert!(block.check(&openings, &SEED));
    let shares: Vec<String> = sent.0.iter().map(|(_, s)| hex::encode(s[1].as_bytes())).collect();
    let found = json!({
        "suite": sealed.header.suite,
        "network": hex::encode(network().as_bytes()),
        "era": committee.raw.era.as_u32(),
        "secret_key": hex::encode(committee.secret.to_bytes_be()),
        "pk": hex::encode(committee.raw.public_key.as_bytes()),
        "x2": hex::encode(committee.raw.public_key_g2.as_bytes()),
        "key_id": hex::encode(committee.key.id().as_bytes()),
        "header": hex::encode(borsh::to_vec(&sealed.header).unwrap()),
        "legs": hex::encode(borsh::to_vec(&legs).unwrap()),
        "coins": hex::encode(SEED),
        "label": hex::encode(sealed.header.label().as_bytes()),
        "capsule": hex::encode(&sealed.capsule),
        "body": hex::encode(&sealed.body),
        "opening": hex::encode(openings[1].as_bytes()),
        "height": 5,
        "block": hex::encode([0x33; 32]),
        "shares": shares,
        "beacon_opening": hex::encode(openings[0].as_bytes()),
        "beacon": hex::encode(beacon(&openings[0]).as_bytes()),
    });
    pin(name, &found);
}

/// Compares with the vectors of that name; where there are none, writes them and fails.
pub(crate) fn pin(name: &str, found: &serde_json::Value) {
    let path = Path::new(DIRECTORY).join(name);
    if !path.exists() {
        std::fs::create_dir_all(DIRECTORY).unwrap();
        let text = serde_json::to_string_pretty(found).unwrap();
        std::fs::write(path, text + "\n").unwrap();
        panic!("there were no vectors; they are written now, to be read and committed");
    }
    let pinned: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(*found, pinned);
}
