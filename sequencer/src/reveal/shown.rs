//! Openings that others show: parts, as they come in, and whole blocks, which are asked for.

use std::sync::Arc;

use conclave_types::{BlockId, Height, Opening, ValidatorIndex};

use super::{EARLY_PARTS_MAX, parts::Source};
use crate::{
    archive::ArchiveRequest,
    input::{Peer, Penalty},
    judge::shares_needed,
    message::{Message, PartialOpening},
    sequencer::Sequencer,
};

impl Sequencer {
    pub(crate) fn on_openings(
        &mut self,
        from: Peer,
        height: Height,
        block: BlockId,
        openings: Vec<Opening>,
    ) {
        let Some(pending) = self.reveals.pending.get_mut(&height) else { return };
        let needed = shares_needed(&pending.key.packing());
        // A validator lies once. A stranger comes back under another name, each time to fill what is missing
        // with rubbish and to keep a quorum's shares from being combined.
        let held = pending.members.points_of(pending.shares.keys());
        let heard = matches!(from, Peer::Validator(_)) || held < needed;
        let wanted = heard && pending.asked && !pending.opening && pending.opened.is_none();
        if pending.block != block || !wanted {
            return;
        }
        if openings.len() != pending.bundles.len().saturating_add(1) {
            return self.penalise(from, Penalty::Invalid("openings of the wrong number"));
        }
        pending.parts.take_whole(Source::Peer(from), &openings);
    }

    /// A validator shows a part of a block that it has opened.
    pub(crate) fn on_part(&mut self, from: Peer, message: Arc<PartialOpening>) {
        // Who is no validator here may be a member of a committee that this node has yet to hear of.
        let Peer::Validator(validator) = from else { return };
        let PartialOpening { height, block, part, .. } = *message;
        let Some(pending) = self.reveals.pending.get_mut(&height) else {
            return self.keep_early_part(validator, message);
        };
        let part = usize::from(part);
        if pending.block != block
            || pending.opening
            || pending.opened.is_some()
            || !pending.parts.is_welcome(part, from)
        {
            return;
        }
        if message.openings.len() != pending.parts.cut().openings(part).len() {
            return self.penalise(from, Penalty::Invalid("a part of the wrong size"));
        }
        pending.parts.take(part, Source::Peer(from), message.openings.clone());
    }

    fn keep_early_part(&mut self, validator: ValidatorIndex, message: Arc<PartialOpening>) {
        let (height, decided) = (message.height, self.chain.decided());
        if height <= decided || height > decided.saturating_add(EARLY_PARTS_MAX) {
            return;
        }
        let most = self.context.genesis.params.limits.block_bundles_max as usize;
        let kept = self.reveals.early_parts.get(&(height, validator)).into_iter().flatten();
        let openings = kept.map(|part| part.openings.len()).sum::<usize>();
        let openings = openings.saturating_add(message.openings.len());
        if openings <= most.saturating_add(1) && !message.openings.is_empty() {
            self.reveals.early_parts.entry((height, validator)).or_default().push(message);
        }
    }

    pub(crate) fn on_want_openings(&mut self, from: Peer, height: Height) {
        let pending = self.reveals.pending.get(&height);
        let shares = pending.and_then(|pending| {
            pending.shares.get(&self.context.own_in(pending.members.committee())?)
        });
        match shares {
            Some(shares) => self.send(from, Message::Shares(Arc::clone(shares))),
            None if height <= self.chain.revealed => {
                self.ready.effects.serve.push((from, ArchiveRequest::Openings { height }));
            }
            None => {}
        }
    }
}
