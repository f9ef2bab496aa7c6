//! Clients and servers of the gRPC services, generated from `types/proto`.
//!
//! The messages live in [`conclave_types::proto`], which layer 0 can read without tonic; this crate
//! adds what only the shells need: `submit_service_client::SubmitServiceClient`,
//! `sequence_service_server::SequenceService` and so on. Every server of the shells, gRPC or not, listens
//! through [`doors`].

pub mod doors;

pub use conclave_types::proto::v1 as messages;

/// The compiled protos, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

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
