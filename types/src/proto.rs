//! Protobuf messages of the public API, generated from `proto/conclave/v1`.

/// Package `conclave.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_types,
    clippy::too_many_lines,
    reason = "generated code; its documentation is in the .proto files"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/conclave.v1.rs"));
}
