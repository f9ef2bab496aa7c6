//! The users: payers who seal bundles for two rollups and hand them to validators.

use conclave_encryption::{PublicKey, seal};
use conclave_types::{
    BundleHeader, BundleNonce, EncryptedBundle, Genesis, GenesisAccount, Gwei, Height, HeightDelta,
    KeyId, Leg, PayerAddress, PayerSignature, RollupId, digest::keccak,
};
use secp256k1::{All, Message, PublicKey as PayerKey, Secp256k1, SecretKey};

use crate::random::Random;

/// How long a bundle stays valid.
const LIFETIME: HeightDelta = HeightDelta::new(1_000);

/// What every payer owns at genesis.
pub const BALANCE: Gwei = Gwei::new(1_000_000_000_000);

struct Payer {
    secret: SecretKey,
    address: PayerAddress,
    next_sequence: u64,
}

/// Payers with their keys and nonces.
pub struct Load {
    curve: Secp256k1<All>,
    payers: Vec<Payer>,
    random: Random,
    rollups: Vec<RollupId>,
    made: u64,
}

impl Load {
    /// `count` payers whose keys follow from the seed.
    ///
    /// # Panics
    ///
    /// Never in practice: a random scalar is a key but for one in 2¹²⁷.
    #[must_use]
    pub fn new(seed: u64, count: u64, rollups: Vec<RollupId>) -> Self {
        let curve = Secp256k1::new();
        let mut random = Random::new(seed, 2);
        let payers = (0..count).filter_map(|_| {
            let secret = SecretKey::from_byte_array(&random.bytes()).ok()?;
            let public = PayerKey::from_secret_key(&curve, &secret).serialize_uncompressed();
            let hash = keccak(public.get(1..)?);
            let address = PayerAddress::from_slice(hash.as_bytes().get(12..)?).ok()?;
            Some(Payer { secret, address, next_sequence: 0 })
        });
        let payers = payers.collect();
        Self { curve, payers, random, rollups, made: 0 }
    }

    /// The payers' genesis accounts.
    #[must_use]
    pub fn accounts(&self) -> Vec<GenesisAccount> {
        let accounts = self.payers.iter();
        accounts.map(|p| GenesisAccount { address: p.address, balance: BALANCE }).collect()
    }

    /// Seals the next bundle; one in four has a leg for each rollup.
    pub fn next(&mut self, genesis: &Genesis, key: &PublicKey, now: Height) -> Option<EncryptedBundle> {
        let count = u64::try_from(self.payers.len()).unwrap_or(u64::MAX);
        let pick = usize::try_from(self.random.below(count)).ok()?;
        let cross = self.random.chance(250);
        self.made = self.made.saturating_add(1);
        let body = |rollup: &RollupId, made: u64| Leg {
            rollup: *rollup,
            transaction: format!("tx {made} for {rollup}").into_bytes(),
        };
        let take = if cross { self.rollups.len() } else { 1 };
        let legs: Vec<Leg> =
            self.rollups.iter().take(take).map(|rollup| body(rollup, self.made)).collect();
        let payer = self.payers.get_mut(pick)?;
        let nonce = BundleNonce { lane: 0, sequence: payer.next_sequence };
        payer.next_sequence = payer.next_sequence.saturating_add(1);
        let header = BundleHeader {
            network: genesis.network_id(),
            suite: genesis.encryption_key.suite,
            key_id: KeyId::ZERO,
            payer: payer.address,
            nonce,
            max_fee: Gwei::new(1_000_000),
            priority_fee: Gwei::ZERO,
            valid_until: now.saturating_add(LIFETIME),
            body_bytes: 0,
        };
        let sealed = seal(key.sealing_key(), header, &legs, self.random.rng()).ok()?;
        let mut bundle = EncryptedBundle {
            header: sealed.header,
            capsule: sealed.capsule,
            body: sealed.body,
            signature: PayerSignature::new([0; 65]),
        };
        bundle.signature = sign(&self.curve, &payer.secret, &bundle);
        Some(bundle)
    }
}

fn sign(curve: &Secp256k1<All>, secret: &SecretKey, bundle: &EncryptedBundle) -> PayerSignature {
    let message = Message::from_digest(*bundle.signing_digest().as_bytes());
    let (recovery, compact) = curve.sign_ecdsa_recoverable(&message, secret).serialize_compact();
    let mut bytes = [0; 65];
    let v = u8::try_from(i32::from(recovery)).unwrap_or(0).saturating_add(27);
    for (to, from) in bytes.iter_mut().zip(compact.into_iter().chain([v])) {
        *to = from;
    }
    PayerSignature::new(bytes)
}
