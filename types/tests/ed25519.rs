//! Which ed25519 signatures are accepted, pinned in `tests/vectors/` for consensus and for the
//! contract that judges evidence: if one of them accepted more than the other, a validator could be slashed
//! for what no validator would count, or equivocate without being slashable.
//!
//! `ed25519-v1.json` was computed apart from both: honest signatures at every length around a SHA-512 block, single
//! bits flipped, S beyond the order, all pairs of small-order points, points of mixed order, encodings that
//! are not canonical. `ed25519-wycheproof-v1.json` is Project Wycheproof's (its source and licence are named in
//! it); no case of it is one in which strict verification differs, so what it expects is what both languages do.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

/// Reads `cases` of a file of vectors.
fn cases(name: &str) -> Vec<Value> {
    let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all.get("cases").and_then(Value::as_array).unwrap().clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

/// How many cases are accepted, all of them as their file has it. Signatures of another length than 64 bytes are
/// none, here as in every message.
fn accepted(cases: &[Value]) -> usize {
    let accepts = |case: &&Value| {
        let key = VerifyingKey::from_bytes(&bytes(&case["key"]).try_into().unwrap());
        let signature = Signature::from_slice(&bytes(&case["signature"]));
        let valid = key.is_ok_and(|key| {
            let strictly = |it| key.verify_strict(&bytes(&case["message"]), &it).is_ok();
            signature.is_ok_and(strictly)
        });
        assert_eq!(valid, case["valid"].as_bool().unwrap(), "{}", case["why"]);
        valid
    };
    cases.iter().filter(accepts).count()
}

#[test]
fn consensus_accepts_exactly_the_pinned_signatures() {
    let cases = cases("ed25519-v1.json");
    let accepted = accepted(&cases);
    assert!(cases.len() > 600 && accepted > 50, "{accepted} of {} accepted", cases.len());
}

#[test]
fn consensus_accepts_of_wycheproofs_signatures_exactly_the_valid_ones() {
    let cases = cases("ed25519-wycheproof-v1.json");
    assert_eq!((cases.len(), accepted(&cases)), (151, 88));
}
