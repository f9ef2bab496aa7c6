//! The story that a devnet tells: the life of a sealed bundle, what rollups get out of it, and what stands on
//! Ethereum. Every number comes from a public API: gRPC of the validators, Ethereum JSON-RPC of the rollups and
//! of L1.

mod settling;

use std::time::Duration;

use alloy::{
    primitives::{Address, B256, U256, utils::format_ether},
    signers::local::PrivateKeySigner,
};
use conclave_client::{
    Admission, BatchEvent, Block, BundleStatus, ClientError, Level, Payer, Start, Submission,
    Terms, Wallet,
};
use conclave_types::{Batch, BatchItem, BundleId, EncryptedBundle, Height, Leg, RollupId};
use tokio::time::Instant;

use super::{
    closing::millis,
    error::DevnetError,
    ethereum::Rollup,
    network::Devnet,
    screen::{Screen, head},
    transactions::{Account, Call, DEV_KEYS, Envelope, Raw, invalid},
};

/// Bytes of a ciphertext that are shown.
const CIPHERTEXT_SHOWN: usize = 32;

/// A validator that does not show an ordered bundle within this is lost.
const SIGHT_PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A bundle as everybody sees it.
struct Seen {
    bundle: EncryptedBundle,
    after: Duration,
    name: String,
}

/// The teller: one payer, with an account on each rollup.
pub(crate) struct Story<'a> {
    devnet: &'a Devnet,
    screen: &'a Screen,
    wallet: Wallet,
    accounts: Vec<Account>,
}

/// A bundle whose story was told up to its reveal.
struct Told {
    id: BundleId,
    height: Height,
    started: Instant,
    opened: Instant,
}

impl<'a> Story<'a> {
    /// Prepares the teller's accounts.
    pub(crate) async fn new(devnet: &'a Devnet, screen: &'a Screen) -> Result<Self, DevnetError> {
        let [key, ..] = DEV_KEYS;
        let payer = Payer::from_hex(key).map_err(ClientError::from)?;
        let signer: PrivateKeySigner = key
            .parse()
            .map_err(|error| DevnetError::Options(format!("the dev key is no key: {error}")))?;
        let mut accounts = Vec::new();
        for rollup in &devnet.rollups {
            let nonce = rollup.nonce(signer.address()).await?;
            accounts.push(Account::new(signer.clone(), rollup.id, nonce));
        }
        Ok(Self { devnet, screen, wallet: devnet.client.wallet(payer), accounts })
    }

    /// Tells it all.
    pub(crate) async fn tell(mut self) -> Result<(), DevnetError> {
        self.transfer().await?;
        self.contract().await?;
        self.across().await?;
        self.mistakes().await?;
        match &self.devnet.l1 {
            Some(l1) => self.ethereum(l1).await,
            None => Ok(()),
        }
    }

    fn at(&mut self, index: usize) -> Result<(&'a Rollup, &mut Account), DevnetError> {
        let devnet: &'a Devnet = self.devnet;
        match (devnet.rollups.get(index), self.accounts.get_mut(index)) {
            (Some(rollup), Some(account)) => Ok((rollup, account)),
            _ => Err(DevnetError::Options("a devnet has two rollups".to_owned())),
        }
    }

    async fn transfer(&mut self) -> Result<(), DevnetError> {
        self.screen.heading("1  a transfer, sealed");
        let to = dev_address(1)?;
        let (rollup, account) = self.at(0)?;
        let raw = account.sign(Envelope::Eip1559, Call::transfer(to, 1_500_000_000_000_000_000))?;
        let before = rollup.balance(to).await?;
        let told = self.follow(&[(rollup.id, &raw)]).await?;
        let since = told.opened.saturating_duration_since(self.devnet.began);
        self.screen.step("first", format!("open {} after this command began", millis(since)));
        let receipt = rollup.wait_receipt(raw.hash).await?;
        self.screen.step(
            "executed",
            format!(
                "on rollup {} in EVM block {}, status {}, {} gas, {} after submission",
                rollup.id,
                receipt.block_number.unwrap_or_default(),
                u8::from(receipt.status()),
                receipt.gas_used,
                millis(told.started.elapsed()),
            ),
        );
        let after = rollup.balance(to).await?;
        self.screen.step(
            "balance",
            format!("{to}: {} → {} ether", format_ether(before), format_ether(after)),
        );
        Ok(())
    }

