//! The key to seal to: asked for, checked, remembered.

use std::time::Duration;

use conclave_encryption::SealingKey;
use conclave_grpc::{messages as v1, v1::submit_service_client::SubmitServiceClient};
use conclave_types::{Height, HeightDelta, KeyId, wire};
use tokio::time::Instant;
use tonic::Response;

use crate::{Client, ClientError, SealingTerms, Terms};

/// How long a decided height is good enough to choose `valid_until` by.
const HEIGHT_FRESH_FOR: Duration = Duration::from_secs(5);

/// A bundle that is to stay valid for fewer heights needs to know exactly where the chain is.
const HEIGHT_SLACK: HeightDelta = HeightDelta::new(500);

/// Pause before asking again for a key that is being made.
const KEY_PAUSE: Duration = Duration::from_millis(100);

/// What sealing needs of the chain, and when it was learned.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    at: Instant,
    decided: Height,
    key: SealingKey,
}

impl Client {
    /// The key to seal to, and the last height at which a bundle under `terms` may be included. Asks a
    /// validator, unless one said so just now. While validators are still making the key, the call is
    /// tried again as the [`Retry`](crate::Retry) allows.
    ///
    /// # Errors
    ///
    /// [`ClientError::ForeignKey`] if the validator would have us seal to a key that nothing vouches for.
    pub async fn sealing_terms(&self, terms: &Terms) -> Result<SealingTerms, ClientError> {
        let longest = self.network().genesis().params.limits.bundle_lifetime_max;
        let wanted = terms.valid_for.min(longest);
        let known = self.inner.terms.lock().ok().and_then(|known| known.clone());
        let is_fresh = |seen: &Seen| seen.at.elapsed() < HEIGHT_FRESH_FOR && wanted >= HEIGHT_SLACK;
        let seen = match known {
            Some(seen) if is_fresh(&seen) => seen,
            known => self.learn_terms(known).await?,
        };
        Ok(SealingTerms { key: seen.key, valid_until: seen.decided.saturating_add(wanted) })
    }

    /// Waits until there is a key to seal to, and returns it checked. A new network makes its key in its
    /// first blocks; before that, sealing fails.
    ///
    /// # Errors
    ///
    /// As [`Client::sealing_terms`], once `patience` is over.
    pub async fn wait_for_key(&self, patience: Duration) -> Result<SealingKey, ClientError> {
        let until = Instant::now() + patience;
        loop {
            match self.learn_terms(None).await {
                Ok(seen) => return Ok(seen.key),
                Err(ClientError::Unavailable { .. }) if Instant::now() < until => {
                    tokio::time::sleep(KEY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether bundles are to be sealed to another key than this by now: its era is over.
    pub(crate) async fn is_out_of_use(&self, key: KeyId) -> Result<bool, ClientError> {
        let known = self.inner.terms.lock().ok().and_then(|known| known.clone());
        Ok(self.learn_terms(known).await?.key.id() != key)
    }

    /// Asks for the key to seal to, and checks it unless it is the one that is known.
    async fn learn_terms(&self, known: Option<Seen>) -> Result<Seen, ClientError> {
        let response = self
            .endpoints()
            .call(|channel| async move {
                let mut service = SubmitServiceClient::new(channel);
                let request = v1::GetEncryptionKeyRequest {};
                service.get_encryption_key(request).await.map(Response::into_inner)
            })
            .await?;
        self.check_network(&response.network_id)?;
        let found = wire::id(&response.key_id, "key_id", KeyId::from_slice)?;
        let decided = Height::new(response.decided_height);
        let served = match &known {
            Some(seen) if seen.key.id() == found => seen.key.clone(),
            _ => self.followed(|network| network.verify_key(&response)).await?,
        };
        let expected = served.id();
        if found != expected {
            return Err(ClientError::ForeignKey { expected, found });
        }
        // Whoever is behind, or would have us seal to a key whose shares may have leaked since, is not followed.
        let ahead = known.filter(|seen| seen.key.era() > served.era());
        let (key, decided) = match ahead {
            Some(seen) => (seen.key, decided.max(seen.decided)),
            None => (served, decided),
        };
        let seen = Seen { at: Instant::now(), decided, key };
        if let Ok(mut known) = self.inner.terms.lock() {
            *known = Some(seen.clone());
        }
        Ok(seen)
    }
}
