//! One account's transactions: each is included once, costs no more than it may, and is watched until it is final.
//!
//! A transaction waits with its price raised now and then, never under a second nonce: so whatever happens it is
//! executed at most once. Every version of it that was ever sent is looked for, since any of them may be the
//! one that a block takes. What only those say to know who do not show it counts as not sent.

use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, Keccak256, U256},
    providers::Provider as _,
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use tokio::time::{Duration, Instant};
use zeroize::Zeroizing;

use super::{
    Endpoints, L1Error, Sent,
    broadcast::{Handed, Objection, Unsent},
    finality::Again,
    prepare::{self, Prices, Signed},
    relay::Page,
    sent,
};

/// How often a nonce that somebody else took meanwhile is asked for anew.
const NONCE_ATTEMPTS: u32 = 3;

/// Versions of one transaction, at most: the price has risen sixteenfold by then.
const VERSIONS_MAX: usize = 24;

/// What a transaction may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// In fees, in wei, whatever becomes of it.
    pub cost_max: U256,
    /// A transaction that waits for this long offers more.
    pub raise_every: Duration,
}

impl Default for Fees {
    /// A twentieth of an ether, and two blocks of patience.
    fn default() -> Self {
        Self {
            cost_max: U256::from(50_000_000_000_000_000_u64),
            raise_every: Duration::from_secs(24),
        }
    }
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whom it calls; none creates a contract.
    pub to: Option<Address>,
    /// What it sends, in wei.
    pub value: U256,
    /// With what input.
    pub data: Bytes,
    /// The gas that it is given; estimated if none.
    pub gas: Option<u64>,
}

impl Call {
    /// A call of a contract.
    #[must_use]
    pub fn new<C: SolCall>(to: Address, call: &C) -> Self {
        let data = call.abi_encode().into();
        Self { to: Some(to), value: U256::ZERO, data, gas: None }
    }

    /// The same with ether.
    #[must_use]
    pub fn with_gwei(self, gwei: u64) -> Self {
        Self { value: U256::from(gwei).saturating_mul(U256::from(1_000_000_000_u64)), ..self }
    }
}

/// A transaction on its way.
struct Flight {
    call: Call,
    nonce: u64,
    gas: u64,
    cap: u128,
    versions: Vec<Signed>,
    /// What became of it when it was handed to the endpoints last.
    handed: Handed,
}

/// An account that sends.
#[derive(Clone, Debug)]
pub struct Sender {
    endpoints: Endpoints,
    signer: PrivateKeySigner,
    fees: Fees,
    /// Where it is written down what transactions cost.
    page: Option<Page>,
}

impl Sender {
    /// The account of a key.
    #[must_use]
    pub const fn new(endpoints: Endpoints, signer: PrivateKeySigner, fees: Fees) -> Self {
        Self { endpoints, signer, fees, page: None }
    }

    /// The same, which writes down what its transactions may cost before it sends them.
    pub(super) fn accounting(self, page: Page) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// A salt for `about` that nobody else can guess, the same each time.
    pub(super) fn salt(&self, about: B256) -> B256 {
        let secret = Zeroizing::new(self.signer.to_bytes().0);
        let mut hasher = Keccak256::new();
        for part in [b"conclave/salt/v1".as_slice(), &*secret, about.as_slice()] {
            hasher.update(part);
        }
        hasher.finalize()
    }

