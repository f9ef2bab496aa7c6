//! What validators attest of another history than this node's, and who of them has attested this one, too.
//!
//! A commitment covers every one below it. So one of another history and a later one of this node's contradict each other,
//! and the path in this node's history shows it; so do the end of an epoch and whatever is attested of that epoch above it.
//! A node that hears the first keeps it until it hears the second:
//!
//! ```text
//!  attestation of another history ─▶ stray ──┬─▶ its author has attested ours, at its height or above ─▶ evidence
//!    └▶ its author is asked for the          │
//!       certificate ─▶ stray of a quorum ────┼─▶ … or does, alone or in a certificate ────────────────▶ evidence
//!  posted on L1 ─▶ stray of a quorum ────────┘
//! ```
//!
//! The other order, ours first and theirs later, needs the path in theirs, which whoever follows theirs has. This node gets
//! there with the next commitment of its own that they attest, at the latest at the end of the epoch, which takes a quorum.
//!
//! **Invariants.** A stray is signed by whom it names, by the committee of its epoch. Of each evidence all are guilty who
//! stand in both.
//!
//! **Bounds.** Of the epochs of which heights are kept: of each member of the committee the lowest stray that it has signed,
//! so no more than there are members, whatever is shown in whatever order; a piece of evidence for each member. What was
//! posted on L1 of an epoch that was left long ago is held against the archive, and is told and counted again if it is shown
//! again. They do not outlive the process; what follows from them does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{
    BlockCommitment, Committee, Epoch, Height, HistoryEntry, SettlementCertificate, ValidatorIndex,
};

use super::Collected;
use crate::{
    archive,
    input::{Event, Peer, Penalty},
    message::Message,
    sequencer::Sequencer,
};

/// Two commitments that contradict each other ([`conclave_types::contradict`]) and have signers in common. An attestation
/// alone is a certificate with one signer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DoubleAttestation {
    /// One; the lower one, if they are of two heights.
    pub first: SettlementCertificate,
    /// The other.
    pub second: SettlementCertificate,
    /// What the history of the second holds at the height of the first, if that is what shows it. A core does not know its
    /// own history by heart: [`archive::shown`] adds it.
    pub held: Option<HistoryEntry>,
}

impl DoubleAttestation {
    /// Those who signed both.
    #[must_use]
    pub fn accused(&self) -> Vec<ValidatorIndex> {
        let signers = self.first.signers.iter();
        signers.filter(|signer| self.second.signers.contains(signer)).copied().collect()
    }
}

/// What was attested of other histories.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    kept: BTreeMap<Epoch, Vec<Arc<SettlementCertificate>>>,
    /// Epochs of which a quorum's is among them.
    quorums: BTreeSet<Epoch>,
    /// Against whom there is evidence, whatever it is.
    convicted: BTreeSet<(Epoch, ValidatorIndex)>,
    /// Who attests another history, and where it has last.
    authors: BTreeMap<ValidatorIndex, (Epoch, Height)>,
    /// Of which height each of them was asked for the certificate.
    asked: BTreeMap<ValidatorIndex, Height>,
}

impl Strays {
    pub(super) fn of(&self, epoch: Epoch) -> &[Arc<SettlementCertificate>] {
        self.kept.get(&epoch).map_or(&[], Vec::as_slice)
    }

