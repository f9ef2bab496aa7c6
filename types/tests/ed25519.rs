//! Which ed25519 signatures are accepted, pinned in `tests/vectors/ed25519-v1.json` for consensus and for the
//! contract that judges evidence: if one of them accepted more than the other, a validator could be slashed
//! for what no validator would count, or equivocate without being slashable.
//!
//! The file was computed apart from both: honest signatures at every length around a SHA-512 block, single
//! bits flipped, S beyond the order, all pairs of small-order points, points of mixed order, encodings that
//! are not canonical.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    any(value).try_into().unwrap()
}

fn any(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

#[test]
fn consensus_accepts_exactly_the_pinned_signatures() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/ed25519-v1.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = all["cases"].as_array().unwrap();
    let mut accepted = 0;
    for case in cases {
        let signature = Signature::from_bytes(&bytes(&case["signature"]));
        let valid = VerifyingKey::from_bytes(&bytes(&case["key"]))
            .is_ok_and(|key| key.verify_strict(&any(&case["message"]), &signature).is_ok());
        assert_eq!(valid, case["valid"].as_bool().unwrap(), "{}", case["why"]);
        accepted += usize::from(valid);
    }
    assert!(cases.len() > 600 && accepted > 50, "{accepted} of {} accepted", cases.len());
}
