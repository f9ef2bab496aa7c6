//! Several JSON-RPC endpoints of one chain, none of which is trusted alone.

use std::{fmt, sync::Arc, time::Duration};

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, B256, Bytes},
    providers::{DynProvider, Provider as _},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
    transports::TransportResult,
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, timeout_at};

use super::{
    L1Error,
    endpoint::{self, Endpoint, Reply, is_answer, is_said},
};

/// The others are waited for so long once most endpoints have answered.
const GRACE: Duration = Duration::from_secs(2);

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the answer of one endpoint.
    pub request: Duration,
    /// Between two looks at something that takes its time.
    pub look_every: Duration,
    /// For a transaction to be included.
    pub inclusion: Duration,
    /// For a block to become final: two epochs of Ethereum and some.
    pub finality: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            look_every: Duration::from_millis(200),
            inclusion: Duration::from_secs(300),
            finality: Duration::from_secs(1_800),
        }
    }
}

/// A block as L1 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Of the block below.
    pub parent: B256,
    /// In wei; what the next block's is near to.
    pub base_fee: u64,
}

/// What endpoints said, each with its address.
pub(super) struct Answers<T> {
    /// What was answered.
    pub(super) given: Vec<(String, T)>,
    /// Why others did not answer.
    pub(super) failed: Vec<(String, String)>,
}

/// The endpoints of one chain. Cheap to clone.
#[derive(Clone)]
pub struct Endpoints {
    list: Arc<[Endpoint]>,
    chain_id: u64,
    patience: Patience,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.list.iter().map(|endpoint| &endpoint.url);
        f.debug_struct("Endpoints")
            .field("chain_id", &self.chain_id)
            .field("urls", &urls.collect::<Vec<_>>())
            .finish()
    }
}

impl Endpoints {
    /// Connects to endpoints that serve `chain_id`, or whatever chain the first that answers does. Endpoints
    /// that do not answer may do so later.
    ///
    /// # Errors
    ///
    /// If an address is none, nobody answers, or somebody serves another chain and not most serve `chain_id`.
    pub async fn connect(
        urls: &[String],
        chain_id: Option<u64>,
        patience: Patience,
    ) -> Result<Self, L1Error> {
        let list = urls.iter().map(|url| Endpoint::new(url)).collect::<Result<Vec<_>, _>>()?;
        if list.is_empty() {
            return Err(L1Error::NoEndpoint);
        }
        let mut endpoints =
            Self { list: list.into(), chain_id: chain_id.unwrap_or_default(), patience };
        let answers = endpoints
            .ask_all("eth_chainId", |provider| async move { provider.get_chain_id().await })
            .await?;
        let expected = chain_id.or_else(|| answers.first().map(|(_, found)| *found));
        let expected = expected.unwrap_or_default();
        let agreeing = answers.iter().filter(|(_, found)| *found == expected).count();
        let is_agreed = chain_id.is_some() && endpoints.is_majority(agreeing);
        for (url, found) in answers.into_iter().filter(|(_, found)| *found != expected) {
            if !is_agreed {
                return Err(L1Error::WrongChain { url, expected, found });
            }
            tracing::warn!(
                url,
                found,
                expected,
                "an L1 endpoint serves another chain; take it out"
            );
        }
        endpoints.chain_id = expected;
        Ok(endpoints)
    }

