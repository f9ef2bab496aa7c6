//! Messages of a sharing that are on their way into a block: heard from others or made here, judged
//! beside the state machine, offered by whoever proposes next.
//!
//! **Bounds.** [`PER_SENDER_MAX`] messages of a validator with [`PER_SENDER_BYTES_MAX`] bytes, and what the blocks
//! carry that are proposed for one height. A message is kept only for an attempt that is under way, and only if its
//! sender has signed it. [`CHECKS_MAX`] are judged at a time: those that a block needs first, then one of each sender
//! in turn, so that whoever says much, of whatever digests, keeps nobody else waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use conclave_encryption::{Checked, Refusal};
use conclave_types::{Block, Digest, Height, SharingMessage, SharingParams, ValidatorIndex};

use crate::{
    input::{Peer, Penalty},
    job::{Job, SharingCheckJob},
    keys::{BadSharing, Keys, Verdicts, check_message},
    message::Message,
    sequencer::Sequencer,
};

/// More than an honest validator has to say at once: a key, a dealing, and a complaint about each of the
/// third of the dealers that may be wrong.
const PER_SENDER_MAX: usize = 512;
/// Several times the largest dealing.
const PER_SENDER_BYTES_MAX: usize = 1 << 20;
/// Messages in one job: dealings among a hundred take it a second.
const CHECKS_MAX: usize = 64;
/// Refused messages that are remembered until the next height.
const REFUSED_MAX: usize = 4_096;

#[derive(Debug)]
struct Entry {
    message: Arc<SharingMessage>,
    verdict: Option<Checked>,
    /// The height at which it came too early.
    early_at: Option<Height>,
    /// A block that may be decided carries it.
    needed: bool,
}

/// What this node knows of a message that a block carries.
pub(crate) enum Known {
    /// It holds.
    Checked(Checked),
    /// It does not, in the state of the block's parent.
    Bad,
    /// It is being judged.
    Unknown,
}

/// Messages on their way into a block.
#[derive(Debug, Default)]
pub(crate) struct Gossip {
    entries: BTreeMap<Digest, Entry>,
    /// Messages that the present state does not take.
    refused: BTreeSet<Digest>,
    checking: bool,
}

impl Gossip {
    fn has_room(&self, message: &SharingMessage) -> bool {
        let theirs = self.entries.values().filter(|entry| entry.message.from == message.from);
        let (count, bytes) =
            theirs.fold((0_usize, message.size_bytes()), |(count, bytes), entry| {
                (count.saturating_add(1), bytes.saturating_add(entry.message.size_bytes()))
            });
        count < PER_SENDER_MAX && bytes <= PER_SENDER_BYTES_MAX
    }

    fn refuse(&mut self, leaf: Digest) {
        self.entries.remove(&leaf);
        if self.refused.len() >= REFUSED_MAX {
            self.refused.clear();
        }
        self.refused.insert(leaf);
    }

    fn insert(&mut self, leaf: Digest, message: Arc<SharingMessage>, needed: bool) {
        let entry = Entry { message, verdict: None, early_at: None, needed: false };
        self.entries.entry(leaf).or_insert(entry).needed |= needed;
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, leaf: &Digest) -> bool {
        self.entries.contains_key(leaf)
    }

    /// A height was decided, with these messages: what is on the chain or for a past attempt goes.
    pub(crate) fn decided(&mut self, block: &Block, keys: &Keys) {
        for message in &block.body.sharing {
            self.entries.remove(&message.leaf());
        }
        self.refused.clear();
        let mut kept: BTreeMap<ValidatorIndex, (usize, usize)> = BTreeMap::new();
        self.entries.retain(|_, Entry { message, needed, .. }| {
            *needed = false;
            // What was proposed and came to nothing counts like all else that its sender says.
            let (count, bytes) = kept.entry(message.from).or_default();
            *count = count.saturating_add(1);
            *bytes = bytes.saturating_add(message.size_bytes());
            let fits = *count <= PER_SENDER_MAX && *bytes <= PER_SENDER_BYTES_MAX;
            fits && keys.sharing_of(message).is_ok()
        });
    }
}

impl Sequencer {
    /// Somebody passes on a message of a sharing, its own as a rule. Who that is does not matter, for the
    /// message is signed: a validator that is about to join need not be known as one yet.
    pub(crate) fn on_sharing(&mut self, from: Peer, message: Arc<SharingMessage>) {
        if self.chain.keys.sharing_of(&message).is_err() {
            return;
        }
        let leaf = message.leaf();
        let known = self.sharing.contains(&leaf) || self.sharing.refused.contains(&leaf);
        if known || !self.sharing.has_room(&message) {
            return;
        }
        if !self.is_sharing_signed(&message) {
            return self.penalise(from, Penalty::Invalid("a sharing message nobody signed"));
        }
        self.sharing.insert(leaf, message, false);
    }

