//! What L1 is told, and what shows it: commitments, their history, certificates.

use conclave_types::{
    Attestation, BlockCommitment, Committee, Digest, DkgResult, Epoch, Height, Member,
    SettlementCertificate, ValidatorIndex,
    mmr::{self, Subtree},
};

use super::{META_SETTLEMENT, Read, SIGNED_ATTESTATION, damaged, get, height_key, put, signed_key};
use crate::{
    settle::{Posted, SettlementCheckpoint},
    store::{Store, Table, Write},
};

pub(crate) fn put_commitment(commitment: &BlockCommitment) -> Write {
    put(Table::Commitments, height_key(commitment.height), commitment)
}

pub(crate) fn put_certificate(certificate: &SettlementCertificate) -> Write {
    put(Table::Certificates, height_key(certificate.commitment.height), certificate)
}

pub(crate) fn put_epoch_end(epoch: Epoch, last: Height) -> Write {
    put(Table::EpochEnds, epoch.as_u64().to_be_bytes().to_vec(), &last)
}

pub(crate) fn put_committee(epoch: Epoch, committee: &Committee) -> Write {
    let seats: Vec<(ValidatorIndex, Member)> =
        committee.iter().map(|(index, member)| (index, member.clone())).collect();
    put(Table::Committees, epoch.as_u64().to_be_bytes().to_vec(), &seats)
}

pub(crate) fn put_sharing(epoch: Epoch, sharing: &DkgResult) -> Write {
    put(Table::Sharings, epoch.as_u64().to_be_bytes().to_vec(), sharing)
}

pub(crate) fn put_history(subtree: Subtree, root: &Digest) -> Write {
    put(Table::History, history_key(subtree), root)
}

pub(crate) fn put_settlement(checkpoint: &SettlementCheckpoint) -> Write {
    put(Table::Meta, META_SETTLEMENT.to_vec(), checkpoint)
}

pub(crate) fn put_own_attestation(attestation: &Attestation) -> Write {
    let height = attestation.commitment.height;
    put(Table::Signed, signed_key(height, SIGNED_ATTESTATION, &[]), attestation)
}

fn history_key(Subtree { level, index }: Subtree) -> Vec<u8> {
    [[level].as_slice(), &index.to_be_bytes()].concat()
}

pub(crate) fn settlement<S: Store>(store: &S) -> Read<Option<SettlementCheckpoint>, S> {
    get(store, Table::Meta, META_SETTLEMENT)
}

/// The commitment to a revealed block; none while it is sealed.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn commitment<S: Store>(store: &S, height: Height) -> Read<Option<BlockCommitment>, S> {
    get(store, Table::Commitments, &height_key(height))
}

/// The certificate of a commitment, if this node has seen a quorum's attestations of just that one. A later one
/// covers it through its history root.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn certificate<S: Store>(store: &S, height: Height) -> Read<Option<SettlementCertificate>, S> {
    get(store, Table::Certificates, &height_key(height))
}

/// The last height of an epoch; none while it lasts, or while that height is sealed.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn epoch_end<S: Store>(store: &S, epoch: Epoch) -> Read<Option<Height>, S> {
    get(store, Table::EpochEnds, &epoch.as_u64().to_be_bytes())
}

/// The committee of an epoch; none before its first height is revealed.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn committee<S: Store>(store: &S, epoch: Epoch) -> Read<Option<Committee>, S> {
    let key = epoch.as_u64().to_be_bytes();
    let seats: Option<Vec<(ValidatorIndex, Member)>> = get(store, Table::Committees, &key)?;
    let committee = seats.map(Committee::seated).transpose();
    committee.map_err(|error| damaged(Table::Committees, &key, error.to_string()))
}

/// The key of an epoch and who holds its points; none if it has none, or before its first height is revealed.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn sharing<S: Store>(store: &S, epoch: Epoch) -> Read<Option<DkgResult>, S> {
    get(store, Table::Sharings, &epoch.as_u64().to_be_bytes())
}

/// The root of a full subtree over the commitments, entry i being that of height i + 1; none if it is not full.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn history<S: Store>(store: &S, subtree: Subtree) -> Read<Option<Digest>, S> {
    get(store, Table::History, &history_key(subtree))
}

