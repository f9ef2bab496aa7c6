//! Bundles that wait for a block. Bounded, because strangers fill it; and whoever fills it must be able
//! to pay for every bundle that it holds.
//!
//! A *lane* is one payer's own order, so a bundle is worth as much as the cheapest one that must go
//! before it: its *standing* is the least fee per byte along its lane up to it, and it is *ready* if
//! nothing is missing before it. Standings never rise along a lane. Hence the one rule for both ends:
//!
//! ```text
//!            lane (payer A, 0):   3 ── 4 ── 5          standing: ready, min(fees of 3..=5)
//!            lane (payer B, 7):   0 ──      2          2 is held, not ready: 1 is missing
//!                                 ▲         ▲
//!       select takes ready heads ─┘         └─ eviction takes tails: unready first, then the least fee
//! ```
//!
//! Eviction of a tail breaks no lane. A newcomer displaces only what stands strictly below it, at its
//! payer's own bounds only its own payer's; so a flood of equal fees displaces nothing, and a higher
//! fee is really paid, because what is ready is included first. Holes cost a payer nothing, so what
//! waits behind one is the first to go and counts against the payer's bounds and balance meanwhile.
//!
//! **Invariants.** Never more than [`PoolBounds`] say, in total and of one payer. One bundle for each
//! (payer, lane, sequence), and one for each encapsulation point. At insertion a payer's balance covers
//! all of its bundles here.

mod error;
mod inclusion;
mod lane;
mod plan;

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use conclave_encryption::Encapsulation;
use conclave_types::{
    BundleId, EncryptedBundle, FeeParams, G1Bytes, Gwei, Height, LimitParams, Params, PayerAddress,
    Time,
};

use self::lane::{Head, Lane, Standing, Tail};
pub use self::{
    error::PoolError,
    inclusion::{Proposed, Target},
};
use crate::{
    admission::{AdmittedKeys, Verified},
    ledger::{Charge, LANES_MAX, Ledger},
};

/// How much the pool holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolBounds {
    /// Bundles in all.
    pub bundles_max: usize,
    /// Bytes in all, as [`EncryptedBundle::size_bytes`] counts them.
    pub bytes_max: usize,
    /// Bundles of one payer. Also how far ahead of its lane a sequence may be.
    pub payer_bundles_max: usize,
    /// Bytes of one payer.
    pub payer_bytes_max: usize,
}

impl Default for PoolBounds {
    /// 64 MiB is what a validator of 300 MB can spare and 16 full blocks; 16,384 bundles are as many
    /// blocks' worth twice over, of 4 KiB each. A payer gets an eighth, so that eight must pay to fill it.
    fn default() -> Self {
        Self {
            bundles_max: 16_384,
            bytes_max: 64 << 20,
            payer_bundles_max: 2_048,
            payer_bytes_max: 8 << 20,
        }
    }
}

/// How full the pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bundles.
    pub bundles: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Payers that have any.
    pub payers: usize,
    /// Lanes that have any.
    pub lanes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    bundle: Arc<EncryptedBundle>,
    encapsulation: Encapsulation,
    received: Time,
    size: usize,
    charge: Gwei,
    standing: Standing,
}

impl Entry {
    fn lane(&self) -> LaneKey {
        LaneKey::of(&self.bundle)
    }

    fn sequence(&self) -> u64 {
        self.bundle.header.nonce.sequence
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LaneKey {
    payer: PayerAddress,
    lane: u64,
}

impl LaneKey {
    fn of(bundle: &EncryptedBundle) -> Self {
        Self { payer: bundle.header.payer, lane: bundle.header.nonce.lane }
    }
}

/// What a payer, or all of them, have in the pool.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    bundles: usize,
    bytes: usize,
    /// Sum of the charges; 128 bits hold any number of them.
    charges: u128,
}

impl Usage {
    fn add(&mut self, entry: &Entry) {
        self.bundles = self.bundles.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.size);
        self.charges = self.charges.saturating_add(u128::from(entry.charge.as_u64()));
    }

    fn remove(&mut self, entry: &Entry) {
        self.bundles = self.bundles.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.size);
        self.charges = self.charges.saturating_sub(u128::from(entry.charge.as_u64()));
    }
}

/// The pool.
#[derive(Debug)]
pub struct Pool {
    bounds: PoolBounds,
    fees: FeeParams,
    limits: LimitParams,
    entries: BTreeMap<BundleId, Entry>,
    lanes: BTreeMap<LaneKey, Lane>,
    payers: BTreeMap<PayerAddress, Usage>,
    total: Usage,
    /// The first bundle of every lane that can be included as it is.
    heads: BTreeSet<Head>,
    /// The last bundle of every lane, the first to be evicted first.
    tails: BTreeSet<Tail>,
    arrivals: BTreeSet<(Time, BundleId)>,
    expiries: BTreeSet<(Height, BundleId)>,
    points: BTreeMap<G1Bytes, BundleId>,
}