    async fn contract(&mut self) -> Result<(), DevnetError> {
        self.screen.heading("2  a contract: deployed, called, reverted");
        let (rollup, account) = self.at(0)?;
        let counter = account.next_contract();
        let deployed = account.sign(Envelope::Eip1559, Call::deploy())?;
        let called = account.sign(Envelope::Eip2930, Call::add(counter, 42))?;
        let reverted = account.sign(Envelope::Legacy, Call::add(counter, 0))?;
        for raw in [&deployed, &called, &reverted] {
            self.submit(&[(rollup.id, raw)]).await?;
        }
        self.screen.step(
            "sealed",
            "three bundles of one lane: executed in this order, wherever the beacon puts them",
        );
        for (what, raw) in [("deployed", &deployed), ("called", &called), ("reverted", &reverted)] {
            let receipt = rollup.wait_receipt(raw.hash).await?;
            self.screen.step(
                what,
                format!(
                    "{} in EVM block {}, index {}, status {}, {} gas",
                    raw.hash,
                    receipt.block_number.unwrap_or_default(),
                    receipt.transaction_index.unwrap_or_default(),
                    u8::from(receipt.status()),
                    receipt.gas_used,
                ),
            );
        }
        let value = U256::try_from_be_slice(&rollup.call(counter).await?).unwrap_or_default();
        self.screen.step("eth_call", format!("the counter at {counter} says {value}"));
        if value != U256::from(42) {
            return Err(DevnetError::Broken(format!("the counter says {value}, expected 42")));
        }
        Ok(())
    }

    async fn across(&mut self) -> Result<(), DevnetError> {
        self.screen.heading("3  one bundle, two rollups: both legs in one block, or none");
        let to = dev_address(1)?;
        let mut legs = Vec::new();
        for index in 0..self.accounts.len() {
            let (rollup, account) = self.at(index)?;
            let call = Call::transfer(to, 250_000_000_000_000_000);
            legs.push((rollup, account.sign(Envelope::Eip1559, call)?));
        }
        let bundle: Vec<_> = legs.iter().map(|(rollup, raw)| (rollup.id, raw)).collect();
        let told = self.follow(&bundle).await?;
        for (rollup, raw) in &legs {
            let batch = self.batch(rollup, told.height).await?;
            let is_told = |item: &BatchItem| item.source.leg().is_some_and(|l| l.bundle == told.id);
            let Some(place) = batch.items.iter().position(is_told) else {
                let (id, rollup) = (told.id, rollup.id);
                return Err(DevnetError::Broken(format!(
                    "the batch of rollup {rollup} at height {} has no leg of {id}",
                    told.height
                )));
            };
            let receipt = rollup.wait_receipt(raw.hash).await?;
            self.screen.step(
                &format!("on {}", rollup.id),
                format!(
                    "batch #{} of height {}, item {} of {}; EVM block {}, status {}",
                    batch.sequence,
                    batch.height,
                    place.saturating_add(1),
                    batch.items.len(),
                    receipt.block_number.unwrap_or_default(),
                    u8::from(receipt.status()),
                ),
            );
        }
        Ok(())
    }

    async fn mistakes(&mut self) -> Result<(), DevnetError> {
        self.screen.heading("4  mistakes: ordered, paid for, skipped with a reason");
        let (rollup, account) = self.at(0)?;
        let mistakes = invalid(account)?;
        for (_, _, raw) in &mistakes {
            self.submit(&[(rollup.id, raw)]).await?;
        }
        for (what, _, raw) in &mistakes {
            let outcome = rollup.wait_outcome(raw.hash).await?;
            self.screen
                .step(&outcome.status, format!("{what}: {} ({})", outcome.reason, outcome.message));
        }
        Ok(())
    }

