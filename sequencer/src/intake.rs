//! How sealed bundles come in: from clients and from other validators, through verification, into the
//! pool and to whichever block waits for them.
//!
//! Verification costs a third of a millisecond or so a bundle, so it is a job, and one job at a time takes all
//! that is waiting: under load the batch grows and the cost for each bundle falls.
//!
//! **Bounds.** [`WAITING_MAX`] bundles wait; what comes beyond is refused (from clients) or dropped
//! (from peers, who are asked again if a block needs it). Bundles that a block needs go first.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use conclave_mempool::admission::{self, AdmissionError, Verified};
use conclave_types::{BundleId, EncryptedBundle, HeightDelta, Time};

use crate::{
    input::{Event, Peer, Penalty, ReceiptBody, Rejection},
    job::{Job, VerifyJob},
    message::Message,
    sequencer::Sequencer,
};

/// Bundles that wait to be verified: a second's worth at full load. 4096 × 128 KiB = 512 MiB at worst.
const WAITING_MAX: usize = 4_096;
/// Bundles in one verification job: enough for the batch to pay, few enough for a low latency.
const BATCH_MAX: usize = 64;
/// Bundles kept beside the pool because a block needs them, and ids known to be bad for the same
/// reason: two full blocks of candidates.
const NEEDED_MAX: usize = 2_048;
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
}

/// Bundles on their way in.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    queue: VecDeque<BundleId>,
    waiting: BTreeMap<BundleId, Waiting>,
    verifying: bool,
    needed: BTreeSet<BundleId>,
    held: BTreeMap<BundleId, Arc<EncryptedBundle>>,
    bad: BTreeSet<BundleId>,
}

impl Intake {
    /// A block needs this bundle: keep it whatever the pool says.
    pub(crate) fn need(&mut self, id: BundleId) {
        if self.needed.len() < NEEDED_MAX {
            self.needed.insert(id);
        }
    }

    /// No block needs anything any more: a height was decided.
    pub(crate) fn forget_needed(&mut self) {
        self.needed.clear();
        self.held.clear();
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

    /// Keeps a bundle that is known to be good: it came with a certificate, or from the store.
    pub(crate) fn hold(&mut self, id: BundleId, bundle: Arc<EncryptedBundle>) {
        self.held.insert(id, bundle);
    }

    fn enqueue(&mut self, id: BundleId, bundle: Arc<EncryptedBundle>, origin: Origin) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.origins.push(origin);
            return;
        }
        if self.needed.contains(&id) {
            self.queue.push_front(id);
        } else {
            self.queue.push_back(id);
        }
        self.waiting.insert(id, Waiting { bundle, origins: vec![origin] });
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
        self.intake.enqueue(id, Arc::new(bundle), Origin::Client { ticket });
    }

    /// The cheap checks: what fails them never costs a signature check.
    fn precheck(&self, bundle: &EncryptedBundle, id: &BundleId) -> Result<(), Rejection> {
        admission::check_form(bundle, &self.context.rules, self.chain.decided())?;
        self.pool.precheck(bundle, id, &self.chain.ledger)?;
        let waiting = self.intake.waiting.len();
        if waiting >= WAITING_MAX {
            return Err(Rejection::Busy { waiting });
        }
        Ok(())
    }

    pub(crate) fn on_bundles(&mut self, from: Peer, bundles: Vec<Arc<EncryptedBundle>>) {
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
            if needed || self.precheck(&bundle, &id).is_ok() {
                self.intake.enqueue(id, bundle, Origin::Peer(from));
            }
        }
    }

    pub(crate) fn verify_waiting(&mut self) {
        if self.intake.verifying || self.intake.queue.is_empty() {
            return;
        }
        let take = self.intake.queue.len().min(BATCH_MAX);
        let ids: Vec<_> = self.intake.queue.drain(..take).collect();
        let bundles = ids.iter().filter_map(|id| self.intake.waiting.get(id));
        let bundles = bundles.map(|waiting| Arc::clone(&waiting.bundle)).collect();
        self.intake.verifying = true;
        let job = VerifyJob {
            key: Arc::clone(&self.context.sealing),
            seed: self.context.next_seed(),
            bundles,
        };
        self.ready.effects.jobs.push(Job::Verify(job));
    }

    pub(crate) fn on_verified(
        &mut self,
        now: Time,
        verdicts: Vec<(Arc<EncryptedBundle>, Result<Verified, AdmissionError>)>,
    ) {
        self.intake.verifying = false;
        let mut fresh = Vec::new();
        for (bundle, verdict) in verdicts {
            let id = bundle.id();
            let Some(waiting) = self.intake.waiting.remove(&id) else { continue };
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
        if self.intake.needed.contains(&id) && self.intake.held.len() < NEEDED_MAX {
            self.intake.held.insert(id, Arc::clone(bundle));
        }
        let inserted = self.pool.insert(Arc::clone(bundle), verified, now, &self.chain.ledger);
        if inserted.is_ok() {
            self.event(Event::Admitted { bundle: id });
            self.proposer.pool_changed();
        }
        let mut from_client = false;
        for origin in origins {
            if let Origin::Client { ticket } = origin {
                from_client = true;
                let answer = match &inserted {
                    Ok(_) => Ok(self.receipt(now, id, bundle)),
                    Err(error) => Err(Rejection::from(error.clone())),
                };
                self.ready.effects.answers.push((*ticket, answer));
            }
        }
        from_client && inserted.is_ok()
    }

    fn refuse(&mut self, id: BundleId, error: &AdmissionError, origins: &[Origin]) {
        if self.intake.needed.contains(&id) && self.intake.bad.len() < NEEDED_MAX {
            self.intake.bad.insert(id);
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
