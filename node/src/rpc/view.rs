//! Where a bundle stands, from the store and the pool.

use std::sync::Arc;

use conclave_sequencer::archive;
use conclave_types::{
    BundleId, Gwei, Height, Outcome,
    proto::v1::{self, Level},
};
use tonic::Status;

use super::{Context, damaged, unanswered};

/// What is said of a bundle that came back.
const RETURNED: &str = "the era of its key ended before a block took it; it is not charged and its nonce is free: \
     seal it again to the key that is in force now";

impl Context {
    /// A bundle's status: from the chain if it was decided, else from the pool.
    pub(super) async fn bundle_status(
        self: &Arc<Self>,
        id: BundleId,
    ) -> Result<v1::BundleStatus, Status> {
        if let Some(status) = self.decided_status(id).await? {
            return Ok(status);
        }
        let held = self.driver.ask(move |core| (core.is_pooled(&id), core.is_returned(&id))).await;
        let (held, returned) = held.map_err(unanswered)?;
        // It may have been decided between the two looks; then it is no longer pooled.
        if !held && let Some(status) = self.decided_status(id).await? {
            return Ok(status);
        }
        let level = if held { Level::Received } else { Level::Unspecified };
        Ok(v1::BundleStatus {
            bundle_id: id.as_bytes().to_vec(),
            level: level.into(),
            returned: if returned { RETURNED.to_owned() } else { String::new() },
            ..v1::BundleStatus::default()
        })
    }

    /// The status of a decided bundle; none if it was not decided.
    pub(super) async fn decided_status(
        self: &Arc<Self>,
        id: BundleId,
    ) -> Result<Option<v1::BundleStatus>, Status> {
        let context = Arc::clone(self);
        self.blocking(move || context.read_status(id)).await
    }

    fn read_status(&self, id: BundleId) -> Result<Option<v1::BundleStatus>, Status> {
        let store = &*self.reader;
        let Some(place) = archive::place(store, &id).map_err(|e| damaged(&e))? else {
            return Ok(None);
        };
        let decided = self.recent.decided(store, place.height).map_err(|e| damaged(&e))?;
        let block = decided.map(|stored| stored.certificate.block).unwrap_or_default();
        let mut status = v1::BundleStatus {
            bundle_id: id.as_bytes().to_vec(),
            level: Level::Ordered.into(),
            height: place.height.as_u64(),
            block_id: block.as_bytes().to_vec(),
            fee_charged_gwei: self.fee_charged(&id)?,
            ..v1::BundleStatus::default()
        };
        // The snapshot rules, not the store: what it does not speak of yet is not public yet.
        let snapshot = self.driver.snapshot();
        if snapshot.revealed.height < place.height {
            return Ok(Some(status));
        }
        let revealed = self.recent.revealed(store, place.height).map_err(|e| damaged(&e))?;
        let Some(revealed) = revealed else { return Ok(Some(status)) };
        let found = (0_u32..).zip(&revealed.bundles).find(|(_, bundle)| bundle.id == id);
        if let Some((position, bundle)) = found {
            let level = self.settlement_level(snapshot.status.certified, place.height);
            status.level = level.into();
            status.position = position;
            status.draw = bundle.draw.as_bytes().to_vec();
            match &bundle.outcome {
                Outcome::Opened(legs) => status.legs = legs.iter().map(Into::into).collect(),
                Outcome::Undecryptable(reason) => status.undecryptable = reason.to_string(),
            }
        }
        Ok(Some(status))
    }

    /// How far a revealed height is on its way into L1. A certificate and a posting each cover everything before.
    fn settlement_level(&self, certified: Height, height: Height) -> Level {
        let settlement = self.l1.as_ref().map(|views| views.now().1).unwrap_or_default();
        let height = height.as_u64();
        match (settlement.final_height, settlement.settled, certified.as_u64()) {
            (last, _, _) if last >= height => Level::Final,
            (_, last, _) if last >= height => Level::Settled,
            (_, _, last) if last >= height => Level::Certified,
            _ => Level::Revealed,
        }
    }

    fn fee_charged(&self, id: &BundleId) -> Result<u64, Status> {
        let bundle = archive::bundle(&*self.reader, id).map_err(|e| damaged(&e))?;
        let fees = &self.genesis.params.fees;
        let charge = bundle
            .and_then(|bundle| fees.charge(bundle.header.body_bytes, bundle.header.priority_fee));
        Ok(charge.map_or(0, Gwei::as_u64))
    }
}
