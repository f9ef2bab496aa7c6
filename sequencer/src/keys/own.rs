//! This validator's own part in making and handing on the key: what it has to say, and its secrets.
//!
//! **Invariants.** A secret is durable before anything that rests on it is sent: the seed of the key for
//! an attempt before the registration, the share before the acknowledgement. Both are erased when the
//! epoch that they served is over and all its blocks are opened, or when the attempt has failed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_encryption::{
    DealError, Dealing, Dkg, HolderKey, Message, Phase, SecretShare, ShareUnavailable,
};
use conclave_types::{Digest, Epoch, Round, SharingMessage, SignatureBytes, Time, ValidatorIndex};
use ed25519_dalek::Signer as _;

use crate::{
    input::Event,
    job::{DealJob, InspectJob, Job, ReceiveJob},
    keys::{KeyChange, Keys},
    sequencer::Sequencer,
    store::{SecretBytes, SecretName, Write},
};

/// How often to repeat what is not on the chain yet.
const SAY_AGAIN: Duration = Duration::from_secs(1);

type AttemptId = (Epoch, Round);

/// What this validator has to do with sharings.
#[derive(Debug, Default)]
pub(crate) struct OwnSharing {
    /// Secrets from which the keys for attempts follow.
    seeds: BTreeMap<AttemptId, SecretBytes>,
    shares: BTreeMap<Epoch, Arc<SecretShare>>,
    /// Messages that are not on the chain yet.
    outgoing: BTreeMap<Digest, Arc<SharingMessage>>,
    /// The attempt whose dealings were looked at for complaints.
    inspected: Option<AttemptId>,
    working: bool,
    /// Something has changed that may call for an answer.
    dirty: bool,
    say_again_at: Time,
}

impl OwnSharing {
    /// With the secrets that the store has kept.
    pub(crate) fn new(secrets: Vec<(SecretName, SecretBytes)>) -> Self {
        let mut own = Self { dirty: true, ..Self::default() };
        for (name, bytes) in secrets {
            match name {
                SecretName::HolderSeed { epoch, round } => {
                    own.seeds.insert((epoch, round), bytes);
                }
                SecretName::Share { epoch } => {
                    // A share that does not parse is none; the validator stays silent in that epoch.
                    if let Ok(share) = SecretShare::from_bytes(bytes.expose()) {
                        own.shares.insert(epoch, Arc::new(share));
                    }
                }
            }
        }
        own
    }

    /// A share that the configuration brings, of a key that the genesis brings.
    pub(crate) fn insert_share(&mut self, epoch: Epoch, share: Arc<SecretShare>) {
        self.shares.insert(epoch, share);
    }

    /// Drops shares that are not those of validator `own` under the keys that the chain has: one that is stale
    /// or damaged stays silent.
    pub(crate) fn keep_right(&mut self, keys: &Keys, own: ValidatorIndex) {
        self.shares.retain(|epoch, share| {
            keys.of_epoch(*epoch).is_none_or(|key| share.matches(key, own.as_u16()))
        });
    }

    /// The share of an epoch's key; none if there is none, or it was erased.
    pub(crate) fn share(&self, epoch: Epoch) -> Option<&Arc<SecretShare>> {
        self.shares.get(&epoch)
    }
}

fn id(dkg: &Dkg) -> AttemptId {
    let id = dkg.session().id();
    (id.epoch, id.round)
}

impl Sequencer {
    /// Does what is due: registers, deals, looks for wrong dealings, takes the share, repairs.
    pub(crate) fn sharing_turn(&mut self, now: Time) {
        if !std::mem::take(&mut self.own_sharing.dirty) {
            return;
        }
        let Some(own) = self.context.own_index() else { return };
        let attempt = self.chain.keys.attempt().cloned();
        let settled = self.chain.keys.settled().cloned();
        for dkg in attempt.into_iter().chain(settled) {
            self.contribute(now, own, &dkg);
        }
    }

    fn contribute(&mut self, now: Time, own: ValidatorIndex, dkg: &Dkg) {
        match dkg.phase() {
            Phase::Registering if !dkg.is_registered(own) => self.register(now, own, dkg),
            Phase::Dealing => self.deal(own, dkg),
            Phase::Complaining => self.inspect(own, dkg),
            Phase::Finished => self.receive(now, own, dkg),
            Phase::Registering => {}
        }
    }

