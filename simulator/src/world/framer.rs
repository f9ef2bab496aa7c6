//! Somebody who has heard every message that was ever sent, on both sides of a fork, and shows L1 whatever speaks against
//! anybody.
//!
//! No network brings all of that to one place, and no validator passes on what it hears. So whoever is innocent before this
//! one is innocent before everybody: what can be made of an honest validator's messages, and of whoever forks the chain, is
//! made here, with the words in which nodes report (`conclave_contracts::report`) and the paths that either side's archive
//! has. Of two attestations of two epochs, which L1 has to refuse, too, it shows those as well.
//!
//! **Bounds.** A report of each validator at a time, every [`AGAIN_BLOCKS`]; a few pairs of votes of each. What was heard
//! is as much as a run has.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_consensus::{ConsensusMessage, Evidence, SignedProposal, SignedVote};
use conclave_sequencer::{
    DoubleAttestation, Message,
    archive::{self, Kept},
};
use conclave_types::{
    Attestation, Committee, Digest, Epoch, Height, SettlementCertificate, ValidatorIndex,
    digest::SigningDomain,
};

use super::{BEGIN, World, node::Node};
use crate::{
    disk::Disk,
    l1::{Accusation, Besides},
};

/// After so many L1 blocks it shows what there is against a validator again, if that has done nothing.
const AGAIN_BLOCKS: u64 = 4;
/// Pairs of votes or proposals of one validator that are kept.
const PAIRS_MAX: usize = 4;

/// Who said it, at which height, in which round, and which of the two votes it is.
type Place = (u16, Height, u32, u8);

/// What somebody has attested: each once, whomever it was sent to.
type Said = BTreeMap<(Epoch, Height, Digest), Arc<Attestation>>;

/// Everything that was said.
#[derive(Debug, Default)]
pub(super) struct Framer {
    votes: BTreeMap<Place, Arc<SignedVote>>,
    proposals: BTreeMap<Place, Arc<SignedProposal>>,
    pairs: BTreeMap<u16, Vec<Evidence>>,
    attested: BTreeMap<u16, Said>,
    /// Before which L1 block nothing is shown again, by validator.
    rests: BTreeMap<u16, u64>,
    /// Reports of those who fork the chain, and of those who do not.
    reports: u64,
    framings: u64,
}

impl Framer {
    /// What it did, by name.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [("reports_of_forkers", self.reports), ("framings", self.framings)].into_iter()
    }

    /// Somebody sends a message.
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is signed and judged so")]
    fn hears(&mut self, message: &Message, domain: &SigningDomain) {
        match message {
            Message::Consensus(ConsensusMessage::Vote(vote)) => {
                let SignedVote { kind, height, round, voter, .. } = **vote;
                let at = (voter.as_u16(), height, round.as_u32(), kind.code());
                let first = self.votes.entry(at).or_insert_with(|| Arc::clone(vote));
                if first.block != vote.block {
                    let both = Evidence::Votes((**first).clone(), (**vote).clone());
                    self.keep(both);
                }
            }
            Message::Consensus(ConsensusMessage::Proposal(proposal)) => {
                let SignedProposal { height, round, proposer, .. } = **proposal;
                let at = (proposer.as_u16(), height, round.as_u32(), 0);
                let first = self.proposals.entry(at).or_insert_with(|| Arc::clone(proposal));
                if (first.block, first.pol_round) != (proposal.block, proposal.pol_round) {
                    let both = Evidence::Proposals((**first).clone(), (**proposal).clone());
                    self.keep(both);
                }
            }
            Message::Attestation(said) => {
                let (epoch, height) = (said.commitment.epoch, said.commitment.height);
                let digest = domain.commitment(&said.commitment);
                let all = self.attested.entry(said.validator.as_u16()).or_default();
                all.entry((epoch, height, digest)).or_insert_with(|| Arc::clone(said));
            }
            _ => {}
        }
    }

    fn keep(&mut self, evidence: Evidence) {
        let pairs = self.pairs.entry(evidence.offender().as_u16()).or_default();
        if pairs.len() < PAIRS_MAX {
            pairs.push(evidence);
        }
    }

    /// What there is to show of a validator, with the epoch of it: what contradicts itself before what does not.
    fn against(
        &self,
        validator: u16,
        disks: &[&Disk],
        domain: &SigningDomain,
    ) -> Option<(Epoch, Kept)> {
        let histories = disks.iter().filter_map(|disk| self.histories(validator, disk, domain));
        let histories: Vec<_> = histories.collect();
        let is_one_epoch =
            |both: &DoubleAttestation| both.first.commitment.epoch == both.second.commitment.epoch;
        let best = histories.iter().find(|both| is_one_epoch(both));
        let votes = self.pairs.get(&validator).into_iter().flatten();
        let of_votes = votes.filter_map(|evidence| {
            let blocks = disks.iter().map(|disk| archive::block(*disk, evidence.at().0));
            let block = blocks.filter_map(|block| block.ok().flatten()).next()?;
            Some((block.block.header.epoch, Kept::Equivocation(Box::new(evidence.clone()))))
        });
        let whole = |both: &DoubleAttestation| {
            (both.first.commitment.epoch, Kept::DoubleAttestation(Box::new(both.clone())))
        };
        let rest = histories.first().map(whole);
        best.map(whole).or_else(|| of_votes.into_iter().next()).or(rest)
    }

    /// An attestation that is not of this archive's history, and one that is, at its height or above: of its epoch, if there
    /// is one.
    fn histories(
        &self,
        validator: u16,
        disk: &Disk,
        domain: &SigningDomain,
    ) -> Option<DoubleAttestation> {
        let said = self.attested.get(&validator)?;
        let held = |height| archive::commitment(disk, height).ok().flatten();
        let sorted = said.iter().filter_map(|((epoch, height, digest), said)| {
            let is_ours = domain.commitment(&held(*height)?) == *digest;
            Some((*epoch, *height, said, is_ours))
        });
        let (ours, others): (Vec<_>, Vec<_>) = sorted.partition(|(.., is_ours)| *is_ours);
        let pairs = others.iter().flat_map(|(epoch, height, other, _)| {
            let above = ours.iter().rev().filter(move |ours| ours.1 >= *height);
            above.map(move |ours| (*epoch == ours.0, *other, ours.2))
        });
        let (_, other, ours) = pairs.max_by_key(|(is_one_epoch, ..)| *is_one_epoch)?;
        let (first, second) = (alone(other), alone(ours));
        let both = DoubleAttestation { first, second, held: None };
        archive::shown(disk, domain, both).ok().flatten()
    }
}

