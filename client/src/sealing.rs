//! From legs to a bundle that only a quorum can open, after it is ordered.

use conclave_encryption::SealingKey;
use conclave_types::{
    BundleHeader, BundleNonce, EncryptedBundle, Gwei, Height, HeightDelta, KeyId, Leg, bucket_for,
};
use rand_core::OsRng;

use crate::{ClientError, Network, Payer};

/// Bytes that the authentication tag adds to the padded plaintext.
const TAG_BYTES: u32 = 16;

/// The terms of one submission. `Terms::default()` suits most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The lane; any free one if none is named. Bundles of one lane are ordered by their sequence and
    /// wait for each other; those of different lanes do not.
    pub lane: Option<u64>,
    /// The most that may be charged; twice the present fee if none is named, so that a change of
    /// parameters at an epoch's end does not strand the bundle.
    pub max_fee: Option<Gwei>,
    /// Paid on top, for a better chance of inclusion. It buys no position.
    pub priority_fee: Gwei,
    /// For how many heights from now on the bundle may be included. The network's maximum caps it.
    pub valid_for: HeightDelta,
    /// Seal for rollups that the genesis does not name, too. Such a bundle is charged and has no
    /// effect, so this is off unless the network has learned of a rollup since.
    pub any_rollup: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lane: None,
            max_fee: None,
            priority_fee: Gwei::ZERO,
            valid_for: HeightDelta::new(1_000),
            any_rollup: false,
        }
    }
}

/// Bytes of the ciphertext that `legs` become; none if no bucket holds them.
#[must_use]
pub fn body_bytes(legs: &[Leg]) -> Option<u32> {
    bucket_for(borsh::object_length(legs).ok()?)?.checked_add(TAG_BYTES)
}

/// What sealing needs of the chain.
#[derive(Clone, Debug)]
pub struct SealingTerms {
    /// The key to seal to.
    pub key: SealingKey,
    /// The last height at which the bundle may be included.
    pub valid_until: Height,
}

/// Seals `legs` under `until` and signs for them. Pure CPU work, well under a
/// millisecond for small bundles; needs no connection.
///
/// # Errors
///
/// Says which leg, fee or key stands in the way.
pub fn seal(
    network: &Network,
    until: &SealingTerms,
    payer: &Payer,
    nonce: BundleNonce,
    legs: &[Leg],
    terms: &Terms,
) -> Result<EncryptedBundle, ClientError> {
    if !terms.any_rollup {
        check_rollups(network, legs)?;
    }
    let fee = network.fee(body_bytes(legs).unwrap_or(u32::MAX), terms.priority_fee);
    let max_fee = terms.max_fee.unwrap_or(Gwei::new(fee.as_u64().saturating_mul(2)));
    if body_bytes(legs).is_some() && fee > max_fee {
        return Err(ClientError::FeeAboveLimit { fee, max_fee });
    }
    let header = BundleHeader {
        network: network.id(),
        suite: until.key.suite().number(),
        key_id: KeyId::ZERO,
        payer: payer.address(),
        nonce,
        max_fee,
        priority_fee: terms.priority_fee,
        valid_until: until.valid_until,
        body_bytes: 0,
    };
    let sealed =
        conclave_encryption::seal(&until.key, header, legs, OsRng).map_err(ClientError::Seal)?;
    let signature = payer.sign(&sealed.header, &sealed.body, &sealed.capsule)?;
    Ok(EncryptedBundle {
        header: sealed.header,
        capsule: sealed.capsule,
        body: sealed.body,
        signature,
    })
}

fn check_rollups(network: &Network, legs: &[Leg]) -> Result<(), ClientError> {
    let rollups = &network.genesis().rollups;
    let is_known = |leg: &&Leg| rollups.iter().any(|rollup| rollup.id == leg.rollup);
    let Some(leg) = legs.iter().find(|leg| !is_known(leg)) else { return Ok(()) };
    let names = rollups.iter().map(|rollup| rollup.id.to_string()).collect::<Vec<_>>();
    Err(ClientError::UnknownRollup { found: leg.rollup, registered: names.join(", ") })
}
