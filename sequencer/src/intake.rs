//! How sealed bundles come in: from clients and from other validators, through verification, into the
//! pool and to whichever block waits for them.
//!
//! Verification costs a fifth of a millisecond or so a bundle, so it is a job, and one job at a time takes all
//! that is waiting: under load the batch grows and the cost for each bundle falls. While this node computes shares or
//! openings of a block, and in the first moment after a decision where that helps, the cores are its: what
//! comes in then is verified together afterwards, or when the first of it has waited [`YIELD_MAX`].
//!
//! **Bounds.** [`WAITING_MAX`] bundles wait; what comes beyond is refused (from clients) or dropped
//! (from peers, who are asked again if a block needs it). Bundles that a block needs go first.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use conclave_encryption::SealingKey;
use conclave_mempool::admission::{self, AdmissionError, AdmittedKeys, Verified};
use conclave_types::{BundleId, EncryptedBundle, Height, HeightDelta, Time};

use crate::{
    archive::{self, Read},
    input::{Event, Peer, Penalty, ReceiptBody, Rejection},
    job::{Job, VerifyJob},
    message::Message,
    sequencer::Sequencer,
    store::Store,
};

/// Bundles that wait to be verified: several seconds' worth at full load.
const WAITING_MAX: usize = 4_096;
/// Their bytes: a tenth of the memory that a validator is meant to take.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// What is left to clients of both when peers have filled the rest.
const CLIENT_SHARE: usize = 4;
/// Bundles in one verification job: enough for the batch to pay, few enough for a low latency.
const BATCH_MAX: usize = 64;
/// For so long at most verification makes way for blocks: about what it takes to decide and open one on a loaded machine.
const YIELD_MAX: Duration = Duration::from_millis(50);
/// Ids that proposed blocks name and that are not here. The engine bounds the blocks; when the ids are
/// more than this, all are forgotten, and each block that still needs some says so when it is looked at.
const NEEDED_MAX: usize = 65_536;
/// Bytes of bundles that are kept beside the pool, because a block needs them, until it has them all:
/// several full blocks. What does not fit any more starts anew, and is asked for again.
const HELD_BYTES_MAX: usize = 32 << 20;
/// Bundles of the era that ended last, of which it is remembered that no block took them: as many as a pool
/// holds. What comes beyond is as unknown as what never came.
const RETURNED_MAX: usize = 16_384;
/// By when a bundle should be included, in heights, if its own expiry is not earlier.
const RECEIPT_HEIGHTS: HeightDelta = HeightDelta::new(256);

/// Where a bundle came from.
#[derive(Clone, Debug)]
enum Origin {
    Client { ticket: u64 },
    Peer(Peer),
}

#[derive(Debug)]
struct Waiting {
    bundle: Arc<EncryptedBundle>,
    origins: Vec<Origin>,
    since: Time,
}

/// Bundles on their way in.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    queue: VecDeque<BundleId>,
    waiting: BTreeMap<BundleId, Waiting>,
    waiting_bytes: usize,
    verifying: bool,
    /// Until when what waits makes way for a block.
    yields_until: Option<Time>,
    needed: BTreeSet<BundleId>,
    held: BTreeMap<BundleId, Arc<EncryptedBundle>>,
    held_bytes: usize,
    bad: BTreeSet<BundleId>,
    /// What bundles may be sealed to.
    admitted: AdmittedKeys,
    /// Bundles that were here when their era took no more, and that no block had taken.
    returned: BTreeSet<BundleId>,
}

impl Intake {
    /// What a start finds: nothing on its way, and what it once told to be returned still is.
    pub(crate) fn recover<S: Store>(admitted: AdmittedKeys, store: &S) -> Read<Self, S> {
        Ok(Self { admitted, returned: archive::returned(store)?, ..Self::default() })
    }

