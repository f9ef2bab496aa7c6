//! Decryption shares that are withheld, late, wrong, or sent before the decision.

use std::{sync::Arc, time::Duration};

use conclave_sequencer::Message;
use conclave_types::G1Bytes;

use super::{Letter, Means, Misbehaviour};

/// The generator of G1: on the curve, in the subgroup, and nobody's share.
pub(super) const GENERATOR: &str = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";

/// The point itself.
pub(super) fn generator() -> G1Bytes {
    GENERATOR.parse().unwrap_or_default()
}

/// Sends no shares.
pub(super) struct Withhold;

impl Misbehaviour for Withhold {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if matches!(letter.message, Message::Shares(_)) {
            means.count("withheld_shares");
            return Vec::new();
        }
        vec![letter]
    }
}

/// Sends its shares when the others have asked for them, and after.
pub(super) struct Late;

impl Misbehaviour for Late {
    fn outgoing(&mut self, means: &mut Means, mut letter: Letter) -> Vec<Letter> {
        if matches!(letter.message, Message::Shares(_)) {
            means.count("late_shares");
            let delay = Duration::from_millis(means.random.below(3_000));
            letter.delay = letter.delay.saturating_add(delay);
        }
        vec![letter]
    }
}

/// Sends points that are not its shares.
pub(super) struct Wrong;

impl Misbehaviour for Wrong {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Shares(message) = &letter.message else { return vec![letter] };
        means.count("false_shares");
        let mut shares = message.shares.clone();
        if let Some(first) = shares.first_mut() {
            *first = generator();
        }
        vec![letter.with(means.shares(message, shares))]
    }
}

/// Sends its shares of every block that is proposed, at once and to everyone.
pub(super) struct Premature;

impl Misbehaviour for Premature {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Block(block) = message else { return Vec::new() };
        let Some(shares) = means.shares_of(block) else { return Vec::new() };
        means.count("premature_shares");
        means.others().map(|to| Letter::new(to, shares.clone())).collect()
    }
}

/// Sends its shares of a block that nobody will decide: of what it would itself have proposed in place of each
/// proposal that it hears.
pub(super) struct Stray;

impl Misbehaviour for Stray {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Block(block) = message else { return Vec::new() };
        let mut other = Arc::unwrap_or_clone(Arc::clone(block));
        other.header.time = other.header.time.after(Duration::from_micros(1));
        let Some(shares) = means.shares_of(&other) else { return Vec::new() };
        means.count("stray_shares");
        means.others().map(|to| Letter::new(to, shares.clone())).collect()
    }
}
