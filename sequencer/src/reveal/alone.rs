//! Shares of bundles that no block has taken yet, computed while they wait for one.
//!
//! ```text
//!  admitted ─▶ share_alone job ─▶ kept here, unsigned ─┬─ named by a valid block ─▶ its share job computes the rest
//!                                                      └─ decided elsewhere, expired, epoch over ─▶ forgotten
//! ```
//!
//! Where a share serves one ciphertext (ℓ = 1: up to 15 validators of equal stake, and the baseline suite) it is the
//! same in every block. Then the multiplications of a block need not be done between its first showing and its opening,
//! when everybody waits for them, but while its bundles wait, when nobody does.
//!
//! **Invariants.** What is here is told to nobody: it leaves through the share job of a block, whose shares leave with
//! the decision alone. It goes with the secrets of its epoch.
//! Nothing is computed while a job for a block is under way, which is what it is to make faster. What is not known when
//! a block comes is computed with the block.
//! **Bounds.** [`SHARES_MAX`] shares; [`WAITING_MAX`] bundles wait; one job at a time, of [`BATCH_MAX`] shares, so that
//! what a block needs does not wait long for it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use conclave_encryption::PublicKey;
use conclave_mempool::Pool;
use conclave_types::{BundleId, Epoch, G1Bytes, Time};

use crate::{
    job::{Job, KnownShares, LoneShares, ShareAloneJob},
    keys::EpochKey,
    sequencer::Sequencer,
};

/// Shares of one point each: 3 MB of them, as many as a pool holds bundles for a validator of four points.
const SHARES_MAX: usize = 65_536;
/// As many as a pool holds.
const WAITING_MAX: usize = 16_384;
/// Two milliseconds of one core.
const BATCH_MAX: usize = 32;

/// What is known of bundles that wait.
#[derive(Default)]
pub(super) struct Alone {
    /// What the shares are of.
    epoch: Option<(Epoch, Arc<PublicKey>)>,
    shares: BTreeMap<BundleId, Vec<G1Bytes>>,
    /// How many shares that is.
    count: usize,
    waiting: VecDeque<BundleId>,
    is_asked: bool,
}

impl Alone {
    /// A bundle was admitted.
    pub(super) fn admitted(&mut self, id: BundleId) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(id);
        }
    }

    /// Forgets what is of another epoch.
    fn enter(&mut self, epoch: Epoch, key: &Arc<PublicKey>) {
        let is_same =
            |(of, known): &(Epoch, Arc<PublicKey>)| *of == epoch && Arc::ptr_eq(known, key);
        if !self.epoch.as_ref().is_some_and(is_same) {
            (self.shares, self.count) = (BTreeMap::new(), 0);
            self.epoch = Some((epoch, Arc::clone(key)));
        }
    }

    /// Forgets what is of these epochs: their secrets are erased.
    pub(super) fn erase(&mut self, over: &[Epoch]) {
        if self.epoch.as_ref().is_some_and(|(epoch, _)| over.contains(epoch)) {
            (self.shares, self.count, self.epoch) = (BTreeMap::new(), 0, None);
        }
    }

    /// Keeps what a job found of bundles that still wait.
    fn done(&mut self, LoneShares { epoch, shares }: LoneShares, pool: &Pool) {
        self.is_asked = false;
        if self.epoch.as_ref().is_none_or(|(of, _)| *of != epoch) {
            return;
        }
        let incoming: usize = shares.iter().map(|(_, shares)| shares.len()).sum();
        if self.count.saturating_add(incoming) > SHARES_MAX {
            // Most of it is of bundles that have left the pool another way than through a block.
            self.shares.retain(|id, _| pool.contains(id));
            self.count = self.shares.values().map(Vec::len).sum();
        }
        for (id, shares) in shares {
            let is_wanted = pool.contains(&id) && !shares.is_empty();
            if is_wanted && self.count.saturating_add(shares.len()) <= SHARES_MAX {
                self.count = self.count.saturating_add(shares.len());
                let before = self.shares.insert(id, shares);
                self.count = self.count.saturating_sub(before.map_or(0, |before| before.len()));
            }
        }
    }

    /// What is known of the bundles of a block.
    pub(super) fn known(
        &self,
        epoch: Epoch,
        key: &Arc<PublicKey>,
        ids: &[BundleId],
    ) -> KnownShares {
        match &self.epoch {
            Some((of, under)) if *of == epoch && Arc::ptr_eq(under, key) => {
                let known = ids.iter().map(|id| self.shares.get(id).cloned().unwrap_or_default());
                KnownShares(known.collect())
            }
            Some(_) | None => KnownShares::default(),
        }
    }

    /// A block was decided: its bundles wait no longer.
    pub(super) fn decided(&mut self, ids: &[BundleId]) {
        for id in ids {
            let shares = self.shares.remove(id);
            self.count = self.count.saturating_sub(shares.map_or(0, |shares| shares.len()));
        }
    }

    #[cfg(test)]
    pub(super) fn known_count(&self) -> usize {
        self.shares.len()
    }
}

