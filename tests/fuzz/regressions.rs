//! Inputs that were hard once: found by fuzzing or by hand, kept for good.

use conclave_client::{BundleStatus, ClientError, messages as v1};
use conclave_types::{EncryptedBundle, Genesis, RevealedBlock};

#[test]
fn a_length_beyond_the_input_is_an_error_and_no_allocation() {
    // A length of 2³² − 1 with nothing behind it, where the capsule's length stands.
    let bundle = borsh::to_vec(&crate::samples::bundle(16)).expect("writes");
    let capsule_length = 32 + 1 + 32 + 20 + 16 + 8 + 8 + 8 + 4;
    let mut bytes = bundle[..capsule_length].to_vec();
    bytes.extend([0xff; 4]);
    let error = borsh::from_slice::<EncryptedBundle>(&bytes).expect_err("too short");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn one_byte_more_is_an_error() {
    let mut bytes = borsh::to_vec(&crate::samples::revealed()).expect("writes");
    bytes.push(0);
    let error = borsh::from_slice::<RevealedBlock>(&bytes).expect_err("a byte too many");
    assert_eq!(error.to_string(), "Not all bytes read");
}

#[test]
fn a_genesis_with_a_field_that_nobody_knows_is_refused() {
    let mut genesis = serde_json::to_value(crate::samples::genesis()).expect("writes");
    genesis["colour"] = "blue".into();
    let error = serde_json::from_value::<Genesis>(genesis).expect_err("unknown field");
    assert!(error.to_string().starts_with("unknown field `colour`"), "{error}");
}

#[test]
fn a_level_that_nobody_knows_is_not_taken_for_an_unknown_bundle() {
    let status = v1::BundleStatus { bundle_id: vec![1; 32], level: 24, ..Default::default() };
    let error = BundleStatus::try_from(status).expect_err("no such level");
    assert!(matches!(error, ClientError::Inconsistent("a level is one of the protocol")));
}
