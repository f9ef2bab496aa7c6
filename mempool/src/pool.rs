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

mod inclusion;
mod lane;

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use conclave_types::{
    BundleId, EncryptedBundle, FeeParams, G1Bytes, Gwei, Height, LimitParams, Params, PayerAddress,
    Time,
};

pub use self::inclusion::Proposed;
use self::lane::{Head, Lane, Rate, Standing, Tail};
use crate::{
    admission::Verified,
    ledger::{Charge, LANES_MAX, Ledger, LedgerError},
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

/// Why the pool does not take a bundle.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PoolError {
    /// It is here already.
    #[error("bundle {0} is in the pool already")]
    Known(BundleId),
    /// The fee, the lane or the balance is not as the ledger needs it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its nonce was charged before.
    #[error("lane {lane} of {payer} is at sequence {expected}, {found} was used")]
    Used {
        /// Who would pay.
        payer: PayerAddress,
        /// The lane.
        lane: u64,
        /// The next sequence.
        expected: u64,
        /// The bundle's sequence.
        found: u64,
    },
    /// Its nonce is too far ahead of its lane.
    #[error("lane {lane} of {payer} is held up to sequence {expected}, found {found}")]
    Gap {
        /// Who would pay.
        payer: PayerAddress,
        /// The lane.
        lane: u64,
        /// The furthest sequence that is held.
        expected: u64,
        /// The bundle's sequence.
        found: u64,
    },
    /// Another bundle has this nonce, and this one does not pay enough more to replace it.
    #[error("to replace {occupant} takes a fee of {expected} and no less per byte, found {found}")]
    Underpriced {
        /// The bundle that is there.
        occupant: BundleId,
        /// The least fee that replaces it.
        expected: Gwei,
        /// The fee of this one.
        found: Gwei,
    },
    /// Another bundle is sealed with the same randomness; a block may not hold both.
    #[error("bundle {0} is sealed with the same point")]
    SamePoint(BundleId),
    /// The payer has its share of the pool, and nothing there stands below this one.
    #[error("{0} has as many bundles here as one payer may have, none of less worth")]
    PayerFull(PayerAddress),
    /// The pool is full, and nothing there stands below this one.
    #[error("the pool is full of bundles of no less worth; a higher priority fee may help")]
    Full,
}

impl PoolError {
    /// Whether the same bytes can never be taken. If not, the sender may try again later.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Known(_)
                | Self::Used { .. }
                | Self::Ledger(LedgerError::Fee { .. } | LedgerError::Lanes { .. })
        )
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
    u: G1Bytes,
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

