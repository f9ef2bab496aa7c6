//! Two votes for one height, round and step, shown to different halves.

use super::{Letter, Means, Misbehaviour, means::votes};

/// Half of the validators get the honest vote, half its opposite, and one in four both.
pub(super) struct Equivocate;

impl Misbehaviour for Equivocate {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Some(opposite) = votes::opposite(means, &letter) else { return vec![letter] };
        means.count("false_votes");
        match letter.to % 4 {
            0 => vec![letter, opposite],
            1 | 3 => vec![letter],
            _ => vec![opposite],
        }
    }
}