/// An attestation as a certificate with one signer.
fn alone(said: &Attestation) -> SettlementCertificate {
    SettlementCertificate {
        commitment: said.commitment.clone(),
        signers: vec![said.validator],
        signature: said.signature,
    }
}

impl World {
    /// Somebody sends a message, to whomever.
    pub(super) fn see(&mut self, message: &Message) {
        self.oracle.each().for_each(|oracle| oracle.shown(self.now, message));
        if let Some(framer) = &mut self.framer {
            framer.hears(message, &SigningDomain::of(&self.genesis));
        }
    }

    /// L1 has another block: whoever has not been seized is accused of what there is.
    pub(super) fn frame(&mut self) {
        let domain = SigningDomain::of(&self.genesis);
        if self.scenario.fork.as_ref().is_some_and(|fork| fork.reports) {
            return;
        }
        let from_ms = self.scenario.fork.as_ref().map_or(0, |fork| fork.shown_ms);
        if self.now < BEGIN.after(Duration::from_millis(from_ms)) {
            return;
        }
        for validator in 0..self.scenario.validators {
            let Some(number) = self.l1.as_ref().and_then(|l1| l1.head()).map(|head| head.number)
            else {
                return;
            };
            let disks = self.sides();
            let committee = |epoch| {
                let found = disks.iter().map(|disk| archive::committee(*disk, epoch));
                found.filter_map(|committee| committee.ok().flatten()).next()
            };
            let Some(framer) = &self.framer else { return };
            let is_early = framer.rests.get(&validator).is_some_and(|until| number < *until);
            let of_l1 = u32::from(validator).saturating_add(1);
            let is_seized = self.l1.as_ref().is_some_and(|l1| l1.is_accused(of_l1));
            if is_early || is_seized {
                continue;
            }
            let Some((epoch, evidence)) = framer.against(validator, &disks, &domain) else {
                continue;
            };
            let Some(committee) = committee(epoch) else { continue };
            self.accuse(validator, (epoch, &evidence), &committee, number);
        }
    }

    fn accuse(
        &mut self,
        validator: u16,
        (epoch, evidence): (Epoch, &Kept),
        committee: &Committee,
        number: u64,
    ) {
        let is_honest = self.nodes.get(usize::from(validator)).is_some_and(Node::is_honest);
        let Some((l1, framer)) = self.l1.as_mut().zip(self.framer.as_mut()) else { return };
        let domain = SigningDomain::of(&self.genesis);
        let accused = [ValidatorIndex::new(validator)];
        let besides = Besides::Nothing;
        let accusation =
            Accusation { evidence, accused: &accused, epoch, committee, domain, besides };
        l1.report(1, &accusation);
        framer.rests.insert(validator, number.saturating_add(AGAIN_BLOCKS));
        let count = if is_honest { &mut framer.framings } else { &mut framer.reports };
        *count = count.saturating_add(1);
        if !is_honest {
            self.oracle.here().accuses(validator);
        }
    }

    /// What is on the disks of somebody who is on both sides.
    fn sides(&self) -> Vec<&Disk> {
        let both = self.doubles().first().map(|(second, first)| [*first, *second]);
        let nodes = both.into_iter().flatten();
        nodes.filter_map(|node| self.nodes.get(usize::from(node))).map(|node| &node.disk).collect()
    }
}
