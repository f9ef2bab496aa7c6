//! The order within a lane, and what it makes of each bundle's worth.

use std::{cmp::Reverse, collections::BTreeMap};

use conclave_types::{BundleHeader, BundleId, EncryptedBundle};

use super::{Entry, LaneKey, Pool};

/// Priority fee for each byte of ciphertext, in units of 2⁻³² gwei: what every bundle pays alike, the
/// base fees, says nothing about which to prefer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rate(u128);

impl Rate {
    const MAX: Self = Self(u128::MAX);

    pub(super) fn of(header: &BundleHeader) -> Self {
        let fee = u128::from(header.priority_fee.as_u64()) << 32;
        Self(fee.checked_div(u128::from(header.body_bytes)).unwrap_or_default())
    }
}

/// What a bundle is worth where it stands: whether it can be included at all, then the least rate up
/// to it. Never rises along a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    ready: bool,
    rate: Rate,
}

impl Standing {
    /// The standing at `sequence`, given that of the bundle before in the same lane.
    fn behind(before: Option<(u64, Self)>, next: u64, sequence: u64, rate: Rate) -> Self {
        match before {
            Some((last, standing)) => Self {
                ready: standing.ready && last.checked_add(1) == Some(sequence),
                rate: rate.min(standing.rate),
            },
            None => Self { ready: sequence == next, rate: rate.min(Rate::MAX) },
        }
    }
}

/// A bundle that is next in its lane. The greatest is selected first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    rate: Rate,
    id: Reverse<BundleId>,
}

impl Head {
    fn of(id: BundleId, entry: &Entry) -> Self {
        Self { rate: Rate::of(&entry.bundle.header), id: Reverse(id) }
    }

    pub(super) const fn id(&self) -> BundleId {
        self.id.0
    }
}

/// A bundle that is last in its lane. The least is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tail {
    pub(super) standing: Standing,
    id: Reverse<BundleId>,
}

impl Tail {
    const fn of(id: BundleId, entry: &Entry) -> Self {
        Self { standing: entry.standing, id: Reverse(id) }
    }

    pub(super) const fn id(&self) -> BundleId {
        self.id.0
    }
}

/// One lane's bundles in the pool.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// By sequence; there may be holes.
    pub(super) places: BTreeMap<u64, BundleId>,
    /// The ledger's next sequence, when the lane last changed.
    pub(super) next: u64,
    /// As it is listed among the heads.
    pub(super) head: Option<Head>,
    /// As it is listed among the tails.
    pub(super) tail: Option<Tail>,
}

impl Pool {
    /// Sets the standings of a lane right, after something changed at `from` or the ledger moved to
    /// `next`, and lists its head and tail anew. Forgets the lane if nothing is left of it.
    pub(super) fn refresh(&mut self, key: LaneKey, next: u64, from: u64) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if let Some(head) = lane.head.take() {
            self.heads.remove(&head);
        }
        if let Some(tail) = lane.tail.take() {
            self.tails.remove(&tail);
        }
        if lane.places.is_empty() {
            self.lanes.remove(&key);
            return;
        }
        lane.next = next;
        let mut before = lane.places.range(..from).next_back().and_then(|(sequence, id)| {
            self.entries.get(id).map(|entry| (*sequence, entry.standing))
        });
        for (sequence, id) in lane.places.range(from..) {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            let rate = Rate::of(&entry.bundle.header);
            let standing = Standing::behind(before, next, *sequence, rate);
            // Beyond the change, an entry that stands as before leaves all after it as they were.
            if *sequence > from && entry.standing == standing {
                break;
            }
            entry.standing = standing;
            before = Some((*sequence, standing));
        }
        let entry = |(_, id): (&u64, &BundleId)| self.entries.get_key_value(id);
        let first = lane.places.first_key_value().and_then(entry);
        lane.head =
            first.filter(|(_, entry)| entry.standing.ready).map(|(id, entry)| Head::of(*id, entry));
        let last = lane.places.last_key_value().and_then(entry);
        lane.tail = last.map(|(id, entry)| Tail::of(*id, entry));
        self.heads.extend(lane.head);
        self.tails.extend(lane.tail);
    }

    /// The standing that `bundle` would have.
    pub(super) fn standing_of(&self, bundle: &EncryptedBundle, next: u64) -> Standing {
        let sequence = bundle.header.nonce.sequence;
        let lane = self.lanes.get(&LaneKey::of(bundle));
        let before = lane.and_then(|lane| lane.places.range(..sequence).next_back());
        let before =
            before.and_then(|(last, id)| self.entries.get(id).map(|entry| (*last, entry.standing)));
        Standing::behind(before, next, sequence, Rate::of(&bundle.header))
    }

    /// The bundle with the sequence right after, as a head.
    pub(super) fn successor(&self, entry: &Entry) -> Option<Head> {
        let sequence = entry.sequence().checked_add(1)?;
        let id = self.lanes.get(&entry.lane())?.places.get(&sequence)?;
        self.entries.get(id).map(|entry| Head::of(*id, entry))
    }

    /// The bundle before in the same lane, as a tail.
    pub(super) fn predecessor(&self, entry: &Entry) -> Option<Tail> {
        let lane = self.lanes.get(&entry.lane())?;
        let (_, id) = lane.places.range(..entry.sequence()).next_back()?;
        self.entries.get(id).map(|entry| Tail::of(*id, entry))
    }
}
