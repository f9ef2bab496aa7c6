//! What a sequencer is told once: the genesis, who it is, and a secret seed.

use std::{collections::BTreeSet, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_encryption::{KeyError, PublicKey, SecretShare};
use conclave_mempool::admission::Rules;
use conclave_types::{
    Committee, ConsensusKey, Digest, Genesis, GenesisError, Height, NetworkId, RollupId,
    SettlementKey, SettlementSecret, StrictVerifier, ValidatorIndex, Verifier,
    digest::SigningDomain,
};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::{
    job::BatchSeed,
    judge::Rulebook,
    keys::{Keys, SharingError},
    store::SecretBytes,
};

/// The newest posting on L1, as a validator is told that has lost what it signed. Before there is one, and without an L1,
/// height and root are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SettledOnL1 {
    /// Its height.
    pub height: Height,
    /// The root of the history over all commitments up to there.
    pub root: Digest,
}

/// An operator's word: the signing history of these keys is lost, and no other machine uses them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LostState {
    /// The highest height that this validator can have decided, on whatever side of a fork.
    pub seen: Height,
    /// What L1 has settled since the loss.
    pub settled: SettledOnL1,
}

/// A validator's keys.
#[derive(Clone)]
pub struct Identity {
    /// Signs votes, proposals and share messages, in the epochs whose committee names it.
    pub signing_key: SigningKey,
    /// Its share of the key that the genesis brings, if it brings one. Other shares are in the store.
    pub secret_share: Option<Arc<SecretShare>>,
    /// Signs commitments for L1; none if it has no settlement key, and then it attests nothing.
    pub settlement: Option<SettlementSecret>,
    /// If its signing history is lost: sign again on the chain that L1 has settled, by a safe margin above what a quorum
    /// has reached there and above what this validator was seen to reach anywhere.
    pub lost_state: Option<LostState>,
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

/// A genesis after every part was checked against the others: all points parsed, who holds which points worked out.
#[derive(Clone, Debug)]
pub struct Founding {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) network: NetworkId,
    /// As they are before the first block.
    pub(crate) keys: Keys,
    /// The key that the genesis brings, if it brings one.
    pub(crate) key: Option<PublicKey>,
}

impl Founding {
    /// Checks a genesis.
    ///
    /// # Errors
    ///
    /// What contradicts what.
    pub fn new(genesis: Arc<Genesis>) -> Result<Self, ConfigError> {
        let network = genesis.network_id();
        let key = genesis.encryption_key.as_ref();
        let key = key.map(|key| PublicKey::new(network, key)).transpose()?;
        let keys = Keys::new(&genesis, key.clone())?;
        Ok(Self { genesis, network, keys, key })
    }

    /// Keys and committees as they are before the first block.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The members of the genesis.
    #[must_use]
    pub fn committee(&self) -> &Committee {
        self.keys.committee_at(Height::ZERO)
    }
}

/// What the sequencers of one process may have in common.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Judges signatures.
    pub verifier: Arc<dyn Verifier>,
    /// The genesis, checked, if somebody has done that. One of another genesis than the configuration's is not used.
    pub founding: Option<Arc<Founding>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { verifier: Arc::new(StrictVerifier), founding: None }
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
    /// The parameters of the key do not go with the members.
    #[error("the members of the genesis cannot share a key as it says")]
    Sharing(#[from] SharingError),
    /// The node has a share of the genesis's key, and its signing key belongs to none of its members.
    #[error(
        "this node has a share of the genesis key, and its consensus key is not in the genesis; check the key file"
    )]
    NotAMember,
    /// The secret share is not the one that the genesis expects of this validator.
    #[error(
        "the key share of validator {0} does not match its verification key; check the key file"
    )]
    WrongShare(ValidatorIndex),
}

