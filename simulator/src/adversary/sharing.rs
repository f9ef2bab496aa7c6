//! Making the key against somebody who deals wrongly, complains without a reason, or has nothing to say.

use std::sync::Arc;

use conclave_encryption::{HolderKey, Message as Content, Phase};
use conclave_sequencer::Message;
use conclave_types::{Block, SharingMessage, ValidatorIndex};

use super::{Letter, Means, Misbehaviour};

/// Recipients to whom a bad dealer deals something else: more than itself.
const WRONGED: usize = 2;

fn is_dealing(message: &SharingMessage) -> bool {
    matches!(Content::decode(&message.content), Ok(Content::Deal(_)))
}

/// Whether a block gives away what its builder would rather have said.
fn carries_dealing_of(block: &Block, index: u16) -> bool {
    let mut messages = block.body.sharing.iter();
    messages.any(|message| message.from.as_u16() == index && is_dealing(message))
}

/// Deals, well proved, something else to some.
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

/// Complains about the first dealing of somebody else, which is right.
#[derive(Default)]
pub(super) struct FalseComplainer {
    said: Vec<conclave_types::Digest>,
}

impl Misbehaviour for FalseComplainer {
    fn incoming(&mut self, means: &mut Means, _: u16, _: &Message) -> Vec<Letter> {
        let (Some(dkg), Some(seed)) = (&means.attempt, &means.holder_seed) else {
            return Vec::new();
        };
        let session = dkg.session();
        if dkg.phase() < Phase::Complaining || self.said.contains(&session.digest()) {
            return Vec::new();
        }
        let key = HolderKey::derive(session, ValidatorIndex::new(means.index), seed);
        let others = means.others().filter(|dealer| dkg.has_dealing(*dealer));
        let complaint = others.filter_map(|dealer| dkg.complain_anyway(&key, dealer)).next();
        let Some(complaint) = complaint else { return Vec::new() };
        self.said.push(session.digest());
        let message = SharingMessage {
            epoch: session.id().epoch,
            round: session.id().round,
            from: ValidatorIndex::new(means.index),
            content: Vec::new(),
            signature: conclave_types::SignatureBytes::new([0; 64]),
        };
        let message = means.say(&message, &Content::Complain(complaint));
        means.count("unfounded_complaints");
        means.others().map(|to| Letter::new(to, message.clone())).collect()
    }
}

/// Registers and never deals, so that others wait for it; nor does it acknowledge.
pub(super) struct MuteDealer;

impl Misbehaviour for MuteDealer {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let says_more = |message: &Arc<SharingMessage>| {
            !matches!(Content::decode(&message.content), Ok(Content::Register(_)))
        };
        match &letter.message {
            Message::Sharing(message) if says_more(message) => {
                means.count("withheld_dealings");
                Vec::new()
            }
            Message::Block(block) if carries_dealing_of(block, means.index) => Vec::new(),
            _ => vec![letter],
        }
    }
}