    /// The chain that they serve.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// How long is waited for what.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        self.patience
    }

    /// The first answer.
    ///
    /// # Errors
    ///
    /// If nobody answers, or the first that does refuses.
    pub async fn ask<T, F>(
        &self,
        what: &'static str,
        question: impl Fn(DynProvider) -> F,
    ) -> Result<T, L1Error>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let mut failures = Vec::new();
        for endpoint in self.list.iter() {
            match endpoint.put(self.patience.request, &|_: &str, provider| question(provider)).await
            {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_answer(&error) => {
                    return Err(endpoint.refused(what, error));
                }
                Ok(Err(error)) => failures.push(endpoint.failure(&error)),
                Err(late) => failures.push(late),
            }
        }
        Err(L1Error::NoAnswer { what, failures })
    }

    /// The answers of all that answer, at least one.
    ///
    /// # Errors
    ///
    /// If nobody answers; a refusal is no answer here.
    pub async fn ask_all<T, F>(
        &self,
        what: &'static str,
        question: impl Fn(DynProvider) -> F,
    ) -> Result<Vec<(String, T)>, L1Error>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let Answers { given, failed } =
            self.ask_each(|_| true, true, |_, provider| question(provider)).await;
        if given.is_empty() {
            let failures = failed.into_iter().map(|(_, reason)| reason).collect();
            return Err(L1Error::NoAnswer { what, failures });
        }
        Ok(given)
    }

    /// What each of the endpoints that `is_asked` holds for says, refusals being no answers. Whether those that are slower
    /// than most are left behind is `hurry`.
    pub(super) async fn ask_each<T, F>(
        &self,
        is_asked: impl Fn(&str) -> bool,
        hurry: bool,
        question: impl Fn(&str, DynProvider) -> F,
    ) -> Answers<T>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let mut answers = Answers { given: Vec::new(), failed: Vec::new() };
        for (endpoint, said) in self.put_each(is_asked, hurry, &question).await {
            let url = endpoint.url.clone();
            match said {
                Ok(Ok(answer)) => answers.given.push((url, answer)),
                Ok(Err(error)) => answers.failed.push((url, endpoint.failure(&error))),
                Err(late) => answers.failed.push((url, late)),
            }
        }
        answers
    }

    /// Says once that an endpoint contradicts most others.
    pub(super) fn tell_dissent(&self, url: &str, number: u64) {
        if self.list.iter().any(|endpoint| endpoint.url == url && endpoint.is_first_dissent()) {
            tracing::warn!(
                url,
                number,
                "an L1 endpoint calls another block final than most others; take it out"
            );
        }
    }

    /// Where they are.
    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|endpoint| endpoint.url.as_str())
    }

    /// Each by itself, for whoever takes what one says for its own word, whatever the others say.
    pub(super) fn each(&self) -> impl Iterator<Item = Endpoint> {
        self.list.iter().cloned()
    }

    /// Calls a contract without a transaction, at the newest block. Most endpoints have to say the same.
    ///
    /// # Errors
    ///
    /// If too few answer or agree, the contract refuses, or its answer is not what its ABI says.
    pub async fn call<C: SolCall>(&self, address: Address, call: &C) -> Result<C::Return, L1Error> {
        let request = TransactionRequest::default().to(address).input(call.abi_encode().into());
        let answer = self.eth_call(&request, BlockId::latest()).await?;
        C::abi_decode_returns(&answer).map_err(|source| {
            if answer.is_empty() {
                return L1Error::NoContract { address, chain_id: self.chain_id };
            }
            L1Error::Abi { address, source }
        })
    }

    /// What most endpoints say a call gives at a block.
    pub(super) async fn eth_call(
        &self,
        request: &TransactionRequest,
        at: BlockId,
    ) -> Result<Bytes, L1Error> {
        let asked = self.agree("eth_call", |provider| {
            let request = request.clone();
            async move { provider.call(request).block(at).await }
        });
        asked.await
    }

    /// A block, if there is one.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub async fn block(&self, tag: BlockNumberOrTag) -> Result<Option<BlockRef>, L1Error> {
        self.ask("eth_getBlockByNumber", |provider| block(provider, tag)).await
    }

    /// Whether so many are most of all endpoints, those that do not answer included.
    pub(super) fn is_majority(&self, count: usize) -> bool {
        count.saturating_mul(2) > self.list.len()
    }

    /// Puts a question to those endpoints at once; what each says, in their order. In a `hurry` those that are slower than
    /// most of all are left behind.
    pub(super) async fn put_each<T, F>(
        &self,
        is_asked: impl Fn(&str) -> bool,
        hurry: bool,
        question: &impl Fn(&str, DynProvider) -> F,
    ) -> Vec<(&Endpoint, Reply<T>)>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let asked: Vec<_> = self.list.iter().filter(|endpoint| is_asked(&endpoint.url)).collect();
        let mut waiting = FuturesUnordered::new();
        for (place, endpoint) in asked.iter().copied().enumerate() {
            let put = endpoint.put(self.patience.request, question);
            waiting.push(async move { (place, put.await) });
        }
        let mut said: Vec<Option<Reply<T>>> = asked.iter().map(|_| None).collect();
        let (mut answering, mut deadline) = (0_usize, None);
        loop {
            let next = match deadline {
                None => waiting.next().await,
                Some(deadline) => timeout_at(deadline, waiting.next()).await.unwrap_or_default(),
            };
            let Some((place, answer)) = next else { break };
            answering = answering.saturating_add(usize::from(is_said(&answer)));
            if let Some(of_it) = said.get_mut(place) {
                *of_it = Some(answer);
            }
            if hurry && self.is_majority(answering) {
                let missing = asked.iter().zip(&said).filter(|(_, said)| said.is_none());
                let grace = if missing.clone().all(|(endpoint, _)| endpoint.is_late()) {
                    Duration::ZERO
                } else {
                    GRACE
                };
                let latest = Instant::now() + grace;
                deadline = Some(deadline.map_or(latest, |before: Instant| before.min(latest)));
            }
        }
        drop(waiting);
        let done = asked.into_iter().zip(said);
        done.map(|(endpoint, said)| (endpoint, said.unwrap_or_else(|| Err(endpoint.left_behind()))))
            .collect()
    }
}

/// Whether that can be the address of an endpoint.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn check_url(url: &str) -> Result<(), L1Error> {
    endpoint::parse_url(url).map(drop)
}

pub(super) async fn block(
    provider: DynProvider,
    tag: BlockNumberOrTag,
) -> TransportResult<Option<BlockRef>> {
    let found = provider.get_block_by_number(tag).await?;
    Ok(found.map(|block| BlockRef {
        number: block.header.number,
        hash: block.header.hash,
        parent: block.header.parent_hash,
        base_fee: block.header.base_fee_per_gas.unwrap_or_default(),
    }))
}