/// The root of the history over the commitments up to a height; none if that is not revealed.
pub(crate) fn history_root<S: Store>(store: &S, height: Height) -> Read<Option<Digest>, S> {
    if height == Height::ZERO {
        return Ok(Some(Digest::ZERO));
    }
    // The next one holds it; the newest has none.
    if let Some(next) = commitment(store, height.next())? {
        return Ok(Some(next.history_root));
    }
    let newest = settlement(store)?.map(|checkpoint| checkpoint.history);
    let newest = newest.filter(|history| history.count() == height.as_u64());
    Ok(newest.map(|history| history.root()))
}

/// The attestation that this validator has sent for a height; none if it has not.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn own_attestation<S: Store>(store: &S, height: Height) -> Read<Option<Attestation>, S> {
    get(store, Table::Signed, &signed_key(height, SIGNED_ATTESTATION, &[]))
}

/// A certificate as L1 takes it, on top of what has settled there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The commitment and its signature.
    pub certificate: SettlementCertificate,
    /// Peaks of the mountain range over what has settled, the largest first.
    pub peaks: Vec<Digest>,
    /// Roots of the perfect trees over the commitments between that and this one, in order.
    pub added: Vec<Digest>,
}

/// What to post for the certificate of `height` when everything up to `settled` has settled; none if there is no such
/// certificate, or it is not above that.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn posting<S: Store>(store: &S, settled: Height, height: Height) -> Read<Option<Posting>, S> {
    let Some(certificate) = certificate(store, height)? else { return Ok(None) };
    let (old, new) = (settled.as_u64(), height.as_u64().saturating_sub(1));
    if old > new {
        return Ok(None);
    }
    let roots = |from, to| {
        let trees = mmr::full_subtrees(from, to).into_iter();
        trees.map(|subtree| history(store, subtree)).collect::<Read<Option<Vec<_>>, S>>()
    };
    let (peaks, added) = (roots(0, old)?, roots(old, new)?);
    let found = peaks.zip(added);
    Ok(found.map(|(peaks, added)| Posting { certificate, peaks, added }))
}

/// What a certificate that was posted on L1 is to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnL1 {
    /// Its chain has not come as far as that.
    NotYet,
    /// What its chain has there, too.
    Ours,
    /// Something else: to be told to the core.
    Other(Box<Posted>),
}

/// Compares a certificate that was posted on L1, unchecked, with this node's chain.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn posted<S: Store>(store: &S, posted: SettlementCertificate) -> Read<OnL1, S> {
    let (epoch, height) = (posted.commitment.epoch, posted.commitment.height);
    let Some(ours) = commitment(store, height)? else { return Ok(OnL1::NotYet) };
    if ours == posted.commitment {
        return Ok(OnL1::Ours);
    }
    let Some(committee) = committee(store, epoch)? else { return Ok(OnL1::NotYet) };
    let committee = committee.iter().map(|(index, member)| (index, member.clone())).collect();
    // The end of an epoch contradicts everything else of it; before there is one, the newest.
    let end = epoch_end(store, epoch)?;
    let newest = settlement(store)?.map(|checkpoint| checkpoint.certified);
    let mut binding = None;
    for height in [end, newest].into_iter().flatten() {
        let found = certificate(store, height)?;
        binding = binding.or(found.filter(|found| found.commitment.epoch == epoch));
    }
    Ok(OnL1::Other(Box::new(Posted { certificate: posted, ours, committee, binding })))
}

/// What shows that the commitment of `height` is among those that settled with the posting of `under`; none if it is
/// above that, or the history has not come so far.
///
/// # Errors
///
/// If the store fails or is damaged.
pub fn settled_path<S: Store>(
    store: &S,
    height: Height,
    under: Height,
) -> Read<Option<Vec<Digest>>, S> {
    let Some(entry) = height.as_u64().checked_sub(1) else { return Ok(None) };
    // The prover takes what is missing for an answer, and a store that fails for one that is missing.
    let mut failure = None;
    let subtree = |subtree| {
        history(store, subtree).unwrap_or_else(|error| {
            failure = Some(error);
            None
        })
    };
    let path = mmr::prove_inclusion(under.as_u64(), entry, subtree);
    failure.map_or(Ok(path), Err)
}
