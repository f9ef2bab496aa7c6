//! Settlement after a restart: what was certified, and what still waits for it.

use std::{collections::BTreeSet, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{Height, Time, digest::SigningDomain, mmr::Peaks};

use super::{Collected, HEIGHTS_KEPT, STALE, Settlement};
use crate::{
    archive::{self, ArchiveError, Read},
    keys::Keys,
    sequencer::Sequencer,
    store::Store,
};

/// What is written down with every commitment and every certificate.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct SettlementCheckpoint {
    pub(crate) history: Peaks,
    pub(crate) certified: Height,
    /// Last heights of epochs that no quorum has certified.
    pub(crate) open_ends: Vec<Height>,
}

impl Settlement {
    pub(crate) fn checkpoint(&self) -> SettlementCheckpoint {
        let open = self
            .collected
            .iter()
            .filter(|(_, collected)| collected.is_epoch_end() && collected.certificate.is_none());
        SettlementCheckpoint {
            history: self.history.clone(),
            certified: self.certified,
            open_ends: open.map(|(height, _)| *height).collect(),
        }
    }

    /// Settlement as the store has it, `revealed` being the newest revealed height.
    pub(crate) fn recover<S: Store>(
        domain: &SigningDomain,
        keys: &Keys,
        revealed: Height,
        store: &S,
    ) -> Read<Self, S> {
        let Some(checkpoint) = archive::settlement(store)? else { return Ok(Self::default()) };
        let SettlementCheckpoint { history, certified, open_ends } = checkpoint;
        let mut settlement = Self { history, certified, ..Self::default() };
        let mark = store.high_water().map_err(ArchiveError::Store)?;
        if let Some(bound) = mark.and_then(|mark| mark.attested) {
            let there = archive::commitment(store, bound.height)?;
            let digest = there.map(|commitment| domain.commitment(&commitment));
            settlement.at_mark = digest.map(|digest| (bound.height, digest));
        }
        let least = revealed.checked_sub(HEIGHTS_KEPT).unwrap_or_default();
        let heights: BTreeSet<Height> = least.up_to(revealed).chain(open_ends).collect();
        for height in heights {
            let Some(commitment) = archive::commitment(store, height)? else { continue };
            let digest = domain.commitment(&commitment);
            let committee = Arc::clone(keys.committee_at(height));
            let mut collected = Collected::new(commitment, digest, committee);
            collected.certificate = archive::certificate(store, height)?.map(Arc::new);
            if let Some(own) = archive::own_attestation(store, height)?.map(Arc::new) {
                collected.signed(Arc::clone(&own));
                collected.own = Some(own);
            }
            settlement.collected.insert(height, collected);
        }
        Ok(settlement)
    }
}

impl Sequencer {
    /// Attests what was revealed before the process ended and not attested any more.
    pub(crate) fn resume_settlement(&mut self, now: Time) {
        self.bind_overdue(now);
        let recent = self.chain.decided().checked_sub(STALE).unwrap_or_default();
        let open = self.settlement.collected.iter().filter(|(height, collected)| {
            let is_needed = collected.is_epoch_end() || **height > recent;
            collected.certificate.is_none() && collected.own.is_none() && is_needed
        });
        let open: Vec<Height> = open.map(|(height, _)| *height).collect();
        for height in open {
            self.attest(height);
        }
    }
}
