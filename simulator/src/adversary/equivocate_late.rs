//! Two votes for one height, round and step, the second one when the height is over.

use super::{Letter, Means, Misbehaviour, means::votes};

/// Everyone gets the honest vote at once, and its opposite later.
pub(super) struct EquivocateLate;

impl Misbehaviour for EquivocateLate {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(mut opposite) = votes::opposite(means, &letter) else { return vec![letter] };
        means.count("false_votes");
        opposite.delay = opposite.delay.saturating_add(votes::LATE);
        vec![letter, opposite]
    }
}