    fn register(&mut self, now: Time, own: ValidatorIndex, dkg: &Dkg) {
        let id = id(dkg);
        if !self.own_sharing.seeds.contains_key(&id) {
            let Some(seed) = self.context.next_secret() else { return };
            let seed = SecretBytes::new(seed);
            let (epoch, round) = id;
            let name = SecretName::HolderSeed { epoch, round };
            self.write(Write::PutSecret { name, value: seed.clone() });
            self.own_sharing.seeds.insert(id, seed);
        }
        let Some(key) = self.holder_key(own, dkg) else { return };
        self.say(now, dkg, &Message::Register(key.registration(dkg.session())));
    }

    /// The key of this validator in an attempt; none if it never had one or has erased it.
    fn holder_key(&self, own: ValidatorIndex, dkg: &Dkg) -> Option<HolderKey> {
        let seed = self.own_sharing.seeds.get(&id(dkg))?;
        Some(HolderKey::derive(dkg.session(), own, seed.expose()))
    }

    fn deal(&mut self, own: ValidatorIndex, dkg: &Dkg) {
        let dealer = own.as_u16();
        if self.own_sharing.working || dkg.has_dealing(dealer) || self.has_said(dkg, own) {
            return;
        }
        let share = match dkg.session().old_key() {
            None => None,
            Some(_) => {
                let old = dkg.session().id().epoch.as_u64().saturating_sub(1);
                let Some(share) = self.own_sharing.share(Epoch::new(old)) else { return };
                Some(Arc::clone(share))
            }
        };
        let Some(seed) = self.context.next_secret() else { return };
        self.own_sharing.working = true;
        let job = DealJob { dkg: dkg.clone(), dealer, share, seed };
        self.ask(Job::Deal(job));
    }

    /// Whether a dealing of this validator is on its way: what it waits for in this phase.
    fn has_said(&self, dkg: &Dkg, own: ValidatorIndex) -> bool {
        let (epoch, round) = id(dkg);
        self.own_sharing.outgoing.values().any(|message| {
            (message.epoch, message.round, message.from) == (epoch, round, own)
                && matches!(Message::decode(&message.content), Ok(Message::Deal(_)))
        })
    }

    fn inspect(&mut self, own: ValidatorIndex, dkg: &Dkg) {
        if self.own_sharing.working || self.own_sharing.inspected == Some(id(dkg)) {
            return;
        }
        let Some(key) = self.holder_key(own, dkg) else { return };
        self.own_sharing.inspected = Some(id(dkg));
        self.own_sharing.working = true;
        let job = InspectJob { dkg: dkg.clone(), key: Arc::new(key) };
        self.ask(Job::Inspect(job));
    }

    fn receive(&mut self, now: Time, own: ValidatorIndex, dkg: &Dkg) {
        let Some(key) = self.holder_key(own, dkg) else { return };
        for disclosure in dkg.disclosures(&key) {
            self.say(now, dkg, &Message::Disclose(disclosure));
        }
        let Some(outcome) = dkg.outcome() else { return };
        if self.own_sharing.share(id(dkg).0).is_some() {
            if !dkg.has_acknowledged(own) {
                self.say(now, dkg, &Message::Acknowledge(outcome.digest()));
            }
        } else if !self.own_sharing.working {
            self.own_sharing.working = true;
            let job = ReceiveJob { dkg: dkg.clone(), key: Arc::new(key), point: own.as_u16() };
            self.ask(Job::Receive(job));
        }
    }

    pub(crate) fn on_dealt(
        &mut self,
        now: Time,
        dkg: &Dkg,
        result: Result<Box<Dealing>, DealError>,
    ) {
        self.work_done();
        match result {
            Ok(dealing) => self.say(now, dkg, &Message::Deal(dealing)),
            Err(error) => self.complain_to_operator(&error.to_string()),
        }
    }

    pub(crate) fn on_inspected(
        &mut self,
        now: Time,
        dkg: &Dkg,
        complaints: Vec<conclave_encryption::Complaint>,
    ) {
        self.work_done();
        for complaint in complaints {
            self.say(now, dkg, &Message::Complain(complaint));
        }
    }