    async fn submit(&self, legs: &[(u64, &Raw)]) -> Result<Submission, DevnetError> {
        let terms = Terms { lane: Some(0), ..Terms::default() };
        Ok(self.wallet.submit(&legs_of(legs), &terms).await?)
    }

    /// Submits a bundle and tells every step up to its reveal, as it happens.
    async fn follow(&self, legs: &[(u64, &Raw)]) -> Result<Told, DevnetError> {
        let started = Instant::now();
        let submission = self.submit(legs).await?;
        let received = millis(started.elapsed());
        self.tell_sealed(&submission, legs);
        self.tell_receipt(&submission, &received);
        let (seen, levels) =
            tokio::join!(self.see(submission.id, started), self.levels(submission.id, started));
        let (seen, (ordered, status)) = (seen?, levels?);
        self.tell_seen(&seen);
        let Some(place) = status.progress.place() else {
            return Err(DevnetError::Broken(format!("a revealed bundle has no place: {status:?}")));
        };
        let block = self.devnet.client.block(place.height).await?;
        self.tell_ordered(&block, &millis(ordered.0));
        self.tell_opened(&block, &status, &millis(ordered.1))?;
        let opened = started.checked_add(ordered.1).unwrap_or(started);
        Ok(Told { id: submission.id, height: place.height, started, opened })
    }

    /// When the bundle was ordered and revealed, and what became of it.
    async fn levels(
        &self,
        id: BundleId,
        started: Instant,
    ) -> Result<((Duration, Duration), BundleStatus), DevnetError> {
        let mut watch = self.devnet.client.watch(id, Level::Revealed);
        let (mut ordered, mut latest) = (None, None);
        while let Some(status) = watch.next().await? {
            if status.progress.level() >= Some(Level::Ordered) {
                ordered.get_or_insert_with(|| started.elapsed());
            }
            latest = Some(status);
        }
        let revealed = started.elapsed();
        let status =
            latest.ok_or_else(|| DevnetError::Broken("a watch said nothing".to_owned()))?;
        Ok(((ordered.unwrap_or(revealed), revealed), status))
    }

