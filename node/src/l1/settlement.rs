//! The key that signs commitments for L1 (BLS12-381, keys in G1), as its owner keeps it and as L1 takes it.
//! `docs/spec/settlement.md` has the ciphersuite and the layouts.

use std::path::Path;

use alloy::primitives::{B256, Bytes, U256};
use blstrs::{G1Projective, G2Projective, Scalar};
use conclave_contracts::ConclaveStake::{G1Point, Keys};
use conclave_types::{
    ConsensusKey, Digest, NetworkId, PayerAddress, SettlementKey, digest::SigningDomain,
};
use ed25519_dalek::{Signer as _, SigningKey};
use group::{Curve as _, Group as _, ff::Field as _};
use rand_core::OsRng;
use zeroize::Zeroizing;

use crate::keys::{self, KeyFileError};

/// Separates proofs of possession from attestations.
const POSSESSION_SUITE: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A settlement key's secret.
pub struct SettlementSecret(Scalar);

impl std::fmt::Debug for SettlementSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SettlementSecret")
    }
}

impl SettlementSecret {
    /// A new one, from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        // Zero, whose key is the point at infinity, is as likely as guessing somebody's key.
        Self(Scalar::random(OsRng))
    }

    /// Reads the key file at `path`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let bytes = keys::read(path)?;
        let scalar = Option::<Scalar>::from(Scalar::from_bytes_be(&bytes));
        let secret = scalar.filter(|scalar| !bool::from(scalar.is_zero())).map(Self);
        secret.ok_or_else(|| KeyFileError::Malformed { path: path.to_owned() })
    }

    /// Writes it into a new file that only its owner can read.
    ///
    /// # Errors
    ///
    /// If there is a file already, or the disk fails.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        keys::write(path, &Zeroizing::new(self.0.to_bytes_be()))
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> SettlementKey {
        SettlementKey::new((G1Projective::generator() * self.0).to_affine().to_uncompressed())
    }

    /// Its signature under the tag for proofs of possession, as EIP-2537 encodes a point.
    #[must_use]
    pub fn possess(&self, message: &Digest) -> Bytes {
        let point = G2Projective::hash_to_curve(message.as_bytes(), POSSESSION_SUITE, &[]);
        let bytes = (point * self.0).to_affine().to_uncompressed();
        // x₁ ‖ x₀ ‖ y₁ ‖ y₀; L1 has the coefficients the other way round, each behind 16 zero bytes.
        let (x, y) = bytes.split_at(96);
        let halves = |coordinate: &[u8]| {
            let (high, low) = coordinate.split_at(48);
            [padded(low), padded(high)].concat()
        };
        [halves(x), halves(y)].concat().into()
    }
}

/// The keys that a validator registers, with what shows that their owner has them.
#[derive(Debug)]
pub struct ValidatorSecrets {
    /// Signs proposals, votes and share messages.
    pub consensus: SigningKey,
    /// Signs commitments.
    pub settlement: SettlementSecret,
    /// The public half of the host's identity.
    pub network: ConsensusKey,
}

impl ValidatorSecrets {
    /// The keys as `ConclaveStake` takes them.
    #[must_use]
    pub fn keys(&self) -> Keys {
        let key = self.settlement.key();
        let (x, y) = key.as_bytes().split_at(48);
        let [x_high, x_low] = words(x);
        let [y_high, y_low] = words(y);
        Keys {
            consensusKey: B256::from(self.consensus.verifying_key().to_bytes()),
            settlementKey: G1Point { xHigh: x_high, xLow: x_low, yHigh: y_high, yLow: y_low },
            networkKey: B256::from(*self.network.as_bytes()),
        }
    }

    /// Shows on this deployment that `owner` has the settlement key.
    #[must_use]
    pub fn settlement_proof(&self, at: Deployment, owner: &PayerAddress) -> Bytes {
        let message = at.domain().settlement_key_possession(owner, &self.settlement.key());
        self.settlement.possess(&message)
    }

    /// Shows on this deployment that `owner` has the consensus key: r and s of a signature.
    #[must_use]
    pub fn consensus_proof(&self, at: Deployment, owner: &PayerAddress) -> (B256, B256) {
        let key = ConsensusKey::new(self.consensus.verifying_key().to_bytes());
        let message = at.domain().consensus_key_possession(owner, &key);
        let signature = self.consensus.sign(message.as_bytes());
        (B256::from(*signature.r_bytes()), B256::from(*signature.s_bytes()))
    }
}

/// What a proof of possession is bound to, besides its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The chain.
    pub l1_chain_id: u64,
    /// The stake contract there.
    pub stake: [u8; 20],
}

impl Deployment {
    /// Keys are registered before the network has an id, which covers them.
    fn domain(self) -> SigningDomain {
        let Self { l1_chain_id, stake: l1_contract } = self;
        SigningDomain { network: NetworkId::new([0; 32]), l1_chain_id, l1_contract }
    }
}

/// A coordinate of 48 bytes behind 16 zero bytes.
fn padded(coordinate: &[u8]) -> Vec<u8> {
    [&[0; 16], coordinate].concat()
}

/// A coordinate as two words.
fn words(coordinate: &[u8]) -> [U256; 2] {
    let padded = padded(coordinate);
    let (high, low) = padded.split_at(32);
    [high, low].map(U256::from_be_slice)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_survives_its_file_and_garbage_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settlement.key");
        let secret = SettlementSecret::generate();
        secret.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SettlementSecret::read(&path).unwrap().key(), secret.key());
        for (name, bytes) in [("zero", [0; 32]), ("above the order", [0xff; 32])] {
            let path = directory.path().join(name);
            keys::write(&path, &bytes).unwrap();
            let refused = SettlementSecret::read(&path);
            assert!(matches!(refused, Err(KeyFileError::Malformed { .. })), "{name}");
        }
    }

    #[test]
    fn proofs_are_bound_to_chain_contract_and_owner() {
        let secrets = ValidatorSecrets {
            consensus: SigningKey::from_bytes(&[1; 32]),
            settlement: SettlementSecret::generate(),
            network: ConsensusKey::new([2; 32]),
        };
        let (at, owner) =
            (Deployment { l1_chain_id: 1, stake: [3; 20] }, PayerAddress::new([4; 20]));
        let others = [
            (Deployment { l1_chain_id: 2, ..at }, owner),
            (Deployment { stake: [5; 20], ..at }, owner),
            (at, PayerAddress::new([6; 20])),
        ];
        for (other, of) in others {
            assert_ne!(secrets.settlement_proof(at, &owner), secrets.settlement_proof(other, &of));
            assert_ne!(secrets.consensus_proof(at, &owner), secrets.consensus_proof(other, &of));
        }
        assert_eq!(secrets.settlement_proof(at, &owner).len(), 256);
    }
}
