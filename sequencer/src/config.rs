//! What a sequencer is told once: the genesis, who it is, and a secret seed.

use std::{collections::BTreeSet, sync::Arc};

use conclave_encryption::{KeyError, PackingError, PublicKey, SecretShare};
use conclave_mempool::admission::Rules;
use conclave_types::{
    Committee, Genesis, GenesisError, NetworkId, RollupId, SettlementSecret, StrictVerifier,
    ValidatorIndex, Verifier, digest::SigningDomain,
};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::{judge::Rulebook, keys::Keys};

/// A validator's keys.
#[derive(Clone)]
pub struct Identity {
    /// Signs votes, proposals and share messages.
    pub signing_key: SigningKey,
    /// Its share of the key that the genesis brings, if it brings one. Other shares are in the store.
    pub secret_share: Option<Arc<SecretShare>>,
    /// Signs commitments for L1; none if it has no settlement key, and then it attests nothing.
    pub settlement: Option<SettlementSecret>,
    /// The operator says that the signing history of these keys is lost and no other machine uses them:
    /// sign again, above what a quorum has reached by a safe margin.
    pub lost_state: bool,
}

/// What a sequencer is told once.
#[derive(Clone)]
pub struct Config {
    /// The genesis of the network.
    pub genesis: Arc<Genesis>,
    /// This node's validator keys; none for a full node.
    pub identity: Option<Identity>,
    /// Secret and random: weights of batch checks are derived from it.
    pub seed: [u8; 32],
}

/// What the sequencers of one process may have in common.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Judges signatures.
    pub verifier: Arc<dyn Verifier>,
    /// The genesis's encryption key, parsed, if somebody has done that. Another one is not used.
    pub key: Option<PublicKey>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { verifier: Arc::new(StrictVerifier), key: None }
    }
}

/// Why a configuration cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The genesis contradicts itself.
    #[error("the genesis is not valid")]
    Genesis(#[from] GenesisError),
    /// The encryption key in the genesis is not one.
    #[error("the encryption key in the genesis is not valid")]
    Key(#[from] KeyError),
    /// The parameters of the key do not go with the number of members.
    #[error("the genesis names numbers that are no sharing of a key among its members")]
    Sharing(#[from] PackingError),
    /// The signing key belongs to no member.
    #[error("the consensus key of this node is not in the genesis; check the key file")]
    NotAMember,
    /// The secret share is not the one that the genesis expects of this validator.
    #[error(
        "the key share of validator {0} does not match its verification key; check the key file"
    )]
    WrongShare(ValidatorIndex),
    /// The settlement key is not the one that the genesis names.
    #[error(
        "the settlement key of this node is not validator {0}'s in the genesis; check the key file"
    )]
    WrongSettlementKey(ValidatorIndex),
}

/// A configuration after every part was checked against the others.
pub(crate) struct Context {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) network: NetworkId,
    pub(crate) domain: SigningDomain,
    pub(crate) committee: Committee,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) own: Option<(ValidatorIndex, Identity)>,
    /// The key that the genesis brings, if it brings one.
    pub(crate) genesis_key: Option<PublicKey>,
    pub(crate) rules: Rules,
    pub(crate) rollups: Arc<BTreeSet<RollupId>>,
    seed: [u8; 32],
    seeds_used: u64,
}

impl Context {
    pub(crate) fn new(config: Config, shared: Shared) -> Result<Self, ConfigError> {
        let Shared { verifier, key } = shared;
        let genesis = config.genesis;
        let committee = genesis.validate()?;
        let network = genesis.network_id();
        let is_ours = |key: &PublicKey| {
            key.sealing_key().network() == network
                && Some(key.encryption_key()) == genesis.encryption_key.as_ref()
        };
        let genesis_key = match (key.filter(is_ours), &genesis.encryption_key) {
            (Some(key), _) => Some(key),
            (None, Some(key)) => Some(PublicKey::new(network, key)?),
            (None, None) => None,
        };
        let own = match config.identity {
            None => None,
            Some(identity) => {
                let public = identity.signing_key.verifying_key();
                let public = conclave_types::ConsensusKey::new(public.to_bytes());
                let index = committee.index_of(&public).ok_or(ConfigError::NotAMember)?;
                let fits = |share: &Arc<SecretShare>| {
                    genesis_key.as_ref().is_some_and(|key| share.matches(key, index.as_u16()))
                };
                if !identity.secret_share.iter().all(fits) {
                    return Err(ConfigError::WrongShare(index));
                }
                let named = committee.get(index).map(|member| member.settlement_key);
                let fits = |secret: &SettlementSecret| Some(secret.key()) == named;
                if !identity.settlement.iter().all(fits) {
                    return Err(ConfigError::WrongSettlementKey(index));
                }
                Some((index, identity))
            }
        };
        Ok(Self {
            domain: SigningDomain::of(&genesis),
            rollups: Arc::new(genesis.rollups.iter().map(|rollup| rollup.id).collect()),
            genesis_key,
            rules: Rules::new(&genesis),
            genesis,
            network,
            committee,
            verifier,
            own,
            seed: config.seed,
            seeds_used: 0,
        })
    }

    /// The rules that blocks are judged by, with these keys before them.
    pub(crate) fn rulebook<'a>(&'a self, keys: &'a Keys) -> Rulebook<'a> {
        Rulebook {
            network: self.network,
            domain: &self.domain,
            keys,
            committee: &self.committee,
            verifier: &*self.verifier,
            params: &self.genesis.params,
            bundles: &self.rules,
        }
    }

    /// A fresh secret seed for one batch check.
    pub(crate) fn next_seed(&mut self) -> [u8; 32] {
        self.seeds_used = self.seeds_used.saturating_add(1);
        let mut hasher = conclave_types::digest::Hasher::new("conclave/batch-seed/v1");
        *hasher.fixed(&self.seed).u64(self.seeds_used).finish().as_bytes()
    }

    /// A fresh secret of this validator's. It follows from the seed of the process and the consensus key
    /// together, so neither a recording nor a stolen key gives it away.
    pub(crate) fn next_secret(&mut self) -> Option<[u8; 32]> {
        let seed = self.next_seed();
        let (_, identity) = self.own.as_ref()?;
        let mut hasher = conclave_types::digest::Hasher::new("conclave/fresh-secret/v1");
        let key = Zeroizing::new(identity.signing_key.to_bytes());
        Some(*hasher.fixed(&seed).fixed(&*key).finish().as_bytes())
    }

    pub(crate) fn own_index(&self) -> Option<ValidatorIndex> {
        self.own.as_ref().map(|(index, _)| *index)
    }
}
