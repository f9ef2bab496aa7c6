//! What shows what was ordered: the tree of a revealed height, and the certificate over its commitment.
//!
//! Both are functions of the chain, so whoever asks may check them, and a node that derives another root than the one
//! it committed to serves nothing: its store is damaged.

use std::{collections::BTreeSet, sync::Arc};

use conclave_derivation::Prover;
use conclave_sequencer::archive::{self, ArchiveError};
use conclave_types::{
    BlockCommitment, BundleId, Height, Outcome, RevealedBlock, RollupId, SettlementCertificate,
    wire::CertifiedCommitment,
};
use tonic::Status;

use super::{Context, kept::Kept, sequence::first_above};
use crate::store::{RocksStore, StoreError};

type Read<T> = Result<T, ArchiveError<StoreError>>;

/// Heights whose trees are kept: whoever acts on a block wants several proofs of it. Each takes what its block does, a
/// few MiB at most.
const TREES_MAX: usize = 4;

/// The trees that were asked for last.
pub(super) type Trees = Kept<Height, Prover, TREES_MAX>;

impl Context {
    /// Whether a height can be here at all.
    pub(super) fn check_kept(height: Height) -> Result<(), Status> {
        // Nothing is pruned: history begins with the first block.
        let earliest = Height::ZERO.next();
        if height < earliest {
            return Err(Status::out_of_range(format!(
                "this node keeps heights from {earliest} on, found {height}"
            )));
        }
        Ok(())
    }

    /// The tree over a height's batches.
    pub(super) async fn tree(self: &Arc<Self>, height: Height) -> Result<Arc<Prover>, Status> {
        Self::check_kept(height)?;
        // The snapshot rules, not the store: what it does not speak of yet is not public yet.
        if self.driver.snapshot().revealed.height < height {
            return Err(unrevealed(height));
        }
        let context = Arc::clone(self);
        let read = move |store: &_| context.trees.get_or(height, || read_tree(store, height));
        self.read(read).await?.ok_or_else(|| contradicted(height))
    }

    /// The revealed height that has a bundle.
    pub(super) async fn height_of(&self, bundle: BundleId) -> Result<Height, Status> {
        let place = self.read(move |store| archive::place(store, &bundle)).await?;
        let revealed = self.driver.snapshot().revealed.height;
        let height = place.map(|place| place.height).filter(|height| *height <= revealed);
        height.ok_or_else(|| {
            Status::not_found(format!("no block that is revealed here has bundle {bundle}"))
        })
    }

    /// The commitment of a height, with a certificate that covers it.
    pub(super) async fn certified(&self, height: Height) -> Result<CertifiedCommitment, Status> {
        Self::check_kept(height)?;
        let newest = self.driver.snapshot().status.certified;
        let found = self.read(move |store| {
            let Some(commitment) = archive::commitment(store, height)? else { return Ok(None) };
            let Some(certificate) = covering(store, &commitment, newest)? else {
                return Ok(Some(None));
            };
            let last = certificate.commitment.height;
            let path = match last.previous() {
                Some(before) if last > height => archive::settled_path(store, height, before)?,
                Some(_) | None => Some(Vec::new()),
            };
            Ok(Some(path.map(|path| CertifiedCommitment { commitment, certificate, path })))
        });
        let certified = found.await?.ok_or_else(|| unrevealed(height))?;
        certified.ok_or_else(|| {
            Status::failed_precondition(format!(
                "height {height} is not certified here yet: what is goes up to {newest}"
            ))
        })
    }
}

pub(super) fn unrevealed(height: Height) -> Status {
    Status::not_found(format!("height {height} is not revealed on this node"))
}

fn contradicted(height: Height) -> Status {
    tracing::error!(%height, "the batches in the store are not those that were committed to");
    Status::data_loss(format!(
        "the batches of height {height} in this node's store are not those that it committed to; see its log"
    ))
}

/// A certificate that covers a commitment, if there is one: its own, else that of its epoch's end, which there always is
/// some time, else the newest.
fn covering(
    store: &RocksStore,
    commitment: &BlockCommitment,
    newest: Height,
) -> Read<Option<SettlementCertificate>> {
    let end = archive::epoch_end(store, commitment.epoch)?;
    let covers = |height: &Height| *height >= commitment.height;
    let candidates = [Some(commitment.height), end, Some(newest)];
    for height in candidates.into_iter().flatten().filter(covers) {
        if let Some(certificate) = archive::certificate(store, height)? {
            return Ok(Some(certificate));
        }
    }
    Ok(None)
}

/// The tree over the batches of a revealed height; none if they are not those that were committed to. Why batches make no
/// tree is for whoever runs the node: the log says it, and who asks is told only that the store contradicts itself.
fn read_tree(store: &RocksStore, height: Height) -> Read<Option<Prover>> {
    let block = archive::revealed(store, height)?;
    let Some((block, commitment)) = block.zip(archive::commitment(store, height)?) else {
        return Ok(None);
    };
    let Some(before) = height.previous() else { return Ok(None) };
    let mut batches = Vec::new();
    for rollup in rollups(&block) {
        let sequence = first_above(store, rollup, before)?;
        let found = archive::batches(store, rollup, sequence, 1)?;
        batches.extend(found.into_iter().filter(|batch| batch.height == height));
    }
    let prover = Prover::new(block, batches)
        .inspect_err(|error| tracing::error!(%height, %error, "the batches in the store are none of their block"))
        .ok();
    let is_committed = |prover: &Prover| {
        let root = prover.root();
        (root.root, root.count) == (commitment.reveal_root, commitment.rollup_count)
    };
    Ok(prover.filter(is_committed))
}

/// The rollups that have a batch in a block, in ascending order.
fn rollups(block: &RevealedBlock) -> BTreeSet<RollupId> {
    let forced = block.forced.iter().filter(|forced| forced.carried);
    let legs = block.bundles.iter().flat_map(|bundle| match &bundle.outcome {
        Outcome::Opened(legs) => legs.as_slice(),
        Outcome::Undecryptable(_) => &[],
    });
    forced.map(|forced| forced.forced.rollup).chain(legs.map(|leg| leg.rollup)).collect()
}