impl Pool {
    /// An empty pool for an epoch with these parameters.
    #[must_use]
    pub fn new(bounds: PoolBounds, params: &Params) -> Self {
        Self {
            bounds,
            fees: params.fees.clone(),
            limits: params.limits.clone(),
            entries: BTreeMap::new(),
            lanes: BTreeMap::new(),
            payers: BTreeMap::new(),
            total: Usage::default(),
            heads: BTreeSet::new(),
            tails: BTreeSet::new(),
            arrivals: BTreeSet::new(),
            expiries: BTreeSet::new(),
            points: BTreeMap::new(),
        }
    }

    /// The bundle with this id.
    #[must_use]
    pub fn get(&self, id: &BundleId) -> Option<&Arc<EncryptedBundle>> {
        self.entries.get(id).map(|entry| &entry.bundle)
    }

    /// What the opening of the bundle with this id is about, u being checked.
    #[must_use]
    pub fn encapsulation(&self, id: &BundleId) -> Option<Encapsulation> {
        self.entries.get(id).map(|entry| entry.encapsulation)
    }

    /// Whether the bundle is here.
    #[must_use]
    pub fn contains(&self, id: &BundleId) -> bool {
        self.entries.contains_key(id)
    }

    /// The sequence that continues a lane: the first one from `next` on that no bundle here has.
    #[must_use]
    pub fn next_pending(&self, payer: &PayerAddress, lane: u64, next: u64) -> u64 {
        let places = self.lanes.get(&LaneKey { payer: *payer, lane }).map(|lane| &lane.places);
        let held = places.into_iter().flat_map(|places| places.range(next..));
        held.map(|(sequence, _)| *sequence)
            .fold(next, |free, held| if held == free { free.saturating_add(1) } else { free })
    }

    /// Every bundle here, in order of id.
    pub fn iter(&self) -> impl Iterator<Item = (&BundleId, &Arc<EncryptedBundle>)> {
        self.entries.iter().map(|(id, entry)| (id, &entry.bundle))
    }