    /// Whether the bundle was here until the era of its key took no more, and no block had taken it.
    pub(crate) fn is_returned(&self, id: &BundleId) -> bool {
        self.returned.contains(id)
    }

    /// A block needs this bundle: keep it whatever the pool says, and verify it first if it waits for that.
    pub(crate) fn need(&mut self, id: BundleId) {
        if self.needed.len() >= NEEDED_MAX {
            self.needed.clear();
        }
        let is_new = self.needed.insert(id);
        if is_new && let Some(place) = self.queue.iter().position(|queued| *queued == id) {
            self.queue.remove(place);
            self.queue.push_front(id);
        }
    }

    /// No block needs anything any more: a height was decided.
    pub(crate) fn forget_needed(&mut self) {
        self.needed.clear();
        self.held.clear();
        self.held_bytes = 0;
        self.bad.clear();
    }

    /// Whether a bundle that a block needs has a signature or proof that does not hold.
    pub(crate) fn is_bad(&self, id: &BundleId) -> bool {
        self.bad.contains(id)
    }

    /// A verified bundle that was kept because a block needs it.
    pub(crate) fn held(&self, id: &BundleId) -> Option<&Arc<EncryptedBundle>> {
        self.held.get(id)
    }

    /// Whether the bundle is here and being verified.
    pub(crate) fn is_waiting(&self, id: &BundleId) -> bool {
        self.waiting.contains_key(id)
    }

    /// Keeps a verified bundle that a block needs, if one does.
    fn hold(&mut self, id: BundleId, bundle: &Arc<EncryptedBundle>) -> bool {
        if !self.needed.contains(&id) {
            return false;
        }
        let bytes = bundle.size_bytes();
        if self.held_bytes.saturating_add(bytes) > HELD_BYTES_MAX {
            self.held.clear();
            self.held_bytes = 0;
        }
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        self.held.insert(id, Arc::clone(bundle));
        true
    }

    /// Notes that a bundle which a block names is forged, if one names it.
    fn condemn(&mut self, id: BundleId) -> bool {
        if self.bad.len() >= NEEDED_MAX {
            self.bad.clear();
        }
        self.needed.contains(&id) && self.bad.insert(id)
    }

    /// When what makes way is verified whatever else there is to do.
    pub(crate) const fn wake_at(&self) -> Option<Time> {
        self.yields_until
    }

    /// Until when what waits can make way; none if a block needs some of it, or there is a whole batch.
    fn can_yield_until(&self) -> Option<Time> {
        let first = self.queue.front().filter(|_| self.queue.len() < BATCH_MAX)?;
        let waiting = self.waiting.get(first).filter(|_| !self.needed.contains(first))?;
        Some(waiting.since.after(YIELD_MAX))
    }

    /// Whether one more may wait. Peers leave a quarter to clients.
    fn has_room(&self, bundle: &EncryptedBundle, origin: &Origin) -> bool {
        let reserved = |most: usize| match origin {
            Origin::Client { .. } => most,
            Origin::Peer(_) => most.saturating_sub(most / CLIENT_SHARE),
        };
        let bytes = self.waiting_bytes.saturating_add(bundle.size_bytes());
        self.waiting.len() < reserved(WAITING_MAX) && bytes <= reserved(WAITING_BYTES_MAX)
    }

    fn dequeue(&mut self, id: &BundleId) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.bundle.size_bytes());
        Some(waiting)
    }

    fn enqueue(&mut self, since: Time, id: BundleId, bundle: Arc<EncryptedBundle>, origin: Origin) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.origins.push(origin);
            return;
        }
        if self.needed.contains(&id) {
            self.queue.push_front(id);
        } else {
            self.queue.push_back(id);
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(bundle.size_bytes());
        self.waiting.insert(id, Waiting { bundle, origins: vec![origin], since });
    }
}