    /// Those of its signers against whom there is nothing yet.
    fn free<'a>(
        &'a self,
        stray: &'a SettlementCertificate,
    ) -> impl Iterator<Item = ValidatorIndex> + 'a {
        let epoch = stray.commitment.epoch;
        let signers = stray.signers.iter().copied();
        signers.filter(move |signer| !self.convicted.contains(&(epoch, *signer)))
    }

    /// Whether somebody against whom there is nothing yet has signed both.
    pub(super) fn is_any_free(
        &self,
        stray: &SettlementCertificate,
        ours: &SettlementCertificate,
    ) -> bool {
        self.free(stray).any(|signer| ours.signers.contains(&signer))
    }

    /// Whether a quorum's of that epoch is among them.
    pub(super) fn has_quorum(&self, epoch: Epoch) -> bool {
        self.quorums.contains(&epoch)
    }

    /// Keeps what is the lowest of one of its signers, and of what was kept only what still is: the lower one shows as much
    /// against all that its author has attested here, and more.
    pub(super) fn keep(&mut self, stray: SettlementCertificate, is_quorums: bool) {
        let epoch = stray.commitment.epoch;
        if is_quorums {
            self.quorums.insert(epoch);
        }
        let height = stray.commitment.height;
        let is_known = |signer: ValidatorIndex| {
            let mut kept = self.of(epoch).iter().filter(|kept| kept.commitment.height <= height);
            kept.any(|kept| kept.signers.contains(&signer))
        };
        if self.free(&stray).all(is_known) {
            return;
        }
        let kept = self.kept.entry(epoch).or_default();
        kept.push(Arc::new(stray));
        let mut lowest = BTreeMap::new();
        for (place, kept) in kept.iter().enumerate() {
            let this = (kept.commitment.height, place);
            for signer in &kept.signers {
                let least = lowest.entry(*signer).or_insert(this);
                *least = this.min(*least);
            }
        }
        let lowest: BTreeSet<_> = lowest.into_values().map(|(_, place)| place).collect();
        let mut place = 0..;
        kept.retain(|_| place.next().is_some_and(|place| lowest.contains(&place)));
    }

    /// Forgets the epochs before this one, but whom there is evidence against in the last of them: L1 still shows more of
    /// it, which is nothing new.
    pub(super) fn forget_before(&mut self, epoch: Epoch) {
        self.kept = self.kept.split_off(&epoch);
        let last = epoch.as_u64().checked_sub(1).map_or(epoch, Epoch::new);
        self.quorums = self.quorums.split_off(&last);
        self.convicted = self.convicted.split_off(&(last, ValidatorIndex::default()));
        self.authors.retain(|_, (of, _)| *of >= epoch);
        self.asked.retain(|author, _| self.authors.contains_key(author));
    }

    /// Whether it was asked for the certificate of that height. It answers once.
    pub(super) fn takes_answer(&mut self, from: Peer, height: Height) -> bool {
        let Peer::Validator(author) = from else { return false };
        let is_asked = self.asked.get(&author) == Some(&height);
        if is_asked {
            self.asked.remove(&author);
        }
        is_asked
    }
}

/// Whether no history holds the other one and what this node has there, `ours` being of one epoch with it and on a chain
/// of which the other is not.
pub(super) fn is_contradicted(stray: &BlockCommitment, ours: &BlockCommitment) -> bool {
    ours.epoch == stray.epoch && (ours.height >= stray.height || ours.ends_epoch())
}

/// A commitment as one validator attests it.
pub(super) fn alone(
    commitment: &BlockCommitment,
    validator: ValidatorIndex,
    signature: conclave_types::G2Bytes,
) -> SettlementCertificate {
    let (commitment, signers) = (commitment.clone(), vec![validator]);
    SettlementCertificate { commitment, signers, signature }
}

impl Collected {
    /// What `signer` has attested here by itself, if it is well signed.
    pub(super) fn attested_by(&self, signer: ValidatorIndex) -> Option<SettlementCertificate> {
        let said = self.attestations.get(&signer)?;
        let key = self.committee.settlement_key(signer)?;
        let is_signed = key.has_signed(&self.digest, &said.signature);
        is_signed.then(|| alone(&self.commitment, signer, said.signature))
    }
}

impl Sequencer {
    /// The committee of an epoch that this node still deals with.
    pub(super) fn committee_of(&self, epoch: Epoch) -> Option<Arc<Committee>> {
        let mut collected = self.settlement.collected.values();
        let known = collected.find(|collected| collected.commitment.epoch == epoch);
        let known = known.map(|collected| Arc::clone(&collected.committee));
        known.or_else(|| Some(Arc::clone(self.chain.keys.of_epoch(epoch)?.1.committee())))
    }

