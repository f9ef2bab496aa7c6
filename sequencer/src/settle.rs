//! From revealed blocks to what L1 accepts: a commitment for each, attested by its epoch's committee, and the
//! sum of a quorum's attestations.
//!
//! ```text
//!  revealed ─▶ commitment ─▶ attest ─▶ broadcast ─▶ collect ─▶ quorum? ─▶ certificate ─▶ shell posts it
//!                   │           (job)                            (job)
//!                   └─▶ history: a mountain range over all of them
//! ```
//!
//! A commitment is a function of the revealed block and of those before, so honest validators attest the same.
//! One that is lost is no loss: a later one covers it through its history root. Only the last of an epoch is
//! needed by itself, because L1 changes its committee by it: those are asked for until they are certified.
//!
//! **Invariants.**
//! - A validator attests one commitment for a height, and one history in an epoch ([`bound`]), whatever happens: it is
//!   durable, with the signer's mark over it, before it is sent, and where records may be lost the validator is silent.
//! - An attestation counts only if its author sent it, and only for the commitment that this node derives. What is
//!   attested of another history is held against its author ([`strays`]).
//!
//! - Whoever signs two commitments of one height, and is heard signing both, is convicted by them: also if neither is
//!   this node's, and if both come before the reveal.
//!
//! **Bounds.** [`HEIGHTS_KEPT`] heights, with an attestation of each member and of whoever lies another, besides epochs'
//! ends that no quorum has certified; attestations that come before the reveal for [`EARLY_MAX`] heights,
//! [`EARLY_EACH_MAX`] of each member. A signature that is not right ends what is heard of its author about that height,
//! and costs it a penalty.

mod bound;
mod collect;
#[cfg(test)]
mod forks;
mod posted;
mod restore;
mod strays;
#[cfg(test)]
pub(crate) mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_derivation::{RevealTree, Sources};
use conclave_types::{
    Attestation, Batch, BlockCommitment, Committee, Digest, EpochEnd, G2Bytes, Height, HeightDelta,
    RevealedBlock, SettlementCertificate, Time, ValidatorIndex, Withdrawal, mmr::Peaks,
    withdrawals_root,
};

use crate::{archive, input::Event, keys::Keys, sequencer::Sequencer};

pub use posted::Posted;
pub(crate) use restore::SettlementCheckpoint;
pub use strays::DoubleAttestation;
use strays::Strays;

/// Heights for which attestations are held, certified or not: long enough for two that contradict each other to
/// meet here.
const HEIGHTS_KEPT: HeightDelta = HeightDelta::new(64);
/// How far above the newest revealed height attestations are kept.
const EARLY_MAX: HeightDelta = HeightDelta::new(8);
/// Attestations of one validator for one height that are kept until then: two that differ contradict each other.
const EARLY_EACH_MAX: usize = 2;
/// How far behind the newest decided height a block is not worth attesting: the others have done so. Well more than
/// the lag of reveals at which blocks stop carrying bundles. An epoch's end is always worth it.
const STALE: HeightDelta = HeightDelta::new(48);
/// How long a commitment may wait for its certificate before others are asked.
const PATIENCE: Duration = Duration::from_secs(1);

/// A revealed height on its way to a certificate.
#[derive(Debug)]
struct Collected {
    commitment: BlockCommitment,
    digest: Digest,
    /// Of the commitment's epoch.
    committee: Arc<Committee>,
    /// This validator's own attestation.
    own: Option<Arc<Attestation>>,
    /// As they came: a message that is here is not copied.
    attestations: BTreeMap<ValidatorIndex, Arc<Attestation>>,
    /// Voting power of those who signed.
    power: u64,
    /// Whose attestation was wrong: and what it has signed instead, until something contradicts that.
    liars: BTreeMap<ValidatorIndex, Option<SettlementCertificate>>,
    /// A job is under way.
    working: bool,
    certificate: Option<Arc<SettlementCertificate>>,
    /// When this node saw it first, or asked last.
    since: Option<Time>,
}

impl Collected {
    fn new(commitment: BlockCommitment, digest: Digest, committee: Arc<Committee>) -> Self {
        Self {
            commitment,
            digest,
            committee,
            own: None,
            attestations: BTreeMap::new(),
            power: 0,
            liars: BTreeMap::new(),
            working: false,
            certificate: None,
            since: None,
        }
    }

    fn signed(&mut self, attestation: Arc<Attestation>) {
        let validator = attestation.validator;
        if self.attestations.insert(validator, attestation).is_none() {
            self.power = self.power.saturating_add(self.power_of(validator));
        }
    }

    fn forget_signature(&mut self, validator: ValidatorIndex) -> Option<G2Bytes> {
        let attestation = self.attestations.remove(&validator)?;
        self.power = self.power.saturating_sub(self.power_of(validator));
        Some(attestation.signature)
    }

    fn power_of(&self, validator: ValidatorIndex) -> u64 {
        self.committee.get(validator).map_or(0, |member| member.power)
    }

    const fn is_epoch_end(&self) -> bool {
        self.commitment.epoch_end.is_some()
    }
}

