//! A devnet's own load: several users at once, each doing what users do — transfers in every envelope,
//! a contract, calls, reverts, bundles across rollups, and every mistake. Each transaction's fate is
//! known beforehand, so that afterwards the rollups can be asked whether it came to pass.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use conclave_client::{Payer, Terms, Wallet};
use conclave_types::{BundleId, Leg, RollupId};
use tokio::time::Instant;

use super::{
    error::DevnetError,
    ethereum::Rollup,
    network::{Devnet, ROLLUPS},
    tracker::Tracker,
    transactions::{Account, Call, DEV_KEYS, Envelope, Raw, invalid},
};

/// Accounts that the load uses; the story has the others.
const USERS: std::ops::Range<usize> = 2..8;

/// Pause between two bundles of one user.
const PACE: Duration = Duration::from_millis(80);

/// A user who has done this many things has done each kind once.
const ROUND: usize = 12;

/// A rollup that nobody registered.
const UNKNOWN_ROLLUP: u64 = 999;

/// What is to become of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// In a block, and succeeded.
    Executed,
    /// In a block, and reverted.
    Reverted,
    /// In no block, with this reason.
    Skipped(&'static str),
    /// Not even ordered for the rollup: its bundle is undecryptable.
    Absent,
}

/// A transaction with its fate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The rollup.
    pub(crate) rollup: u64,
    /// The transaction.
    pub(crate) hash: B256,
    /// What is to become of it.
    pub(crate) fate: Fate,
}

/// A bundle that was handed in.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    /// The bundle.
    pub(crate) id: BundleId,
    /// Whether it is to open.
    pub(crate) is_decryptable: bool,
    /// Its transactions.
    pub(crate) transactions: Vec<Expected>,
}

/// What the users have done so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    /// None if nobody is going to ask: a devnet may run for days.
    entries: Option<Arc<Mutex<Vec<Submitted>>>>,
    stopping: Arc<AtomicBool>,
    complete: Arc<AtomicUsize>,
}

impl Journal {
    /// One that keeps everything, for a run that ends.
    pub(crate) fn kept() -> Self {
        Self { entries: Some(Arc::default()), ..Self::default() }
    }

    /// Asks every user to finish what they are at.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether every user has done each kind of thing once.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed) >= USERS.len()
    }

    /// Everything handed in.
    pub(crate) fn entries(&self) -> Vec<Submitted> {
        let Some(entries) = &self.entries else { return Vec::new() };
        entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, submitted: Submitted) {
        if let Some(entries) = &self.entries {
            entries.lock().unwrap_or_else(PoisonError::into_inner).push(submitted);
        }
    }
}

/// The users of a devnet, ready to start.
pub(crate) async fn users(devnet: &Devnet) -> Result<Vec<User>, DevnetError> {
    let mut users = Vec::new();
    for index in USERS {
        let Some(key) = DEV_KEYS.get(index) else { continue };
        let payer = Payer::from_hex(key).map_err(conclave_client::ClientError::from)?;
        let signer: PrivateKeySigner = key
            .parse()
            .map_err(|error| DevnetError::Options(format!("dev key {index} is no key: {error}")))?;
        let mut accounts = Vec::new();
        for rollup in &devnet.rollups {
            let nonce = rollup.nonce(signer.address()).await?;
            accounts.push(Account::new(signer.clone(), rollup.id, nonce));
        }
        let wallet = devnet.client.wallet(payer);
        users.push(User { wallet, accounts, counter: None, rollups: devnet.rollups.clone() });
    }
    Ok(users)
}

/// Somebody with one key, for fees and on both rollups.
#[derive(Debug)]
pub(crate) struct User {
    wallet: Wallet,
    /// In the order of [`ROLLUPS`].
    accounts: Vec<Account>,
    counter: Option<Address>,
    rollups: Vec<Rollup>,
}

/// A leg with what is to become of it.
type Plan = (u64, Raw, Fate);

