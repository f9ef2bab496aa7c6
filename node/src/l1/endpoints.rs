//! Several JSON-RPC endpoints of one chain, none of which is trusted alone.

use std::{fmt, sync::Arc, time::Duration};

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, B256, Bytes},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
    transports::{TransportError, TransportResult, http::reqwest::Url},
};

use super::{Contradiction, L1Error, revert};

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

#[derive(Clone)]
struct Endpoint {
    url: String,
    provider: DynProvider,
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
    /// If an address is none, nobody answers, or somebody serves another chain.
    pub async fn connect(
        urls: &[String],
        chain_id: Option<u64>,
        patience: Patience,
    ) -> Result<Self, L1Error> {
        let list = urls.iter().map(|url| endpoint(url)).collect::<Result<Vec<_>, _>>()?;
        if list.is_empty() {
            return Err(L1Error::NoEndpoint);
        }
        let mut endpoints =
            Self { list: list.into(), chain_id: chain_id.unwrap_or_default(), patience };
        let answers = endpoints
            .ask_all("eth_chainId", |provider| async move { provider.get_chain_id().await })
            .await?;
        let mut expected = chain_id;
        for (url, found) in answers {
            let expected = *expected.get_or_insert(found);
            if found != expected {
                return Err(L1Error::WrongChain { url, expected, found });
            }
        }
        endpoints.chain_id = expected.unwrap_or_default();
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

    /// The same, of which another is asked first: what one alone answers is not to keep anything back for ever.
    pub(super) fn beginning_with(&self, nth: usize) -> Self {
        let mut list = self.list.to_vec();
        let first = nth.checked_rem(list.len()).unwrap_or_default();
        list.rotate_left(first);
        Self { list: list.into(), ..self.clone() }
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
            match self.put(endpoint, &question).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if is_answer(&error) => {
                    return Err(refused(endpoint, what, error));
                }
                Ok(Err(error)) => failures.push(failure(endpoint, &error)),
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
        let Answers { given, failed } = self.ask_each(|_| true, question).await;
        if given.is_empty() {
            let failures = failed.into_iter().map(|(_, reason)| reason).collect();
            return Err(L1Error::NoAnswer { what, failures });
        }
        Ok(given)
    }

    /// What each of the endpoints that `is_asked` holds for says, refusals being no answers.
    pub(super) async fn ask_each<T, F>(
        &self,
        is_asked: impl Fn(&str) -> bool,
        question: impl Fn(DynProvider) -> F,
    ) -> Answers<T>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let list: Vec<_> = self.list.iter().filter(|endpoint| is_asked(&endpoint.url)).collect();
        let asked = list.iter().map(|endpoint| self.put(endpoint, &question));
        let mut answers = Answers { given: Vec::new(), failed: Vec::new() };
        for (endpoint, said) in list.iter().zip(futures::future::join_all(asked).await) {
            let url = endpoint.url.clone();
            match said {
                Ok(Ok(answer)) => answers.given.push((url, answer)),
                Ok(Err(error)) => answers.failed.push((url, failure(endpoint, &error))),
                Err(late) => answers.failed.push((url, late)),
            }
        }
        answers
    }