    pub(crate) fn is_sharing_signed(&self, message: &SharingMessage) -> bool {
        self.chain.keys.is_signed(message, &self.context.domain, &*self.context.verifier)
    }

    /// What is known of a message that a proposed block carries, its signature included. What is not
    /// known is judged now.
    pub(crate) fn known_sharing(&mut self, message: &SharingMessage) -> Known {
        let leaf = message.leaf();
        if self.sharing.refused.contains(&leaf) {
            return Known::Bad;
        }
        if let Some(entry) = self.sharing.entries.get_mut(&leaf) {
            entry.needed = true;
            entry.early_at = None;
            return entry.verdict.clone().map_or(Known::Unknown, Known::Checked);
        }
        if self.chain.keys.sharing_of(message).is_err() || !self.is_sharing_signed(message) {
            return Known::Bad;
        }
        self.sharing.insert(leaf, Arc::new(message.clone()), true);
        Known::Unknown
    }

    /// Starts judging what waits to be judged.
    pub(crate) fn judge_sharing(&mut self) {
        if self.sharing.checking {
            return;
        }
        let at = self.chain.decided();
        let open = self.sharing.entries.iter().filter(|(_, entry)| {
            entry.verdict.is_none() && entry.early_at.is_none_or(|early| early < at)
        });
        let mut turns: BTreeMap<ValidatorIndex, usize> = BTreeMap::new();
        let in_turn = open.map(|(leaf, entry)| {
            let turn = turns.entry(entry.message.from).or_default();
            *turn = turn.saturating_add(1);
            ((!entry.needed, *turn), leaf, entry)
        });
        let mut open: Vec<_> = in_turn.collect();
        open.sort_by_key(|(place, ..)| *place);
        let items: Vec<_> = open
            .into_iter()
            .take(CHECKS_MAX)
            .filter_map(|(_, leaf, entry)| {
                let dkg = self.chain.keys.sharing_of(&entry.message).ok()?.clone();
                Some((*leaf, dkg, Arc::clone(&entry.message)))
            })
            .collect();
        if !items.is_empty() {
            self.sharing.checking = true;
            self.ask(Job::CheckSharing(SharingCheckJob { at, items }));
        }
    }

    pub(crate) fn on_sharing_checked(&mut self, at: Height, verdicts: Verdicts) {
        self.sharing.checking = false;
        let is_now = at == self.chain.decided();
        for (leaf, verdict) in verdicts {
            let Some(entry) = self.sharing.entries.get_mut(&leaf) else { continue };
            match verdict {
                Ok(checked) => entry.verdict = Some(checked),
                // The state has gone on: it is judged again.
                Err(_) if !is_now => {}
                Err(BadSharing::Refused(Refusal::Stage { .. })) if !entry.needed => {
                    entry.early_at = Some(at);
                }
                Err(_) => self.sharing.refuse(leaf),
            }
        }
        self.candidates.changed();
        self.proposer.pool_changed();
    }

    /// The messages for the next block: what is judged and fits, whoever sent it.
    pub(crate) fn choose_sharing(&mut self) -> Vec<SharingMessage> {
        let mut keys = self.chain.keys.clone();
        let mut room = SharingParams::BLOCK_BYTES_MAX;
        let mut chosen = Vec::new();
        let mut useless = Vec::new();
        for (leaf, entry) in &self.sharing.entries {
            let Some(checked) = entry.verdict.clone() else { continue };
            let Some(left) = room.checked_sub(entry.message.size_bytes()) else { continue };
            if keys.take(&entry.message, checked).is_ok() {
                room = left;
                chosen.push((*entry.message).clone());
            } else {
                useless.push(*leaf);
            }
        }
        for leaf in useless {
            self.sharing.entries.remove(&leaf);
        }
        chosen
    }

    /// A message of a decided block, judged: before, as a rule, or now, when the block came with its proof.
    pub(crate) fn judged_sharing(&self, message: &SharingMessage) -> Result<Checked, BadSharing> {
        let known = self.sharing.entries.get(&message.leaf());
        if let Some(checked) = known.and_then(|entry| entry.verdict.clone()) {
            return Ok(checked);
        }
        check_message(self.chain.keys.sharing_of(message)?, message)
    }

    /// Passes a message of this validator's on, and treats it as if it had come in.
    pub(crate) fn spread_sharing(&mut self, message: Arc<SharingMessage>) {
        self.sharing.insert(message.leaf(), Arc::clone(&message), false);
        self.broadcast(Message::Sharing(message));
    }
}
