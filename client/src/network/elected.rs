//! The committees of a network, as far as it has been shown who is in them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use conclave_grpc::messages as v1;
use conclave_types::{
    Committee, Epoch, SettlementCertificate, ValidatorIndex,
    digest::SigningDomain,
    wire::{self, WireError},
};

use crate::{ClientError, ElectionError};

/// The genesis's committee serves in epochs 0 and 1: by the end of epoch 0 nobody can have been elected.
const FIRST_ELECTED: Epoch = Epoch::new(2);

/// Epochs have their committee here once it has been shown; none is ever taken back.
#[derive(Debug)]
pub(super) struct Elected {
    first: Arc<Committee>,
    /// Whether committees change at all.
    changes: bool,
    /// From [`FIRST_ELECTED`] on, without a gap.
    later: RwLock<BTreeMap<Epoch, Arc<Committee>>>,
}

impl Elected {
    pub(super) fn new(first: Arc<Committee>, changes: bool) -> Self {
        Self { first, changes, later: RwLock::default() }
    }

    pub(super) fn first(&self) -> &Committee {
        &self.first
    }

    pub(super) fn of(&self, epoch: Epoch) -> Option<Arc<Committee>> {
        if !self.changes || epoch < FIRST_ELECTED {
            return Some(Arc::clone(&self.first));
        }
        self.read(|later| later.get(&epoch).cloned())
    }

    pub(super) fn next(&self) -> Option<Epoch> {
        self.changes.then(|| self.read(next))
    }

    /// The newest committee in which a validator sits.
    pub(super) fn newest_with(&self, validator: ValidatorIndex) -> Option<Arc<Committee>> {
        let sits = |committee: &&Arc<Committee>| committee.get(validator).is_some();
        self.read(|later| later.values().rev().chain([&self.first]).find(sits).cloned())
    }

    pub(super) fn elect(
        &self,
        elected: &v1::ElectedCommittee,
        domain: &SigningDomain,
    ) -> Result<(), ClientError> {
        let epoch = Epoch::new(elected.epoch);
        if self.of(epoch).is_some() {
            return Ok(());
        }
        let certificate = elected.certificate.as_ref().ok_or(WireError::Missing("certificate"))?;
        let certificate = SettlementCertificate::try_from(certificate)?;
        let seats = elected.members.iter().take(Committee::MEMBERS_MAX.saturating_add(1));
        let seats = seats.map(wire::seat).collect::<Result<Vec<_>, _>>()?;
        let committee = Committee::seated(seats).map_err(ElectionError::from);
        let shown =
            committee.and_then(|committee| self.shown(epoch, &certificate, committee, domain));
        let committee = shown.map_err(|why| ClientError::Election { epoch, why })?;
        let mut later = self.later.write().unwrap_or_else(PoisonError::into_inner);
        later.insert(epoch, Arc::new(committee));
        Ok(())
    }

    /// Checks that the last commitment of the epoch before names the committee.
    fn shown(
        &self,
        epoch: Epoch,
        certificate: &SettlementCertificate,
        committee: Committee,
        domain: &SigningDomain,
    ) -> Result<Committee, ElectionError> {
        let expected = self.read(next);
        let before = epoch.as_u64().checked_sub(1).map(Epoch::new);
        let (Some(before), true) = (before, epoch == expected) else {
            return Err(ElectionError::OutOfOrder { expected });
        };
        let signers = self.of(before).ok_or(ElectionError::OutOfOrder { expected })?;
        let commitment = &certificate.commitment;
        if commitment.epoch != before {
            return Err(ElectionError::OtherEpoch { found: commitment.epoch });
        }
        let expected = commitment.epoch_end.ok_or(ElectionError::NotTheEnd)?.next_committee;
        let found = committee.settlement_digest();
        if found != expected {
            return Err(ElectionError::OtherCommittee { expected, found });
        }
        certificate.verify(&signers, domain)?;
        Ok(committee)
    }

    /// What has been shown stays so, whatever befell who wrote it down.
    fn read<T>(&self, read: impl FnOnce(&BTreeMap<Epoch, Arc<Committee>>) -> T) -> T {
        read(&self.later.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn next(later: &BTreeMap<Epoch, Arc<Committee>>) -> Epoch {
    later.last_key_value().map_or(FIRST_ELECTED, |(newest, _)| newest.next())
}