    pub(crate) fn on_received(
        &mut self,
        now: Time,
        dkg: &Dkg,
        result: Result<Arc<SecretShare>, ShareUnavailable>,
    ) {
        self.work_done();
        let Some(own) = self.context.own_index() else { return };
        match result {
            Ok(share) => {
                let epoch = id(dkg).0;
                let value = SecretBytes::new(*share.to_bytes());
                self.write(Write::PutSecret { name: SecretName::Share { epoch }, value });
                self.own_sharing.insert_share(epoch, share);
                if let Some(outcome) = dkg.outcome() {
                    self.say(now, dkg, &Message::Acknowledge(outcome.digest()));
                }
            }
            Err(ShareUnavailable::WrongEvaluation { dealer, .. }) => {
                let key = self.holder_key(own, dkg).filter(|_| !dkg.has_complained(own, dealer));
                if let Some(complaint) = key.and_then(|key| dkg.complaint(&key, dealer)) {
                    self.say(now, dkg, &Message::Complain(complaint));
                }
            }
            Err(error) => self.complain_to_operator(&error.to_string()),
        }
    }

    fn work_done(&mut self) {
        self.own_sharing.working = false;
        self.own_sharing.dirty = true;
    }

    fn complain_to_operator(&mut self, detail: &str) {
        let height = self.chain.decided();
        self.event(Event::Anomaly { height, detail: format!("key sharing: {detail}") });
    }

    /// Signs a message and sends it on its way into a block.
    fn say(&mut self, now: Time, dkg: &Dkg, content: &Message) {
        let (epoch, round) = id(dkg);
        let Some((from, identity)) = &self.context.own else { return };
        let mut message = SharingMessage {
            epoch,
            round,
            from: *from,
            content: content.encode(),
            signature: SignatureBytes::new([0; 64]),
        };
        let digest = message.digest(&self.context.domain);
        let signature = identity.signing_key.sign(digest.as_bytes());
        message.signature = SignatureBytes::new(signature.to_bytes());
        let message = Arc::new(message);
        // Signing is deterministic, so what was said before is the same message.
        if self.own_sharing.outgoing.insert(message.leaf(), Arc::clone(&message)).is_none() {
            self.own_sharing.say_again_at = now.after(SAY_AGAIN);
            self.spread_sharing(message);
        }
    }

    /// Repeats what is not on the chain yet: it may have been lost, or have come too early.
    pub(crate) fn say_sharing_again(&mut self, now: Time) {
        if self.own_sharing.outgoing.is_empty() || now < self.own_sharing.say_again_at {
            return;
        }
        self.own_sharing.say_again_at = now.after(SAY_AGAIN);
        let outgoing: Vec<_> = self.own_sharing.outgoing.values().cloned().collect();
        for message in outgoing {
            self.spread_sharing(message);
        }
    }

    /// A block was decided: what it carries need not be said again, nor what nobody waits for any more.
    pub(crate) fn sharing_decided(&mut self, leaves: &[Digest], changes: &[KeyChange]) {
        let (keys, own) = (&self.chain.keys, &mut self.own_sharing);
        own.outgoing
            .retain(|leaf, message| !leaves.contains(leaf) && keys.sharing_of(message).is_ok());
        own.dirty |= !leaves.is_empty() || !changes.is_empty();
        for change in changes {
            if let KeyChange::Failed { epoch, round, .. } = change {
                self.erase_seed((*epoch, *round));
            }
        }
    }

    /// Erases what served epochs that are over.
    pub(crate) fn erase_epochs(&mut self, over: &[Epoch]) {
        for epoch in over {
            self.own_sharing.shares.remove(epoch);
            self.write(Write::EraseSecret { name: SecretName::Share { epoch: *epoch } });
            let seeds = self.own_sharing.seeds.keys().filter(|(of, _)| of == epoch);
            let seeds: Vec<_> = seeds.copied().collect();
            for id in seeds {
                self.erase_seed(id);
            }
        }
    }

    fn erase_seed(&mut self, id: AttemptId) {
        let (epoch, round) = id;
        if self.own_sharing.seeds.remove(&id).is_some() {
            self.write(Write::EraseSecret { name: SecretName::HolderSeed { epoch, round } });
        }
    }
}
