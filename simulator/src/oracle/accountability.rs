//! Everybody guilty can be convicted: whoever hears two votes or proposals of one validator for one position,
//! not too far apart, has evidence that convicts it, without the help of the others. So has whoever is sent shares of
//! blocks that are not the chain's; and whoever hears a validator attest another history at one height, and the chain's at
//! that height or one above of the same epoch.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_consensus::{ConsensusMessage, Evidence, SignedProposal, SignedVote};
use conclave_sequencer::ShareMessage;
use conclave_types::{BlockCommitment, BlockId, Epoch, Height, HeightDelta, Round, Time};

use super::{ACCOUNTABLE, Check, chain::Chain, ensure};

/// How far below a validator's newest decision a second message must still convict: somewhat less than the
/// archive keeps, since a message may be overtaken by decisions on its way in.
const BEHIND: HeightDelta = HeightDelta::new(50);
/// How far above it.
const AHEAD: HeightDelta = HeightDelta::new(2);
/// Rounds up to here are remembered wherever a validator stands.
const ROUND_MAX: u32 = 10;

/// Of the shares of a validator for so many heights, each of another block than was decided and the first that came for
/// its height, one at least must have been kept. Not each of them: one that came just before the height was over is not
/// looked at.
const STRAYS_MAX: usize = 3;

/// How long a validator may take from hearing something to evidence of it.
const WITHIN: Duration = Duration::from_secs(1);

/// Author, height, round, and which of the two votes or the proposal.
type Position = (u16, Height, u32, u8);

/// What it says: block, and round of the polka.
type Saying = (Option<BlockId>, Option<u32>);

/// What a validator attests: of which height and epoch, and what.
type Attesting = BTreeMap<Height, Vec<BlockCommitment>>;

/// The code of a proposal, beside those of votes.
const PROPOSAL: u8 = u8::MAX;

/// What each honest validator has heard of the others, and whom it has evidence against.
#[derive(Clone, Debug, Default)]
pub(super) struct Accountability {
    heard: BTreeMap<u16, BTreeMap<Position, BTreeSet<Saying>>>,
    /// Since when.
    owed: BTreeMap<u16, BTreeMap<(u16, Height, u32), Time>>,
    given: BTreeMap<u16, BTreeSet<(u16, Height, u32)>>,
    /// Of which block the first shares were that a validator was sent by a liar before the decision.
    shares: BTreeMap<(u16, u16), BTreeMap<Height, BlockId>>,
    /// Who has kept stray shares of whom.
    strays: BTreeSet<(u16, u16)>,
    /// What a validator has heard a liar attest. No liar signs another commitment wrongly, so the signature counts.
    attesting: BTreeMap<(u16, u16), Attesting>,
    /// Who has evidence of two attestations against whom, and of which epoch.
    double_attested: BTreeSet<(u16, u16, Epoch)>,
}

impl Accountability {
    /// An honest validator that has decided up to `decided` hears something of the liar `from`. Only what that
    /// one says for itself is looked at.
    pub(super) fn heard(
        &mut self,
        now: Time,
        (node, from): (u16, u16),
        message: &ConsensusMessage,
        decided: Height,
    ) {
        let (author, height, round, code, saying) = match message {
            ConsensusMessage::Vote(vote) => {
                let SignedVote { kind, height, round, block, voter, .. } = **vote;
                (voter, height, round, kind.code(), (block, None))
            }
            ConsensusMessage::Proposal(proposal) => {
                let SignedProposal { height, round, block, pol_round, proposer, .. } = **proposal;
                let polka = pol_round.map(Round::as_u32);
                (proposer, height, round, PROPOSAL, (Some(block), polka))
            }
            ConsensusMessage::Polka(_) | ConsensusMessage::Round(_) => return,
        };
        // No message may name the zero id, by which nil is signed: it would make one signature two statements. Whoever
        // hears one that does owes nothing for it.
        let is_statement = saying.0 != Some(BlockId::ZERO);
        let near = height.saturating_add(BEHIND) > decided
            && height <= decided.saturating_add(AHEAD)
            && round.as_u32() <= ROUND_MAX;
        if !near || !is_statement || author.as_u16() != from {
            return;
        }
        let position = (from, height, round.as_u32(), code);
        let sayings = self.heard.entry(node).or_default().entry(position).or_default();
        sayings.insert(saying);
        if sayings.len() > 1 {
            let at = (from, height, round.as_u32());
            self.owed.entry(node).or_default().entry(at).or_insert(now);
        }
    }

    /// An honest validator that has decided up to `decided` is sent shares by the liar `from`.
    pub(super) fn sent_shares(
        &mut self,
        (node, from): (u16, u16),
        message: &ShareMessage,
        decided: Height,
    ) {
        let height = message.height;
        let is_early = height > decided && height <= decided.saturating_add(AHEAD);
        if is_early && message.validator.as_u16() == from {
            let shares = self.shares.entry((node, from)).or_default();
            shares.entry(height).or_insert(message.block);
        }
    }

