//! A validator's keys, and what their owner signs with them.

use alloy::primitives::{B256, Bytes, U256};
use blstrs::{G1Projective, G2Projective, Scalar};
use conclave_contracts::ConclaveStake::{G1Point, Keys};
use conclave_types::{ConsensusKey, Digest, SettlementKey};
use ed25519_dalek::{Signer as _, SigningKey};
use group::{Curve as _, Group as _};

const SUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const POSSESSION_SUITE: &[u8] = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

pub(crate) struct Secrets {
    settlement: Scalar,
    consensus: SigningKey,
}

impl Secrets {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            settlement: Scalar::from(0xc0de_0000 + u64::from(number)),
            consensus: SigningKey::from_bytes(&[number; 32]),
        }
    }

    pub(crate) fn consensus_key(&self) -> ConsensusKey {
        ConsensusKey::new(self.consensus.verifying_key().to_bytes())
    }

    pub(crate) fn settlement_key(&self) -> SettlementKey {
        let point = G1Projective::generator() * self.settlement;
        SettlementKey::new(point.to_affine().to_uncompressed())
    }

    /// The keys as `ConclaveStake` takes them.
    pub(crate) fn keys(&self) -> Keys {
        let [x, y] = halves(self.settlement_key().as_bytes());
        let ([x_high, x_low], [y_high, y_low]) = (words(&x), words(&y));
        Keys {
            consensusKey: B256::from(*self.consensus_key().as_bytes()),
            settlementKey: G1Point {
                xHigh: U256::from_be_bytes(x_high),
                xLow: U256::from_be_bytes(x_low),
                yHigh: U256::from_be_bytes(y_high),
                yLow: U256::from_be_bytes(y_low),
            },
            networkKey: B256::repeat_byte(0x2e),
        }
    }

    /// r and s of an ed25519 signature.
    pub(crate) fn sign_consensus(&self, message: &Digest) -> (B256, B256) {
        let signature = self.consensus.sign(message.as_bytes());
        (B256::from(*signature.r_bytes()), B256::from(*signature.s_bytes()))
    }

    pub(crate) fn possess(&self, message: &Digest) -> Bytes {
        encode(&(hash(message, POSSESSION_SUITE) * self.settlement))
    }

    /// The aggregate of the signatures of `signers`.
    pub(crate) fn certify<'a>(
        signers: impl IntoIterator<Item = &'a Self>,
        message: &Digest,
    ) -> Bytes {
        let point = hash(message, SUITE);
        encode(&signers.into_iter().map(|signer| point * signer.settlement).sum())
    }
}

fn hash(message: &Digest, suite: &[u8]) -> G2Projective {
    G2Projective::hash_to_curve(message.as_bytes(), suite, &[])
}

/// A point of G2 as EIP-2537 has it: x₀, x₁, y₀, y₁, where the usual encoding has the coefficient of the
/// higher power first.
fn encode(point: &G2Projective) -> Bytes {
    let bytes = point.to_affine().to_uncompressed();
    let (x, y) = bytes.split_at(96);
    let coefficients = [&x[48..], &x[..48], &y[48..], &y[..48]];
    coefficients.iter().flat_map(|coefficient| words(coefficient).concat()).collect()
}

fn halves(key: &[u8; 96]) -> [[u8; 48]; 2] {
    [0, 48].map(|at| key[at..at + 48].try_into().unwrap())
}

/// A coordinate of 48 bytes as two words.
fn words(coordinate: &[u8]) -> [[u8; 32]; 2] {
    let mut padded = [0; 64];
    padded[16..].copy_from_slice(coordinate);
    [0, 32].map(|at| padded[at..at + 32].try_into().unwrap())
}
