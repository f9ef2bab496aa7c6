//! The load: users who sign, seal and hand in, and a subscriber for each rollup who counts what comes
//! out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy::{
    primitives::{Address, Bytes, U256, hex, keccak256},
    signers::local::PrivateKeySigner,
};
use conclave_client::{BatchEvent, Batches, ClientError, Payer, Start, Terms, Wallet};
use conclave_types::{Leg, PayerAddress, RollupId};
use rand_core::{OsRng, RngCore as _};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::{
    super::devnet::{
        error::DevnetError,
        network::{Devnet, ROLLUPS},
        tracker::Tracker,
        transactions::{Account, Call, Envelope},
    },
    observer,
};

/// Users at work. Each hands in one bundle after the other, so that nonces fit; this many at a time
/// keep the validators busy, whose receipts wait for a batch of proofs to be checked.
const USERS: u8 = 128;

/// Saturating load: plaintext between submission and reveal, at most.
const UNDER_WAY_BYTES: u32 = 8 << 20;
/// Saturating load: bundles between submission and reveal, at most; two full blocks.
const UNDER_WAY_MAX: u32 = 1_024;
/// And at least, so that every user has something to do.
const UNDER_WAY_MIN: u32 = 128;
/// Open-loop load: with more than this under way, what is due has to wait, and is counted.
const BACKLOG_MAX: u32 = 8_192;

/// Bytes of a leg's encoding around its transaction: count of legs, rollup, length.
const FRAMING_BYTES: usize = 4 + 8 + 4;

/// What is handed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Encoded legs of each bundle.
    pub(super) bundle_bytes: u32,
    /// Bundles per second; none for as many as go through.
    pub(super) rate: Option<u32>,
    /// When the first one is due.
    pub(super) starts: Instant,
}

/// Somebody with one key, for fees and on a rollup.
#[derive(Clone, Debug)]
pub(super) struct User {
    index: u8,
    signer: PrivateKeySigner,
}

impl User {
    /// Who pays for its bundles.
    pub(super) fn payer(&self) -> PayerAddress {
        PayerAddress::new(self.signer.address().into_array())
    }
}

/// The users; the same each time.
pub(super) fn users() -> Result<Vec<User>, DevnetError> {
    let user = |index: u8| {
        let secret = keccak256([b"conclave bench user ".as_slice(), &[index]].concat());
        let signer = PrivateKeySigner::from_bytes(&secret);
        let signer = signer.map_err(|e| DevnetError::Options(format!("user {index}: {e}")))?;
        Ok(User { index, signer })
    };
    (0..USERS).map(user).collect()
}

/// Their accounts on the rollups, with a million ether each.
pub(super) fn alloc(users: &[User]) -> Value {
    let balance = format!("{:#x}", U256::from(10).pow(U256::from(24)));
    let entry = |user: &User| {
        (hex::encode_prefixed(user.signer.address()), json!({ "balance": balance.clone() }))
    };
    Value::Object(users.iter().map(entry).collect())
}

/// Plaintext that subscribers have received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    pub(super) bundles: u64,
    pub(super) bytes: u64,
}

impl Delivered {
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            bundles: self.bundles.saturating_sub(before.bundles),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }
}

/// A load and what it has seen so far. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Load {
    target: Target,
    /// When each bundle reached each level.
    pub(super) tracker: Tracker,
    counters: Arc<Counters>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Counters {
    stopping: AtomicBool,
    admitted: AtomicU64,
    rejected: AtomicU64,
    late: AtomicU64,
    bundles: AtomicU64,
    bytes: AtomicU64,
}

impl Load {
    pub(super) fn new(target: Target, tracker: Tracker) -> Self {
        let fitting =
            (UNDER_WAY_BYTES / target.bundle_bytes.max(1)).clamp(UNDER_WAY_MIN, UNDER_WAY_MAX);
        let room = if target.rate.is_some() { BACKLOG_MAX } else { fitting };
        let room = Arc::new(Semaphore::new(usize::try_from(room).unwrap_or(usize::MAX >> 4)));
        Self { target, tracker, counters: Arc::default(), room }
    }

    /// No further bundle is handed in.
    pub(super) fn stop(&self) {
        self.counters.stopping.store(true, Ordering::Relaxed);
        self.room.close();
    }

    fn is_stopping(&self) -> bool {
        self.counters.stopping.load(Ordering::Relaxed)
    }

