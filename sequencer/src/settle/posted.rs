//! What L1 shows of another history than this node's: a certificate that somebody has posted there.
//!
//! Of a fork L1 settles one side. Whoever follows the other may never hear a message of the first: their networks are
//! apart, or those who forked the chain keep them so. But what settles is in the calldata of a posting, a quorum's
//! certificate, for everybody to read. So it is kept as one that a peer has shown ([`strays`](super::strays)), and is
//! held at once against what this node's own quorum has signed of that epoch: two quorums have more than a third of the
//! power in common.
//!
//! **Invariants.** Nothing is believed for being on L1: a quorum of the epoch's committee has signed it, or it is passed
//! over. Nobody is penalised, for nobody has sent it.
//!
//! **Bounds.** One certificate an input, of which nothing is kept beyond the bounds of strays.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{BlockCommitment, Committee, Member, SettlementCertificate, ValidatorIndex};

use super::strays::is_contradicted;
use crate::{input::Event, sequencer::Sequencer};

/// A certificate that was posted on L1, and what this node's archive has there ([`archive::posted`]).
///
/// [`archive::posted`]: crate::archive::posted
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Posted {
    /// The certificate, unchecked.
    pub certificate: SettlementCertificate,
    /// What this node's chain has at that height.
    pub ours: BlockCommitment,
    /// The committee of the certificate's epoch on this node's chain.
    pub committee: Vec<(ValidatorIndex, Member)>,
    /// The newest certificate of this node's chain for the same epoch, if there is one.
    pub binding: Option<SettlementCertificate>,
}

impl Sequencer {
    /// L1 shows a certificate of another commitment than this node's.
    pub(crate) fn on_posted(&mut self, posted: Posted) {
        let Posted { certificate, ours, committee, binding } = posted;
        let domain = self.context.domain;
        let (epoch, height) = (certificate.commitment.epoch, certificate.commitment.height);
        let (theirs, ours) =
            (domain.commitment(&certificate.commitment), (ours.height, domain.commitment(&ours)));
        if ours.0 != height || ours.1 == theirs {
            return;
        }
        let Ok(committee) = Committee::seated(committee) else { return };
        if certificate.verify(&committee, &domain).is_err() {
            return;
        }
        if !self.settlement.strays.has_quorum(epoch) {
            let detail = format!(
                "an L1 endpoint shows commitment {theirs} as posted where this node has {}, and a quorum has signed it: the \
                 chain has forked; compare with other endpoints which side L1 has settled",
                ours.1
            );
            self.event(Event::Anomaly { height, detail });
        }
        self.keep_stray(certificate.clone(), true);
        let binding = binding.filter(|binding| {
            is_contradicted(&certificate.commitment, &binding.commitment)
                && self.settlement.strays.is_any_free(&certificate, binding)
        });
        if let Some(binding) = binding {
            self.keep_contradiction(&certificate, binding);
        }
    }
}
