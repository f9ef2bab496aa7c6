//! A transaction forced into a rollup and a deposit, by the queue on Ethereum, and what became of both: the same
//! that `conclave force` and `conclave deposit` do, followed to its end.

use std::time::Duration;

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use conclave_client::{BatchEvent, Level, Payer, Start, Terms};
use conclave_node::l1::queue;
use conclave_types::{BundleId, Height, ItemSource, Leg, PayerAddress, RollupId};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    error::DevnetError,
    ethereum::Rollup,
    l1::DevnetL1,
    network::Devnet,
    transactions::{Account, Call, DEV_KEYS, Envelope, Raw},
};

/// An entry is in a block once its L1 block is final and every validator can be expected to have seen that. On an
/// L1 of one's own that takes seconds; elsewhere it takes two epochs and some.
const CARRIED_PATIENCE: Duration = Duration::from_secs(1_800);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A bundle of the new payer is opened within this.
const REVEAL_PATIENCE: Duration = Duration::from_secs(60);

/// The account that forces: neither story nor load uses it, so its nonce is nobody else's.
const FORCER: usize = 9;

/// What is deposited: a tenth of an ether.
const DEPOSIT_GWEI: u64 = 100_000_000;

/// A transaction that was forced into a rollup.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Forced {
    /// The rollup.
    pub(crate) rollup: u64,
    /// The transaction.
    pub(crate) transaction: B256,
    /// Its place in the queue.
    pub(crate) entry: u64,
    /// The L1 block that has it.
    pub(crate) l1_block: u64,
    /// The height that carried it.
    pub(crate) height: Height,
    /// The batch that it is in.
    pub(crate) batch: u64,
    /// Its place there.
    pub(crate) item: usize,
    /// The rollup's block.
    pub(crate) evm_block: u64,
    /// Whether it did what it was to do.
    pub(crate) succeeded: bool,
}

/// A deposit, for a payer that had nothing.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Deposited {
    /// Whose fee balance it is for.
    pub(crate) payer: PayerAddress,
    /// How much.
    pub(crate) amount_gwei: u64,
    /// Its place in the queue.
    pub(crate) entry: u64,
    /// The L1 block that has it.
    pub(crate) l1_block: u64,
    /// A bundle that it paid for.
    pub(crate) bundle: BundleId,
    /// The height that has the bundle.
    pub(crate) height: Height,
    /// What is left.
    pub(crate) balance_gwei: u64,
}

/// What of it has settled on L1.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Settled {
    /// A height whose commitment L1 has accepted, at or above both.
    pub(crate) height: u64,
    /// How much of that is final there.
    pub(crate) final_height: u64,
}

/// What the queue did.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Report {
    /// The forced transaction.
    pub(crate) forced: Forced,
    /// The deposit.
    pub(crate) deposited: Deposited,
    /// What of it has settled.
    pub(crate) settled: Settled,
}

/// Entries whose L1 blocks are not final yet.
pub(crate) struct Waiting<'a> {
    devnet: &'a Devnet,
    rollup: &'a Rollup,
    account: Account,
    raw: Raw,
    /// No block up to here carries the entries.
    after: Height,
    forced: queue::Queued,
    payer: Payer,
    deposited: queue::Queued,
}

impl<'a> Waiting<'a> {
    /// Queues both; none if the devnet has no rollup.
    pub(crate) async fn enqueue(
        devnet: &'a Devnet,
        l1: &DevnetL1,
    ) -> Result<Option<Self>, DevnetError> {
        let Some(rollup) = devnet.rollups.first() else { return Ok(None) };
        let signer = forcer()?;
        let nonce = rollup.nonce(signer.address()).await?;
        let mut account = Account::new(signer, rollup.id, nonce);
        let raw = account.sign(Envelope::Eip1559, Call::transfer(Address::repeat_byte(0x51), 1))?;
        let after = devnet.client.progression().await?.revealed;
        let (sender, contracts) = (&l1.funder, &l1.contracts);
        let gas = queue::gas_floor(&raw.bytes);
        let forced = queue::force(sender, contracts, rollup.id, &raw.bytes, gas).await?;
        let payer = Payer::random();
        let to = Address::from(*payer.address().as_bytes());
        let deposited = queue::deposit(sender, contracts, to, DEPOSIT_GWEI).await?;
        Ok(Some(Self { devnet, rollup, account, raw, after, forced, payer, deposited }))
    }

