//! One JSON-RPC endpoint, with a deadline for each of its answers.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use alloy::{
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::client::RpcClient,
    transports::{TransportError, TransportResult, http::reqwest::Url},
};
use tokio::time::Instant;

use super::{L1Error, http::Http};

/// Who was slower than most others is not waited for for a while, if they are most again.
const LATE_FOR: Duration = Duration::from_secs(30);

/// An endpoint.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: String,
    provider: DynProvider,
    /// When most others were done without it.
    was_late: Arc<Mutex<Option<Instant>>>,
    /// Whether it has contradicted most others.
    has_dissented: Arc<AtomicBool>,
}

/// What an endpoint says, or why it says nothing.
pub(super) type Reply<T> = Result<TransportResult<T>, String>;

impl Endpoint {
    pub(super) fn new(url: &str) -> Result<Self, L1Error> {
        let source = |error| L1Error::Refused {
            url: url.to_owned(),
            what: "a client for it",
            source: Box::new(error),
        };
        let http = Http::new(parse_url(url)?).map_err(source)?;
        let client = RpcClient::new(http, false);
        let provider = ProviderBuilder::default().connect_client(client).erased();
        Ok(Self {
            url: url.to_owned(),
            provider,
            was_late: Arc::default(),
            has_dissented: Arc::default(),
        })
    }

    /// Puts a question to it; what it says, or that it is late.
    pub(super) async fn put<T, F>(
        &self,
        patience: Duration,
        question: &impl Fn(&str, DynProvider) -> F,
    ) -> Reply<T>
    where
        F: Future<Output = TransportResult<T>>,
    {
        let said = tokio::time::timeout(patience, question(&self.url, self.provider.clone())).await;
        said.map_err(|_late| format!("{} is silent for {patience:?}", self.url))
    }

    /// Whether the others were done without it a moment ago.
    pub(super) fn is_late(&self) -> bool {
        let was_late = *self.was_late.lock().unwrap_or_else(PoisonError::into_inner);
        was_late.is_some_and(|at| at.elapsed() < LATE_FOR)
    }

    /// Notes that the others are done; what is said of it.
    pub(super) fn left_behind(&self) -> String {
        if !self.is_late() {
            let mut was_late = self.was_late.lock().unwrap_or_else(PoisonError::into_inner);
            *was_late = Some(Instant::now());
        }
        format!("{} is slower than the others", self.url)
    }

    /// Notes that it contradicts most others; whether it is the first time.
    pub(super) fn is_first_dissent(&self) -> bool {
        !self.has_dissented.swap(true, Ordering::Relaxed)
    }

    pub(super) fn refused(&self, what: &'static str, error: TransportError) -> L1Error {
        L1Error::Refused { url: self.url.clone(), what, source: Box::new(error) }
    }

    pub(super) fn failure(&self, error: &TransportError) -> String {
        format!("{}: {}", self.url, crate::errors::chain(error))
    }
}

/// The address of an endpoint, if it can be one.
///
/// # Errors
///
/// Says what is wrong with it.
pub(super) fn parse_url(url: &str) -> Result<Url, L1Error> {
    let parsed = url.parse().ok().filter(|_| url.contains("://"));
    let parsed: Url = parsed.ok_or_else(|| L1Error::Url(url.to_owned()))?;
    match parsed.scheme() {
        "http" => Ok(parsed),
        "https" => Err(L1Error::Tls(url.to_owned())),
        _ => Err(L1Error::Url(url.to_owned())),
    }
}

/// Whether the endpoint itself says no, rather than being out of reach or talking nonsense.
pub(super) fn is_answer(error: &TransportError) -> bool {
    error.as_error_resp().is_some()
}

/// Whether that is an answer, if only a refusal.
pub(super) fn is_said<T>(reply: &Reply<T>) -> bool {
    match reply {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => is_answer(error),
        Err(_) => false,
    }
}