impl Sequencer {
    pub(crate) fn on_submit(&mut self, now: Time, ticket: u64, bundle: EncryptedBundle) {
        let id = bundle.id();
        if self.pool.contains(&id) {
            let receipt = self.receipt(now, id, &bundle);
            self.ready.effects.answers.push((ticket, Ok(receipt)));
            return;
        }
        if let Err(rejection) = self.precheck(&bundle, &id) {
            self.ready.effects.answers.push((ticket, Err(rejection)));
            return;
        }
        let origin = Origin::Client { ticket };
        if !self.intake.has_room(&bundle, &origin) {
            let busy = Rejection::Busy { waiting: self.intake.waiting.len() };
            self.ready.effects.answers.push((ticket, Err(busy)));
            return;
        }
        self.intake.enqueue(now, id, Arc::new(bundle), origin);
    }

    /// The cheap checks: what fails them never costs a signature check.
    fn precheck(&self, bundle: &EncryptedBundle, id: &BundleId) -> Result<(), Rejection> {
        if self.chain.keys.newest().is_none() {
            return Err(Rejection::NoKey);
        }
        let (rules, decided) = (&self.context.rules, self.chain.decided());
        admission::check_form(bundle, rules, &self.intake.admitted, decided)?;
        self.pool.precheck(bundle, id, &self.chain.ledger)?;
        Ok(())
    }

    pub(crate) fn on_bundles(&mut self, now: Time, from: Peer, bundles: Vec<Arc<EncryptedBundle>>) {
        for bundle in bundles {
            let id = bundle.id();
            let known = self.pool.contains(&id)
                || self.intake.held.contains_key(&id)
                || self.intake.bad.contains(&id)
                || self.intake.waiting.contains_key(&id);
            if known {
                continue;
            }
            let needed = self.intake.needed.contains(&id);
            let origin = Origin::Peer(from);
            // A full node has nothing to pass on, but it may answer when a block needs something.
            let welcome = matches!(from, Peer::Validator(_))
                && self.intake.has_room(&bundle, &origin)
                && self.precheck(&bundle, &id).is_ok();
            if needed || welcome {
                self.intake.enqueue(now, id, bundle, origin);
            }
        }
    }

    pub(crate) fn verify_waiting(&mut self, now: Time) {
        self.intake.yields_until = None;
        if self.intake.verifying || self.intake.queue.is_empty() {
            return;
        }
        if self.is_opening(now) {
            self.intake.yields_until = self.intake.can_yield_until().filter(|until| now < *until);
            if self.intake.yields_until.is_some() {
                return;
            }
        }
        let Some((key, ids)) = self.next_to_verify() else { return };
        let waiting = ids.into_iter().filter_map(|id| Some((id, self.intake.waiting.get(&id)?)));
        let (ids, bundles) = waiting.map(|(id, waiting)| (id, Arc::clone(&waiting.bundle))).unzip();
        self.intake.verifying = true;
        let job = VerifyJob { key, seed: self.context.next_seed(), ids, bundles };
        self.ask(Job::Verify(job));
    }

    /// Those that wait for one key, the longest first. Where a bundle names a key that is none of the last,
    /// which only a forger does, the newest key finds that.
    fn next_to_verify(&mut self) -> Option<(Arc<SealingKey>, Vec<BundleId>)> {
        let keys = &self.chain.keys;
        let newest = Arc::clone(&keys.newest()?.sealing);
        let Intake { queue, waiting, .. } = &mut self.intake;
        let key_of = |id: &BundleId| {
            let named = waiting.get(id).map(|waiting| waiting.bundle.header.key_id);
            named.and_then(|named| keys.sealing_key(&named)).unwrap_or(&newest)
        };
        let key = Arc::clone(key_of(queue.front()?));
        let mut ids = Vec::new();
        queue.retain(|id| {
            let is_next = ids.len() < BATCH_MAX && key_of(id).id() == key.id();
            if is_next {
                ids.push(*id);
            }
            !is_next
        });
        Some((key, ids))
    }