    /// Waits until the transaction is executed, and the deposit has paid for something.
    pub(crate) async fn landed(self) -> Result<Report, DevnetError> {
        let devnet = self.devnet;
        let forced = self.executed().await?;
        let deposited = self.spent().await?;
        let settled = settled(devnet, forced.height.max(deposited.height)).await?;
        Ok(Report { forced, deposited, settled })
    }

    async fn executed(&self) -> Result<Forced, DevnetError> {
        let (rollup, index) = (self.rollup.id, self.forced.index);
        let carried = tokio::time::timeout(CARRIED_PATIENCE, self.carried()).await;
        let late = || DevnetError::Late {
            what: format!("a block with entry {index} of the queue"),
            patience: CARRIED_PATIENCE,
            logs: self.devnet.logs.clone(),
        };
        let (height, batch, item) = carried.or(Err(late()))??;
        let receipt = self.rollup.wait_receipt(self.raw.hash).await?;
        Ok(Forced {
            rollup,
            transaction: self.raw.hash,
            entry: index,
            l1_block: self.forced.sent.block(),
            height,
            batch,
            item,
            evm_block: receipt.block_number.unwrap_or_default(),
            succeeded: receipt.status(),
        })
    }

    /// Height, batch and place that the forced transaction has.
    async fn carried(&self) -> Result<(Height, u64, usize), DevnetError> {
        let id = RollupId::new(self.rollup.id);
        let mut batches = self.devnet.client.batches(id, Start::AfterHeight(self.after));
        loop {
            let BatchEvent::Batch(batch) = batches.next().await? else { continue };
            let place = batch.items.iter().position(|item| match item.source {
                ItemSource::Forced(forced) => forced.index == self.forced.index,
                ItemSource::Leg(_) => false,
            });
            if let Some(item) = place {
                return Ok((batch.height, batch.sequence, item));
            }
        }
    }

    async fn spent(mut self) -> Result<Deposited, DevnetError> {
        let address = self.payer.address();
        let started = Instant::now();
        let client = &self.devnet.client;
        while client.account(address, 0).await?.balance.as_u64() == 0 {
            if started.elapsed() > CARRIED_PATIENCE {
                return Err(DevnetError::Late {
                    what: format!("a block with entry {} of the queue", self.deposited.index),
                    patience: CARRIED_PATIENCE,
                    logs: self.devnet.logs.clone(),
                });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        let next = self.account.sign(Envelope::Eip1559, Call::transfer(Address::ZERO, 0))?;
        let leg = Leg { rollup: RollupId::new(self.rollup.id), transaction: next.bytes };
        let submission = client.wallet(self.payer).submit(&[leg], &Terms::default()).await?;
        let status = client.wait(submission.id, Level::Revealed, REVEAL_PATIENCE).await?;
        let place = status.progress.place().ok_or_else(|| {
            DevnetError::Broken(format!("a revealed bundle has no place: {status:?}"))
        })?;
        Ok(Deposited {
            payer: address,
            amount_gwei: DEPOSIT_GWEI,
            entry: self.deposited.index,
            l1_block: self.deposited.sent.block(),
            bundle: submission.id,
            height: place.height,
            balance_gwei: client.account(address, 0).await?.balance.as_u64(),
        })
    }

    /// The forced transaction, its place in the queue, and the L1 block that has it.
    pub(crate) fn forced(&self) -> (B256, u64, u64) {
        (self.raw.hash, self.forced.index, self.forced.sent.block())
    }

    /// Likewise the payer, and the deposit.
    pub(crate) fn deposited(&self) -> (PayerAddress, u64, u64) {
        (self.payer.address(), self.deposited.index, self.deposited.sent.block())
    }
}

/// Waits until a height has settled, as the validators see it.
async fn settled(devnet: &Devnet, height: Height) -> Result<Settled, DevnetError> {
    let started = Instant::now();
    loop {
        for validator in &devnet.validators {
            let l1 = validator.client.node_status().await?.l1.unwrap_or_default();
            if l1.settled_height >= height.as_u64() {
                let (height, final_height) = (l1.settled_height, l1.final_height);
                return Ok(Settled { height, final_height });
            }
        }
        if started.elapsed() > CARRIED_PATIENCE {
            return Err(DevnetError::Late {
                what: format!("settlement of height {height}"),
                patience: CARRIED_PATIENCE,
                logs: devnet.logs.clone(),
            });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn forcer() -> Result<PrivateKeySigner, DevnetError> {
    let signer = DEV_KEYS.get(FORCER).and_then(|key| key.parse().ok());
    signer.ok_or_else(|| DevnetError::Options(format!("there is no dev key {FORCER}")))
}