/// What an insertion does to those who are there.
struct Plan {
    charge: Gwei,
    occupant: Option<BundleId>,
    displaced: BTreeSet<BundleId>,
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
        let (id, u) = (verified.id(), verified.u());
        let plan = self.plan(&bundle, &id, Some(&u), ledger)?;
        let displaced: Vec<_> = plan.occupant.into_iter().chain(plan.displaced).collect();
        for gone in &displaced {
            self.remove_and_refresh(gone);
        }
        let header = &bundle.header;
        let (key, sequence) = (LaneKey::of(&bundle), header.nonce.sequence);
        self.arrivals.insert((now, id));
        self.expiries.insert((header.valid_until, id));
        self.points.insert(u, id);
        let entry = Entry {
            u,
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

    /// The bundles for a block at height `next`: ready ones, best fee per byte first, as many as a
    /// block holds and their payers can pay for. Ties go to the smaller id. In the order returned
    /// they pass [`Ledger::check_block`].
    #[must_use]
    pub fn select(&self, ledger: &Ledger, next: Height) -> Vec<BundleId> {
        let mut room = inclusion::Room::new(&self.limits, ledger, &self.fees, next);
        let mut heads = self.heads.iter().rev().copied().peekable();
        let mut successors: BinaryHeap<Head> = BinaryHeap::new();
        let mut selected = Vec::new();
        while !room.is_full() {
            let head = match (heads.peek(), successors.peek()) {
                (Some(head), Some(successor)) if successor > head => successors.pop(),
                (None, _) => successors.pop(),
                _ => heads.next(),
            };
            let Some(head) = head else { break };
            let Some(entry) = self.entries.get(&head.id()) else { continue };
            if !room.take(&entry.bundle.header) {
                continue;
            }
            selected.push(head.id());
            successors.extend(self.successor(entry));
        }
        selected
    }

    /// Drops what a decided block made stale: all nonces of the charged lanes below the ledger's, and
    /// whatever its payers can no longer pay for. `ledger` is the one after the block. Returns what
    /// was dropped.
    pub fn remove_included(&mut self, charges: &[Charge], ledger: &Ledger) -> Vec<BundleId> {
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
        let payers: BTreeSet<_> = lanes.iter().map(|key| key.payer).collect();
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

    fn plan(
        &self,
        bundle: &EncryptedBundle,
        id: &BundleId,
        point: Option<&G1Bytes>,
        ledger: &Ledger,
    ) -> Result<Plan, PoolError> {
        if self.contains(id) {
            return Err(PoolError::Known(*id));
        }
        let charge = Charge::of(&bundle.header, &self.fees)?.amount;
        let key = LaneKey::of(bundle);
        self.check_nonce(bundle, ledger)?;
        let occupant = self.occupant(bundle, charge)?;
        let twin = point.and_then(|point| self.points.get(point));
        if let Some(twin) = twin.filter(|twin| Some(**twin) != occupant) {
            return Err(PoolError::SamePoint(*twin));
        }
        let usage = self.usage_with(&key.payer, bundle.size_bytes(), charge, occupant.as_ref());
        let balance = ledger.account(&key.payer).balance;
        if usage.charges > u128::from(balance.as_u64()) {
            let expected = Gwei::new(u64::try_from(usage.charges).unwrap_or(u64::MAX));
            let payer = key.payer;
            return Err(LedgerError::Balance { payer, expected, found: balance }.into());
        }
        let next = ledger.account(&key.payer).next(key.lane);
        let standing = self.standing_of(bundle, next);
        let displaced = self.make_room(bundle, standing, occupant.as_ref())?;
        Ok(Plan { charge, occupant, displaced })
    }

    fn check_nonce(&self, bundle: &EncryptedBundle, ledger: &Ledger) -> Result<(), PoolError> {
        let LaneKey { payer, lane } = LaneKey::of(bundle);
        let account = ledger.account(&payer);
        let (next, found) = (account.next(lane), bundle.header.nonce.sequence);
        if found < next {
            return Err(PoolError::Used { payer, lane, expected: next, found });
        }
        let furthest = next.saturating_add(self.bounds.payer_bundles_max as u64);
        if found >= furthest {
            return Err(PoolError::Gap {
                payer,
                lane,
                expected: furthest.saturating_sub(1),
                found,
            });
        }
        let is_new = !self.lanes.contains_key(&LaneKey { payer, lane }) && !account.has_lane(lane);
        if is_new && account.lanes.len().saturating_add(self.new_lanes(&payer, ledger)) >= LANES_MAX
        {
            return Err(LedgerError::Lanes { payer, lane }.into());
        }
        Ok(())
    }

    /// Lanes of `payer` here that its account does not have yet.
    fn new_lanes(&self, payer: &PayerAddress, ledger: &Ledger) -> usize {
        let account = ledger.account(payer);
        self.lanes_of(payer).filter(|(key, _)| !account.has_lane(key.lane)).count()
    }

    /// The bundle that has this one's nonce, if this one pays enough to take its place.
    fn occupant(
        &self,
        bundle: &EncryptedBundle,
        charge: Gwei,
    ) -> Result<Option<BundleId>, PoolError> {
        let lane = self.lanes.get(&LaneKey::of(bundle));
        let found = lane.and_then(|lane| lane.places.get(&bundle.header.nonce.sequence));
        let Some((occupant, entry)) = found.and_then(|id| self.entries.get_key_value(id)) else {
            return Ok(None);
        };
        // A tenth more, and at least 1 more: each replacement costs bandwidth everywhere.
        let paid = entry.charge.as_u64();
        let expected = paid.saturating_add((paid / 10).max(1));
        let rate = Rate::of(&bundle.header);
        if charge.as_u64() < expected || rate < Rate::of(&entry.bundle.header) {
            let (occupant, expected) = (*occupant, Gwei::new(expected));
            return Err(PoolError::Underpriced { occupant, expected, found: charge });
        }
        Ok(Some(*occupant))
    }

    /// What `payer` would have here with one more bundle, and without `occupant`.
    fn usage_with(
        &self,
        payer: &PayerAddress,
        size: usize,
        charge: Gwei,
        occupant: Option<&BundleId>,
    ) -> Usage {
        let usage = self.payers.get(payer).copied().unwrap_or_default();
        grown(usage, size, charge, occupant.and_then(|id| self.entries.get(id)))
    }

    /// Those that have to go for `bundle`, all of which stand below it: first its payer's own, if the
    /// payer is at its bounds, then anyone's.
    fn make_room(
        &self,
        bundle: &EncryptedBundle,
        standing: Standing,
        occupant: Option<&BundleId>,
    ) -> Result<BTreeSet<BundleId>, PoolError> {
        let payer = &bundle.header.payer;
        let replaced = occupant.and_then(|id| self.entries.get(id));
        let size = bundle.size_bytes();
        let mut displaced = BTreeSet::new();
        let usage = self.usage_with(payer, size, Gwei::ZERO, occupant);
        let bounds = (self.bounds.payer_bundles_max, self.bounds.payer_bytes_max);
        if exceeds(&usage, bounds) {
            let tails: BTreeSet<_> =
                self.lanes_of(payer).filter_map(|(_, lane)| lane.tail).collect();
            let found = self.displace(tails.into_iter(), usage, bounds, standing, occupant);
            displaced = found.ok_or(PoolError::PayerFull(*payer))?;
        }
        let mut total = grown(self.total, size, Gwei::ZERO, replaced);
        for entry in displaced.iter().filter_map(|id| self.entries.get(id)) {
            total.remove(entry);
        }
        let bounds = (self.bounds.bundles_max, self.bounds.bytes_max);
        if exceeds(&total, bounds) {
            let spared = |id: &BundleId| occupant == Some(id) || displaced.contains(id);
            let tails = self.tails.iter().copied();
            let found = self.displace_sparing(tails, total, bounds, standing, spared);
            displaced.extend(found.ok_or(PoolError::Full)?);
        }
        Ok(displaced)
    }

    fn displace(
        &self,
        tails: impl Iterator<Item = Tail>,
        usage: Usage,
        bounds: (usize, usize),
        below: Standing,
        occupant: Option<&BundleId>,
    ) -> Option<BTreeSet<BundleId>> {
        self.displace_sparing(tails, usage, bounds, below, |id| occupant == Some(id))
    }

    /// Walks from the lowest standing up, each lane from its tail, until `usage` is within `bounds`;
    /// none if it meets one that does not stand below `below` before that. Those that are `gone`
    /// anyway free nothing more.
    fn displace_sparing(
        &self,
        tails: impl Iterator<Item = Tail>,
        mut usage: Usage,
        bounds: (usize, usize),
        below: Standing,
        gone: impl Fn(&BundleId) -> bool,
    ) -> Option<BTreeSet<BundleId>> {
        let mut tails = tails.peekable();
        let mut predecessors: BTreeSet<Tail> = BTreeSet::new();
        let mut displaced = BTreeSet::new();
        while exceeds(&usage, bounds) {
            let tail = match (tails.peek(), predecessors.first()) {
                (Some(tail), Some(predecessor)) if predecessor < tail => predecessors.pop_first(),
                (None, _) => predecessors.pop_first(),
                _ => tails.next(),
            }?;
            let entry = self.entries.get(&tail.id())?;
            predecessors.extend(self.predecessor(entry));
            if gone(&tail.id()) {
                continue;
            }
            if tail.standing >= below {
                return None;
            }
            usage.remove(entry);
            displaced.insert(tail.id());
        }
        Some(displaced)
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
        self.points.remove(&entry.u);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.places.remove(&entry.sequence());
        }
    }
}

fn grown(mut usage: Usage, size: usize, charge: Gwei, replaced: Option<&Entry>) -> Usage {
    if let Some(entry) = replaced {
        usage.remove(entry);
    }
    usage.bundles = usage.bundles.saturating_add(1);
    usage.bytes = usage.bytes.saturating_add(size);
    usage.charges = usage.charges.saturating_add(u128::from(charge.as_u64()));
    usage
}

const fn exceeds(usage: &Usage, (bundles, bytes): (usize, usize)) -> bool {
    usage.bundles > bundles || usage.bytes > bytes
}

#[cfg(test)]
mod tests;
