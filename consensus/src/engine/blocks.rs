//! How blocks reach the core: this validator's own when it is its turn, the others' once they are judged.

use conclave_types::{BlockId, Round};
use malachitebft_core_consensus::{Input, LocallyProposedValue};

use super::Engine;
use crate::{
    context::{CoreHeight, Value},
    convert::round_to_core,
    interface::Output,
    wal::value_input,
};

impl Engine {
    /// If the core waits for a block of ours: proposes the recorded one again, or asks for one.
    pub(super) fn answer_wanted(&mut self) {
        let Some(round) = self.shell.wanted.take() else { return };
        let height = self.shell.height;
        let open = self.running
            && self.core.driver.step_is_propose()
            && self.core.round() == round_to_core(round);
        if !open || !self.shell.signer.may_propose(height, round) {
            return;
        }
        match self.shell.signer.proposed(height, round) {
            Some(block) => self.feed_proposal(round, block),
            None => self.shell.out.push(Output::NeedProposal { height, round }),
        }
    }

    /// Tells the core the verdict on each judged block, in each round in which it is proposed by now.
    pub(super) fn feed_values(&mut self) {
        let height = self.shell.height;
        let judged = self.judged.iter().flat_map(|(block, valid)| {
            let rounds = self.shell.proposed.get(block).into_iter().flatten();
            rounds.map(|round| (*block, *round, *valid))
        });
        let untold =
            |(block, round, _): &(BlockId, Round, bool)| !self.told.contains(&(*block, *round));
        let ready: Vec<_> = judged.filter(untold).collect();
        for (block, round, valid) in ready {
            self.told.insert((block, round));
            if self.shell.decided.is_none() {
                let proposer = self.proposer(height, round);
                self.feed(value_input(height, round, proposer, block, valid));
            }
        }
    }

    pub(super) fn feed_proposal(&mut self, round: Round, block: BlockId) {
        let height = self.shell.height;
        // If it cannot be signed, the wait for a proposal must go on, so that the round can end.
        if !self.shell.signer.may_propose(height, round) {
            return;
        }
        let block = self.shell.signer.proposed(height, round).unwrap_or(block);
        let value =
            LocallyProposedValue::new(CoreHeight(height), round_to_core(round), Value(block));
        self.feed(Input::Propose(value));
    }
}