impl Sequencer {
    pub(crate) fn on_shared_alone(&mut self, shares: LoneShares) {
        self.reveals.alone.done(shares, &self.pool);
    }

    /// A bundle was admitted to the pool: its shares can be computed.
    pub(crate) fn await_shares(&mut self, id: BundleId) {
        self.reveals.alone.admitted(id);
    }

    /// Has the shares of bundles computed that wait for the next block, if theirs can be without it.
    pub(crate) fn share_waiting(&mut self, now: Time) {
        let is_idle = !self.reveals.alone.is_asked && !self.is_opening(now);
        if self.reveals.alone.waiting.is_empty() || !is_idle {
            return;
        }
        let height = self.chain.decided().next();
        let Some(EpochKey { key, members, .. }) = self.chain.keys.at(height).cloned() else {
            return;
        };
        let epoch = self.chain.keys.epochs().at(height);
        let secrets = self.secrets(epoch, &members, false).filter(|_| key.packing().packing() == 1);
        let Some(secrets) = secrets else { return self.reveals.alone.waiting.clear() };
        self.reveals.alone.enter(epoch, &key);
        let mut bundles = Vec::new();
        while let Some(id) = self.reveals.alone.waiting.pop_front() {
            let is_its = |key_id| key_id == key.sealing_key().id();
            let bundle = self.pool.get(&id).filter(|bundle| is_its(bundle.header.key_id));
            bundles.extend(bundle.and_then(|_| Some((id, *self.pool.encapsulation(&id)?.point()))));
            if bundles.len().saturating_mul(secrets.points.len()) >= BATCH_MAX {
                break;
            }
        }
        if !bundles.is_empty() {
            self.reveals.alone.is_asked = true;
            self.ask(Job::ShareAlone(ShareAloneJob { key, epoch, bundles, secrets }));
        }
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::{BlockId, VoteKind};

    use super::*;
    use crate::{Input, testing::Solo};

    fn jobs(solo: &Solo) -> Vec<(&'static str, usize)> {
        let held = solo.held.iter().flatten();
        held.map(|(_, job)| {
            let known = if let Job::Share(job) = job { job.known.count() } else { 0 };
            (job.kind(), known)
        })
        .collect()
    }

    /// Has `count` bundles admitted; the work that follows from that is done.
    fn admit(solo: &mut Solo, count: u64) -> Vec<BundleId> {
        let bundles: Vec<_> = (0..count).map(|sequence| solo.bundle(sequence)).collect();
        bundles
            .into_iter()
            .map(|bundle| {
                let id = bundle.id();
                solo.submit(bundle).unwrap();
                id
            })
            .collect()
    }

    fn decide(solo: &mut Solo, block: BlockId) {
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            for voter in [0, 2, 3] {
                solo.vote(kind, voter, block);
            }
        }
    }

    #[test]
    fn a_blocks_shares_are_computed_while_its_bundles_wait_and_sent_with_its_decision() {
        let mut solo = Solo::of(4, 1);
        admit(&mut solo, 3);
        assert_eq!(solo.core.reveals.alone.known_count(), 3);
        solo.held = Some(vec![]);
        let block = solo.run_to_proposal();
        assert_eq!(jobs(&solo), [("share", 3)]);
        solo.work();
        assert_eq!(solo.shared, vec![], "no share leaves before the decision");
        decide(&mut solo, block);
        let [sent] = &solo.shared[..] else { panic!("{:?}", solo.shared) };
        let alone = sent.shares.len();
        assert_eq!(alone, 4);
        // What another machine of this validator computes from the block alone.
        let mut afresh = Solo::of(4, 1);
        afresh.core.reveals.alone.waiting.clear();
        admit(&mut afresh, 3);
        afresh.core.reveals.alone = Alone::default();
        let same = afresh.run_to_proposal();
        decide(&mut afresh, same);
        assert_eq!((same, &afresh.shared[0].shares), (block, &sent.shares));
        assert_eq!(solo.core.reveals.alone.known_count(), 0, "decided, they wait no longer");
        assert_eq!(solo.core.reveals.alone.count, 0);
    }

    #[test]
    fn one_job_at_a_time_computes_what_waits() {
        let mut solo = Solo::of(4, 2);
        let ids = admit(&mut solo, 70);
        solo.core.reveals.alone = Alone::default();
        ids.iter().for_each(|id| solo.core.await_shares(*id));
        // No longer in the pool: nothing is computed of it.
        solo.core.await_shares(BundleId::new([9; 32]));
        solo.held = Some(vec![]);
        for (done, next) in [(0, 32), (32, 32), (64, 6), (70, 0)] {
            assert_eq!(solo.core.reveals.alone.known_count(), done);
            solo.input(Input::Tick);
            let asked: Vec<_> =
                solo.held.iter().flatten().map(|(_, job)| job.bundle_count()).collect();
            assert_eq!(asked, Vec::from_iter((next > 0).then_some(next)));
            let Some((job, work)) = solo.held.as_mut().unwrap().pop() else { continue };
            solo.input(Input::JobDone { job, output: work.run() });
        }
    }

