//! Bad proposals: blocks that are invalid, not to be had, from the future, incomplete, or two at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::Message;
use conclave_types::{Block, BlockId, BundleId, Digest, L1Entry};

use super::{
    Letter, Means, Misbehaviour,
    forced::{self, L1Forgery},
};

/// What is wrong with its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgery {
    /// Nothing: but odd validators see another one than even ones.
    Twin,
    /// Another ledger digest.
    WrongLedger,
    /// A bundle that nobody has.
    UnknownBundle,
    /// A time far ahead.
    FutureTime,
    /// An L1 origin that nobody has seen.
    UnknownOrigin,
    /// One payer's bundles are left out.
    Censor,
    /// All bundles are left out, however long they have waited.
    Empty,
    /// Another digest of what is revealed.
    WrongReveal,
    /// A time just at the edge of what the others' clocks allow: some take it at once, some do not.
    EdgeTime,
    /// The bundles in reverse, so that a payer's later ones come before its earlier ones.
    Disorder,
    /// A bundle of an earlier block once more.
    Replay,
    /// Something else than L1 asks for.
    L1(L1Forgery),
    /// A bundle of the block itself once more.
    TwinBundles,
}

/// A little more than half a second, by which a block's time may be ahead of a clock: on its way, a block
/// gets older by the rest or it does not.
const CLOCK_DRIFT_MAX: Duration = Duration::from_millis(520);

/// Shows forged blocks instead of its own, and signs what belongs to them.
pub(super) struct Forger {
    forgery: Forgery,
    forged: BTreeMap<BlockId, Arc<Block>>,
    /// An entry of L1 that was carried before.
    earlier: Option<L1Entry>,
}

impl Forger {
    pub(super) const fn new(forgery: Forgery) -> Self {
        Self { forgery, forged: BTreeMap::new(), earlier: None }
    }

    fn shows_to(&self, to: u16) -> bool {
        self.forgery != Forgery::Twin || !to.is_multiple_of(2)
    }

    fn forge(&mut self, means: &mut Means, block: &Arc<Block>) -> Arc<Block> {
        let id = block.id();
        if let Some(forged) = self.forged.get(&id) {
            return Arc::clone(forged);
        }
        let mut forged = (**block).clone();
        match self.forgery {
            Forgery::L1(forgery) => {
                forced::change(forgery, means, &mut self.earlier, &mut forged);
            }
            forgery => change(forgery, means, &mut forged),
        }
        commit(&mut forged);
        if forged.header != block.header {
            means.count("forged_blocks");
        }
        let forged = Arc::new(forged);
        self.forged.insert(id, Arc::clone(&forged));
        forged
    }

    fn forged_id(&self, id: &BlockId) -> Option<BlockId> {
        self.forged.get(id).map(|block| block.id())
    }
}

fn change(forgery: Forgery, means: &Means, block: &mut Block) {
    let header = &mut block.header;
    match forgery {
        Forgery::Twin => header.time = header.time.after(Duration::from_micros(1)),
        Forgery::WrongLedger => header.ledger_digest = Digest::new([5; 32]),
        Forgery::WrongReveal => header.reveal_digest = Digest::new([5; 32]),
        Forgery::EdgeTime => header.time = header.time.after(CLOCK_DRIFT_MAX),
        Forgery::FutureTime => header.time = header.time.after(Duration::from_secs(10)),
        Forgery::UnknownOrigin => {
            header.l1_origin = forced::beside(header.l1_origin);
        }
        Forgery::L1(_) => {}
        Forgery::Empty => block.body.bundles.clear(),
        Forgery::Disorder => block.body.bundles.reverse(),
        Forgery::Replay => {
            let here = &mut block.body.bundles;
            here.extend(means.decided_bundle().filter(|id| !here.contains(id)));
        }
        Forgery::TwinBundles => {
            let first = block.body.bundles.first().copied();
            block.body.bundles.extend(first);
        }
        Forgery::UnknownBundle => block.body.bundles.push(BundleId::new([8; 32])),
        Forgery::Censor => {
            let payer = |id: &BundleId| means.bundle(id).map(|bundle| bundle.header.payer);
            block.body.bundles.retain(|id| payer(id).is_none() || payer(id) != means.victim);
        }
    }
}

/// Makes the header fit the body again.
fn commit(block: &mut Block) {
    let header = &mut block.header;
    header.l1_entries_root = block.body.l1_entries_root();
    header.bundle_root = block.body.bundle_root();
    header.bundle_count = u32::try_from(block.body.bundles.len()).unwrap_or(u32::MAX);
}

impl Misbehaviour for Forger {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        if !self.shows_to(letter.to) {
            return vec![letter];
        }
        let message = match &letter.message {
            Message::Block(block) if block.header.proposer.as_u16() == means.index => {
                Message::Block(self.forge(means, block))
            }
            Message::Consensus(ConsensusMessage::Proposal(proposal)) => {
                match self.forged_id(&proposal.block) {
                    Some(id) if proposal.proposer.as_u16() == means.index => {
                        let proposal = means.proposal(proposal, id);
                        Message::Consensus(ConsensusMessage::Proposal(proposal.into()))
                    }
                    _ => return vec![letter],
                }
            }
            Message::Consensus(ConsensusMessage::Vote(vote)) => {
                let forged = vote.block.and_then(|id| self.forged_id(&id));
                match forged {
                    Some(id) if vote.voter.as_u16() == means.index => {
                        let vote = means.vote(vote, Some(id));
                        Message::Consensus(ConsensusMessage::Vote(vote.into()))
                    }
                    _ => return vec![letter],
                }
            }
            _ => return vec![letter],
        };
        vec![letter.with(message)]
    }
}

/// Announces proposals and never hands out their blocks.
pub(super) struct Hidden;

impl Misbehaviour for Hidden {
    fn outgoing(&mut self, means: &mut Means, letter: Letter) -> Vec<Letter> {
        match &letter.message {
            Message::Block(block) if block.header.proposer.as_u16() == means.index => {
                means.count("hidden_blocks");
                Vec::new()
            }
            _ => vec![letter],
        }
    }
}
