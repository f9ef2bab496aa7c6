//! The promises, restated in arithmetic of their own and checked as the run goes.
//!
//! The oracle sees what validators send, what they tell their subscribers, what users handed in, and,
//! after a crash, what is on the disk; never a validator's state. It calls none of the code it judges.
//!
//! ```text
//! sent, heard, told, handed in, on disk ─▶ votes · shares · chain · order · payers · inclusion · l1 ·
//!                                         committees · accountability ─▶ first violation; liveness ─▶ too late
//! ```

mod accountability;
mod attesters;
mod chain;
mod committees;
mod escape;
mod inclusion;
mod keys;
mod l1;
mod liveness;
mod office;
mod order;
mod payers;
mod posted;
mod promises;
mod rollups;
mod settled;
mod settlement;
mod shares;
mod sides;
mod told;
mod votes;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_consensus::ConsensusMessage;
use conclave_sequencer::{KeyChange, L1Block, Message, Peer, Penalty, archive};
use conclave_types::{
    Attestation, BundleId, Digest, Epoch, Genesis, Gwei, Height, KeyId, PayerAddress, Time,
};
use sha3::{Digest as _, Keccak256};

use crate::{
    disk::Disk,
    l1::{ESCAPE_DELAY_BLOCKS, Witness},
    load::Handed,
    scenario::Loss,
};

pub use self::promises::Violation;
use self::{
    accountability::Accountability,
    attesters::{Attesters, Heard},
    chain::Chain,
    committees::Committees,
    escape::Escapes,
    inclusion::Inclusion,
    l1::Queue,
    liveness::Liveness,
    office::Offices,
    payers::{Closing, Payers},
    posted::PostedOnL1,
    promises::{
        ACCOUNTABLE, AGREEMENT, BLAMED, BLIND, CERTIFIED, CONSISTENT, CONTIGUITY, CREDITED, Check,
        DETERMINISM, DURABLE, ERASED, ESCAPE, FORGED, INCLUSION, LOCKED, MEMBER, NAMED, NEW_KEY,
        OFFICE, ONCE, ORDER, PAID, PAYS, POLKA, QUEUE, QUORUM, RETURNED, SAME_KEY, SEALED_TO,
        SETTLED, SLASHED, TAKEN, TIMELY, WHOLE, ensure,
    },
    rollups::Followers,
    settled::OnL1,
    settlement::Settlement,
    shares::Shares,
    votes::Votes,
};
pub(crate) use self::{
    committees::Machines,
    promises::{PROMISES, RUNS},
    rollups::Follower,
    shares::Sharing,
    sides::Oracles,
};

/// Watches a run.
#[derive(Clone)]
pub(crate) struct Oracle {
    honest: BTreeSet<u16>,
    violation: Option<Violation>,
    trace: Keccak256,
    votes: Votes,
    shares: Shares,
    chain: Chain,
    payers: Payers,
    inclusion: Inclusion,
    accountability: Accountability,
    attesters: Attesters,
    liveness: Liveness,
    keys: BTreeMap<Height, Vec<KeyChange>>,
    epochs: BTreeMap<Epoch, (Height, KeyId)>,
    /// Epochs of an era; 0 if there is one era only.
    era_epochs: u64,
    queue: Queue,
    settlement: Settlement,
    on_l1: OnL1,
    offices: Offices,
    escapes: Escapes,
    followers: Followers,
    posted: PostedOnL1,
    committees: Committees,
    /// Second machines that have voted for their validators.
    rotated: BTreeSet<u16>,
    counters: BTreeMap<&'static str, u64>,
    /// How far a block's time may be ahead of the time.
    ahead_max: Duration,
}

impl Oracle {
    /// An oracle for a run of `genesis` in which `honest` validators keep to the protocol.
    #[must_use]
    pub(crate) fn new(genesis: &Genesis, honest: BTreeSet<u16>) -> Self {
        Self {
            violation: None,
            trace: Keccak256::new(),
            votes: Votes::new(honest.clone()),
            shares: Shares::new(honest.clone()),
            chain: Chain::new(&honest),
            payers: Payers::new(genesis),
            inclusion: Inclusion::new(genesis),
            accountability: Accountability::default(),
            attesters: Attesters::default(),
            liveness: Liveness::default(),
            keys: BTreeMap::new(),
            epochs: BTreeMap::new(),
            era_epochs: genesis.params.sharing.era_epochs,
            queue: Queue::new(genesis),
            settlement: Settlement::new(genesis),
            on_l1: OnL1::default(),
            offices: Offices::default(),
            escapes: Escapes::new(ESCAPE_DELAY_BLOCKS.into(), genesis.l1_origin.number),
            followers: Followers::default(),
            posted: PostedOnL1::default(),
            committees: Committees::new(genesis),
            rotated: BTreeSet::new(),
            counters: BTreeMap::new(),
            ahead_max: Duration::from_millis(genesis.params.timing.clock_drift_max_ms),
            honest,
        }
    }

