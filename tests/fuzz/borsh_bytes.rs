//! What validators exchange and store: borsh, which must have one encoding for each value.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Batch, Block, Certificate, EncryptedBundle, Genesis, RevealedBlock};

use crate::{fuzz, samples};

/// What reads back must write as the bytes it came from.
pub(crate) fn canonical<T: BorshDeserialize + BorshSerialize>(bytes: &[u8]) -> Option<T> {
    let value: T = borsh::from_slice(bytes).ok()?;
    assert_eq!(borsh::to_vec(&value).expect("writes"), bytes, "two encodings of one value");
    Some(value)
}

fn encode(value: &impl BorshSerialize) -> Vec<u8> {
    borsh::to_vec(value).expect("writes")
}

#[test]
fn sealed_bundle() {
    let corpus = [encode(&samples::bundle(272)), encode(&samples::bundle(1_040))];
    fuzz("sealed bundle", &corpus, |bytes| {
        if let Some(bundle) = canonical::<EncryptedBundle>(bytes) {
            // Ids and digests are computed before anything is checked.
            assert_eq!(bundle.id(), bundle.id());
            assert_eq!(bundle.signing_digest(), bundle.signing_digest());
        }
    });
}

#[test]
fn block() {
    let corpus = [encode(&samples::block())];
    fuzz("block", &corpus, |bytes| {
        if let Some(block) = canonical::<Block>(bytes) {
            assert_eq!(block.id(), block.header.id());
            assert_eq!(block.body.bundle_root(), block.body.bundle_root());
        }
    });
}

#[test]
fn certificate() {
    let corpus = [encode(&samples::certificate(3)), encode(&samples::certificate(67))];
    fuzz("certificate", &corpus, |bytes| {
        if let Some(certificate) = canonical::<Certificate>(bytes) {
            assert_eq!(certificate.digest(), certificate.digest());
        }
    });
}

#[test]
fn revealed_block() {
    let corpus = [encode(&samples::revealed())];
    fuzz("revealed block", &corpus, |bytes| {
        if let Some(block) = canonical::<RevealedBlock>(bytes) {
            let start = conclave_types::Digest::ZERO;
            assert_ne!(block.digest(&start), start);
        }
    });
}

#[test]
fn batch() {
    let corpus = [encode(&samples::batch())];
    fuzz("batch", &corpus, |bytes| drop(canonical::<Batch>(bytes)));
}

#[test]
fn genesis() {
    let corpus = [encode(&samples::genesis())];
    fuzz("genesis", &corpus, |bytes| {
        if let Some(genesis) = canonical::<Genesis>(bytes) {
            drop(genesis.validate());
        }
    });
}