    /// Another commitment than this node has derived, well signed: confronts it with what its signers have attested here,
    /// and keeps it for what they will.
    pub(super) fn keep_stray(&mut self, stray: SettlementCertificate, is_quorums: bool) {
        let collected = self.settlement.collected.iter();
        let against =
            collected.filter(|(_, ours)| is_contradicted(&stray.commitment, &ours.commitment));
        let heights: Vec<Height> = against.map(|(height, _)| *height).collect();
        for height in heights {
            self.confront_sum(&stray, height);
            let free: Vec<_> = self.settlement.strays.free(&stray).collect();
            for signer in free {
                self.confront_one(&stray, height, signer);
            }
        }
        self.settlement.strays.keep(stray, is_quorums);
    }

    /// Somebody has attested a commitment of this node's chain: so has it another history?
    pub(super) fn confront_attestation(&mut self, height: Height, validator: ValidatorIndex) {
        for stray in self.strays_against(height) {
            if self.settlement.strays.free(&stray).any(|signer| signer == validator) {
                self.confront_one(&stray, height, validator);
            }
        }
    }

    /// A commitment of this node's chain is certified: has anyone in it attested another history?
    pub(super) fn confront_certificate(&mut self, height: Height) {
        for stray in self.strays_against(height) {
            self.confront_sum(&stray, height);
        }
    }

    fn strays_against(&self, height: Height) -> Vec<Arc<SettlementCertificate>> {
        let Some(ours) = self.settlement.collected.get(&height) else { return Vec::new() };
        let strays = self.settlement.strays.of(ours.commitment.epoch).iter();
        let against = strays.filter(|stray| is_contradicted(&stray.commitment, &ours.commitment));
        against.cloned().collect()
    }

    fn confront_sum(&mut self, stray: &SettlementCertificate, height: Height) {
        let Some(collected) = self.settlement.collected.get(&height) else { return };
        let Some(ours) = collected.certificate.as_deref() else { return };
        if self.settlement.strays.is_any_free(stray, ours) {
            let ours = ours.clone();
            self.keep_contradiction(stray, ours);
        }
    }

    fn confront_one(&mut self, stray: &SettlementCertificate, height: Height, by: ValidatorIndex) {
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        if let Some(ours) = collected.attested_by(by) {
            self.keep_contradiction(stray, ours);
        } else if collected.forget_signature(by).is_some() {
            // Nobody had looked at it, for its height is certified without it. Nobody looks at it again.
            collected.liars.insert(by, None);
            let penalty = Penalty::Invalid("an attestation with a bad signature");
            self.penalise(Peer::Validator(by), penalty);
        }
    }

    pub(super) fn keep_contradiction(
        &mut self,
        stray: &SettlementCertificate,
        ours: SettlementCertificate,
    ) {
        let is_below = stray.commitment.height < ours.commitment.height;
        let (first, second) = if is_below { (stray.clone(), ours) } else { (ours, stray.clone()) };
        self.keep_double_attestation(DoubleAttestation { first, second, held: None });
    }

    pub(super) fn keep_double_attestation(&mut self, evidence: DoubleAttestation) {
        let epoch = evidence.first.commitment.epoch;
        let accused = evidence.accused().into_iter().map(|signer| (epoch, signer));
        self.settlement.strays.convicted.extend(accused);
        self.evidence_count = self.evidence_count.saturating_add(1);
        self.write(archive::put_double_attestation(&evidence));
        self.event(Event::DoubleAttestation(Box::new(evidence)));
    }

    /// A validator attests another history at that height: it is to be asked for the certificate.
    pub(super) fn suspect(&mut self, author: ValidatorIndex, commitment: &BlockCommitment) {
        let at = (commitment.epoch, commitment.height);
        self.settlement.strays.authors.insert(author, at);
    }

