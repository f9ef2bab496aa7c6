//! This validator's own part in making and handing on the key: what it has to say, and its secrets.
//!
//! **Invariants.** A secret is durable before anything that rests on it is sent: the seed of the key for
//! an attempt before the registration, the share before the acknowledgement. Both are erased when the
//! epoch that they served is over and all its blocks are opened, or when the attempt has failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use conclave_encryption::{
    DealError, Dealing, Dkg, HolderKey, Message, Phase, SecretShare, ShareUnavailable,
};
use conclave_types::{
    Committee, Digest, Epoch, Round, SharingMessage, SignatureBytes, Time, ValidatorIndex,
};
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
    /// By epoch and point.
    shares: BTreeMap<(Epoch, u16), Arc<SecretShare>>,
    /// Shares that the store has, of use or not: all are to be erased in the end.
    stored: BTreeSet<(Epoch, u16)>,
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
                SecretName::Share { epoch, point } => {
                    own.stored.insert((epoch, point));
                    // A share that does not parse is none; the validator stays silent in that epoch.
                    if let Ok(share) = SecretShare::from_bytes(bytes.expose()) {
                        own.shares.insert((epoch, point), Arc::new(share));
                    }
                }
            }
        }
        own
    }

    /// A share that the configuration brings, of a key that the genesis brings.
    pub(crate) fn insert_share(&mut self, epoch: Epoch, point: u16, share: Arc<SecretShare>) {
        self.shares.insert((epoch, point), share);
    }

    /// Drops shares that are not this node's under the keys that the chain has, `own` being which member of
    /// a committee it is: one that is stale or damaged stays silent.
    pub(crate) fn keep_right(
        &mut self,
        keys: &Keys,
        own: impl Fn(&Committee) -> Option<ValidatorIndex>,
    ) {
        self.shares.retain(|(epoch, point), share| {
            keys.of_epoch(*epoch).is_none_or(|(key, members)| {
                let own = own(members.committee());
                let is_own = own.is_some_and(|own| members.points(own).contains(point));
                is_own && share.matches(key, *point)
            })
        });
    }

    /// The share of an epoch's key at a point; none if there is none, or it was erased.
    pub(crate) fn share(&self, epoch: Epoch, point: u16) -> Option<&Arc<SecretShare>> {
        self.shares.get(&(epoch, point))
    }

    /// The shares of an epoch's key at all of these points; none unless each is there.
    pub(crate) fn shares(
        &self,
        epoch: Epoch,
        points: Range<u16>,
    ) -> Option<Vec<(u16, Arc<SecretShare>)>> {
        points.map(|point| Some((point, Arc::clone(self.share(epoch, point)?)))).collect()
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
        let under_way = self.chain.keys.under_way();
        let roles: Vec<_> = under_way
            .map(|(dkg, parties)| {
                let dealer = self.context.own_in(&parties.dealers);
                let holder = self.context.own_in(parties.holders.committee());
                let has_points =
                    |holder: &ValidatorIndex| dkg.session().holders().tickets(*holder) > 0;
                (dkg.clone(), dealer, holder.filter(has_points))
            })
            .collect();
        for (dkg, dealer, holder) in roles {
            match (dkg.phase(), dealer, holder) {
                (Phase::Registering, _, Some(own)) if !dkg.is_registered(own) => {
                    self.register(now, own, &dkg);
                }
                (Phase::Dealing, Some(own), _) => self.deal(own, &dkg),
                (Phase::Complaining, _, Some(own)) => self.inspect(own, &dkg),
                (Phase::Finished, _, Some(own)) => self.receive(now, own, &dkg),
                _ => {}
            }
        }
    }

    /// Who this node is among those that are to hold the shares of a sharing that is still under way.
    fn holder_of(&self, dkg: &Dkg) -> Option<ValidatorIndex> {
        let mut under_way = self.chain.keys.under_way();
        let (_, parties) = under_way.find(|(other, _)| id(other) == id(dkg))?;
        self.context.own_in(parties.holders.committee())
    }

    fn register(&mut self, now: Time, own: ValidatorIndex, dkg: &Dkg) {
        let id = id(dkg);
        if !self.own_sharing.seeds.contains_key(&id) {
            let Some(seed) = self.context.next_secret() else { return };
            let (epoch, round) = id;
            let name = SecretName::HolderSeed { epoch, round };
            self.write(Write::PutSecret { name, value: seed.clone() });
            self.own_sharing.seeds.insert(id, seed);
        }
        let Some(key) = self.holder_key(own, dkg) else { return };
        self.say(now, dkg, own, &Message::Register(key.registration(dkg.session())));
    }

    /// The key of this validator in an attempt; none if it never had one or has erased it.
    fn holder_key(&self, own: ValidatorIndex, dkg: &Dkg) -> Option<HolderKey> {
        let seed = self.own_sharing.seeds.get(&id(dkg))?;
        Some(HolderKey::derive(dkg.session(), own, seed.expose()))
    }

    /// Deals what is still to be dealt, one dealing at a time: for a fresh key the validator's own, otherwise
    /// one for each of its old points.
    fn deal(&mut self, own: ValidatorIndex, dkg: &Dkg) {
        if self.own_sharing.working {
            return;
        }
        let old = Epoch::new(dkg.session().id().epoch.as_u64().saturating_sub(1));
        let next = match dkg.session().old_key() {
            None => Some((own.as_u16(), None)).filter(|(dealer, _)| self.is_to_deal(dkg, *dealer)),
            Some(_) => {
                let points = self.chain.keys.of_epoch(old).map(|(_, members)| members.points(own));
                points.unwrap_or_default().find_map(|point| {
                    let share = self.own_sharing.share(old, point)?;
                    self.is_to_deal(dkg, point).then(|| (point, Some(Arc::clone(share))))
                })
            }
        };
        let Some((dealer, share)) = next else { return };
        let Some(seed) = self.context.next_secret() else { return };
        self.own_sharing.working = true;
        let job = DealJob { dkg: dkg.clone(), dealer, share, seed };
        self.ask(Job::Deal(job));
    }

    /// Whether a dealing is neither on the chain nor on its way there.
    fn is_to_deal(&self, dkg: &Dkg, dealer: u16) -> bool {
        let attempt = id(dkg);
        let said = |message: &Arc<SharingMessage>| {
            (message.epoch, message.round) == attempt
                && matches!(
                    Message::decode(&message.content),
                    Ok(Message::Deal(dealing)) if dealing.dealer() == dealer
                )
        };
        let exists = dkg.session().dealer(dealer).is_some();
        exists && !dkg.has_dealing(dealer) && !self.own_sharing.outgoing.values().any(said)
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
            self.say(now, dkg, own, &Message::Disclose(disclosure));
        }
        let Some(outcome) = dkg.outcome() else { return };
        let (epoch, points) = (id(dkg).0, dkg.session().holders().points(own));
        let held = self.own_sharing.shares(epoch, points.clone());
        let is_right =
            |(point, share): &(u16, Arc<SecretShare>)| share.matches(outcome.key(), *point);
        // What an earlier attempt at this epoch gave is none of this one's.
        if held.is_some_and(|shares| shares.iter().all(is_right)) {
            if !dkg.has_acknowledged(own) {
                self.say(now, dkg, own, &Message::Acknowledge(outcome.digest()));
            }
        } else if !self.own_sharing.working {
            self.own_sharing.working = true;
            let job = ReceiveJob { dkg: dkg.clone(), key: Arc::new(key), points };
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
            Ok(dealing) => {
                let own = dkg.session().dealer(dealing.dealer());
                let Some(own) = own else { return };
                self.say(now, dkg, own, &Message::Deal(dealing));
            }
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
        let Some(own) = self.holder_of(dkg) else { return };
        for complaint in complaints {
            self.say(now, dkg, own, &Message::Complain(complaint));
        }
    }

    pub(crate) fn on_received(
        &mut self,
        now: Time,
        dkg: &Dkg,
        result: Result<Vec<(u16, Arc<SecretShare>)>, ShareUnavailable>,
    ) {
        self.work_done();
        let Some(own) = self.holder_of(dkg) else { return };
        match result {
            Ok(shares) => {
                let epoch = id(dkg).0;
                for (point, share) in shares {
                    let value = SecretBytes::new(*share.to_bytes());
                    let name = SecretName::Share { epoch, point };
                    self.write(Write::PutSecret { name, value });
                    self.own_sharing.stored.insert((epoch, point));
                    self.own_sharing.insert_share(epoch, point, share);
                }
                if let Some(outcome) = dkg.outcome() {
                    self.say(now, dkg, own, &Message::Acknowledge(outcome.digest()));
                }
            }
            Err(ShareUnavailable::WrongEvaluation { dealer, .. }) => {
                let key = self.holder_key(own, dkg).filter(|_| !dkg.has_complained(own, dealer));
                if let Some(complaint) = key.and_then(|key| dkg.complaint(&key, dealer)) {
                    self.say(now, dkg, own, &Message::Complain(complaint));
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
    fn say(&mut self, now: Time, dkg: &Dkg, from: ValidatorIndex, content: &Message) {
        let (epoch, round) = id(dkg);
        let Some(identity) = &self.context.identity else { return };
        let mut message = SharingMessage {
            epoch,
            round,
            from,
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
            if let KeyChange::Failed { epoch, .. } = change {
                self.erase_epochs(&[*epoch]);
            }
        }
    }

    /// Erases what served epochs that are over, or attempts at an epoch that have failed: even one that had a result.
    pub(crate) fn erase_epochs(&mut self, over: &[Epoch]) {
        self.reveals.erase_epochs(over);
        for epoch in over {
            self.own_sharing.shares.retain(|(of, _), _| of != epoch);
            let stored = self.own_sharing.stored.iter().filter(|(of, _)| of == epoch);
            let stored: Vec<_> = stored.copied().collect();
            for (epoch, point) in stored {
                self.own_sharing.stored.remove(&(epoch, point));
                self.write(Write::EraseSecret { name: SecretName::Share { epoch, point } });
            }
            let seeds = self.own_sharing.seeds.keys().filter(|(of, _)| of == epoch);
            let seeds: Vec<_> = seeds.copied().collect();
            for id in seeds {
                self.erase_seed(id);
            }
        }
    }

    /// Erases what a crash has left over: secrets of epochs that are over, and of attempts before the one under way.
    pub(crate) fn erase_leftovers(&mut self) {
        let (keys, own) = (&self.chain.keys, &self.own_sharing);
        let oldest = keys.in_use().first().map(|key| key.epoch).unwrap_or_default();
        let stored = own.stored.iter().map(|(epoch, _)| epoch);
        let epochs = stored.chain(own.seeds.keys().map(|(epoch, _)| epoch));
        let over: BTreeSet<Epoch> = epochs.filter(|epoch| **epoch < oldest).copied().collect();
        let has_failed = |(epoch, round): &&AttemptId| {
            keys.attempt().map(id).is_some_and(|(of, now)| of == *epoch && *round < now)
        };
        let failed: Vec<_> = own.seeds.keys().filter(has_failed).copied().collect();
        self.erase_epochs(&over.into_iter().collect::<Vec<_>>());
        failed.into_iter().for_each(|id| self.erase_seed(id));
    }

    fn erase_seed(&mut self, id: AttemptId) {
        let (epoch, round) = id;
        if self.own_sharing.seeds.remove(&id).is_some() {
            self.write(Write::EraseSecret { name: SecretName::HolderSeed { epoch, round } });
        }
    }
}
