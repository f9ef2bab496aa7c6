//! A user in a network that is attacked: hands in transfers, and sees what becomes of them.

use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use conclave_client::{ClientError, Level, Payer, Terms, Wallet};
use conclave_types::{BundleId, Height, Leg, PayerAddress, RollupId, ValidatorIndex};

use super::{
    super::{
        error::DevnetError,
        network::Devnet,
        transactions::{Account, Call, DEV_KEYS, Envelope},
    },
    scene::Scene,
};

/// The user, with an account on the first rollup.
pub(super) struct User {
    wallet: Wallet,
    account: Account,
    rollup: u64,
}

/// What became of a bundle.
#[derive(Clone, Debug)]
pub(super) struct Landed {
    pub(super) id: BundleId,
    pub(super) height: Height,
    /// Who proposed its block.
    pub(super) proposer: ValidatorIndex,
    /// With whose shares an honest validator opened it; none if nobody has combined shares by itself.
    pub(super) shares: Vec<ValidatorIndex>,
}

impl User {
    /// The address that pays for the bundles of the first account.
    pub(super) fn address() -> Result<PayerAddress, DevnetError> {
        let [key, ..] = DEV_KEYS;
        Ok(Payer::from_hex(key).map_err(ClientError::from)?.address())
    }

    pub(super) async fn new(devnet: &Devnet) -> Result<Self, DevnetError> {
        let [key, ..] = DEV_KEYS;
        let payer = Payer::from_hex(key).map_err(ClientError::from)?;
        let signer: PrivateKeySigner = key
            .parse()
            .map_err(|error| DevnetError::Options(format!("the dev key is no key: {error}")))?;
        let missing = || DevnetError::Options("a devnet has rollups".to_owned());
        let rollup = devnet.rollups.first().ok_or_else(missing)?;
        let nonce = rollup.nonce(signer.address()).await?;
        let account = Account::new(signer, rollup.id, nonce);
        Ok(Self { wallet: devnet.client.wallet(payer), account, rollup: rollup.id })
    }

    /// Hands in a transfer, and waits until it is opened and executed.
    pub(super) async fn transfer(&mut self, scene: &Scene<'_>) -> Result<Landed, DevnetError> {
        let raw =
            self.account.sign(Envelope::Eip1559, Call::transfer(Address::repeat_byte(0x51), 1))?;
        let leg = Leg { rollup: RollupId::new(self.rollup), transaction: raw.bytes.clone() };
        let terms = Terms { lane: Some(0), ..Terms::default() };
        let id = self.wallet.submit(&[leg], &terms).await?.id;
        let devnet = &scene.devnet;
        let status = devnet.client.wait(id, Level::Revealed, scene.patience()).await?;
        let place = status.progress.place();
        let place = place.ok_or_else(|| DevnetError::Broken(format!("{id} has no place")))?;
        let missing = || DevnetError::Options("a devnet has rollups".to_owned());
        devnet.rollups.first().ok_or_else(missing)?.wait_receipt(raw.hash).await?;
        let (height, mut shares) = (place.height, Vec::new());
        let mut proposer = None;
        for validator in scene.honest_validators() {
            let block = validator.client.block(height).await?;
            proposer.get_or_insert(block.decided.header.proposer);
            if shares.is_empty() {
                shares = block.reveal.map(|reveal| reveal.share_validators).unwrap_or_default();
            }
        }
        Ok(Landed { id, height, proposer: proposer.unwrap_or_default(), shares })
    }
}