    /// What subscribers have received so far.
    pub(super) fn delivered(&self) -> Delivered {
        Delivered {
            bundles: self.counters.bundles.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// Admitted and not received yet.
    pub(super) fn under_way(&self) -> usize {
        self.tracker.marks().iter().filter(|(_, marks)| marks.delivered.is_none()).count()
    }

    /// Admitted, refused, and too late.
    pub(super) fn handed_in(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        (read(&counters.admitted), read(&counters.rejected), read(&counters.late))
    }

    /// Starts subscribers, users and whoever follows the blocks.
    pub(super) fn spawn(
        &self,
        devnet: &Devnet,
        users: Vec<User>,
        tasks: &mut JoinSet<Result<(), DevnetError>>,
    ) -> Result<(), DevnetError> {
        for rollup in ROLLUPS {
            let batches = observer(devnet).batches(RollupId::new(rollup), Start::Sequence(0));
            tasks.spawn(self.clone().subscribe(batches));
        }
        let (tracker, client) = (self.tracker.clone(), observer(devnet).clone());
        tasks.spawn(async move {
            tracker.follow(client).await;
            Ok(())
        });
        for user in users {
            let wallet = devnet.client.wallet(Payer::from(user.signer.clone()));
            let [even, odd] = ROLLUPS;
            let rollup = if user.index % 2 == 0 { even } else { odd };
            let account = Account::new(user.signer.clone(), rollup, 0);
            tasks.spawn(self.clone().work(user.index, wallet, account, rollup));
        }
        Ok(())
    }

    async fn subscribe(self, mut batches: Batches) -> Result<(), DevnetError> {
        loop {
            let BatchEvent::Batch(batch) = batches.next().await? else { continue };
            let now = Instant::now();
            for item in batch.items {
                let bytes = u64::try_from(item.transaction.len()).unwrap_or(u64::MAX);
                let bundle = item.source.leg().map(|leg| leg.bundle);
                if bundle.is_some_and(|bundle| self.tracker.delivered(bundle, now)) {
                    self.counters.bundles.fetch_add(1, Ordering::Relaxed);
                    self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
                    self.room.add_permits(1);
                }
            }
        }
    }

    async fn work(
        self,
        index: u8,
        wallet: Wallet,
        mut account: Account,
        rollup: u64,
    ) -> Result<(), DevnetError> {
        let mut noise = vec![0; usize::try_from(self.target.bundle_bytes).unwrap_or_default()];
        OsRng.fill_bytes(&mut noise);
        let terms = Terms { lane: Some(0), ..Terms::default() };
        for turn in 0_u32.. {
            let Some(due) = self.next_due(index, turn).await else { break };
            let transaction = self.transaction(&mut account, &noise)?;
            let leg = Leg { rollup: RollupId::new(rollup), transaction };
            match wallet.submit(&[leg], &terms).await {
                Ok(submission) => {
                    self.counters.admitted.fetch_add(1, Ordering::Relaxed);
                    self.tracker.submitted(submission.id, due);
                }
                Err(error @ (ClientError::Refused(_) | ClientError::Unavailable { .. })) => {
                    // Its nonce is free again: the next transaction takes it.
                    account.nonce = account.nonce.saturating_sub(1);
                    tracing::debug!(%error, "refused");
                    self.counters.rejected.fetch_add(1, Ordering::Relaxed);
                    self.room.add_permits(1);
                }
                Err(error) => return Err(error.into()),
            }
        }
        // A finished user is no failure, but its task must not end before the others' do.
        std::future::pending().await
    }

    /// Waits until the next bundle is due, and returns when it was; none when there is to be no more.
    async fn next_due(&self, index: u8, turn: u32) -> Option<Instant> {
        let Some(rate) = self.target.rate else {
            self.room.acquire().await.ok()?.forget();
            return Some(Instant::now());
        };
        let number = u64::from(turn).saturating_mul(u64::from(USERS)).saturating_add(index.into());
        let micros = number.saturating_mul(1_000_000).checked_div(rate.into())?;
        let due = self.target.starts + Duration::from_micros(micros);
        tokio::time::sleep_until(due).await;
        if self.is_stopping() {
            return None;
        }
        if let Ok(permit) = self.room.try_acquire() {
            permit.forget();
        } else {
            self.counters.late.fetch_add(1, Ordering::Relaxed);
            self.room.acquire().await.ok()?.forget();
        }
        Some(due)
    }

    /// A signed transaction with as much data as makes the bundle as large as wanted.
    fn transaction(&self, account: &mut Account, noise: &[u8]) -> Result<Vec<u8>, DevnetError> {
        let wanted = noise.len().saturating_sub(FRAMING_BYTES);
        let to = Address::repeat_byte(0xbe);
        let mut data = wanted.saturating_sub(128);
        let mut raw = Vec::new();
        // Length prefixes and the signature vary by a byte or two: close enough after one correction.
        for _ in 0..3 {
            let input = Bytes::copy_from_slice(noise.get(..data).unwrap_or(noise));
            raw = account.sign_at(Envelope::Eip1559, Call::carry(to, input), account.nonce)?.bytes;
            if raw.len() == wanted {
                break;
            }
            data = data.saturating_add(wanted).saturating_sub(raw.len());
        }
        account.nonce = account.nonce.saturating_add(1);
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_as_large_as_asked_for_and_fills_its_bucket() {
        for bundle_bytes in [256, 1_024, 65_536, 131_072] {
            let target = Target { bundle_bytes, rate: None, starts: Instant::now() };
            let load = Load::new(target, Tracker::default());
            let user = users().unwrap().remove(0);
            let mut account = Account::new(user.signer, 901, 0);
            let noise = vec![7; usize::try_from(bundle_bytes).unwrap()];
            let transaction = load.transaction(&mut account, &noise).unwrap();
            let found = transaction.len() + FRAMING_BYTES;
            assert!(found <= noise.len() && found + 2 >= noise.len(), "{found} {bundle_bytes}");
            let leg = Leg { rollup: RollupId::new(901), transaction };
            assert_eq!(conclave_client::body_bytes(&[leg]), Some(bundle_bytes + 16));
        }
    }

    #[test]
    fn every_user_is_funded() {
        let users = users().unwrap();
        let alloc = alloc(&users);
        assert_eq!(alloc.as_object().map(serde_json::Map::len), Some(users.len()));
    }
}
