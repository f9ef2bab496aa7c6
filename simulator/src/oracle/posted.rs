//! What L1 shows convicts: of a fork it settles one side, in certificates that anybody can read there. So whoever has
//! signed one of them, and one of the chain that an honest validator follows, of one epoch and at its height or above, is
//! convicted by that validator, though it never heard a message of the other side.
//!
//! Asked for is what it can know: both were told to it a while ago, in one life of its process.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use conclave_sequencer::Event;
use conclave_types::{Epoch, Height, SettlementCertificate, Time};

use super::{ACCOUNTABLE, Check, Oracle, ensure};

/// How long it may take from reading something to evidence of it.
const WITHIN: Duration = Duration::from_secs(2);

/// A certificate, and when it was there.
#[derive(Clone, Debug)]
struct Seen {
    at: Time,
    height: Height,
    signers: BTreeSet<u16>,
}

impl Seen {
    fn new(at: Time, certificate: &SettlementCertificate) -> Self {
        let signers = certificate.signers.iter().map(|signer| signer.as_u16()).collect();
        Self { at, height: certificate.commitment.height, signers }
    }
}

/// What honest validators have certified and read, and whom they have evidence against.
#[derive(Clone, Debug, Default)]
pub(super) struct PostedOnL1 {
    certified: BTreeMap<(u16, Epoch), Vec<Seen>>,
    read: BTreeMap<(u16, Epoch), Vec<Seen>>,
    given: BTreeSet<(u16, u16, Epoch)>,
}

impl PostedOnL1 {
    /// An honest validator tells something.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are none of it")]
    pub(super) fn told(&mut self, now: Time, node: u16, event: &Event) {
        match event {
            Event::Certified(certificate) => {
                let at = (node, certificate.commitment.epoch);
                self.certified.entry(at).or_default().push(Seen::new(now, certificate));
            }
            Event::DoubleAttestation(evidence) => {
                let epoch = evidence.first.commitment.epoch;
                let signers = evidence.first.signers.iter();
                let both = signers.filter(|signer| evidence.second.signers.contains(signer));
                self.given.extend(both.map(|signer| (node, signer.as_u16(), epoch)));
            }
            _ => {}
        }
    }

    /// It is shown a certificate of another history.
    fn reads(&mut self, now: Time, node: u16, certificate: &SettlementCertificate) {
        let at = (node, certificate.commitment.epoch);
        self.read.entry(at).or_default().push(Seen::new(now, certificate));
    }

    /// What was read does not outlive the process, nor does everything that was certified, if the disk is lost, too.
    pub(super) fn crashed(&mut self, node: u16) {
        self.certified.retain(|(of, _), _| *of != node);
        self.read.retain(|(of, _), _| *of != node);
    }

    /// At the end: nobody who stands in both got away.
    pub(super) fn settle(&self, now: Time) -> Check {
        let is_due = |seen: &&Seen| seen.at.after(WITHIN) <= now;
        for ((node, epoch), read) in &self.read {
            let certified = self.certified.get(&(*node, *epoch)).into_iter().flatten();
            let newest = certified.filter(is_due).max_by_key(|seen| seen.height);
            let Some(newest) = newest else { continue };
            let against = read.iter().filter(is_due).filter(|seen| seen.height <= newest.height);
            let mut both = against.flat_map(|seen| seen.signers.intersection(&newest.signers));
            let free = both.find(|signer| !self.given.contains(&(*node, **signer, *epoch)));
            ensure(free.is_none(), ACCOUNTABLE, || {
                let signer = free.copied().unwrap_or_default();
                format!(
                    "validator {node} was shown on L1 what {signer} has signed of another history of epoch {epoch}, \
                     and has no evidence"
                )
            })?;
        }
        Ok(())
    }
}

impl Oracle {
    /// A provider shows a validator a certificate that has settled, of another history than its own.
    pub(crate) fn reads_on_l1(
        &mut self,
        now: Time,
        node: u16,
        certificate: &SettlementCertificate,
    ) {
        if self.honest.contains(&node) {
            self.posted.reads(now, node, certificate);
        }
    }
}

#[cfg(test)]
mod tests {
    use conclave_sequencer::DoubleAttestation;
    use conclave_types::{BlockCommitment, BlockId, Digest, G2Bytes, L1Origin, ValidatorIndex};

    use super::*;

    const BEGIN: Time = Time::from_micros(1_000_000);
    const LATER: Time = Time::from_micros(9_000_000);

    fn certificate(epoch: u64, height: u64, signers: &[u16]) -> SettlementCertificate {
        let commitment = BlockCommitment {
            epoch: Epoch::new(epoch),
            height: Height::new(height),
            block: BlockId::ZERO,
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

    fn gets_away(own: &SettlementCertificate, then: impl Fn(&mut PostedOnL1)) -> bool {
        let mut posted = PostedOnL1::default();
        posted.told(BEGIN, 0, &Event::Certified(own.clone().into()));
        posted.reads(BEGIN, 0, &certificate(1, 9, &[2, 3, 4]));
        then(&mut posted);
        posted.settle(LATER).is_err()
    }

    #[test]
    fn who_signs_what_settles_and_what_another_side_certifies_does_not_get_away() {
        let nothing = |_: &mut PostedOnL1| {};
        for (own, expected) in [
            (certificate(1, 9, &[0, 1, 2]), true),
            (certificate(1, 12, &[4, 5]), true),
            (certificate(1, 8, &[0, 1, 2]), false),
            (certificate(2, 12, &[0, 1, 2]), false),
            (certificate(1, 12, &[0, 1, 5]), false),
        ] {
            assert_eq!(gets_away(&own, nothing), expected, "{own:?}");
        }
        let own = certificate(1, 12, &[1, 2]);
        let evidence = |of: &[u16]| {
            let (first, second) = (certificate(1, 9, of), certificate(1, 12, of));
            Event::DoubleAttestation(Box::new(DoubleAttestation { first, second, held: None }))
        };
        assert!(!gets_away(&own, |posted| posted.told(BEGIN, 0, &evidence(&[2]))));
        assert!(gets_away(&own, |posted| posted.told(BEGIN, 0, &evidence(&[3]))));
        assert!(gets_away(&own, |posted| posted.told(BEGIN, 1, &evidence(&[2]))));
        assert!(!gets_away(&own, |posted| posted.crashed(0)));
        let mut late = PostedOnL1::default();
        late.told(BEGIN, 0, &Event::Certified(own.into()));
        late.reads(LATER, 0, &certificate(1, 9, &[2]));
        assert!(late.settle(LATER).is_ok(), "it has had no time");
    }
}
