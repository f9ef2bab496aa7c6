//! A payer at work: picks a lane, keeps its sequence, seals, submits.
//!
//! A lane is held from sealing to admission, so that a sequence is used once; parallel submissions
//! take further lanes. A lane stays with one validator while that one answers, because the next
//! sequence is only known where the one before has arrived. What a failure leaves open — was it
//! admitted or not? — is asked, not guessed.
//!
//! Validators keep what is not ordered in memory. Should all of them die at once it is gone, and
//! whatever comes later in its lane would wait behind a hole for ever. So a wallet keeps what was
//! admitted until it is ordered, looks now and then whether it is still there, and hands in again what
//! is not: before it uses a lane, and while one of its own watches waits.
//!
//! What an era leaves over is sealed again, to the key in force, under the same nonce and until the same height. At
//! most one of the two can ever be ordered, so no validator's word has to be taken for it.

mod kept;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use conclave_types::{BundleId, BundleNonce, EncryptedBundle, Leg};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::Instant,
};
use tonic::Code;

use self::kept::Kept;
use crate::{Admission, Client, ClientError, Level, Payer, Terms, Watch};

/// Lanes that a wallet opens by itself, and so its submissions in flight. Further ones wait for a
/// lane. Each lane ever used is a row in every validator's ledger, which has 256 for each payer.
const LANES_MAX: u64 = 64;

/// How often a refused nonce is tried again: the bundle before it may still be on its way there.
const NONCE_ATTEMPTS: u32 = 6;

/// Pause after the first refusal of a nonce; it doubles.
const NONCE_PAUSE: Duration = Duration::from_millis(20);

/// How often a lane is compared with what the validators know of it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Bundles of one lane that are kept until they are ordered. A validator holds no more of one payer, so
/// beyond it the oldest must have been ordered since the last look, and is forgotten.
const UNORDERED_MAX: usize = 2_048;

/// What a wallet knows of a lane.
#[derive(Debug, Default)]
struct State {
    /// The next sequence; none if only the network knows.
    next: Option<u64>,
    /// Admitted, and not known to be ordered, by sequence.
    unordered: VecDeque<Kept>,
    /// What was sealed again and ordered since, the newest last: by the id that a watch may still have.
    renamed: VecDeque<(BundleId, BundleId)>,
    /// When the validators were last asked about it.
    looked: Option<Instant>,
}

impl State {
    /// Whether it is time to ask the validators about what was admitted.
    fn is_due(&self) -> bool {
        !self.unordered.is_empty() && self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY)
    }

    /// The next sequence is free, and the bundle is looked after.
    fn admitted(&mut self, kept: Kept, admission: Admission) -> Submission {
        let bundle = Arc::clone(kept.bundle());
        self.next = bundle.header.nonce.sequence.checked_add(1);
        self.keep(kept);
        Submission { id: bundle.id(), bundle, admission }
    }

    fn keep(&mut self, kept: Kept) {
        if self.unordered.len() >= UNORDERED_MAX {
            self.unordered.pop_front();
        }
        // What was admitted just now is not looked for at once.
        if self.unordered.is_empty() {
            self.looked = Some(Instant::now());
        }
        self.unordered.push_back(kept);
    }

    fn forget(&mut self, id: &BundleId) {
        self.unordered.retain(|kept| kept.id() != *id);
    }

    /// Forgets what has been ordered: everything before the lane's next sequence.
    fn ordered(&mut self, next: u64) {
        let renamed = &mut self.renamed;
        self.unordered.retain(|kept| {
            let waits = kept.sequence() >= next;
            if !waits {
                renamed.extend(kept.names());
            }
            waits
        });
        let excess = self.renamed.len().saturating_sub(UNORDERED_MAX);
        self.renamed.drain(..excess);
    }

    /// What a bundle has become: another one, if it was sealed again.
    fn now(&self, id: &BundleId) -> Option<BundleId> {
        let waiting = self.unordered.iter().find(|kept| kept.was(id)).map(Kept::id);
        let ordered = self.renamed.iter().find(|(before, _)| before == id).map(|(_, now)| *now);
        waiting.or(ordered)
    }
}

