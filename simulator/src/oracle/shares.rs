//! Blindness: an honest validator shares a block only after it has told its decision, and never are there shares of more
//! than c points of a block that is not decided, those of all liars included.
//!
//! What counts is points, of the sharing in office at the block's height: a validator may hold several, other validators
//! in another epoch, and each sharing has its own c. Who holds which is what honest validators tell of a new key.

use std::collections::{BTreeMap, BTreeSet};

use conclave_sequencer::{EpochKey, ShareMessage};
use conclave_types::{BlockId, Height};

use super::{BLIND, Check, Oracle, chain::Chain, ensure};

/// A sharing of the key.
#[derive(Clone, Debug)]
pub(crate) struct Sharing {
    /// The first height that it opens.
    pub(super) first: Height,
    /// c: points that tell nothing.
    pub(super) secrecy: usize,
    /// How many points each validator holds, if it holds any.
    pub(super) points: BTreeMap<u16, usize>,
}

impl Sharing {
    /// The sharing of an epoch's key.
    pub(crate) fn of(key: &EpochKey) -> Self {
        let held = key.members.holders().iter();
        Self {
            first: key.first,
            secrecy: key.key.packing().secrecy().into(),
            points: held.map(|(validator, held)| (validator.as_u16(), held.len())).collect(),
        }
    }

    fn held_by(&self, is_one: impl Fn(u16) -> bool) -> usize {
        self.points.iter().filter(|(who, _)| is_one(**who)).map(|(_, points)| points).sum()
    }
}

/// Who has shared what.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    honest: BTreeSet<u16>,
    /// By first height.
    sharings: BTreeMap<Height, Sharing>,
    sharers: BTreeMap<(Height, BlockId), BTreeSet<u16>>,
}

impl Shares {
    /// All who are not honest are taken to share everything at once among themselves.
    pub(super) const fn new(honest: BTreeSet<u16>) -> Self {
        Self { honest, sharings: BTreeMap::new(), sharers: BTreeMap::new() }
    }

    /// There is a sharing.
    pub(super) fn learn(&mut self, sharing: Sharing) {
        self.sharings.entry(sharing.first).or_insert(sharing);
    }

    /// The points that these and all liars hold together at a height, and how many tell nothing; before there is a key,
    /// nobody holds any.
    fn known(&self, height: Height, sharers: Option<&BTreeSet<u16>>) -> (usize, usize) {
        let in_office = self.sharings.range(..=height).next_back();
        let Some((_, sharing)) = in_office else { return (0, 0) };
        let has_shared = |who: u16| sharers.is_some_and(|sharers| sharers.contains(&who));
        let knows = |who: u16| has_shared(who) || !self.honest.contains(&who);
        (sharing.held_by(knows), sharing.secrecy)
    }

    /// The points that all liars hold together at a height, and how many tell nothing.
    pub(super) fn of_liars(&self, height: Height) -> (usize, usize) {
        self.known(height, None)
    }

    /// A machine of the message's validator sends it.
    pub(super) fn sent(&mut self, node: u16, message: &ShareMessage, chain: &Chain) -> Check {
        let (height, block) = (message.height, message.block);
        self.sharers.entry((height, block)).or_default().insert(message.validator.as_u16());
        let (known, most) = self.known(height, self.sharers.get(&(height, block)));
        let decided = chain.block(height) == Some(block);
        ensure(decided || known <= most, BLIND, || {
            format!(
                "shares of {known} points of block {block} at {height}, which nobody decided; {most} tell nothing"
            )
        })?;
        ensure(decided && chain.decided_at(node) >= height, BLIND, || {
            format!("validator {node} shares block {block} at {height}, which it has not decided")
        })
    }
}

impl Oracle {
    /// Before the first block these sharings of a key are there.
    #[must_use]
    pub(crate) fn with_sharings(mut self, sharings: impl Iterator<Item = Sharing>) -> Self {
        sharings.for_each(|sharing| self.shares.learn(sharing));
        self
    }

    /// A validator has these sharings of the key.
    pub(crate) fn shared_out(&mut self, node: u16, sharings: impl Iterator<Item = Sharing>) {
        if self.honest.contains(&node) {
            sharings.for_each(|sharing| self.shares.learn(sharing));
        }
    }

    /// A liar has opened a block by itself.
    pub(crate) fn opened(&mut self, node: u16, height: Height, block: BlockId) {
        let decided = self.chain.block(height) == Some(block);
        let (held, most) = self.shares.of_liars(height);
        self.note(ensure(decided, BLIND, || {
            format!(
                "liar {node} has opened block {block} at {height}, which nobody decided; liars hold {held} points, \
                 and {most} tell nothing"
            )
        }));
    }
}
