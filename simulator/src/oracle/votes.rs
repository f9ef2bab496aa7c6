//! An honest validator never signs two statements for one position, whatever happens to it in between.

use std::collections::BTreeMap;

use conclave_consensus::{SignedProposal, SignedVote};
use conclave_types::{BlockId, Height, Round, VoteKind};

use super::{CONSISTENT, Check, ensure};

/// What a vote or proposal says at its position: block, and round of the polka.
type Saying = (Option<BlockId>, Option<u32>);

/// Validator, height, round, and which of the three statements.
type Position = (u16, Height, u32, u8);

/// Everything that honest validators have signed.
#[derive(Debug, Default)]
pub(super) struct Votes {
    sayings: BTreeMap<Position, Saying>,
}

impl Votes {
    pub(super) fn vote(&mut self, from: u16, vote: &SignedVote) -> Check {
        let kind = match vote.kind {
            VoteKind::Prevote => 1,
            VoteKind::Precommit => 2,
        };
        self.says((from, vote.height, vote.round.as_u32(), kind), (vote.block, None))
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