/// What is on its way to L1.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// Over the commitments of all revealed heights.
    history: Peaks,
    collected: BTreeMap<Height, Collected>,
    early: BTreeMap<(Height, ValidatorIndex), Vec<Arc<Attestation>>>,
    strays: Strays,
    /// What this node's chain has at the height of the commitment that the signer's mark names.
    at_mark: Option<(Height, Digest)>,
    /// The newest height with a certificate here.
    certified: Height,
    /// Whom to ask next.
    turn: usize,
}

impl Settlement {
    /// The newest height with a certificate here; everything up to it is certified through its history root.
    pub(crate) const fn certified(&self) -> Height {
        self.certified
    }

    /// The oldest height that waits for its certificate or may still be contradicted: its committee is needed.
    pub(crate) fn oldest(&self) -> Option<Height> {
        self.collected.first_key_value().map(|(height, _)| *height)
    }

    /// Drops what is too old, but for epochs' ends without a certificate.
    fn forget(&mut self, revealed: Height) {
        let Some(least) = revealed.checked_sub(HEIGHTS_KEPT) else { return };
        self.collected.retain(|height, collected| {
            *height > least || collected.is_epoch_end() && collected.certificate.is_none()
        });
        if let Some((_, oldest)) = self.collected.first_key_value() {
            self.strays.forget_before(oldest.commitment.epoch);
        }
    }
}

/// The commitment to a revealed block, whose items come from `sources`, `history_root` being that over all before. A pure function: every node and
/// every auditor gets the same. None if the batches are not the block's.
pub(crate) fn commitment(
    (sources, block): (&Sources, &RevealedBlock),
    batches: &[Batch],
    withdrawals: &[Withdrawal],
    history_root: Digest,
    epoch_end: Option<EpochEnd>,
) -> Option<BlockCommitment> {
    let reveal = RevealTree::of(sources, batches).ok()?.root();
    Some(BlockCommitment {
        epoch: block.epoch,
        height: block.height,
        block: block.block,
        history_root,
        reveal_root: reveal.root,
        rollup_count: reveal.count,
        l1_origin: block.l1_origin,
        forced_cursor: block.forced_cursor,
        withdrawals_root: withdrawals_root(withdrawals),
        epoch_end,
    })
}

/// What the commitment at `height` adds if the epoch ends with it: the committee and the key of the next one.
pub(crate) fn epoch_end(keys: &Keys, height: Height) -> Option<EpochEnd> {
    let next = keys.epochs().at(height.next());
    if next == keys.epochs().at(height) {
        return None;
    }
    let (key, members) = keys.of_epoch(next)?;
    let next_committee = members.committee().settlement_digest();
    Some(EpochEnd { next_committee, dkg_result: members.dkg_result(key).root() })
}

impl Sequencer {
    /// A block was revealed: commits to it.
    pub(crate) fn commit_to(
        &mut self,
        sources: &Sources,
        block: &RevealedBlock,
        batches: &[Batch],
        withdrawals: &[Withdrawal],
    ) {
        let height = block.height;
        let end = epoch_end(&self.chain.keys, height);
        let history_root = self.settlement.history.root();
        let Some(commitment) =
            commitment((sources, block), batches, withdrawals, history_root, end)
        else {
            return self.halt(format!("height {height}: the batches are not those of the block"));
        };
        let digest = self.context.domain.commitment(&commitment);
        for (subtree, root) in self.settlement.history.append(&digest) {
            self.write(archive::put_history(subtree, &root));
        }
        self.write(archive::put_commitment(&commitment));
        if commitment.epoch_end.is_some() {
            self.write(archive::put_epoch_end(commitment.epoch, height));
        }
        let committee = Arc::clone(self.chain.keys.committee_at(height));
        let before = height.previous().filter(|before| *before > Height::ZERO);
        let epochs = self.chain.keys.epochs();
        if before.is_none_or(|before| epochs.at(before) != commitment.epoch) {
            self.write(archive::put_committee(commitment.epoch, &committee));
            let sharing = self.chain.keys.at(height);
            if let Some(sharing) = sharing.map(|key| key.members.dkg_result(&key.key)) {
                self.write(archive::put_sharing(commitment.epoch, &sharing));
            }
        }
        self.event(Event::Committed(Box::new(commitment.clone())));
        let mut collected = Collected::new(commitment, digest, committee);
        let (mut others, mut said) = (Vec::new(), Vec::new());
        let later = self.settlement.early.split_off(&(height.next(), ValidatorIndex::default()));
        let early = std::mem::replace(&mut self.settlement.early, later).into_iter();
        for early in early.filter(|((at, _), _)| *at == height).flat_map(|(_, early)| early) {
            if early.commitment == collected.commitment {
                said.push(early.validator);
                collected.signed(early);
            } else {
                others.push(early);
            }
        }
        self.settlement.collected.insert(height, collected);
        for other in others {
            self.on_other_commitment(&other);
        }
        for validator in said {
            self.confront_attestation(height, validator);
        }
        self.settlement.forget(height);
        self.write(archive::put_settlement(&self.settlement.checkpoint()));
        self.compare_with_l1(height, self.settlement.history.root());
        self.compare_with_mark(height, digest);
        self.attest(height);
        self.certify(height);
    }
}