    /// What it talks to.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The nonce of its next transaction.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub async fn nonce(&self) -> Result<u64, L1Error> {
        // A pool may have forgotten what the chain has taken since.
        let (pending, latest) = (BlockId::pending(), BlockId::latest());
        Ok(self.count(pending).await?.max(self.count(latest).await?))
    }

    async fn count(&self, at: BlockId) -> Result<u64, L1Error> {
        let of = self.address();
        let asked = self.endpoints.middle("eth_getTransactionCount", move |provider| async move {
            provider.get_transaction_count(of).block_id(at).await
        });
        asked.await
    }

    /// Sends a transaction and waits until it is in a block.
    ///
    /// # Errors
    ///
    /// If the contract refuses, it would cost too much, or no block takes it.
    pub async fn send(&self, call: Call) -> Result<Sent, L1Error> {
        // Without its value nothing can even be estimated.
        self.check_funds(&call, U256::ZERO).await?;
        let gas = prepare::gas(&self.endpoints, &self.signer, &call).await?;
        for _ in 0..NONCE_ATTEMPTS {
            let mut flight = self.prepare(call.clone(), self.nonce().await?, gas).await?;
            match self.launch(&mut flight).await {
                Err(L1Error::NonceTaken { nonce, .. }) => {
                    tracing::debug!(nonce, "the nonce was taken meanwhile");
                }
                Err(error) => return Err(error),
                Ok(()) => return self.land(flight).await,
            }
        }
        Err(L1Error::NonceTaken { account: self.address(), nonce: self.nonce().await? })
    }

    /// Sends a transaction in place of whatever of this account waits to be in a block, which must not be worth
    /// more than the new one, and waits until it is in a block itself.
    ///
    /// # Errors
    ///
    /// As [`Self::send`]; if what waits was taken instead, the nonce is.
    pub async fn send_instead(&self, call: Call) -> Result<Sent, L1Error> {
        self.check_funds(&call, U256::ZERO).await?;
        let gas = prepare::gas(&self.endpoints, &self.signer, &call).await?;
        let nonce = self.count(BlockId::latest()).await?;
        let mut flight = self.prepare(call, nonce, gas).await?;
        self.launch(&mut flight).await?;
        self.land(flight).await
    }

    /// Sends transactions with consecutive nonces from `nonce` on, without waiting for one before the next, and
    /// waits until all are in blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::send`]; those before the one that fails stay sent.
    pub async fn send_all(&self, calls: Vec<Call>, nonce: u64) -> Result<Vec<Sent>, L1Error> {
        let mut flights = Vec::new();
        for (nonce, call) in (nonce..).zip(calls) {
            let gas = prepare::gas(&self.endpoints, &self.signer, &call).await?;
            let mut flight = self.prepare(call, nonce, gas).await?;
            self.launch(&mut flight).await?;
            flights.push(flight);
        }
        let mut sent = Vec::new();
        for flight in flights {
            sent.push(self.land(flight).await?);
        }
        Ok(sent)
    }

    async fn prepare(&self, call: Call, nonce: u64, gas: u64) -> Result<Flight, L1Error> {
        let cap = prepare::price_cap(self.fees.cost_max, gas);
        let Some(prices) = Prices::now(&self.endpoints, cap).await? else {
            return Err(L1Error::TooDear {
                gas,
                found: prepare::base_fee(&self.endpoints).await?,
                cap: self.fees.cost_max.to_string(),
            });
        };
        let fees = U256::from(gas).saturating_mul(U256::from(prices.max));
        self.check_funds(&call, fees).await?;
        let terms = (nonce, gas, prices);
        let signed = prepare::sign(&self.signer, self.endpoints.chain_id(), terms, &call)?;
        let (versions, handed) = (vec![signed], Handed::Unsure);
        Ok(Flight { call, nonce, gas, cap, versions, handed })
    }

    async fn check_funds(&self, call: &Call, fees: U256) -> Result<(), L1Error> {
        let account = self.address();
        let balance = self.endpoints.middle("eth_getBalance", |provider| async move {
            provider.get_balance(account).await
        });
        let (found, expected) = (balance.await?, fees.saturating_add(call.value));
        if found >= expected {
            return Ok(());
        }
        let (expected, found) = (expected.to_string(), found.to_string());
        Err(L1Error::Funds { account, expected, found })
    }

    /// Hands the newest version of a transaction to the endpoints.
    async fn launch(&self, flight: &mut Flight) -> Result<(), L1Error> {
        let Some(newest) = flight.versions.last() else { return Ok(()) };
        if let Some(page) = &self.page {
            page.may_cost((self.address(), flight.nonce), newest.cost).await?;
        }
        let error = match self.endpoints.broadcast(&newest.raw, newest.hash).await {
            Ok(handed) => {
                flight.handed = handed;
                return Ok(());
            }
            Err(Unsent::NonceTaken) => {
                return Err(L1Error::NonceTaken { account: self.address(), nonce: flight.nonce });
            }
            Err(Unsent::Refused(error)) => error,
        };
        if Objection::told(&error) == Some(Objection::Underpriced) && self.raise(flight)? {
            return Box::pin(self.launch(flight)).await;
        }
        Err(error)
    }

    /// Adds a version that offers more, if the cap allows one.
    fn raise(&self, flight: &mut Flight) -> Result<bool, L1Error> {
        let prices = flight.versions.last().and_then(|newest| newest.prices.raised(flight.cap));
        let Some(prices) = prices.filter(|_| flight.versions.len() < VERSIONS_MAX) else {
            return Ok(false);
        };
        let terms = (flight.nonce, flight.gas, prices);
        let chain_id = self.endpoints.chain_id();
        flight.versions.push(prepare::sign(&self.signer, chain_id, terms, &flight.call)?);
        Ok(true)
    }

    /// Waits until some version of a transaction is in a block.
    async fn land(&self, mut flight: Flight) -> Result<Sent, L1Error> {
        let patience = self.endpoints.patience();
        let started = Instant::now();
        let (mut raised, mut again) = (started, Again::after(started, patience.look_every));
        loop {
            if let Some(sent) = self.find(&flight).await? {
                if let Some(page) = &self.page {
                    page.has_cost((self.address(), sent.nonce), sent.fee()).await?;
                }
                self.check(&sent).await?;
                return Ok(sent);
            }
            if started.elapsed() > patience.inclusion {
                let hash = flight.versions.last().map(|newest| newest.hash).unwrap_or_default();
                let nonce = flight.nonce;
                return Err(L1Error::NotIncluded { hash, nonce, after: patience.inclusion });
            }
            if raised.elapsed() > self.fees.raise_every {
                raised = Instant::now();
                self.raise(&mut flight)?;
                self.relaunch(&mut flight).await?;
            } else if flight.handed == Handed::Unsure && again.is_due(Instant::now()) {
                self.relaunch(&mut flight).await?;
            }
            tokio::time::sleep(patience.look_every).await;
        }
    }

    /// Tells the endpoints again of a transaction that waits.
    async fn relaunch(&self, flight: &mut Flight) -> Result<(), L1Error> {
        let Flight { nonce, handed, versions, .. } = &*flight;
        tracing::debug!(nonce, ?handed, versions = versions.len(), "a transaction waits");
        match self.launch(flight).await {
            // A block may have taken it since: that is found out by looking for all of its versions.
            Err(taken @ L1Error::NonceTaken { .. }) => match self.find(flight).await? {
                Some(_) => Ok(()),
                None => Err(taken),
            },
            // Nobody in reach: there is time left to wait for somebody.
            Err(L1Error::NoAnswer { .. }) | Ok(()) => Ok(()),
            // Some say that a block has taken it, or another one, and most do not yet.
            Err(error) if Objection::told(&error) == Some(Objection::NonceTaken) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn find(&self, flight: &Flight) -> Result<Option<Sent>, L1Error> {
        for version in flight.versions.iter().rev() {
            if let Some(receipt) = sent::receipt(&self.endpoints, version.hash).await?.receipt {
                return Ok(Some(Sent::new(receipt, flight.nonce, version)));
            }
        }
        Ok(None)
    }

    /// An error if the transaction was undone, with what the contract said.
    pub(super) async fn check(&self, sent: &Sent) -> Result<(), L1Error> {
        if sent.receipt.status() {
            return Ok(());
        }
        let (hash, block, fee) = (sent.hash(), sent.block(), sent.fee());
        let reason = self.reason(sent).await;
        Err(L1Error::Undone { hash, block, reason, fee })
    }

    /// Why a transaction was undone: what the call says on top of the block before.
    async fn reason(&self, sent: &Sent) -> String {
        let hash = sent.hash();
        let asked = self.endpoints.ask("eth_getTransactionByHash", |provider| async move {
            provider.get_transaction_by_hash(hash).await
        });
        let Ok(Some(transaction)) = asked.await else { return "it does not say why".to_owned() };
        let before = BlockId::number(sent.block().saturating_sub(1));
        let request = transaction.into_request();
        match self.endpoints.eth_call(&request, before).await {
            Err(L1Error::Reverted(reason)) => reason,
            Ok(_) | Err(_) => "out of gas, or something in its block came before it".to_owned(),
        }
    }
}