/// A configuration after every part was checked against the others.
pub(crate) struct Context {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) network: NetworkId,
    pub(crate) domain: SigningDomain,
    pub(crate) verifier: Arc<dyn Verifier>,
    /// Keys of a validator. Which one it is, and in which epochs it is one, the committees say.
    pub(crate) identity: Option<Identity>,
    /// The public half of its settlement key.
    pub(crate) settlement_key: Option<SettlementKey>,
    pub(crate) founding: Arc<Founding>,
    pub(crate) rules: Rules,
    pub(crate) rollups: Arc<BTreeSet<RollupId>>,
    seed: [u8; 32],
    seeds_used: u64,
}

impl Context {
    pub(crate) fn new(config: Config, shared: Shared) -> Result<Self, ConfigError> {
        let Shared { verifier, founding } = shared;
        let genesis = config.genesis;
        let founding = match founding.filter(|founding| Arc::ptr_eq(&founding.genesis, &genesis)) {
            Some(founding) => founding,
            None => Arc::new(Founding::new(Arc::clone(&genesis))?),
        };
        if let Some(identity) = &config.identity {
            check_identity(identity, founding.committee(), founding.key.as_ref())?;
        }
        Ok(Self {
            domain: SigningDomain::of(&genesis),
            rollups: Arc::new(genesis.rollups.iter().map(|rollup| rollup.id).collect()),
            rules: Rules::new(&genesis),
            network: founding.network,
            founding,
            genesis,
            verifier,
            settlement_key: config
                .identity
                .as_ref()
                .and_then(|own| own.settlement.as_ref().map(SettlementSecret::key)),
            identity: config.identity,
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
            verifier: &*self.verifier,
            params: &self.genesis.params,
            bundles: &self.rules,
        }
    }

    /// A fresh secret seed for one batch check.
    pub(crate) fn next_seed(&mut self) -> BatchSeed {
        self.seeds_used = self.seeds_used.saturating_add(1);
        let mut hasher = conclave_types::digest::Hasher::new("conclave/batch-seed/v1");
        BatchSeed::new(*hasher.fixed(&self.seed).u64(self.seeds_used).finish().as_bytes())
    }

    /// A fresh secret of this validator's. It follows from the seed of the process and the consensus key
    /// together, so neither a recording nor a stolen key gives it away.
    pub(crate) fn next_secret(&mut self) -> Option<SecretBytes> {
        let seed = self.next_seed();
        let identity = self.identity.as_ref()?;
        let mut hasher = conclave_types::digest::Hasher::new("conclave/fresh-secret/v1");
        let key = Zeroizing::new(identity.signing_key.to_bytes());
        Some(SecretBytes::new(*hasher.fixed(seed.as_bytes()).fixed(&*key).finish().as_bytes()))
    }

    /// Which member of a committee this node is, if it is one.
    pub(crate) fn own_in(&self, committee: &Committee) -> Option<ValidatorIndex> {
        committee.index_of(&public_key(self.identity.as_ref()?))
    }

    /// Where this node stands among the members of a committee, if it is one.
    pub(crate) fn own_place(&self, committee: &Committee) -> Option<usize> {
        committee.place_of(self.own_in(committee)?)
    }
}

fn public_key(identity: &Identity) -> ConsensusKey {
    ConsensusKey::new(identity.signing_key.verifying_key().to_bytes())
}

/// Checks what a member of the genesis has beside its signing key against the genesis.
fn check_identity(
    identity: &Identity,
    committee: &Committee,
    key: Option<&PublicKey>,
) -> Result<(), ConfigError> {
    let Some(index) = committee.index_of(&public_key(identity)) else {
        let has_share = identity.secret_share.is_some();
        return if has_share { Err(ConfigError::NotAMember) } else { Ok(()) };
    };
    // A key that the genesis brings has one point for each member.
    let point = committee.place_of(index).and_then(|place| u16::try_from(place).ok());
    let fits = |share: &Arc<SecretShare>| {
        key.zip(point).is_some_and(|(key, point)| share.matches(key, point))
    };
    if !identity.secret_share.iter().all(fits) {
        return Err(ConfigError::WrongShare(index));
    }
    Ok(())
}
