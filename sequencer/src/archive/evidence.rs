//! What validators did wrong, as it is kept: by height, then kind, each kind once for whatever makes it one offence.

use conclave_consensus::Evidence;
use conclave_types::{Height, HistoryEntry, digest::SigningDomain};

use super::{
    ArchiveError, Read, damaged, decode, height_key, put,
    settlement::{commitment, settled_path},
};
use crate::{
    message::ShareMessage,
    settle::DoubleAttestation,
    store::{Store, Table, Write},
};

const EQUIVOCATION: u8 = 0;
const WRONG_SHARES: u8 = 1;
const DOUBLE_ATTESTATION: u8 = 2;
const STRAY_SHARES: u8 = 3;

/// Where the kind stands in a key: behind the height.
const KIND_AT: usize = 8;

/// A piece of evidence that a node keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A validator signed two votes, or two proposals.
    Equivocation(Box<Evidence>),
    /// A validator sent shares that are not what its secret gives.
    WrongShares(Box<ShareMessage>),
    /// Validators attested two commitments.
    DoubleAttestation(Box<DoubleAttestation>),
    /// A validator signed shares of a block that is not the chain's.
    StrayShares(Box<ShareMessage>),
}

/// A place in what is kept, to read on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceCursor(Vec<u8>);

impl EvidenceCursor {
    /// Before everything of a height.
    #[must_use]
    pub fn at(height: Height) -> Self {
        Self(height_key(height))
    }
}

fn evidence_key(height: Height, kind: u8, what: &[u8]) -> Vec<u8> {
    [height_key(height).as_slice(), &[kind], what].concat()
}

pub(crate) fn put_equivocation(evidence: &Evidence) -> Write {
    #[expect(clippy::expect_used, reason = "a Vec<u8> takes every write")]
    let bytes = borsh::to_vec(evidence).expect("encoding into memory does not fail");
    let (height, _) = evidence.at();
    let digest = conclave_types::digest::keccak(&bytes);
    let key = evidence_key(height, EQUIVOCATION, digest.as_bytes());
    Write::Put { table: Table::Evidence, key, value: bytes }
}

pub(crate) fn put_wrong_shares(message: &ShareMessage) -> Write {
    let validator = message.validator.as_u16().to_be_bytes();
    put(Table::Evidence, evidence_key(message.height, WRONG_SHARES, &validator), message)
}

pub(crate) fn put_stray_shares(message: &ShareMessage) -> Write {
    let validator = message.validator.as_u16().to_be_bytes();
    put(Table::Evidence, evidence_key(message.height, STRAY_SHARES, &validator), message)
}

/// By the higher one, with which it became evidence, and all whom it accuses: what accuses fewer replaces nothing.
pub(crate) fn put_double_attestation(evidence: &DoubleAttestation) -> Write {
    let height = evidence.first.commitment.height.max(evidence.second.commitment.height);
    let accused: Vec<[u8; 2]> =
        evidence.accused().iter().map(|accused| accused.as_u16().to_be_bytes()).collect();
    let accused = conclave_types::digest::keccak(accused.as_flattened());
    let key = evidence_key(height, DOUBLE_ATTESTATION, accused.as_bytes());
    put(Table::Evidence, key, evidence)
}

/// A contradiction with what shows it: of commitments of two heights, what this node's history under the higher one holds at
/// the height of the other. None if its history has not come so far.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn shown<S: Store>(
    store: &S,
    domain: &SigningDomain,
    evidence: DoubleAttestation,
) -> Read<Option<DoubleAttestation>, S> {
    let (lower, upper) = (&evidence.first.commitment, &evidence.second.commitment);
    if evidence.held.is_some() || lower.height >= upper.height || lower.ends_epoch() {
        return Ok(Some(evidence));
    }
    let under = upper.height.previous().unwrap_or_default();
    let path = settled_path(store, lower.height, under)?;
    let Some((path, own)) = path.zip(commitment(store, lower.height)?) else { return Ok(None) };
    let held = Some(HistoryEntry { digest: domain.commitment(&own), path });
    Ok(Some(DoubleAttestation { held, ..evidence }))
}

/// Up to `limit` pieces of evidence from a place on, and where to read on.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn evidence<S: Store>(
    store: &S,
    from: &EvidenceCursor,
    limit: usize,
) -> Read<(Vec<Kept>, EvidenceCursor), S> {
    // Beyond every key: they begin with a height and a kind.
    let end = [0xff; KIND_AT + 1];
    let found = store.scan(Table::Evidence, &from.0, &end, limit).map_err(ArchiveError::Store)?;
    // The least key above the last one.
    let next = found.last().map(|(key, _)| [key.as_slice(), &[0]].concat());
    let kept = found.iter().map(|(key, value)| read(key, value)).collect::<Result<_, _>>()?;
    Ok((kept, next.map_or_else(|| from.clone(), EvidenceCursor)))
}

fn read<E: std::error::Error>(key: &[u8], value: &[u8]) -> Result<Kept, ArchiveError<E>> {
    let table = Table::Evidence;
    match key.get(KIND_AT) {
        Some(&EQUIVOCATION) => decode(table, key, value).map(Box::new).map(Kept::Equivocation),
        Some(&WRONG_SHARES) => decode(table, key, value).map(Box::new).map(Kept::WrongShares),
        Some(&DOUBLE_ATTESTATION) => {
            decode(table, key, value).map(Box::new).map(Kept::DoubleAttestation)
        }
        Some(&STRAY_SHARES) => decode(table, key, value).map(Box::new).map(Kept::StrayShares),
        Some(_) | None => Err(damaged(table, key, "evidence of no known kind".to_owned())),
    }
}