    /// For a world in which clocks are wrong by up to this much.
    #[must_use]
    pub(crate) fn with_clocks(mut self, wrong: Duration) -> Self {
        self.ahead_max = self.ahead_max.saturating_add(wrong);
        self
    }

    /// For a world in which these machines are of validators that change their keys.
    #[must_use]
    pub(crate) fn with_machines(mut self, machines: Machines) -> Self {
        self.committees.learn_machines(machines);
        self
    }

    /// The first promise that was broken.
    #[must_use]
    pub(crate) const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The lowest height that every honest validator has revealed.
    #[must_use]
    pub(crate) fn revealed_by_all(&self) -> Height {
        self.chain.revealed_by_all()
    }

    /// The highest height that an honest validator has decided.
    #[must_use]
    pub(crate) fn decided_by_any(&self) -> Height {
        self.chain.decided_by_any()
    }

    /// Digest of everything that became visible.
    #[must_use]
    pub(crate) fn trace_hash(&self) -> String {
        let hash: [u8; 32] = self.trace.clone().finalize().into();
        Digest::new(hash).to_string()
    }

    /// What was counted.
    #[must_use]
    pub(crate) fn counters(&self) -> BTreeMap<&'static str, u64> {
        let mut counters = self.counters.clone();
        counters.insert("nobody_saw", self.chain.unseen());
        counters.extend(self.queue.counters());
        counters.extend(self.payers.counters());
        counters.extend(self.on_l1.counters());
        counters.extend(self.offices.counters());
        counters.extend(self.escapes.counters());
        counters.extend(self.followers.counters());
        counters.insert("committee_changes", self.committees.changes());
        counters.insert("rotations", u64::try_from(self.rotated.len()).unwrap_or(u64::MAX));
        counters
    }

    /// L1 has finalized another block.
    pub(crate) fn l1_final(&mut self, block: &L1Block, witness: Option<&Witness>) {
        let check = self.queue.finalized(block, witness.map(|witness| witness.queue));
        self.note(check);
        let check = witness.map_or(Ok(()), |witness| self.witness(witness));
        self.note(check);
        self.committees.l1_final(block);
    }

    /// The newest final L1 block.
    pub(crate) fn l1_newest(&self) -> u64 {
        self.queue.newest()
    }

    /// The L1 block up to which every honest validator has revealed what L1 asks for.
    pub(crate) fn l1_revealed_by_all(&self) -> u64 {
        self.queue.origin_at(self.revealed_by_all())
    }

    /// A user handed in a bundle.
    pub(crate) fn handed_in(&mut self, handed: &Handed) {
        self.count("submitted");
        self.payers.register(handed);
    }

    /// A user sealed once more what came back.
    pub(crate) fn sealed_again(&mut self) {
        self.count("sealed_again");
    }

    /// A user handed in something hostile.
    pub(crate) fn spammed(&mut self) {
        self.count("spam");
    }

    /// A searcher handed in a bundle.
    pub(crate) fn searched(&mut self) {
        self.count("searcher_bundles");
    }

    /// A validator's process died.
    pub(crate) fn crashed(&mut self, node: u16) {
        self.count("crashes");
        self.inclusion.crashed(node);
        self.accountability.crashed(node);
        self.attesters.crashed(node);
        self.posted.crashed(node);
    }

    /// A validator is about to start again from its disk.
    pub(crate) fn recovers(&mut self, now: Time, node: u16, disk: &Disk, loss: Loss) {
        if !self.honest.contains(&node) {
            return;
        }
        let keeps = loss == Loss::Nothing;
        let check = self.read_back(now, node, disk);
        self.note(check);
        let check = self.chain.recovers(node, disk, keeps);
        self.note(check);
    }

    /// What became durable just before the crash, and nobody saw: it counts as told.
    fn read_back(&mut self, now: Time, node: u16, disk: &Disk) -> Check {
        let Ok(Some(tip)) = archive::tip(disk) else { return Ok(()) };
        for height in self.chain.decided_at(node).up_to(tip.decided) {
            let Ok(Some(stored)) = archive::block(disk, height) else { continue };
            let round = stored.certificate.round.as_u32();
            let (header, ids) = (&stored.block.header, &stored.block.body.bundles);
            let entries = &stored.block.body.l1_entries;
            self.queue.decided(header, entries)?;
            self.chain.decided(node, header.height, stored.block.id(), ids)?;
            self.payers.decided(header, entries, ids, self.closing(header))?;
            self.chain.builds_on(header)?;
            self.committees.decided(&stored.certificate)?;
            self.inclusion.decided(header, ids, round, &self.committees, &self.payers)?;
            self.chain.saw_unseen();
        }
        for height in self.chain.revealed_at(node).up_to(tip.revealed) {
            let Ok(Some(block)) = archive::revealed(disk, height) else { continue };
            let digest = archive::reveal(disk, height).ok().flatten().map(|reveal| reveal.digest);
            let mut batches = Vec::new();
            for (rollup, next) in self.chain.next_batches(node) {
                let found = archive::batches(disk, rollup, next, 1).unwrap_or_default();
                batches.extend(found.into_iter().filter(|batch| batch.height == height));
            }
            if let Ok(Some(commitment)) = archive::commitment(disk, height) {
                self.settlement.committed(node, &commitment);
            }
            self.revealed(now, node, &block, &batches, digest.unwrap_or_default())?;
            self.chain.saw_unseen();
        }
        Ok(())
    }

    /// A validator stopped itself.
    pub(crate) fn halted(&mut self, node: u16, why: &str) {
        let honest = self.honest.contains(&node);
        self.note(ensure(!honest, RUNS, || format!("validator {node}: {why}")));
    }

    /// How much a validator holds.
    pub(crate) fn holds(&mut self, node: u16, what: &str, found: usize, most: usize) {
        let fits = found <= most || !self.honest.contains(&node);
        let detail = || format!("validator {node} holds {found} {what}, at most {most} expected");
        self.note(ensure(fits, RUNS, detail));
    }

    /// A validator judged its peers.
    pub(crate) fn penalties(&mut self, node: u16, penalties: &[(Peer, Penalty)]) {
        for (peer, penalty) in penalties {
            self.count("penalties");
            let accused = match peer {
                Peer::Validator(index) => index.as_u16(),
                Peer::Full(number) => u16::try_from(*number).unwrap_or(u16::MAX),
            };
            let both = [node, accused].iter().all(|who| self.honest.contains(who));
            let detail = || format!("validator {node} blames {accused}: {penalty:?}");
            self.note(ensure(!both, BLAMED, detail));
        }
    }

    /// An honest validator sends a message to some others. What it promises by that it promises once.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others promise nothing")]
    pub(crate) fn sent(&mut self, now: Time, from: u16, to: &[u16], message: &Message) {
        let names: Vec<u8> = to.iter().flat_map(|to| to.to_be_bytes()).collect();
        self.trace_event(now, from, message.kind(), &names);
        let copies = u64::try_from(to.len()).unwrap_or(u64::MAX);
        let member = |height, what| self.committees.signs(from, height, what);
        let validator = self.committees.validator(from);
        let check = match message {
            Message::Consensus(ConsensusMessage::Vote(vote))
                if vote.voter.as_u16() == validator =>
            {
                self.inclusion.voted(from, vote);
                if validator != from {
                    self.rotated.insert(from);
                }
                let member = member(vote.height, "vote");
                let powers = self.committees.at(vote.height);
                member.and_then(|()| self.votes.vote(validator, vote, powers))
            }
            Message::Consensus(ConsensusMessage::Proposal(proposal))
                if proposal.proposer.as_u16() == validator =>
            {
                let member = member(proposal.height, "proposal");
                member.and_then(|()| self.votes.proposal(validator, proposal))
            }
            Message::Shares(message) if message.validator.as_u16() == validator => {
                let member = member(message.height, "shares");
                self.count_more("shares_sent", copies);
                member.and_then(|()| self.shares.sent(from, message, &self.chain))
            }
            Message::Attestation(found) if found.validator.as_u16() == validator => {
                self.settlement.attested(from, found, &self.chain)
            }
            Message::Part(_) => {
                self.count_more("parts_sent", copies);
                Ok(())
            }
            _ => Ok(()),
        };
        self.note(check);
    }

    /// Anyone, honest or not, sends a message.
    pub(crate) fn shown(&mut self, now: Time, message: &Message) {
        if let Message::Block(block) = message {
            self.inclusion.shown(now, block);
        }
        if let Message::Attestation(found) = message
            && !self.honest.contains(&found.validator.as_u16())
        {
            self.settlement.claimed(found);
        }
    }

    /// A message reaches a validator. Only what a liar says for itself is looked at here.
    pub(crate) fn heard(&mut self, now: Time, node: u16, from: u16, message: &Message) {
        if self.honest.contains(&from) || !self.honest.contains(&node) {
            return;
        }
        let decided = self.chain.decided_at(node);
        if let Message::Consensus(message) = message {
            self.accountability.heard(now, (node, from), message, decided);
        }
        if let Message::Shares(message) = message {
            self.accountability.sent_shares((node, from), message, decided);
        }
        if let Message::Attestation(found) = message
            && found.validator.as_u16() == from
        {
            let revealed = self.chain.revealed_at(node);
            self.accountability.attests((node, from), &found.commitment, revealed);
            if let Some(said) = self.attested_by(from, found, revealed) {
                self.attesters.heard(now, (node, from), &said, revealed);
            }
        }
    }

    /// What a liar has attested, if it is a member at that height and where the one that hears it is.
    fn attested_by(&self, from: u16, found: &Attestation, revealed: Height) -> Option<Heard> {
        let Attestation { commitment, signature, .. } = found;
        let height = commitment.height;
        self.committees.attests(from, revealed)?;
        let key = self.committees.attests(from, height)?;
        Some(Heard {
            height,
            digest: self.settlement.digest_of(commitment),
            signature: *signature,
            key,
        })
    }

    /// The faults have stopped.
    pub(crate) fn healed(&mut self) {
        self.liveness.healed(self.chain.decided_by_any());
    }

    /// What should have happened by now, counted in rounds; none if all is well.
    #[must_use]
    pub(crate) fn missed(&self) -> Option<String> {
        self.liveness.missed()
    }

    /// The run is over.
    pub(crate) fn settle(&mut self, now: Time) {
        let check = self.accountability.settle(now, &self.chain);
        self.note(check);
        let check = self.attesters.settle(now, |node| self.chain.revealed_at(node));
        self.note(check);
        let check = self.posted.settle(now);
        self.note(check);
        let revealed_at = |node| self.chain.revealed_at(node);
        let expected = |height| self.settlement.at(height).cloned();
        let check = self.accountability.settle_attestations(revealed_at, expected);
        self.note(check);
        if self.liveness.is_owed() {
            let check = self.settlement.settle(self.chain.revealed_by_all());
            self.note(check);
        }
    }

    /// The bundles that users still wait for, by what became of the others.
    #[must_use]
    pub(crate) fn is_included(&self, id: &BundleId) -> bool {
        self.payers.is_included(id)
    }

    /// What an honest validator's ledger says that a payer has.
    pub(crate) fn balance(&mut self, node: u16, at: Height, payer: &PayerAddress, found: Gwei) {
        // A decision that is on its way to the disk is told to nobody yet.
        if self.chain.decided_at(node) == at {
            let check = self.payers.balance(node, at, payer, found);
            self.note(check);
        }
    }

    /// Every payer that was ever heard of.
    #[must_use]
    pub(crate) fn all_payers(&self) -> Vec<PayerAddress> {
        self.payers.all()
    }

    fn trace_event(&mut self, now: Time, node: u16, kind: &str, detail: &[u8]) {
        self.trace.update(now.as_micros().to_be_bytes());
        self.trace.update(node.to_be_bytes());
        self.trace.update(kind.as_bytes());
        self.trace.update(detail);
    }

    fn note(&mut self, check: Check) {
        if let Err(violation) = check {
            self.violation.get_or_insert(violation);
        }
    }

    fn count(&mut self, what: &'static str) {
        self.count_more(what, 1);
    }

    fn count_more(&mut self, what: &'static str, more: u64) {
        let counter = self.counters.entry(what).or_default();
        *counter = counter.saturating_add(more);
    }
}