type Lane = Arc<Mutex<State>>;

/// An admitted bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its id: what to watch.
    pub id: BundleId,
    /// The bundle, to hand in again wherever one likes.
    pub bundle: Arc<EncryptedBundle>,
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
        let (number, mut lane) = match terms.lane {
            Some(number) => (number, self.lane(number).await.lock_owned().await),
            None => self.free_lane().await,
        };
        let first = self.endpoint(number);
        let mut attempt = 0;
        loop {
            let sequence = self.sequence(number, &mut lane).await?;
            let nonce = BundleNonce { lane: number, sequence };
            let bundle = Arc::new(self.client.seal(&self.payer, nonce, legs, terms).await?);
            // Unknown until there is an answer, also if the caller drops this future meanwhile.
            lane.next = None;
            match self.client.submit_to(first, &bundle).await {
                Ok(admission) => {
                    return Ok(lane.admitted(Kept::new(bundle, legs, terms), admission));
                }
                Err(ClientError::Refused(status)) => {
                    lane.next = Some(sequence);
                    if attempt < NONCE_ATTEMPTS && self.is_sealed_in_vain(&bundle, &status).await? {
                        attempt += 1;
                        continue;
                    }
                    let other = self.another(first, nonce, status.code(), attempt).await?;
                    // A validator that did not live to answer may have taken it and shown it to the others.
                    // Sealed once more, the same would be paid for twice.
                    if other.is_some_and(|other| other > sequence)
                        && let Some(known) = self.client.known_at(first, bundle.id()).await?
                    {
                        let kept = Kept::new(bundle, legs, terms);
                        return Ok(lane.admitted(kept, Admission::Known(known)));
                    }
                    match other {
                        Some(other) if attempt < NONCE_ATTEMPTS => {
                            tracing::debug!(number, sequence, other, %status, "trying again");
                            lane.next = Some(other);
                        }
                        _ => return Err(ClientError::Refused(status)),
                    }
                }
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Follows a bundle of this wallet up to `until`, and hands it in again if the validators lose it before
    /// it is ordered.
    #[must_use]
    pub fn watch(&self, submission: &Submission, until: Level) -> Watch {
        let lane = submission.bundle.header.nonce.lane;
        let keeper = Keeper { wallet: self.clone(), lane };
        Watch::new(self.client.clone(), submission.id, until, Some(keeper))
    }

    /// The endpoint that a lane stays with.
    fn endpoint(&self, lane: u64) -> usize {
        let endpoints = u64::try_from(self.client.endpoints().count()).unwrap_or(1);
        usize::try_from(lane % endpoints.max(1)).unwrap_or(0)
    }

    /// The next sequence of a lane, after a look at it if one is due.
    async fn sequence(&self, number: u64, lane: &mut State) -> Result<u64, ClientError> {
        match lane.next {
            Some(next) if !lane.is_due() => Ok(next),
            _ => {
                self.look(number, lane).await?;
                // A look leaves a sequence.
                lane.next.ok_or(ClientError::Inconsistent("a lane has a next sequence"))
            }
        }
    }

    /// Whether a bundle was refused because it is sealed to a key whose era is over.
    async fn is_sealed_in_vain(
        &self,
        bundle: &EncryptedBundle,
        refused: &tonic::Status,
    ) -> Result<bool, ClientError> {
        let may_be = refused.code() == Code::InvalidArgument;
        Ok(may_be && self.client.is_out_of_use(bundle.header.key_id).await?)
    }

    /// Compares a lane with what its validator knows: forgets what was ordered, and hands in again what is
    /// neither ordered nor waiting, sealed again if the era of its key is over. Returns what cannot be admitted any more, with the reason.
    async fn look(
        &self,
        number: u64,
        lane: &mut State,
    ) -> Result<Vec<(BundleId, Box<tonic::Status>)>, ClientError> {
        let first = self.endpoint(number);
        let account = self.client.account_at(first, self.payer.address(), number).await?;
        lane.looked = Some(Instant::now());
        lane.ordered(account.next_sequence);
        let mut pending = account.next_sequence_pending.max(account.next_sequence);
        let is_lost = |kept: &&mut Kept| kept.sequence() >= pending;
        let mut hopeless = Vec::new();
        let mut has_lost = false;
        for kept in lane.unordered.iter_mut().filter(is_lost) {
            has_lost = true;
            if let Some(status) = self.hand_in_again(first, kept).await? {
                hopeless.push((kept.id(), status));
            }
        }
        for (id, _) in &hopeless {
            lane.forget(id);
        }
        if has_lost {
            pending = self.pending(first, number).await?;
        }
        // The validator may be behind and not know of the newest yet. But what has become hopeless leaves
        // a hole, which the next bundle fills.
        lane.next = match lane.next {
            Some(next) if hopeless.is_empty() => Some(next.max(pending)),
            Some(_) | None => Some(pending),
        };
        Ok(hopeless)
    }

    /// Hands in a bundle that a validator does not know any more; why, if it can never be admitted again.
    async fn hand_in_again(
        &self,
        first: usize,
        kept: &mut Kept,
    ) -> Result<Option<Box<tonic::Status>>, ClientError> {
        let refused = self.refused(first, kept.bundle()).await?;
        match refused {
            Some(status) if self.is_sealed_in_vain(kept.bundle(), &status).await? => {
                kept.seal_again(&self.client, &self.payer).await?;
                self.refused(first, kept.bundle()).await
            }
            refused => Ok(refused),
        }
    }

    /// Hands in a bundle; why, if it can never be admitted.
    async fn refused(
        &self,
        first: usize,
        bundle: &EncryptedBundle,
    ) -> Result<Option<Box<tonic::Status>>, ClientError> {
        match self.client.submit_to(first, bundle).await {
            Ok(_) => Ok(None),
            Err(ClientError::Refused(status)) if status.code() == Code::InvalidArgument => {
                Ok(Some(status))
            }
            Err(ClientError::Refused(status)) => {
                tracing::debug!(id = %bundle.id(), %status, "not taken now: there will be another look");
                Ok(None)
            }
            Err(error) => Err(error),
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
    async fn free_lane(&self) -> (u64, OwnedMutexGuard<State>) {
        let crowded = {
            let mut lanes = self.lanes.lock().await;
            for (number, lane) in lanes.range(..LANES_MAX) {
                if let Ok(state) = Arc::clone(lane).try_lock_owned() {
                    return (*number, state);
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

/// Looks after a lane for a watch.
#[derive(Debug)]
pub(crate) struct Keeper {
    wallet: Wallet,
    lane: u64,
}

impl Keeper {
    /// Looks at the lane, if it is time, and returns what the bundle is now if it is still looked after: another
    /// one if it was sealed again.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if the bundle was lost and cannot be admitted any more.
    pub(crate) async fn look(&self, id: &BundleId) -> Result<Option<BundleId>, ClientError> {
        self.look_if(id, State::is_due).await
    }

    /// The same, whether it is time or not.
    pub(crate) async fn look_now(&self, id: &BundleId) -> Result<Option<BundleId>, ClientError> {
        self.look_if(id, |_| true).await
    }

    async fn look_if(
        &self,
        id: &BundleId,
        is_due: impl Fn(&State) -> bool,
    ) -> Result<Option<BundleId>, ClientError> {
        let lane = self.wallet.lane(self.lane).await;
        let mut lane = lane.lock().await;
        if is_due(&lane) {
            let hopeless = self.wallet.look(self.lane, &mut lane).await?;
            if let Some((_, status)) = hopeless.into_iter().find(|(lost, _)| lost == id) {
                return Err(ClientError::Refused(status));
            }
        }
        Ok(lane.now(id))
    }
}

#[cfg(test)]
mod tests;
