//! An honest validator never signs two statements for one position, whatever happens to it in between;
//! it precommits only to what a quorum has prevoted for; and once it has precommitted to a block, it prevotes
//! for another only after a later quorum did.

use std::collections::{BTreeMap, BTreeSet};

use conclave_consensus::{SignedProposal, SignedVote};
use conclave_types::{BlockId, Height, Round, VoteKind};

use super::{CONSISTENT, Check, LOCKED, POLKA, ensure};

/// What a vote or proposal says at its position: block, and round of the polka.
type Saying = (Option<BlockId>, Option<u32>);

/// Validator, height, round, and which of the three statements.
type Position = (u16, Height, u32, u8);

/// Everything that honest validators have signed.
#[derive(Debug)]
pub(super) struct Votes {
    quorum: usize,
    liars: usize,
    sayings: BTreeMap<Position, Saying>,
    prevoters: BTreeMap<(Height, u32, BlockId), BTreeSet<u16>>,
    locks: BTreeMap<u16, (Height, u32, BlockId)>,
}

impl Votes {
    /// `liars` out of `validators` are taken to vote for everything.
    pub(super) fn new(validators: usize, liars: usize) -> Self {
        Self {
            quorum: validators.saturating_mul(2) / 3 + 1,
            liars,
            sayings: BTreeMap::new(),
            prevoters: BTreeMap::new(),
            locks: BTreeMap::new(),
        }
    }

    pub(super) fn vote(&mut self, from: u16, vote: &SignedVote) -> Check {
        let (height, round) = (vote.height, vote.round.as_u32());
        let code = match vote.kind {
            VoteKind::Prevote => 1,
            VoteKind::Precommit => 2,
        };
        self.says((from, height, round, code), (vote.block, None))?;
        let Some(block) = vote.block else { return Ok(()) };
        match vote.kind {
            VoteKind::Prevote => {
                self.keeps_lock(from, height, round, block)?;
                self.prevoters.entry((height, round, block)).or_default().insert(from);
            }
            VoteKind::Precommit => {
                self.follows_polka(from, height, round, block)?;
                let lock = self.locks.entry(from).or_insert((height, round, block));
                *lock = (*lock).max((height, round, block));
            }
        }
        Ok(())
    }

    /// Its own prevote counts, although it may leave after the precommit, in the same turn.
    fn follows_polka(&self, from: u16, height: Height, round: u32, block: BlockId) -> Check {
        let voters = self.prevoters.get(&(height, round, block));
        let others = voters.map_or(0, |voters| voters.iter().filter(|who| **who != from).count());
        let most = others.saturating_add(self.liars).saturating_add(1);
        ensure(most >= self.quorum, POLKA, || {
            format!(
                "validator {from} precommits {block} at {height}, round {round}, for which at most \
                 {most} have prevoted"
            )
        })
    }

    fn keeps_lock(&self, from: u16, height: Height, round: u32, block: BlockId) -> Check {
        let Some((_, locked_in, locked)) = self.locks.get(&from).filter(|lock| lock.0 == height)
        else {
            return Ok(());
        };
        if *locked_in >= round || *locked == block {
            return Ok(());
        }
        let unlocks = (*locked_in..round).any(|polka| self.is_polka(height, polka, block));
        ensure(unlocks, LOCKED, || {
            format!(
                "validator {from}, height {height}: precommits {locked} in round {locked_in} and \
                 prevotes {block} in round {round}"
            )
        })
    }

    /// Whether a quorum may have prevoted, if every liar did.
    fn is_polka(&self, height: Height, round: u32, block: BlockId) -> bool {
        let voters = self.prevoters.get(&(height, round, block));
        voters.map_or(0, BTreeSet::len).saturating_add(self.liars) >= self.quorum
    }

    pub(super) fn proposal(&mut self, from: u16, proposal: &SignedProposal) -> Check {
        let polka = proposal.pol_round.map(Round::as_u32);
        let position = (from, proposal.height, proposal.round.as_u32(), 0);
        self.says(position, (Some(proposal.block), polka))
    }

    fn says(&mut self, position: Position, saying: Saying) -> Check {
        let before = *self.sayings.entry(position).or_insert(saying);
        ensure(before == saying, CONSISTENT, || {
            let (node, height, round, _) = position;
            format!("validator {node}, height {height}, round {round}: {before:?}, then {saying:?}")
        })
    }
}
