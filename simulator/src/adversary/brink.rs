//! Delay to the edge of the timeout: its proposals come when half of the others have just given up.

use std::time::Duration;

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;
use conclave_types::{Height, Round};

use super::{Letter, Means, Misbehaviour};

/// Where it begins to look for the edge: the wait for a proposal in round 0, less the way there.
const FIRST: Duration = Duration::from_millis(1_900);
/// How far it moves each time.
const STEP: Duration = Duration::from_millis(20);
/// How much later than at the first validator it comes at the last.
const SPREAD_MS: u64 = 60;

/// Sends its proposals as late as it can. Learns: after one that was in time for everyone it waits a
/// little longer, after one that nobody waited for a little less.
pub(super) struct Brink {
    edge: Duration,
    proposed: Option<(Height, Round)>,
}

impl Default for Brink {
    fn default() -> Self {
        Self { edge: FIRST, proposed: None }
    }
}

impl Misbehaviour for Brink {
    fn incoming(&mut self, _: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Consensus(ConsensusMessage::Vote(vote)) = message else { return Vec::new() };
        if self.proposed.take_if(|at| *at == (vote.height, vote.round)).is_some() {
            self.edge = match vote.block {
                Some(_) => self.edge.saturating_add(STEP),
                None => self.edge.saturating_sub(STEP),
            };
        }
        Vec::new()
    }

    fn outgoing(&mut self, means: &mut Means, mut letter: Letter) -> Vec<Letter> {
        let own = match &letter.message {
            Message::Block(block) => block.header.proposer.as_u16() == means.index,
            Message::Consensus(ConsensusMessage::Proposal(proposal)) => {
                self.proposed = Some((proposal.height, proposal.round));
                proposal.proposer.as_u16() == means.index
            }
            _ => false,
        };
        if own {
            means.count("late_proposals");
            let later = Duration::from_millis(means.random.below(SPREAD_MS));
            letter.delay = letter.delay.saturating_add(self.edge).saturating_add(later);
        }
        vec![letter]
    }
}
