//! A payer at work: picks a lane, keeps its sequence, seals, submits.
//!
//! A lane is held from sealing to admission, so that a sequence is used once; parallel submissions
//! take further lanes. A lane stays with one validator while that one answers, because the next
//! sequence is only known where the one before has arrived. What a failure leaves open — was it
//! admitted or not? — is asked, not guessed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_types::{BundleId, BundleNonce, EncryptedBundle, Leg};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tonic::Code;

use crate::{Admission, Client, ClientError, Payer, Terms};

/// Lanes that a wallet opens by itself, and so its submissions in flight. Further ones wait for a
/// lane. Each lane ever used is a row in every validator's ledger, which has 256 for each payer.
const LANES_MAX: u64 = 64;

/// How often a refused nonce is tried again: the bundle before it may still be on its way there.
const NONCE_ATTEMPTS: u32 = 6;

/// Pause after the first refusal of a nonce; it doubles.
const NONCE_PAUSE: Duration = Duration::from_millis(20);

/// The next sequence of a lane; none if only the network knows.
type Lane = Arc<Mutex<Option<u64>>>;

/// An admitted bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its id: what to watch.
    pub id: BundleId,
    /// The bundle, to hand in again wherever one likes.
    pub bundle: EncryptedBundle,
    /// What the validator answered.
    pub admission: Admission,
}

/// Submits for one payer. Cheap to clone; clones share their lanes.
#[derive(Clone, Debug)]
pub struct Wallet {
    client: Client,
    payer: Payer,
    lanes: Arc<Mutex<BTreeMap<u64, Lane>>>,
}

impl Wallet {
    pub(crate) fn new(client: Client, payer: Payer) -> Self {
        Self { client, payer, lanes: Arc::default() }
    }

    /// Who pays.
    #[must_use]
    pub const fn payer(&self) -> &Payer {
        &self.payer
    }

    /// The client it submits through.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Seals `legs` as one bundle — all of them in one block, or none — and submits it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] says why it was not admitted. After [`ClientError::Unavailable`] it
    /// may have been: the lane asks for its sequence before it is used again.
    pub async fn submit(&self, legs: &[Leg], terms: &Terms) -> Result<Submission, ClientError> {
        let (lane, mut next) = match terms.lane {
            Some(lane) => (lane, self.lane(lane).await.lock_owned().await),
            None => self.free_lane().await,
        };
        let endpoints = u64::try_from(self.client.endpoints().count()).unwrap_or(1);
        let first = usize::try_from(lane % endpoints.max(1)).unwrap_or(0);
        let mut attempt = 0;
        loop {
            let sequence = match *next {
                Some(sequence) => sequence,
                None => self.pending(first, lane).await?,
            };
            let nonce = BundleNonce { lane, sequence };
            let bundle = self.client.seal(&self.payer, nonce, legs, terms).await?;
            // Unknown until there is an answer, also if the caller drops this future meanwhile.
            *next = None;
            match self.client.submit_to(first, &bundle).await {
                Ok(admission) => {
                    *next = sequence.checked_add(1);
                    return Ok(Submission { id: bundle.id(), bundle, admission });
                }
                Err(ClientError::Refused(status)) => {
                    *next = Some(sequence);
                    match self.another(first, nonce, status.code(), attempt).await? {
                        Some(other) if attempt < NONCE_ATTEMPTS => {
                            tracing::debug!(lane, sequence, other, %status, "trying again");
                            *next = Some(other);
                        }
                        _ => return Err(ClientError::Refused(status)),
                    }
                }
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// After a refusal: the sequence to try with, if the nonce may have been the reason.
    async fn another(
        &self,
        first: usize,
        nonce: BundleNonce,
        code: Code,
        attempt: u32,
    ) -> Result<Option<u64>, ClientError> {
        if !matches!(code, Code::FailedPrecondition | Code::InvalidArgument) {
            return Ok(None);
        }
        let pending = self.pending(first, nonce.lane).await?;
        if pending > nonce.sequence {
            return Ok(Some(pending));
        }
        if pending == nonce.sequence || code == Code::InvalidArgument {
            return Ok(None);
        }
        // The bundle before has not arrived there, or never will. It has half of the attempts to.
        tokio::time::sleep(NONCE_PAUSE.saturating_mul(1 << attempt.min(NONCE_ATTEMPTS))).await;
        Ok(Some(if attempt < NONCE_ATTEMPTS / 2 { nonce.sequence } else { pending }))
    }

    /// The next sequence of a lane, as the validator that it is with sees it.
    async fn pending(&self, first: usize, lane: u64) -> Result<u64, ClientError> {
        let account = self.client.account_at(first, self.payer.address(), lane).await?;
        Ok(account.next_sequence_pending.max(account.next_sequence))
    }

    async fn lane(&self, lane: u64) -> Lane {
        Arc::clone(self.lanes.lock().await.entry(lane).or_default())
    }

    /// A lane that nobody holds: the lowest there is, or a new one. When all are held, waits for one.
    async fn free_lane(&self) -> (u64, OwnedMutexGuard<Option<u64>>) {
        let crowded = {
            let mut lanes = self.lanes.lock().await;
            for (number, lane) in lanes.range(..LANES_MAX) {
                if let Ok(next) = Arc::clone(lane).try_lock_owned() {
                    return (*number, next);
                }
            }
            let unused = (0..LANES_MAX).find(|number| !lanes.contains_key(number));
            if let Some(number) = unused {
                let lane: Lane = Arc::default();
                lanes.insert(number, Arc::clone(&lane));
                drop(lanes);
                return (number, lane.lock_owned().await);
            }
            // All are held; the waiting are spread by what they happen to find.
            rand_core::RngCore::next_u64(&mut rand_core::OsRng) % LANES_MAX
        };
        (crowded, self.lane(crowded).await.lock_owned().await)
    }
}
