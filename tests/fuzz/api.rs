//! The public API: protobuf in, domain values or an error out, and back.

use conclave_types::{
    Batch, BlockHeader, Certificate, L1Origin,
    proto::v1,
    wire::{HistoryProof, PaidOut, WireError, WithdrawalProof},
};
use prost::Message;

use crate::{fuzz, samples};

/// What converts into the domain converts back into the same message.
fn there_and_back<W, D>(bytes: &[u8])
where
    W: Message + Default + PartialEq + Clone + std::fmt::Debug + for<'a> From<&'a D>,
    D: TryFrom<W, Error = WireError>,
{
    let Ok(message) = W::decode(bytes) else { return };
    let Ok(value) = D::try_from(message.clone()) else { return };
    assert_eq!(W::from(&value), message, "something was lost on the way");
}

/// The conversions that take a reference, as ones that take a value.
macro_rules! owned {
    ($name:ident, $domain:ty, $wire:ty) => {
        struct $name($domain);

        impl TryFrom<$wire> for $name {
            type Error = WireError;

            fn try_from(message: $wire) -> Result<Self, WireError> {
                <$domain>::try_from(&message).map(Self)
            }
        }

        impl From<&$name> for $wire {
            fn from(value: &$name) -> Self {
                (&value.0).into()
            }
        }
    };
}

owned!(OwnedHeader, BlockHeader, v1::BlockHeader);
owned!(OwnedCertificate, Certificate, v1::Certificate);
owned!(OwnedOrigin, L1Origin, v1::L1Origin);
owned!(OwnedHistory, HistoryProof, v1::HistoryProof);
owned!(OwnedPayment, PaidOut, v1::Withdrawal);

#[test]
fn batch_from_protobuf() {
    let corpus = [v1::Batch::from(&samples::batch()).encode_to_vec()];
    fuzz("batch from protobuf", &corpus, there_and_back::<v1::Batch, Batch>);
}

#[test]
fn block_header_from_protobuf() {
    let corpus = [v1::BlockHeader::from(&samples::block().header).encode_to_vec()];
    fuzz("header from protobuf", &corpus, there_and_back::<v1::BlockHeader, OwnedHeader>);
}

#[test]
fn certificate_from_protobuf() {
    let corpus = [v1::Certificate::from(&samples::certificate(3)).encode_to_vec()];
    fuzz("certificate from protobuf", &corpus, there_and_back::<v1::Certificate, OwnedCertificate>);
}

#[test]
fn l1_origin_from_protobuf() {
    let corpus = [v1::L1Origin::from(&samples::block().header.l1_origin).encode_to_vec()];
    fuzz("origin from protobuf", &corpus, there_and_back::<v1::L1Origin, OwnedOrigin>);
}

#[test]
fn history_proof_from_protobuf() {
    let corpus = [v1::HistoryProof::from(&samples::history_proof()).encode_to_vec()];
    fuzz("history proof from protobuf", &corpus, there_and_back::<v1::HistoryProof, OwnedHistory>);
}

#[test]
fn withdrawal_from_protobuf() {
    let corpus = samples::paid_out().map(|paid| v1::Withdrawal::from(&paid).encode_to_vec());
    fuzz("withdrawal from protobuf", &corpus, there_and_back::<v1::Withdrawal, OwnedPayment>);
}

#[test]
fn withdrawal_proof_from_protobuf() {
    let [paid, ..] = samples::paid_out();
    let history = samples::history_proof();
    let siblings = history.path.clone();
    let proof = WithdrawalProof { history, withdrawal: paid.withdrawal, place: 1, siblings };
    let corpus = [v1::GetWithdrawalProofResponse::from(&proof).encode_to_vec()];
    fuzz("withdrawal proof from protobuf", &corpus, |bytes| {
        let Ok(message) = v1::GetWithdrawalProofResponse::decode(bytes) else { return };
        let Ok(proof) = WithdrawalProof::try_from(&message) else { return };
        // A withdrawal is of the height whose commitment covers it, whatever the message says besides.
        let again = v1::GetWithdrawalProofResponse::from(&proof);
        assert_eq!(WithdrawalProof::try_from(&again), Ok(proof));
    });
}
