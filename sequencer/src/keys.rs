//! Which threshold key opens which block, and how the next one comes about.
//!
//! ```text
//!  epoch e                                                                      epoch e + 1
//!  ├ ... ─▶ attempt: register ─▶ deal ─▶ complain ─▶ acknowledge ─▶ drain ─▶ notice ─┤
//!                 ▲                          │ too few dealings                      │ late complaints
//!                 └──────── next round ◀─────┘                                       ▼ and disclosures
//! ```
//!
//! Blocks carry the messages, so everything here is a function of the blocks so far: nodes, auditors and
//! late joiners get the same key. Epoch 0 of most networks has no key and makes one; its blocks carry no
//! bundles. An attempt that fails extends the epoch, and ordering goes on.
//!
//! Once a quorum's points are acknowledged, the key is fixed. Blocks carry no bundles then until all that were carried are
//! opened; then the epoch's end is fixed [`NOTICE`] heights ahead, so that whoever may be sent a message
//! for a height knows what it must be signed for.
//!
//! The first epoch of each later era has a key of its own ([`eras`]), made as the first one was.
//!
//! **Invariants.** One sharing for each block, never mixed. A public key changes only where there was
//! none, and with an era. What a block's messages do depends on its parent's state alone.
//! **Bounds.** One attempt, one sharing that is still repaired, and as many keys as have blocks to open.

mod eras;
mod gossip;
mod members;
mod messages;
mod offers;
mod own;
mod restore;
mod stages;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use borsh::BorshSerialize;
use conclave_encryption::{
    Checked, Dkg, Event as SharingEvent, Phase, PublicKey, Refusal, SealingKey,
};
use conclave_types::{
    Committee, CommitteeOffer, Committees, Epoch, Epochs, Genesis, Height, HeightDelta, KeyId,
    NetworkId, PayerAddress, Roster, Round, SharingMessage, SharingParams, ValidatorIndex,
    Verifier, digest::SigningDomain,
};

use self::eras::Fixed;
pub(crate) use self::{
    gossip::{Gossip, Known},
    members::SharingRule,
    messages::{Verdicts, check_message},
    own::OwnSharing,
    restore::KeysCheckpoint,
};
pub use self::{
    members::{KnownValidator, Members, SharingError},
    messages::BadSharing,
    restore::KeysError,
};

/// From the block that ends an epoch to the first of the next. More than the heights ahead for which votes
/// and shares are taken.
pub(crate) const NOTICE: HeightDelta = HeightDelta::new(8);

/// Heights for which a key is kept after its last block was opened: late messages must be told from forged
/// ones.
const KEPT: HeightDelta = HeightDelta::new(64);

/// The key of an epoch.
#[derive(Clone, Debug)]
pub struct EpochKey {
    /// The epoch.
    pub epoch: Epoch,
    /// Its first height.
    pub first: Height,
    /// The key.
    pub key: Arc<PublicKey>,
    /// What sealing to it needs.
    pub sealing: Arc<SealingKey>,
    /// Who decides in the epoch, and who holds which points of the key.
    pub members: Arc<Members>,
}

impl EpochKey {
    fn new(epoch: Epoch, first: Height, key: PublicKey, members: Arc<Members>) -> Self {
        let sealing = Arc::new(key.sealing_key().clone());
        Self { epoch, first, key: Arc::new(key), sealing, members }
    }
}

/// A key in the making.
#[derive(Clone, Debug)]
struct Attempt {
    dkg: Dkg,
    /// The old committee, and the one that the key is for.
    parties: Parties,
    /// The block after which the phase began.
    since: Height,
    /// The time to register was over, and too few had.
    extended: bool,
    /// A quorum's points are acknowledged, and what follows from that.
    fixed: Option<Fixed>,
    /// L1 has offered another committee since it began.
    outdated: bool,
}

/// Who has to do with a sharing.
#[derive(Clone, Debug)]
pub(crate) struct Parties {
    /// Who deals: the committee in force when a resharing began, those who are to hold a key that is made.
    pub(crate) dealers: Arc<Committee>,
    /// Who is to have the shares.
    pub(crate) holders: Arc<Members>,
}

