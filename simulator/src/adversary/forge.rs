//! Passes on bundles that no payer made.

use std::sync::Arc;

use conclave_sequencer::Message;
use conclave_types::{EncryptedBundle, Gwei};

use super::{Letter, Means, Misbehaviour};

/// Mauls and re-prices what it sees and passes it on as if it were verified; also in answer to a question
/// for bundles that a block needs.
pub(super) struct Forge;

impl Misbehaviour for Forge {
    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        let Message::Bundles(bundles) = message else { return Vec::new() };
        means.count("forged_bundles");
        let forged = Message::Bundles(forged(bundles));
        means.others().map(|to| Letter::new(to, forged.clone())).collect()
    }

    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        let Message::Bundles(bundles) = &letter.message else { return vec![letter] };
        means.count("forged_bundles");
        vec![letter.with(Message::Bundles(forged(bundles)))]
    }
}

fn forged(bundles: &[Arc<EncryptedBundle>]) -> Vec<Arc<EncryptedBundle>> {
    let forge = |(index, bundle): (usize, &Arc<EncryptedBundle>)| {
        let mut bundle = EncryptedBundle::clone(bundle);
        if index.is_multiple_of(2) {
            bundle.header.priority_fee = Gwei::new(1);
        } else if let Some(byte) = bundle.body.last_mut() {
            *byte ^= 1;
        }
        Arc::new(bundle)
    };
    bundles.iter().enumerate().map(forge).collect()
}