    /// What a validator that it was not handed to makes of it: no more than everybody else. It has
    /// the bundle once it has voted for its block, which is before that is decided.
    async fn see(&self, id: BundleId, started: Instant) -> Result<Seen, DevnetError> {
        let Some(observer) = self.devnet.validators.last() else {
            return Err(DevnetError::Options("a devnet has validators".to_owned()));
        };
        loop {
            match observer.client.sealed_bundle(id).await {
                Ok(bundle) => {
                    let name = observer.name.clone();
                    return Ok(Seen { bundle, after: started.elapsed(), name });
                }
                Err(ClientError::Refused(status))
                    if status.code() == tonic::Code::NotFound
                        && started.elapsed() < SIGHT_PATIENCE =>
                {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn tell_sealed(&self, submission: &Submission, legs: &[(u64, &Raw)]) {
        let raw: usize = legs.iter().map(|(_, raw)| raw.bytes.len()).sum();
        let count = match legs.len() {
            1 => "one transaction".to_owned(),
            count => format!("{count} transactions"),
        };
        self.screen.step(
            "sealed",
            format!(
                "bundle {}: {count} of {raw} bytes became {} bytes of ciphertext, padding included",
                submission.id, submission.bundle.header.body_bytes,
            ),
        );
    }

    fn tell_seen(&self, seen: &Seen) {
        let header = &seen.bundle.header;
        self.screen.step(
            "seen",
            format!(
                "after {} at {}: payer {}, nonce {}/{}, fee at most {}, until height {}; the rest \
                 is {}",
                millis(seen.after),
                seen.name,
                header.payer,
                header.nonce.lane,
                header.nonce.sequence,
                header.max_fee,
                header.valid_until,
                head(&seen.bundle.body, CIPHERTEXT_SHOWN),
            ),
        );
    }

    fn tell_receipt(&self, submission: &Submission, after: &str) {
        let text = match &submission.admission {
            Admission::Received(receipt) => format!(
                "after {after}: validator {} signed that it is included by height {}",
                receipt.validator, receipt.deadline
            ),
            Admission::Known(_) => format!("after {after}: the validator knew it already"),
        };
        self.screen.step("received", text);
    }

    fn tell_ordered(&self, block: &Block, after: &str) {
        let certificate = &block.decided.certificate;
        let signers = certificate.signatures.iter().map(|(signer, _)| signer.to_string());
        self.screen.step(
            "ordered",
            format!(
                "after {after}: block {}… at height {}, {} bundle(s), still sealed; precommits of \
                 validators {} in round {} verified",
                certificate.block.short(),
                certificate.height,
                block.decided.bundles.len(),
                signers.collect::<Vec<_>>().join(", "),
                certificate.round,
            ),
        );
    }

    fn tell_opened(
        &self,
        block: &Block,
        status: &BundleStatus,
        after: &str,
    ) -> Result<(), DevnetError> {
        let (Some(reveal), Some(opened)) = (&block.reveal, status.progress.opened()) else {
            return Err(DevnetError::Broken("a revealed bundle's block has no reveal".to_owned()));
        };
        let shares: Vec<_> = reveal.share_validators.iter().map(ToString::to_string).collect();
        let with = if shares.is_empty() {
            "with openings that other validators computed".to_owned()
        } else {
            format!("with the shares of validators {}", shares.join(", "))
        };
        self.screen.step("opened", format!("after {after}: {with}; {}", contents(opened)));
        self.screen.step(
            "drawn",
            format!(
                "the beacon {}… drew {}… for it: place {} of {} in its block",
                reveal.beacon.short(),
                opened.draw.short(),
                opened.position.saturating_add(1),
                reveal.bundles.len(),
            ),
        );
        Ok(())
    }

    /// A rollup's batch of a height, as its stream gives it.
    async fn batch(&self, rollup: &Rollup, height: Height) -> Result<Batch, DevnetError> {
        let before = height.previous().unwrap_or(Height::ZERO);
        let mut batches =
            self.devnet.client.batches(RollupId::new(rollup.id), Start::AfterHeight(before));
        loop {
            match batches.next().await? {
                BatchEvent::Batch(batch) if batch.height == height => return Ok(batch),
                BatchEvent::Heartbeat(revealed) if revealed < height => {}
                BatchEvent::Batch(_) | BatchEvent::Heartbeat(_) => {
                    let id = rollup.id;
                    return Err(DevnetError::Broken(format!(
                        "rollup {id} has no batch of height {height}"
                    )));
                }
            }
        }
    }
}

fn contents(opened: &conclave_client::Opened) -> String {
    match &opened.legs {
        Err(reason) => format!("undecryptable: {reason}"),
        Ok(legs) => {
            let leg = |leg: &Leg| {
                let hash = alloy::primitives::keccak256(&leg.transaction);
                format!("transaction {} for rollup {}", short(hash), leg.rollup)
            };
            legs.iter().map(leg).collect::<Vec<_>>().join(" and ")
        }
    }
}

fn short(hash: B256) -> String {
    head(hash.as_slice(), 4)
}

fn legs_of(legs: &[(u64, &Raw)]) -> Vec<Leg> {
    let leg = |(rollup, raw): &(u64, &Raw)| Leg {
        rollup: RollupId::new(*rollup),
        transaction: raw.bytes.clone(),
    };
    legs.iter().map(leg).collect()
}

fn dev_address(index: usize) -> Result<Address, DevnetError> {
    let signer = DEV_KEYS.get(index).and_then(|key| key.parse::<PrivateKeySigner>().ok());
    signer
        .map(|signer| signer.address())
        .ok_or_else(|| DevnetError::Options(format!("there is no dev key {index}")))
}
