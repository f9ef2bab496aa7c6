//! Tells a searcher what it sees: every bundle that goes by, as a proposer sees it.

use conclave_sequencer::Message;

use super::{Letter, Means, Misbehaviour};

/// Keeps to the protocol, and shows a searcher each sealed bundle as soon as it hears of it or passes
/// it on.
pub(super) struct FrontRun;

impl FrontRun {
    fn show(means: &mut Means, message: &Message) {
        if let Message::Bundles(bundles) = message {
            for bundle in bundles {
                means.sight(bundle);
            }
        }
    }
}

impl Misbehaviour for FrontRun {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        Self::show(means, &letter.message);
        vec![letter]
    }

    fn incoming(&mut self, means: &mut Means, _from: u16, message: &Message) -> Vec<Letter> {
        Self::show(means, message);
        Vec::new()
    }
}
