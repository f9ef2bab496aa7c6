//! Selective silence: talks to half of the validators only, always the same ones.

use super::{Letter, Means, Misbehaviour};

/// Who has an odd number hears nothing.
pub(super) struct Partial;

impl Misbehaviour for Partial {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if letter.to.is_multiple_of(2) {
            return vec![letter];
        }
        means.count("withheld_messages");
        Vec::new()
    }
}