    #[test]
    fn where_a_share_serves_several_ciphertexts_nothing_is_computed_without_the_block() {
        let mut solo = Solo::of(16, 1);
        assert!(solo.key.packing().packing() > 1);
        admit(&mut solo, 3);
        assert_eq!(solo.core.reveals.alone.known_count(), 0);
        assert!(solo.core.reveals.alone.waiting.is_empty(), "nor does it pile up");
    }

    #[test]
    fn what_is_of_another_epoch_or_key_or_erased_is_not_used() {
        let mut solo = Solo::of(4, 1);
        let ids = admit(&mut solo, 2);
        let (key, other) = (Arc::new(solo.key.clone()), Arc::new(Solo::new().key));
        let mut alone = Alone::default();
        let shares = |epoch| LoneShares {
            epoch: Epoch::new(epoch),
            shares: ids.iter().map(|id| (*id, vec![G1Bytes::ZERO; 2])).collect(),
        };
        let known = |alone: &Alone, epoch, key| alone.known(Epoch::new(epoch), key, &ids).count();
        alone.done(shares(3), &solo.core.pool);
        assert_eq!(alone.count, 0, "of no epoch that is known here");
        alone.enter(Epoch::new(3), &key);
        alone.done(shares(2), &solo.core.pool);
        assert_eq!(alone.count, 0, "of an epoch that ended meanwhile");
        alone.done(shares(3), &solo.core.pool);
        alone.done(shares(3), &solo.core.pool);
        assert_eq!((alone.count, known(&alone, 3, &key)), (4, 2));
        assert_eq!((known(&alone, 4, &key), known(&alone, 3, &other)), (0, 0));
        alone.enter(Epoch::new(3), &key);
        alone.erase(&[Epoch::new(2)]);
        assert_eq!(known(&alone, 3, &key), 2);
        alone.erase(&[Epoch::new(2), Epoch::new(3)]);
        assert_eq!((known(&alone, 3, &key), alone.count), (0, 0));
        alone.enter(Epoch::new(3), &key);
        alone.done(shares(3), &solo.core.pool);
        alone.enter(Epoch::new(3), &other);
        assert_eq!((known(&alone, 3, &other), alone.count), (0, 0));
    }

    #[test]
    fn shares_are_kept_within_bounds_and_of_bundles_that_wait() {
        let mut solo = Solo::of(4, 1);
        let ids = admit(&mut solo, 2);
        let key = Arc::new(solo.key.clone());
        let mut alone = Alone::default();
        alone.enter(Epoch::ZERO, &key);
        let of = |id: BundleId, points: usize| LoneShares {
            epoch: Epoch::ZERO,
            shares: vec![(id, vec![G1Bytes::ZERO; points])],
        };
        alone.done(of(BundleId::new([9; 32]), 1), &solo.core.pool);
        assert_eq!(alone.count, 0, "it has left the pool");
        alone.done(of(ids[0], SHARES_MAX - 1), &solo.core.pool);
        alone.done(of(ids[1], 2), &solo.core.pool);
        assert_eq!((alone.known_count(), alone.count), (1, SHARES_MAX - 1));
        // The first has left the pool since, and makes room, whatever the next one needs.
        let first = alone.shares.remove(&ids[0]).unwrap();
        alone.shares.insert(BundleId::new([9; 32]), first);
        alone.done(of(ids[0], 5), &solo.core.pool);
        assert_eq!((alone.known_count(), alone.count), (1, 5));
        for _ in 0..2 * WAITING_MAX {
            alone.admitted(ids[0]);
        }
        assert_eq!(alone.waiting.len(), WAITING_MAX);
    }

    #[test]
    fn what_waits_is_never_shown() {
        let mut solo = Solo::of(4, 1);
        admit(&mut solo, 1);
        let alone = &solo.core.reveals.alone;
        let key = alone.epoch.clone().unwrap();
        let ids: Vec<_> = alone.shares.keys().copied().collect();
        let known = alone.known(key.0, &key.1, &ids);
        let lone = LoneShares { epoch: key.0, shares: alone.shares.clone().into_iter().collect() };
        let shown = format!("{known:?} {known:#?} {lone:?} {lone:#?}");
        for share in alone.shares.values().flatten() {
            let byte = format!("{}, {}", share.as_bytes()[1], share.as_bytes()[2]);
            assert!(!shown.contains(&share.to_string()) && !shown.contains(&byte), "{shown}");
        }
    }
}