/// A sharing in use, about which it may still be complained.
#[derive(Clone, Debug)]
struct Settled {
    dkg: Dkg,
    parties: Parties,
    until: Height,
}

/// What a block has changed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub enum KeyChange {
    /// An attempt begins: its epoch and round.
    Attempt {
        /// The epoch that it is for.
        epoch: Epoch,
        /// The attempt, from 0.
        round: Round,
    },
    /// The phase of an attempt has changed.
    Phase(Phase),
    /// An attempt came to nothing.
    Failed {
        /// The epoch that it was for.
        epoch: Epoch,
        /// The attempt.
        round: Round,
        /// Why.
        reason: String,
    },
    /// The key of the next era is fixed. Bundles under either are admitted from now on.
    NextEra {
        /// Its first epoch.
        epoch: Epoch,
        /// The key.
        key: KeyId,
        /// The last height whose block may carry bundles under the key of this era.
        until: Height,
    },
    /// An epoch begins with this height, under this key.
    Epoch {
        /// The epoch.
        epoch: Epoch,
        /// Its first height.
        first: Height,
        /// The key.
        key: KeyId,
    },
    /// A validator is proved to have dealt or complained wrongly.
    Offence {
        /// Who.
        validator: ValidatorIndex,
        /// What it did.
        offence: SharingOffence,
    },
}

/// What a validator can do wrong in a sharing that the chain itself proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub enum SharingOffence {
    /// It dealt somebody a wrong evaluation.
    BadDealing,
    /// It complained about a right one.
    FalseComplaint,
}

/// The keys of the chain as the blocks so far make them.
#[derive(Clone, Debug)]
pub struct Keys {
    network: NetworkId,
    params: SharingParams,
    rule: SharingRule,
    epochs: Epochs,
    committees: Committees,
    /// The committee that has been in force, or is about to be, last, with the points that it gets from the
    /// next sharing if it stays.
    members: Arc<Members>,
    roster: Roster,
    /// Whether epochs wait for L1 to offer a committee.
    needs_offer: bool,
    /// The newest committees that were offered for the next epochs.
    offers: Vec<CommitteeOffer>,
    /// Ascending; the last may not be in force yet.
    keys: Vec<EpochKey>,
    attempt: Option<Attempt>,
    settled: Option<Settled>,
    /// The newest height with bundles.
    last_bundles: Height,
    /// Numbers on L1 of those that the messages of the block that is being taken prove to have cheated.
    proving: Vec<u32>,
    /// Those that the newest block has.
    cheats: Vec<u32>,
}

impl Keys {
    /// The keys before the first block. `key` is the genesis's, parsed, if it has one.
    ///
    /// # Errors
    ///
    /// If the genesis is not valid, or its parameters are no sharing among the members.
    pub fn new(genesis: &Genesis, key: Option<PublicKey>) -> Result<Self, SharingError> {
        let committee = Arc::new(genesis.validate()?);
        let params = genesis.params.sharing.clone();
        let rule = SharingRule::new(&params, committee.count())?;
        let mut keys = Self {
            network: genesis.network_id(),
            params,
            rule,
            epochs: Epochs::always(Epoch::ZERO),
            members: Arc::new(Members::by_power(Arc::clone(&committee), &rule)?),
            roster: Roster::new(&committee),
            needs_offer: genesis.l1_contract != PayerAddress::ZERO,
            offers: Vec::new(),
            committees: Committees::always(Epoch::ZERO, Arc::clone(&committee)),
            keys: Vec::new(),
            attempt: None,
            settled: None,
            last_bundles: Height::ZERO,
            proving: Vec::new(),
            cheats: Vec::new(),
        };
        match key {
            Some(key) => {
                let members = Arc::new(Members::one_each(committee, key.packing())?);
                keys.keys.push(EpochKey::new(Epoch::ZERO, Height::ZERO.next(), key, members));
            }
            None => keys.begin(Height::ZERO, Epoch::new(1), Round::ZERO),
        }
        Ok(keys)
    }