    /// An honest validator that has revealed up to `revealed` is told by the liar `from` what it attests.
    pub(super) fn attests(
        &mut self,
        (node, from): (u16, u16),
        commitment: &BlockCommitment,
        revealed: Height,
    ) {
        let height = commitment.height;
        let is_near =
            height.saturating_add(BEHIND) > revealed && height <= revealed.saturating_add(AHEAD);
        if is_near {
            let attesting = self.attesting.entry((node, from)).or_default();
            attesting.entry(height).or_default().push(commitment.clone());
        }
    }

    /// A validator has evidence of two attestations.
    pub(super) fn double_attestation(&mut self, node: u16, accused: &[u16], epoch: Epoch) {
        self.double_attested.extend(accused.iter().map(|accused| (node, *accused, epoch)));
    }

    /// Nobody gets away with two histories: `expected` are the commitments that follow from what was revealed.
    pub(super) fn settle_attestations(
        &self,
        revealed_at: impl Fn(u16) -> Height,
        expected: impl Fn(Height) -> Option<BlockCommitment>,
    ) -> Check {
        for ((node, from), attesting) in &self.attesting {
            let all = attesting.iter().filter(|(height, _)| **height < revealed_at(*node));
            let all = all.flat_map(|(_, commitments)| commitments);
            let is_right = |said: &&BlockCommitment| expected(said.height).as_ref() == Some(*said);
            let (right, other): (Vec<_>, Vec<_>) = all.partition(is_right);
            let contradicted = other.iter().find(|other| {
                let mut later = right.iter().filter(|right| right.height >= other.height);
                let is_known = self.double_attested.contains(&(*node, *from, other.epoch));
                !is_known && later.any(|right| right.epoch == other.epoch)
            });
            ensure(contradicted.is_none(), ACCOUNTABLE, || {
                format!(
                    "validator {node} heard {from} attest another history and its own, {contradicted:?} among \
                     them, and has no evidence"
                )
            })?;
        }
        Ok(())
    }

    /// A validator has kept shares of a block that is not the chain's.
    pub(super) fn kept_stray(&mut self, node: u16, of: u16) {
        self.strays.insert((node, of));
    }

    /// A validator has evidence.
    pub(super) fn convicted(&mut self, node: u16, evidence: &Evidence) -> Check {
        let contradicts = match evidence {
            Evidence::Votes(a, b) => {
                (a.voter, a.height, a.round, a.kind) == (b.voter, b.height, b.round, b.kind)
                    && a.block != b.block
            }
            Evidence::Proposals(a, b) => {
                (a.proposer, a.height, a.round) == (b.proposer, b.height, b.round)
                    && (a.block, a.pol_round) != (b.block, b.pol_round)
            }
        };
        let (height, round) = evidence.at();
        let at = (evidence.offender().as_u16(), height, round.as_u32());
        self.given.entry(node).or_default().insert(at);
        ensure(contradicts, ACCOUNTABLE, || {
            format!("validator {node}: evidence that convicts nobody: {evidence:?}")
        })
    }

    /// What was heard does not outlive the process; what follows from it by then does.
    pub(super) fn crashed(&mut self, node: u16) {
        self.heard.remove(&node);
        self.owed.remove(&node);
        self.shares.retain(|(to, _), _| *to != node);
        self.attesting.retain(|(to, _), _| *to != node);
    }

    /// At the end: nobody got away.
    pub(super) fn settle(&self, now: Time, chain: &Chain) -> Check {
        for ((node, from), shares) in &self.shares {
            let is_stray = |(height, block): &(&Height, &BlockId)| {
                **height <= chain.revealed_at(*node) && chain.block(**height) != Some(**block)
            };
            let strays = shares.iter().filter(is_stray).count();
            let is_known = self.strays.contains(&(*node, *from));
            ensure(is_known || strays < STRAYS_MAX, ACCOUNTABLE, || {
                format!(
                    "{from} sent {node} shares of {strays} blocks that were not decided, and {node} has no \
                     evidence"
                )
            })?;
        }
        for (node, owed) in &self.owed {
            let given = self.given.get(node);
            let due = owed.iter().filter(|(_, since)| since.after(WITHIN) <= now);
            let mut due = due.map(|(at, _)| at);
            let free = due.find(|at| given.is_none_or(|given| !given.contains(at)));
            ensure(free.is_none(), ACCOUNTABLE, || {
                let (author, height, round) = free.copied().unwrap_or_default();
                format!(
                    "validator {node} heard {author} contradict itself at height {height}, round {round}, \
                     and has no evidence"
                )
            })?;
        }
        Ok(())
    }
}
