//! Complains about a dealing that is right.

use conclave_encryption::{HolderKey, Message as Content, Phase};
use conclave_sequencer::Message;
use conclave_types::{Digest, SharingMessage, SignatureBytes, ValidatorIndex};

use super::{Letter, Means, Misbehaviour};

/// About the first dealing of somebody else, once in each sharing.
#[derive(Default)]
pub(super) struct FalseComplaint {
    said: Vec<Digest>,
}

impl Misbehaviour for FalseComplaint {
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
            signature: SignatureBytes::new([0; 64]),
        };
        let message = means.say(&message, &Content::Complain(complaint));
        means.count("unfounded_complaints");
        means.others().map(|to| Letter::new(to, message.clone())).collect()
    }
}
