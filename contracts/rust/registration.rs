//! The keys that a validator registers, as L1 takes them. `docs/spec/settlement.md` has the layouts.

use alloy::primitives::{B256, Bytes, U256};
use conclave_types::{
    ConsensusKey, NetworkId, PayerAddress, SettlementSecret, digest::SigningDomain, eip2537_g2,
};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::ConclaveStake::{G1Point, Keys};

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
    ///
    /// # Panics
    ///
    /// Never: what was just made is a point.
    #[must_use]
    pub fn settlement_proof(&self, at: Deployment, owner: &PayerAddress) -> Bytes {
        let message = at.domain().settlement_key_possession(owner, &self.settlement.key());
        let signature = eip2537_g2(&self.settlement.possess(&message));
        #[expect(clippy::expect_used, reason = "what was just made is a point")]
        Bytes::copy_from_slice(&signature.expect("a signature is a point"))
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
    use super::*;

    #[test]
    fn proofs_are_bound_to_chain_contract_and_owner() {
        let secrets = ValidatorSecrets {
            consensus: SigningKey::from_bytes(&[1; 32]),
            settlement: SettlementSecret::from_seed(&[9; 32]),
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
