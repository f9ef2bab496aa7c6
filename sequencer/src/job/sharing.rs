//! Work on the sharing of the key: dealing, checking, receiving.

use std::{ops::Range, sync::Arc};

use conclave_encryption::{Dkg, HolderKey, SecretShare};
use conclave_types::{Digest, Height, SharingMessage, ValidatorIndex};

use super::JobOutput;
use crate::{keys::check_message, store::SecretBytes};

/// Check messages of a sharing.
#[derive(Debug)]
pub struct SharingCheckJob {
    /// The newest decided height.
    pub at: Height,
    /// Each with the digest of all its bytes and the state that it is for.
    pub items: Vec<(Digest, Dkg, Arc<SharingMessage>)>,
}

impl SharingCheckJob {
    pub(super) fn run(self) -> JobOutput {
        let judge = |(leaf, dkg, message): (Digest, Dkg, Arc<SharingMessage>)| {
            (leaf, check_message(&dkg, &message))
        };
        let verdicts = self.items.into_iter().map(judge).collect();
        JobOutput::SharingChecked { at: self.at, verdicts }
    }
}

/// Deal this validator's polynomial.
#[derive(Debug)]
pub struct DealJob {
    /// The attempt.
    pub dkg: Dkg,
    /// Whose dealing: the validator's index, or its old point.
    pub dealer: u16,
    /// The old share, for a resharing.
    pub share: Option<Arc<SecretShare>>,
    /// Fresh: the polynomial follows from it.
    pub seed: SecretBytes,
}

impl DealJob {
    pub(super) fn run(self) -> JobOutput {
        let Self { dkg, dealer, share, seed } = self;
        let result = match share {
            None => dkg.deal(ValidatorIndex::new(dealer), seed.expose()),
            Some(share) => dkg.reshare(dealer, &share, seed.expose()),
        };
        JobOutput::Dealt { dkg: Box::new(dkg), result: result.map(Box::new) }
    }
}

/// Look for wrong evaluations in the dealings.
#[derive(Debug)]
pub struct InspectJob {
    /// The attempt.
    pub dkg: Dkg,
    /// The holder's key for it.
    pub key: Arc<HolderKey>,
}

impl InspectJob {
    pub(super) fn run(self) -> JobOutput {
        let complaints = self.dkg.complaints(&self.key);
        JobOutput::Inspected { dkg: Box::new(self.dkg), complaints }
    }
}

/// Add up the shares of the new key that one validator gets.
#[derive(Debug)]
pub struct ReceiveJob {
    /// The attempt.
    pub dkg: Dkg,
    /// The holder's key for it.
    pub key: Arc<HolderKey>,
    /// Its points.
    pub points: Range<u16>,
}

impl ReceiveJob {
    /// Receives them, and has what blocks under that key will be compared with ready before there is one.
    pub(super) fn run(self) -> JobOutput {
        if let Some(outcome) = self.dkg.outcome() {
            outcome.key().sealing_key().prepare();
        }
        self.add_up()
    }

    /// Without that, for a shell that opens no blocks.
    #[must_use]
    pub fn add_up(self) -> JobOutput {
        let share = |point| Ok((point, Arc::new(self.dkg.my_share(&self.key, point)?)));
        let result = self.points.clone().map(share).collect();
        JobOutput::Received { dkg: Box::new(self.dkg), result }
    }
}

#[cfg(test)]
mod tests {
    use conclave_encryption::{Holders, Packing, Session, SessionId, Suite};
    use conclave_types::{Epoch, Era, NetworkId, Round};

    use super::*;
    use crate::job::Job;

    #[test]
    fn what_a_job_shows_of_itself_is_no_secret() {
        let id = SessionId {
            network: NetworkId::ZERO,
            era: Era::ZERO,
            epoch: Epoch::new(1),
            round: Round::ZERO,
        };
        let (holders, packing) = (Holders::one_each(1), Packing::for_parties(1));
        let session = Session::fresh(id, Suite::Packed, holders.unwrap(), packing.unwrap());
        let session = session.unwrap();
        let share = SecretShare::from_bytes(&[0x5b; 32]).unwrap();
        let key = HolderKey::derive(&session, ValidatorIndex::new(0), &[0x5c; 32]);
        let dkg = Dkg::new(session);
        let (share, seed) = (Some(Arc::new(share)), SecretBytes::new([0x5a; 32]));
        let jobs = [
            Job::Deal(DealJob { dkg: dkg.clone(), dealer: 0, share, seed }),
            Job::Inspect(InspectJob { dkg, key: Arc::new(key) }),
        ];
        for job in jobs {
            let shown = format!("{job:?} {job:#?}");
            for secret in [0x5a_u8, 0x5b, 0x5c] {
                let [bytes, digits] =
                    [format!("{secret}, {secret}"), format!("{secret:02x}").repeat(2)];
                assert!(!shown.contains(&bytes) && !shown.contains(&digits), "{shown}");
            }
        }
    }
}
