//! No censorship for long: a block with room that is decided in round 0 omits nothing that more than
//! f honest validators had held for the inclusion delay before anyone could see it.
//!
//! Enough to break the promise: a quorum of prevotes that would not be one without those of honest
//! validators who should have withheld theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_consensus::SignedVote;
use conclave_types::{Block, BlockHeader, BlockId, BundleId, Genesis, Height, Time, VoteKind};

use super::{
    Check, INCLUSION,
    committees::{Committees, quorum, sum},
    ensure,
    payers::Payers,
};

/// Who has held what since when, and who voted for what when.
#[derive(Clone, Debug)]
pub(super) struct Inclusion {
    bundles_max: usize,
    bytes_max: u64,
    lag_max: u64,
    delay: Duration,
    held: BTreeMap<u16, BTreeMap<BundleId, Time>>,
    /// Who has told of which that no block will take them.
    returned: BTreeMap<u16, BTreeSet<BundleId>>,
    /// When each block was first sent to anyone: nobody looked at it before.
    shown: BTreeMap<(Height, BlockId), Time>,
    prevoted: BTreeMap<(Height, BlockId), BTreeSet<u16>>,
    checked: BTreeSet<Height>,
    /// After the first of these and before the second, if it is known yet, an epoch ends, and blocks carry
    /// no bundles.
    ending: Option<(Height, Option<Height>)>,
}

impl Inclusion {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let (limits, timing) = (&genesis.params.limits, &genesis.params.timing);
        Self {
            bundles_max: usize::try_from(limits.block_bundles_max).unwrap_or(usize::MAX),
            bytes_max: u64::from(limits.block_bytes_max),
            lag_max: limits.reveal_lag_max.as_u64(),
            delay: Duration::from_millis(timing.inclusion_delay_ms),
            held: BTreeMap::new(),
            returned: BTreeMap::new(),
            shown: BTreeMap::new(),
            prevoted: BTreeMap::new(),
            checked: BTreeSet::new(),
            ending: None,
        }
    }

    pub(super) fn admitted(&mut self, now: Time, node: u16, bundle: BundleId) {
        self.held.entry(node).or_default().insert(bundle, now);
    }

    pub(super) fn returned(&mut self, node: u16, bundles: &[BundleId]) {
        self.returned.entry(node).or_default().extend(bundles);
    }

    /// A bundle under another key than this block's that a validator has had since it last started, that no block
    /// has taken and of which it has told nothing more.
    pub(super) fn left_over(
        &self,
        node: u16,
        header: &BlockHeader,
        payers: &Payers,
    ) -> Option<BundleId> {
        let (held, told) = (self.held.get(&node)?, self.returned.get(&node));
        let mut left = payers.waiting().filter(|(id, known)| {
            known.key != header.key_id
                && held.contains_key(*id)
                && told.is_none_or(|told| !told.contains(*id))
                && payers.next(known.payer, known.lane) <= known.sequence
        });
        left.next().map(|(id, _)| *id)
    }

    /// Blocks after `height` carry no bundles before the next epoch: its key is there, or no more is taken under
    /// that of the era that ends.
    pub(super) fn epoch_ends(&mut self, height: Height) {
        self.ending = Some((height, None));
    }

    /// The next epoch begins with `first`.
    pub(super) fn epoch_begins(&mut self, first: Height) {
        if let Some((_, until)) = &mut self.ending {
            *until = Some(first);
        }
    }

    /// A pool does not outlive its process.
    pub(super) fn crashed(&mut self, node: u16) {
        self.held.remove(&node);
    }

    /// Somebody, honest or not, sends a block.
    pub(super) fn shown(&mut self, now: Time, block: &Block) {
        self.shown.entry((block.header.height, block.id())).or_insert(now);
    }

    pub(super) fn voted(&mut self, node: u16, vote: &SignedVote) {
        if vote.kind == VoteKind::Prevote
            && vote.round.as_u32() == 0
            && let Some(block) = vote.block
        {
            self.prevoted.entry((vote.height, block)).or_default().insert(node);
        }
    }

    pub(super) fn decided(
        &mut self,
        header: &BlockHeader,
        bundles: &[BundleId],
        round: u32,
        committees: &Committees,
        payers: &Payers,
    ) -> Check {
        let powers = committees.at(header.height);
        let first = self.checked.insert(header.height);
        let keep = (header.height, BlockId::ZERO);
        self.prevoted = self.prevoted.split_off(&keep);
        self.shown = self.shown.split_off(&keep);
        let bytes: u64 = bundles.iter().map(|id| payers.bytes(id)).sum();
        let has_room = bundles.len() < self.bundles_max / 2 && bytes < self.bytes_max / 2;
        let lags = header.height.above(header.revealed_height).as_u64() > self.lag_max;
        let ends = self.ending.is_some_and(|(from, until)| {
            header.height > from && until.is_none_or(|until| header.height < until)
        });
        if !first || round != 0 || !has_room || lags || ends {
            return Ok(());
        }
        let key = (header.height, header.id());
        let (Some(votes), Some(shown)) = (self.prevoted.get(&key), self.shown.get(&key)) else {
            return Ok(());
        };
        let (quorum, total) = (quorum(powers), powers.values().sum::<u64>());
        for (id, known) in payers.waiting() {
            // The block's own bundles are already counted: this one would be next behind them.
            let is_next = payers.next(known.payer, known.lane) == known.sequence;
            if !is_next || known.key != header.key_id {
                continue;
            }
            let too_long = |node: &&u16| {
                let since = self.held.get(*node).and_then(|held| held.get(id));
                since.is_some_and(|since| shown.since(*since) > self.delay)
            };
            let validator = |node: &u16| committees.validator(*node);
            let withholding: Vec<_> = votes.iter().filter(too_long).map(validator).collect();
            let should_withhold = sum(powers, withholding.iter());
            let silent = self.held.iter().filter(|(node, _)| !votes.contains(*node));
            let silent = silent.filter(|(_, held)| held.contains_key(id)).map(|(node, _)| node);
            let silent = silent.filter(|node| committees.has_seat(**node, header.height));
            let silent: Vec<_> = silent.map(validator).collect();
            let silent = sum(powers, silent.iter());
            let others = total.saturating_sub(should_withhold).saturating_sub(silent);
            ensure(others >= quorum || should_withhold == 0, INCLUSION, || {
                format!(
                    "height {} omits {id}, which a power of {should_withhold} that voted for it had held too long",
                    header.height
                )
            })?;
        }
        Ok(())
    }
}