    /// Asks whoever attests another history who else does. An honest validator on the other side of a fork shows whose work
    /// the fork is.
    pub(super) fn ask_for_strays(&mut self) {
        let strays = &self.settlement.strays;
        let authors =
            strays.authors.iter().filter(|(_, (epoch, _))| !strays.quorums.contains(epoch));
        let authors: Vec<_> = authors.map(|(author, (_, height))| (*author, *height)).collect();
        for (author, height) in authors {
            self.settlement.strays.asked.insert(author, height);
            self.send(Peer::Validator(author), Message::WantCertificate { height });
        }
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::{BlockId, Digest, G2Bytes, L1Origin};

    use super::*;

    const MEMBERS: u16 = 7;
    const EPOCH: Epoch = Epoch::new(1);

    /// Who has signed something of which height.
    type Signed<'a> = &'a [(&'a [u16], u64)];

    fn stray(signers: &[u16], height: u64) -> SettlementCertificate {
        let commitment = BlockCommitment {
            epoch: EPOCH,
            height: Height::new(height),
            block: BlockId::new([1; 32]),
            history_root: Digest::ZERO,
            reveal_root: Digest::ZERO,
            rollup_count: 0,
            l1_origin: L1Origin::default(),
            forced_cursor: 0,
            withdrawals_root: Digest::ZERO,
            epoch_end: None,
        };
        let signers = signers.iter().copied().map(ValidatorIndex::new).collect();
        SettlementCertificate { commitment, signers, signature: G2Bytes::new([0; 96]) }
    }

    fn kept(strays: &Strays) -> Vec<(Vec<u16>, u64)> {
        let kept = strays.of(EPOCH).iter();
        let described = kept.map(|stray| {
            let signers = stray.signers.iter().map(|signer| signer.as_u16()).collect();
            (signers, stray.commitment.height.as_u64())
        });
        described.collect()
    }

    #[test]
    fn of_each_signer_the_lowest_stays_and_nothing_else() {
        let table: [(&str, Signed<'_>, Signed<'_>); 6] = [
            ("a lower one of the same", &[(&[0, 1, 2], 9), (&[0, 1, 2], 8)], &[(&[0, 1, 2], 8)]),
            ("of more", &[(&[0, 1], 9), (&[2], 8), (&[0, 1, 2], 7)], &[(&[0, 1, 2], 7)]),
            ("of fewer", &[(&[0, 1, 2], 9), (&[0, 1], 8)], &[(&[0, 1, 2], 9), (&[0, 1], 8)]),
            (
                "and then of the rest",
                &[(&[0, 1, 2], 9), (&[0, 1], 8), (&[2], 7)],
                &[(&[0, 1], 8), (&[2], 7)],
            ),
            ("a higher one", &[(&[0, 1], 8), (&[0, 1], 9)], &[(&[0, 1], 8)]),
            (
                "a higher one of others too",
                &[(&[0, 1], 8), (&[1, 2], 9)],
                &[(&[0, 1], 8), (&[1, 2], 9)],
            ),
        ];
        for (case, shown, expected) in table {
            let mut strays = Strays::default();
            shown.iter().for_each(|(signers, height)| strays.keep(stray(signers, *height), true));
            let expected: Vec<_> =
                expected.iter().map(|(signers, height)| (signers.to_vec(), *height)).collect();
            assert_eq!(kept(&strays), expected, "{case}");
            assert!(strays.has_quorum(EPOCH), "{case}");
        }
    }

    #[test]
    fn however_many_certificates_are_shown_no_more_are_kept_than_there_are_members() {
        let mut strays = Strays::default();
        // An endpoint shows one of each height, each lower than the one before, of ever other signers.
        for height in (1..1_000).rev() {
            let first = u16::try_from(height).unwrap() % MEMBERS;
            let signers: Vec<_> = (0..5).map(|next| (first + next) % MEMBERS).collect();
            strays.keep(stray(&signers, height), true);
            assert!(strays.of(EPOCH).len() <= usize::from(MEMBERS), "{height}");
        }
        for signer in (0..MEMBERS).map(ValidatorIndex::new) {
            let lowest =
                kept(&strays).into_iter().filter(|(signers, _)| signers.contains(&signer.as_u16()));
            assert!(lowest.map(|(_, height)| height).min() <= Some(3), "{signer}");
        }
    }
}