    /// How full the pool is.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            bundles: self.total.bundles,
            bytes: self.total.bytes,
            payers: self.payers.len(),
            lanes: self.lanes.len(),
        }
    }

    /// Whether [`Pool::insert`] would take the bundle, were it verified. Needs no cryptography, so it
    /// is asked before: a payer without a balance never gets a proof checked.
    ///
    /// # Errors
    ///
    /// What `insert` would say.
    pub fn precheck(
        &self,
        bundle: &EncryptedBundle,
        id: &BundleId,
        ledger: &Ledger,
    ) -> Result<(), PoolError> {
        self.plan(bundle, id, None, ledger).map(|_| ())
    }

    /// Takes a bundle, and returns those that it replaced or displaced.
    ///
    /// # Errors
    ///
    /// Says why it does not; then nothing changes.
    pub fn insert(
        &mut self,
        bundle: Arc<EncryptedBundle>,
        verified: Verified,
        now: Time,
        ledger: &Ledger,
    ) -> Result<Vec<BundleId>, PoolError> {
        let (id, encapsulation) = (verified.id(), *verified.encapsulation());
        let plan = self.plan(&bundle, &id, Some(encapsulation.u()), ledger)?;
        let displaced: Vec<_> = plan.occupant.into_iter().chain(plan.displaced).collect();
        for gone in &displaced {
            self.remove_and_refresh(gone);
        }
        let header = &bundle.header;
        let (key, sequence) = (LaneKey::of(&bundle), header.nonce.sequence);
        self.arrivals.insert((now, id));
        self.expiries.insert((header.valid_until, id));
        self.points.insert(*encapsulation.u(), id);
        let entry = Entry {
            encapsulation,
            received: now,
            size: bundle.size_bytes(),
            charge: plan.charge,
            standing: Standing::default(),
            bundle,
        };
        self.total.add(&entry);
        self.payers.entry(key.payer).or_default().add(&entry);
        self.entries.insert(id, entry);
        let next = ledger.account(&key.payer).next(key.lane);
        self.lanes.entry(key).or_default().places.insert(sequence, id);
        self.refresh(key, next, sequence);
        Ok(displaced)
    }

    /// The bundles for the next block: ready ones that its key opens, best fee per byte first, as many as
    /// a block holds and their payers can pay for. Ties go to the smaller id. In the order returned they
    /// pass [`Ledger::check_block`].
    #[must_use]
    pub fn select(&self, ledger: &Ledger, target: &Target) -> Vec<BundleId> {
        self.select_after(&[], ledger, target)
    }

    /// The same, with `urgent` bundles (of [`Pool::overdue`], in its order) before all others.
    #[must_use]
    pub fn select_after(
        &self,
        urgent: &[BundleId],
        ledger: &Ledger,
        target: &Target,
    ) -> Vec<BundleId> {
        let mut room = inclusion::Room::new(&self.limits, ledger, &self.fees, *target);
        let mut heads = self.heads.iter().rev().copied().peekable();
        let mut successors: BinaryHeap<Head> = BinaryHeap::new();
        let entry = |id| self.entries.get(id).map(|entry| &entry.bundle.header);
        let mut selected: Vec<BundleId> = urgent
            .iter()
            .filter(|id| entry(*id).is_some_and(|header| room.take(header)))
            .copied()
            .collect();
        let taken: BTreeSet<BundleId> = selected.iter().copied().collect();
        while !room.is_full() {
            let head = match (heads.peek(), successors.peek()) {
                (Some(head), Some(successor)) if successor > head => successors.pop(),
                (None, _) => successors.pop(),
                _ => heads.next(),
            };
            let Some(head) = head else { break };
            let Some(entry) = self.entries.get(&head.id()) else { continue };
            if !taken.contains(&head.id()) {
                if !room.take(&entry.bundle.header) {
                    continue;
                }
                selected.push(head.id());
            }
            successors.extend(self.successor(entry));
        }
        selected
    }

    /// Drops what a decided block made stale: all nonces of the charged lanes below the ledger's, and
    /// whatever those payers, and others who have `withdrawn`, can no longer pay for. `ledger` is the one
    /// after the block. Returns what was dropped.
    pub fn remove_included(
        &mut self,
        charges: &[Charge],
        withdrawn: impl IntoIterator<Item = PayerAddress>,
        ledger: &Ledger,
    ) -> Vec<BundleId> {
        let key = |charge: &Charge| LaneKey { payer: charge.payer, lane: charge.nonce.lane };
        let lanes: BTreeSet<_> = charges.iter().map(key).collect();
        let mut dropped = Vec::new();
        for key in &lanes {
            let next = ledger.account(&key.payer).next(key.lane);
            let Some(lane) = self.lanes.get(key) else { continue };
            let stale: Vec<_> = lane.places.range(..next).map(|(_, id)| *id).collect();
            for id in &stale {
                self.remove(id);
            }
            self.refresh(*key, next, next);
            dropped.extend(stale);
        }
        let payers: BTreeSet<_> = lanes.iter().map(|key| key.payer).chain(withdrawn).collect();
        for payer in payers {
            while let Some(id) = self.unpayable(&payer, ledger) {
                self.remove_and_refresh(&id);
                dropped.push(id);
            }
        }
        dropped
    }

    /// Drops what can be in no block at height `next` or later, and returns it.
    pub fn expire(&mut self, next: Height) -> Vec<BundleId> {
        let expired: Vec<_> =
            self.expiries.range(..(next, BundleId::ZERO)).map(|(_, id)| *id).collect();
        for id in &expired {
            self.remove_and_refresh(id);
        }
        expired
    }

    /// Drops what is sealed to none of these keys, and returns it: the era of its key takes no more bundles.
    pub fn retire(&mut self, keys: &AdmittedKeys) -> Vec<BundleId> {
        let sealed = self.entries.iter().map(|(id, entry)| (id, entry.bundle.header.key_id));
        let retired: Vec<_> =
            sealed.filter(|(_, key)| !keys.admit(key)).map(|(id, _)| *id).collect();
        for id in &retired {
            self.remove_and_refresh(id);
        }
        retired
    }

    /// A bundle that `payer` cannot pay for, or has no lane for, the lowest standing first.
    fn unpayable(&self, payer: &PayerAddress, ledger: &Ledger) -> Option<BundleId> {
        let account = ledger.account(payer);
        let usage = self.payers.get(payer)?;
        if usage.charges > u128::from(account.balance.as_u64()) {
            return self
                .lanes_of(payer)
                .filter_map(|(_, lane)| lane.tail)
                .min()
                .map(|tail| tail.id());
        }
        if account.lanes.len().saturating_add(self.new_lanes(payer, ledger)) > LANES_MAX {
            let mut new = self.lanes_of(payer).filter(|(key, _)| !account.has_lane(key.lane));
            return new.next_back().and_then(|(_, lane)| lane.tail).map(|tail| tail.id());
        }
        None
    }

    fn lanes_of(&self, payer: &PayerAddress) -> impl DoubleEndedIterator<Item = (&LaneKey, &Lane)> {
        let key = |lane| LaneKey { payer: *payer, lane };
        self.lanes.range(key(0)..=key(u64::MAX))
    }

    fn remove_and_refresh(&mut self, id: &BundleId) {
        let Some((key, sequence)) = self.entries.get(id).map(|e| (e.lane(), e.sequence())) else {
            return;
        };
        self.remove(id);
        let next = self.lanes.get(&key).map_or(0, |lane| lane.next);
        self.refresh(key, next, sequence);
    }

    /// Takes a bundle out of everything; its lane is to be refreshed after.
    fn remove(&mut self, id: &BundleId) {
        let Some(entry) = self.entries.remove(id) else { return };
        let key = entry.lane();
        self.total.remove(&entry);
        if let Some(usage) = self.payers.get_mut(&key.payer) {
            usage.remove(&entry);
            if usage.bundles == 0 {
                self.payers.remove(&key.payer);
            }
        }
        self.arrivals.remove(&(entry.received, *id));
        self.expiries.remove(&(entry.bundle.header.valid_until, *id));
        self.points.remove(entry.encapsulation.u());
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.places.remove(&entry.sequence());
        }
    }
}

#[cfg(test)]
mod tests;