impl User {
    /// Submits until asked to stop, at least one round.
    pub(crate) async fn run(
        mut self,
        journal: Journal,
        tracker: Tracker,
    ) -> Result<(), DevnetError> {
        let mut turn = 0_usize;
        while turn < ROUND || !journal.is_stopping() {
            let next = Instant::now() + PACE;
            for (legs, is_decryptable) in self.plan(turn)? {
                self.submit(legs, is_decryptable, &journal, &tracker).await?;
            }
            turn = turn.saturating_add(1);
            if turn == ROUND {
                journal.complete.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep_until(next).await;
        }
        Ok(())
    }

    /// All of one lane: what was handed in later is executed later, so that nonces fit.
    async fn submit(
        &self,
        plan: Vec<Plan>,
        is_decryptable: bool,
        journal: &Journal,
        tracker: &Tracker,
    ) -> Result<(), DevnetError> {
        let leg = |(rollup, raw, _): &Plan| Leg {
            rollup: RollupId::new(*rollup),
            transaction: raw.bytes.clone(),
        };
        let legs: Vec<_> = plan.iter().map(leg).collect();
        let terms = Terms { lane: Some(0), any_rollup: !is_decryptable, ..Terms::default() };
        let started = Instant::now();
        let submission = self.wallet.submit(&legs, &terms).await?;
        tracker.submitted(submission.id, started);
        let expected =
            |(rollup, raw, fate): &Plan| Expected { rollup: *rollup, hash: raw.hash, fate: *fate };
        let transactions = plan.iter().map(expected).collect();
        journal.add(Submitted { id: submission.id, is_decryptable, transactions });
        Ok(())
    }

    /// The bundles of a turn: legs with their fates, and whether the bundle is to open.
    fn plan(&mut self, turn: usize) -> Result<Vec<(Vec<Plan>, bool)>, DevnetError> {
        let to = Address::repeat_byte(0xc0);
        let transfer = || Call::transfer(to, 1_000_000_000);
        let bundles = match turn % ROUND {
            0 => vec![vec![self.deploy()?]],
            1 => vec![vec![self.add(3)?]],
            2 => vec![vec![self.sign(1, Envelope::Legacy, transfer(), Fate::Executed)?]],
            3 => vec![vec![self.sign(0, Envelope::Eip2930, transfer(), Fate::Executed)?]],
            4 | 8 => vec![vec![
                self.sign(0, Envelope::Eip1559, transfer(), Fate::Executed)?,
                self.sign(1, Envelope::Eip1559, transfer(), Fate::Executed)?,
            ]],
            5 => vec![vec![self.add(0)?]],
            6 => self.mistakes()?,
            7 => return Ok(vec![(self.for_nobody(transfer())?, false)]),
            9 => vec![vec![self.add(4)?]],
            even if even % 2 == 0 => {
                vec![vec![self.sign(0, Envelope::Eip1559, transfer(), Fate::Executed)?]]
            }
            _ => vec![vec![self.sign(1, Envelope::Eip1559, transfer(), Fate::Executed)?]],
        };
        Ok(bundles.into_iter().map(|legs| (legs, true)).collect())
    }

    fn account(&mut self, index: usize) -> Result<&mut Account, DevnetError> {
        let missing = || DevnetError::Options(format!("a devnet has rollups {ROLLUPS:?}"));
        self.accounts.get_mut(index).ok_or_else(missing)
    }

    fn rollup(&self, index: usize) -> u64 {
        self.rollups.get(index).map_or(UNKNOWN_ROLLUP, |rollup| rollup.id)
    }

    fn sign(
        &mut self,
        index: usize,
        envelope: Envelope,
        call: Call,
        fate: Fate,
    ) -> Result<Plan, DevnetError> {
        let raw = self.account(index)?.sign(envelope, call)?;
        Ok((self.rollup(index), raw, fate))
    }

    fn deploy(&mut self) -> Result<Plan, DevnetError> {
        self.counter = Some(self.account(0)?.next_contract());
        self.sign(0, Envelope::Eip1559, Call::deploy(), Fate::Executed)
    }

    /// Zero reverts.
    fn add(&mut self, number: u64) -> Result<Plan, DevnetError> {
        let Some(counter) = self.counter else { return self.deploy() };
        let fate = if number == 0 { Fate::Reverted } else { Fate::Executed };
        self.sign(0, Envelope::Eip1559, Call::add(counter, number), fate)
    }

    fn mistakes(&mut self) -> Result<Vec<Vec<Plan>>, DevnetError> {
        let rollup = self.rollup(0);
        let mistakes = invalid(self.account(0)?)?.into_iter();
        Ok(mistakes.map(|(_, reason, raw)| vec![(rollup, raw, Fate::Skipped(reason))]).collect())
    }

    /// A valid leg beside one for a rollup that does not exist: neither may have an effect, so the
    /// nonce is not used up.
    fn for_nobody(&mut self, call: Call) -> Result<Vec<Plan>, DevnetError> {
        let rollup = self.rollup(1);
        let account = self.account(1)?;
        // Another amount than any later transfer with this nonce has, hence another hash.
        let call = Call { value: call.value.saturating_add(alloy::primitives::U256::ONE), ..call };
        let raw = account.sign_at(Envelope::Eip1559, call, account.nonce)?;
        Ok(vec![(rollup, raw.clone(), Fate::Absent), (UNKNOWN_ROLLUP, raw, Fate::Absent)])
    }
}