    /// Where they are.
    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|endpoint| endpoint.url.as_str())
    }

    /// Hands a transaction to all; one that takes it is enough.
    ///
    /// # Errors
    ///
    /// What the first that answers has against it, if nobody takes it.
    pub async fn broadcast(&self, raw: &[u8]) -> Result<(), L1Error> {
        const WHAT: &str = "eth_sendRawTransaction";
        let send = |provider: DynProvider| async move {
            provider.send_raw_transaction(raw).await.map(drop)
        };
        let asked = self.list.iter().map(|endpoint| self.put(endpoint, &send));
        let (mut refusal, mut failures) = (None, Vec::new());
        for (endpoint, said) in self.list.iter().zip(futures::future::join_all(asked).await) {
            match said {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if is_answer(&error) => {
                    refusal.get_or_insert_with(|| refused(endpoint, WHAT, error));
                }
                Ok(Err(error)) => failures.push(failure(endpoint, &error)),
                Err(late) => failures.push(late),
            }
        }
        Err(refusal.unwrap_or(L1Error::NoAnswer { what: WHAT, failures }))
    }

    /// Calls a contract without a transaction, at the newest block.
    ///
    /// # Errors
    ///
    /// If nobody answers, the contract refuses, or its answer is not what its ABI says.
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

    pub(super) async fn eth_call(
        &self,
        request: &TransactionRequest,
        at: BlockId,
    ) -> Result<Bytes, L1Error> {
        let asked = self.ask("eth_call", |provider| {
            let request = request.clone();
            async move { provider.call(request).block(at).await }
        });
        asked.await.map_err(revert::named)
    }

    /// A block, if there is one.
    ///
    /// # Errors
    ///
    /// If nobody answers.
    pub async fn block(&self, tag: BlockNumberOrTag) -> Result<Option<BlockRef>, L1Error> {
        self.ask("eth_getBlockByNumber", |provider| block(provider, tag)).await
    }

    /// Whether a block is final: a majority of all endpoints says so, and nobody says otherwise.
    ///
    /// # Errors
    ///
    /// [`L1Error::Contradiction`] if endpoints call different blocks of that number final.
    pub async fn is_final(&self, number: u64, hash: B256) -> Result<bool, L1Error> {
        let answers = self
            .ask_all("eth_getBlockByNumber", |provider| async move {
                let newest = block(provider.clone(), BlockNumberOrTag::Finalized).await?;
                if newest.is_none_or(|newest| newest.number < number) {
                    return Ok(None);
                }
                block(provider, number.into()).await
            })
            .await?;
        let called = answers.into_iter().filter_map(|(url, found)| Some((url, found?.hash)));
        let called: Vec<(String, B256)> = called.collect();
        if let Some((one, one_hash)) = called.first()
            && let Some((other, other_hash)) = called.iter().find(|(_, found)| found != one_hash)
        {
            return Err(L1Error::Contradiction(Box::new(Contradiction {
                number,
                one: one.clone(),
                one_hash: *one_hash,
                other: other.clone(),
                other_hash: *other_hash,
            })));
        }
        let agreed = called.iter().filter(|(_, found)| *found == hash).count();
        Ok(self.is_majority(agreed))
    }

    /// Whether so many are most of all endpoints, those that do not answer included.
    pub(super) fn is_majority(&self, count: usize) -> bool {
        count.saturating_mul(2) > self.list.len()
    }

    /// Puts a question to one endpoint; what it says, or that it is late.
    async fn put<T, F>(
        &self,
        endpoint: &Endpoint,
        question: &impl Fn(DynProvider) -> F,
    ) -> Result<TransportResult<T>, String>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let asked = question(endpoint.provider.clone());
        let said = tokio::time::timeout(self.patience.request, asked).await;
        said.map_err(|_late| format!("{} is silent for {:?}", endpoint.url, self.patience.request))
    }
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

/// The address of an endpoint, if it can be one.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn parse_url(url: &str) -> Result<Url, L1Error> {
    let parsed = url.parse().ok().filter(|_| url.contains("://"));
    let parsed: Url = parsed.ok_or_else(|| L1Error::Url(url.to_owned()))?;
    match parsed.scheme() {
        "http" => Ok(parsed),
        "https" => Err(L1Error::Tls(url.to_owned())),
        _ => Err(L1Error::Url(url.to_owned())),
    }
}

fn endpoint(url: &str) -> Result<Endpoint, L1Error> {
    let parsed = parse_url(url)?;
    let provider = ProviderBuilder::default().connect_http(parsed).erased();
    Ok(Endpoint { url: url.to_owned(), provider })
}

/// Whether the endpoint itself says no, rather than being out of reach or talking nonsense.
pub(super) fn is_answer(error: &TransportError) -> bool {
    error.as_error_resp().is_some()
}

fn refused(endpoint: &Endpoint, what: &'static str, error: TransportError) -> L1Error {
    L1Error::Refused { url: endpoint.url.clone(), what, source: Box::new(error) }
}

fn failure(endpoint: &Endpoint, error: &TransportError) -> String {
    format!("{}: {}", endpoint.url, crate::errors::chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_can_be_the_one_that_is_asked_first() {
        let urls = ["http://one", "http://two", "http://three"];
        let list = urls.map(|url| endpoint(url).unwrap()).to_vec();
        let endpoints = Endpoints { list: list.into(), chain_id: 1, patience: Patience::default() };
        let first = |nth| endpoints.beginning_with(nth).urls().next().map(ToOwned::to_owned);
        for (nth, expected) in
            [(0, "http://one"), (1, "http://two"), (2, "http://three"), (3, "http://one")]
        {
            assert_eq!(first(nth).as_deref(), Some(expected), "{nth}");
            assert_eq!(endpoints.beginning_with(nth).urls().count(), urls.len());
        }
    }
}
