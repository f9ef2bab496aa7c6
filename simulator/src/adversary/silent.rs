//! Sends nothing at all: a validator that only listens.

use super::{Letter, Means, Misbehaviour};

/// Every letter is kept.
pub(super) struct Silent;

impl Misbehaviour for Silent {
    fn outgoing(&mut self, means: &mut Means, _: Letter) -> Vec<Letter> {
        means.count("withheld_messages");
        Vec::new()
    }
}