    /// A block is decided: if the era of a key takes no more bundles with it, those here go back to who sealed
    /// them.
    pub(crate) fn end_era(&mut self, height: Height) {
        let admitted = self.chain.keys.admitted(height.next());
        if admitted == self.intake.admitted {
            return;
        }
        self.intake.admitted = admitted;
        let bundles = self.pool.retire(&admitted);
        if !bundles.is_empty() {
            self.intake.returned = bundles.iter().take(RETURNED_MAX).copied().collect();
            self.write(archive::put_returned(&self.intake.returned));
            self.event(Event::Returned { height, bundles });
        }
    }

    pub(crate) fn on_verified(
        &mut self,
        now: Time,
        verdicts: Vec<(Arc<EncryptedBundle>, Result<Verified, AdmissionError>)>,
    ) {
        self.intake.verifying = false;
        let mut fresh = Vec::new();
        for (bundle, verdict) in verdicts {
            let id = verdict.as_ref().map_or_else(|_| bundle.id(), Verified::id);
            let Some(waiting) = self.intake.dequeue(&id) else { continue };
            match verdict {
                Ok(verified) => {
                    if self.accept(now, verified, &bundle, &waiting.origins) {
                        fresh.push(bundle);
                    }
                }
                Err(error) => self.refuse(id, &error, &waiting.origins),
            }
        }
        if !fresh.is_empty() {
            self.broadcast(Message::Bundles(fresh));
        }
    }

    /// Takes a verified bundle in; returns whether it should be passed on to the other validators.
    fn accept(
        &mut self,
        now: Time,
        verified: Verified,
        bundle: &Arc<EncryptedBundle>,
        origins: &[Origin],
    ) -> bool {
        let id = verified.id();
        if self.intake.hold(id, bundle) {
            self.candidates.changed();
        }
        let inserted = self.insert(now, verified, bundle);
        if inserted.is_ok() {
            self.event(Event::Admitted { bundle: id });
            self.await_shares(id);
            self.proposer.pool_changed();
        }
        let mut from_client = false;
        for origin in origins {
            if let Origin::Client { ticket } = origin {
                from_client = true;
                let answer = match &inserted {
                    Ok(_) => Ok(self.receipt(now, id, bundle)),
                    Err(rejection) => Err(rejection.clone()),
                };
                self.ready.effects.answers.push((*ticket, answer));
            }
        }
        from_client && inserted.is_ok()
    }

    /// Puts a bundle into the pool, unless the era of its key has come to its end while it was verified.
    fn insert(
        &mut self,
        now: Time,
        verified: Verified,
        bundle: &Arc<EncryptedBundle>,
    ) -> Result<(), Rejection> {
        let (admitted, found) = (&self.intake.admitted, bundle.header.key_id);
        if !admitted.admit(&found) {
            return Err(AdmissionError::Key { expected: admitted.current, found }.into());
        }
        self.pool.insert(Arc::clone(bundle), verified, now, &self.chain.ledger)?;
        Ok(())
    }

    fn refuse(&mut self, id: BundleId, error: &AdmissionError, origins: &[Origin]) {
        if self.intake.condemn(id) {
            self.candidates.changed();
        }
        for origin in origins {
            match origin {
                Origin::Client { ticket } => {
                    let answer = Err(Rejection::from(error.clone()));
                    self.ready.effects.answers.push((*ticket, answer));
                }
                Origin::Peer(peer) => self.penalise(*peer, Penalty::Invalid("a forged bundle")),
            }
        }
    }

    fn receipt(&self, now: Time, id: BundleId, bundle: &EncryptedBundle) -> ReceiptBody {
        let promised = self.chain.decided().saturating_add(RECEIPT_HEIGHTS);
        ReceiptBody { bundle: id, received: now, deadline: promised.min(bundle.header.valid_until) }
    }
}

#[cfg(test)]
mod tests;