    /// Which epoch a height belongs to.
    #[must_use]
    pub const fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Which committee decides which heights.
    #[must_use]
    pub const fn committees(&self) -> &Committees {
        &self.committees
    }

    /// Who decides a height: one of the last, or at most [`NOTICE`] ahead.
    #[must_use]
    pub fn committee_at(&self, height: Height) -> &Arc<Committee> {
        &self.committees.at(height).committee
    }

    /// Validators that others may hear of: the members of the committees in force, and of the one for which
    /// a key is being made. Changes with [`KeyChange::Attempt`] and [`KeyChange::Epoch`].
    #[must_use]
    pub fn known_validators(&self) -> Vec<KnownValidator> {
        self.known_committees().flat_map(|committee| KnownValidator::all(committee)).collect()
    }

    fn known_committees(&self) -> impl Iterator<Item = &Arc<Committee>> {
        let terms = std::iter::once(self.committees.oldest()).chain(self.committees.later());
        let in_force = terms.map(|term| &term.committee);
        let formed = self.attempt.iter().map(|attempt| attempt.parties.holders.committee());
        in_force.chain(formed)
    }

    /// All validators that were ever to be a member.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The key that opens the block at `height`; none if its epoch has none.
    #[must_use]
    pub fn at(&self, height: Height) -> Option<&EpochKey> {
        self.keys.iter().rev().find(|key| key.first <= height)
    }

    /// The key of an epoch that has begun, or whose key is made.
    pub(crate) fn of_epoch(&self, epoch: Epoch) -> Option<(&PublicKey, &Members)> {
        let begun = self.keys.iter().find(|key| key.epoch == epoch);
        let begun = begun.map(|key| (&*key.key, &*key.members));
        let is_it = |attempt: &&Attempt| attempt.dkg.session().id().epoch == epoch;
        let made = self.attempt.as_ref().filter(is_it);
        let made = made.and_then(|attempt| Some((attempt, attempt.dkg.outcome()?)));
        begun.or_else(|| made.map(|(it, outcome)| (outcome.key(), &*it.parties.holders)))
    }

    /// Its id, as headers have it.
    #[must_use]
    pub fn id_at(&self, height: Height) -> KeyId {
        self.at(height).map_or(KeyId::ZERO, |key| key.key.id())
    }

    /// The newest key: what to seal to. In force, or about to be.
    #[must_use]
    pub fn newest(&self) -> Option<&EpochKey> {
        self.keys.last()
    }

    /// The keys that are needed: of the epochs in progress and of those whose blocks are just being opened.
    #[must_use]
    pub fn in_use(&self) -> &[EpochKey] {
        &self.keys
    }

    /// Whether the block at `height` may carry bundles: there is a key, and no epoch is about to end.
    #[must_use]
    pub fn takes_bundles(&self, height: Height) -> bool {
        let drains = self.attempt.as_ref().is_some_and(|attempt| attempt.drains(height));
        let ends = self.newest().is_some_and(|key| key.first > height);
        self.at(height).is_some() && !drains && !ends
    }

    /// Whether something is under way that more blocks bring forward by themselves. What waits for messages
    /// of validators that may be away does not hurry.
    #[must_use]
    pub fn is_busy(&self, height: Height) -> bool {
        let waits = self.attempt.as_ref().is_some_and(|attempt| match attempt.dkg.phase() {
            Phase::Registering => !attempt.extended,
            Phase::Dealing | Phase::Complaining => true,
            Phase::Finished => attempt.drains(height),
        });
        waits || self.newest().is_some_and(|key| key.first > height)
    }

    /// The attempt under way.
    #[must_use]
    pub fn attempt(&self) -> Option<&Dkg> {
        self.attempt.as_ref().map(|attempt| &attempt.dkg)
    }

    /// The sharing in use, as long as it can be complained about.
    #[must_use]
    pub fn settled(&self) -> Option<&Dkg> {
        self.settled.as_ref().map(|settled| &settled.dkg)
    }

