//! What fits a block, and what a proposal should not have left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_types::{
    BundleHeader, BundleId, FeeParams, G1Bytes, Height, KeyId, LimitParams, SIZE_BUCKETS, Time,
};

use super::Pool;
use crate::ledger::{Draft, Ledger};

/// The block that bundles are picked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its height.
    pub height: Height,
    /// The key that opens it: what is sealed to another waits, or has waited too long.
    pub key: KeyId,
}

/// The bundles of somebody's proposal.
#[derive(Clone, Copy, Debug)]
pub struct Proposed<'a> {
    /// The block it is for.
    pub target: Target,
    /// Headers of its bundles, in block order.
    pub headers: &'a [&'a BundleHeader],
    /// Their encapsulation points.
    pub points: &'a [G1Bytes],
}

/// What is left of a block at some height, and of the payers' balances.
pub(super) struct Room<'a> {
    draft: Draft<'a>,
    fees: &'a FeeParams,
    target: Target,
    bundles: u32,
    bytes: u32,
}

impl<'a> Room<'a> {
    pub(super) const fn new(
        limits: &LimitParams,
        ledger: &'a Ledger,
        fees: &'a FeeParams,
        target: Target,
    ) -> Self {
        let (bundles, bytes) = (limits.block_bundles_max, limits.block_bytes_max);
        Self { draft: Draft::new(ledger), fees, target, bundles, bytes }
    }

    /// Whether not even the smallest bundle would fit.
    pub(super) fn is_full(&self) -> bool {
        self.bundles == 0 || SIZE_BUCKETS.first().is_none_or(|smallest| self.bytes < *smallest)
    }

    /// Takes one more bundle, if it may be in this block, fits, and can be paid for.
    pub(super) fn take(&mut self, header: &BundleHeader) -> bool {
        let (Some(bundles), Some(bytes)) =
            (self.bundles.checked_sub(1), self.bytes.checked_sub(header.body_bytes))
        else {
            return false;
        };
        let fits = header.key_id == self.target.key && header.valid_until >= self.target.height;
        if !fits || self.draft.charge(header, self.fees).is_err() {
            return false;
        }
        (self.bundles, self.bytes) = (bundles, bytes);
        true
    }
}

impl Pool {
    /// The bundles held for `delay` or longer that the next block could include.
    #[must_use]
    pub fn overdue(
        &self,
        now: Time,
        delay: Duration,
        ledger: &Ledger,
        target: &Target,
    ) -> Vec<BundleId> {
        let nothing = Proposed { target: *target, headers: &[], points: &[] };
        self.omitted(now, delay, ledger, &nothing)
    }

    /// The bundles held for `delay` or longer that `proposal` leaves out although they would fit
    /// behind what it has: there is room, the nonce is next, the balance covers it, no bundle in it is
    /// sealed with the same point. None if the proposal cannot be charged for: then it is invalid, and
    /// not for what it leaves out.
    #[must_use]
    pub fn omitted(
        &self,
        now: Time,
        delay: Duration,
        ledger: &Ledger,
        proposal: &Proposed<'_>,
    ) -> Vec<BundleId> {
        let mut room = Room::new(&self.limits, ledger, &self.fees, proposal.target);
        if !proposal.headers.iter().all(|header| room.take(header)) {
            return Vec::new();
        }
        let points: BTreeSet<_> = proposal.points.iter().collect();
        let delay = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let Some(latest) = now.as_micros().checked_sub(delay).map(Time::from_micros) else {
            return Vec::new();
        };
        // By lane and sequence, so that each bundle is tried behind those that must go before it.
        let held: BTreeSet<_> = self
            .arrivals
            .range(..=(latest, BundleId::new([u8::MAX; 32])))
            .filter_map(|(_, id)| self.entries.get_key_value(id))
            .filter(|(_, entry)| !points.contains(entry.encapsulation.u()))
            .map(|(id, entry)| (entry.lane(), entry.sequence(), entry.received, *id))
            .collect();
        // The lane that has waited longest goes first: an order that nobody can buy or grind.
        let mut since = BTreeMap::new();
        for (lane, _, received, id) in &held {
            since.entry(*lane).or_insert((*received, *id));
        }
        let mut queue: Vec<_> = held
            .into_iter()
            .map(|(lane, sequence, _, id)| (since.get(&lane).copied(), sequence, id))
            .collect();
        queue.sort_unstable();
        let mut omitted = Vec::new();
        for (_, _, id) in queue {
            if room.is_full() {
                break;
            }
            let entry = self.entries.get(&id);
            if entry.is_some_and(|entry| room.take(&entry.bundle.header)) {
                omitted.push(id);
            }
        }
        omitted
    }
}
