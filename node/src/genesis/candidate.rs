//! Who is to be a validator: keys that are not files yet, because stake is registered with them before a network
//! has a genesis, and what L1 made of that.

use std::path::Path;

use conclave_contracts::registration::ValidatorSecrets;
use conclave_types::{ConsensusKey, Member, NetworkId};
use ed25519_dalek::SigningKey;
use libp2p::{PeerId, identity::Keypair};
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use super::{MakeError, io, nothing_signed};
use crate::{keys, store::SignerState};

/// What a validator is in a committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its number in the stake contract; 0 in a network that settles nowhere.
    pub validator: u32,
    /// Its voting power.
    pub power: u64,
}

/// All keys of a validator.
pub struct Candidate {
    secrets: ValidatorSecrets,
    network: Zeroizing<[u8; 32]>,
    /// Encrypts shares of the threshold key on disk.
    storage: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("network", &self.secrets.network).finish_non_exhaustive()
    }
}

impl Candidate {
    /// New keys, from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        let [consensus, network, storage] = [(); 3].map(|()| {
            let mut seed = Zeroizing::new([0; 32]);
            OsRng.fill_bytes(&mut *seed);
            seed
        });
        let public = SigningKey::from_bytes(&network).verifying_key().to_bytes();
        let secrets = ValidatorSecrets {
            consensus: SigningKey::from_bytes(&consensus),
            settlement: keys::new_settlement_key(),
            network: ConsensusKey::new(public),
        };
        Self { secrets, network, storage }
    }

    /// Those that are registered on L1.
    #[must_use]
    pub const fn secrets(&self) -> &ValidatorSecrets {
        &self.secrets
    }

    /// The identity of its host.
    pub(super) fn peer_id(&self) -> PeerId {
        let mut seed = self.network.clone();
        #[expect(clippy::expect_used, reason = "any 32 bytes are an ed25519 seed")]
        let keypair = Keypair::ed25519_from_bytes(&mut *seed).expect("32 bytes are a seed");
        keypair.public().to_peer_id()
    }

    pub(super) fn member(&self, name: String, seat: Seat) -> Member {
        Member {
            name,
            consensus_key: ConsensusKey::new(self.secrets.consensus.verifying_key().to_bytes()),
            network_key: self.secrets.network,
            settlement_key: self.secrets.settlement.key(),
            validator: seat.validator,
            power: seat.power,
        }
    }

    /// Writes them into a validator's directory, and that it has signed nothing yet.
    pub(super) fn write(&self, directory: &Path, network: &NetworkId) -> Result<(), MakeError> {
        let data = directory.join("data");
        std::fs::create_dir_all(&data).map_err(|source| io(&data, source))?;
        let consensus = Zeroizing::new(self.secrets.consensus.to_bytes());
        keys::write(&directory.join("consensus.key"), &consensus)?;
        keys::write(&directory.join("network.key"), &self.network)?;
        keys::write(&directory.join("storage.key"), &self.storage)?;
        keys::write_settlement_key(&directory.join("settlement.key"), &self.secrets.settlement)?;
        SignerState::create(&data.join("signer.state"), network, &nothing_signed())?;
        Ok(())
    }
}
