//! Whether a newcomer gets in, and who has to go for it. Decided as a whole before anything changes: a
//! newcomer that is refused in the end must not have displaced anybody.

use std::collections::BTreeSet;

use conclave_types::{BundleId, EncryptedBundle, G1Bytes, Gwei, PayerAddress};

use super::{
    Entry, LaneKey, Pool, PoolError, Usage,
    lane::{Rate, Standing, Tail},
};
use crate::ledger::{Charge, LANES_MAX, Ledger, LedgerError};

/// What an insertion does to those who are there.
pub(super) struct Plan {
    pub(super) charge: Gwei,
    pub(super) occupant: Option<BundleId>,
    pub(super) displaced: BTreeSet<BundleId>,
}

impl Pool {
    /// What inserting `bundle` takes; its point is not known before it is verified.
    pub(super) fn plan(
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
    pub(super) fn new_lanes(&self, payer: &PayerAddress, ledger: &Ledger) -> usize {
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
