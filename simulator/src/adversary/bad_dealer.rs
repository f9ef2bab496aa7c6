//! Deals something else, well proved, to some when a key is made.

use conclave_encryption::Message as Content;
use conclave_sequencer::Message;
use conclave_types::ValidatorIndex;

use super::{
    Letter, Means, Misbehaviour,
    means::dealings::{carries_dealing_of, is_dealing},
};

/// Recipients to whom a bad dealer deals something else: more than itself.
const WRONGED: usize = 2;

/// Its dealing is replaced wherever it sends it.
#[derive(Default)]
pub(super) struct BadDealer;

impl Misbehaviour for BadDealer {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        match &letter.message {
            Message::Sharing(message)
                if message.from.as_u16() == means.index && is_dealing(message) =>
            {
                let Some(dkg) = &means.attempt else { return Vec::new() };
                if dkg.session().old_key().is_some() {
                    return vec![letter];
                }
                let dealer = ValidatorIndex::new(means.index);
                let seed = *dkg.session().digest().as_bytes();
                let dealing = dkg.deal_wrongly(dealer, &seed, WRONGED);
                let wrong = means.say(message, &Content::Deal(Box::new(dealing)));
                means.count("wrong_dealings");
                vec![letter.with(wrong)]
            }
            Message::Block(block) if carries_dealing_of(block, means.index) => Vec::new(),
            _ => vec![letter],
        }
    }
}