    /// The sharings that messages are taken for, with who has to do with each.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (&Dkg, &Parties)> {
        let attempt = self.attempt.iter().map(|attempt| (&attempt.dkg, &attempt.parties));
        attempt.chain(self.settled.iter().map(|settled| (&settled.dkg, &settled.parties)))
    }

    /// Whether the sender of a message of a sharing has signed it: under its key in the committee that deals,
    /// or in the one that is to hold the shares. They differ where it has changed its key in between.
    pub(crate) fn is_signed(
        &self,
        message: &SharingMessage,
        domain: &SigningDomain,
        verifier: &dyn Verifier,
    ) -> bool {
        let is_it = |(dkg, _): &(&Dkg, &Parties)| {
            let id = dkg.session().id();
            (id.epoch, id.round) == (message.epoch, message.round)
        };
        let Some((_, Parties { dealers, holders })) = self.under_way().find(is_it) else {
            return false;
        };
        let digest = message.digest(domain);
        let (old, new) = (dealers.key(message.from), holders.committee().key(message.from));
        let other = old.filter(|key| Some(*key) != new);
        new.into_iter().chain(other).any(|key| verifier.is_signed(key, &digest, &message.signature))
    }

    /// The sharing that a message for this epoch and round is about.
    fn sharing(&self, epoch: Epoch, round: Round) -> Option<&Dkg> {
        let is_it = |dkg: &&Dkg| {
            let id = dkg.session().id();
            (id.epoch, id.round) == (epoch, round)
        };
        self.attempt().filter(is_it).or_else(|| self.settled().filter(is_it))
    }

    /// Takes a message of a block.
    ///
    /// # Errors
    ///
    /// If the state does not take it: the block is invalid.
    pub(crate) fn take(
        &mut self,
        message: &SharingMessage,
        checked: Checked,
    ) -> Result<Option<KeyChange>, Refusal> {
        let attempt = self.attempt.as_mut().map(|attempt| &mut attempt.dkg);
        let settled = self.settled.as_mut().map(|settled| &mut settled.dkg);
        let is_it = |dkg: &&mut Dkg| {
            let id = dkg.session().id();
            (id.epoch, id.round) == (message.epoch, message.round)
        };
        let dkg = attempt.into_iter().chain(settled).find(is_it).ok_or(Refusal::OtherAttempt)?;
        let (validator, offence) = match dkg.record(checked)? {
            SharingEvent::Disqualified { validator, .. }
            | SharingEvent::ProvedLate { validator, .. } => (validator, SharingOffence::BadDealing),
            SharingEvent::FalseComplaint { holder, .. } => (holder, SharingOffence::FalseComplaint),
            SharingEvent::Registered { .. }
            | SharingEvent::Dealt { .. }
            | SharingEvent::Disclosed { .. }
            | SharingEvent::Acknowledged { .. } => return Ok(None),
        };
        let member = self.known_committees().find_map(|committee| committee.get(validator));
        self.proving.extend(member.map(|member| member.validator));
        Ok(Some(KeyChange::Offence { validator, offence }))
    }

    /// Numbers on L1 of those that the newest block has proved to have cheated. A number is 0 without L1.
    pub(crate) fn cheats(&self) -> &[u32] {
        &self.cheats
    }

    /// Forgets keys whose blocks are all opened: `revealed` is this node's newest revealed height. Returns
    /// the epochs that are over. Committees of heights from `needed` on stay.
    pub(crate) fn forget(&mut self, revealed: Height, needed: Height) -> Vec<Epoch> {
        let is_over = |pair: &[EpochKey]| matches!(pair, [_, next] if next.first.saturating_add(KEPT) <= revealed);
        let over = self.keys.windows(2).take_while(|pair| is_over(pair)).count();
        let over = self.keys.drain(..over).map(|key| key.epoch).collect();
        let kept = revealed.checked_sub(KEPT).unwrap_or_default();
        self.committees.forget_before(kept.min(needed));
        over
    }
}
