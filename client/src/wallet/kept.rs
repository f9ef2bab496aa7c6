//! A bundle that was admitted and may have to be handed in again, with what it takes to seal it anew.

use std::sync::Arc;

use conclave_types::{BundleId, EncryptedBundle, Leg};

use crate::{Client, ClientError, Payer, SealingTerms, Terms, sealing};

/// Ids of one bundle that are remembered: of as many eras as nobody waits through.
const NAMES_MAX: usize = 8;

/// A bundle that is looked after until it is ordered.
#[derive(Debug)]
pub(super) struct Kept {
    bundle: Arc<EncryptedBundle>,
    legs: Vec<Leg>,
    terms: Terms,
    /// What it was before it was sealed again.
    before: Vec<BundleId>,
}

impl Kept {
    pub(super) fn new(bundle: Arc<EncryptedBundle>, legs: &[Leg], terms: &Terms) -> Self {
        Self { bundle, legs: legs.to_vec(), terms: *terms, before: Vec::new() }
    }

    pub(super) const fn bundle(&self) -> &Arc<EncryptedBundle> {
        &self.bundle
    }

    pub(super) fn id(&self) -> BundleId {
        self.bundle.id()
    }

    pub(super) fn sequence(&self) -> u64 {
        self.bundle.header.nonce.sequence
    }

    /// Whether it has, or had, this id.
    pub(super) fn was(&self, id: &BundleId) -> bool {
        self.id() == *id || self.before.contains(id)
    }

    /// The ids that it had before, each with the one that it has.
    pub(super) fn names(&self) -> impl Iterator<Item = (BundleId, BundleId)> + '_ {
        self.before.iter().map(|before| (*before, self.id()))
    }

    /// Seals it to the key in force: the same legs under the same nonce, until the same height.
    ///
    /// # Errors
    ///
    /// As [`Client::sealing_terms`] and [`crate::seal`].
    pub(super) async fn seal_again(
        &mut self,
        client: &Client,
        payer: &Payer,
    ) -> Result<(), ClientError> {
        let header = &self.bundle.header;
        let SealingTerms { key, .. } = client.sealing_terms(&self.terms).await?;
        let until = SealingTerms { key, valid_until: header.valid_until };
        let nonce = header.nonce;
        let again = sealing::seal(client.network(), &until, payer, nonce, &self.legs, &self.terms)?;
        let before = self.id();
        tracing::info!(%before, now = %again.id(), "sealed again: the era of its key is over");
        if self.before.len() >= NAMES_MAX {
            self.before.remove(0);
        }
        self.before.push(before);
        self.bundle = Arc::new(again);
        Ok(())
    }
}
