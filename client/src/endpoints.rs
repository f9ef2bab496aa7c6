//! Several validators as one: a call goes to the one that answered last, and on to the next when it
//! does not answer or is full. Only what cannot do harm twice comes through here: reads, and
//! submissions, which are idempotent by bundle id.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::ClientError;

/// How often and how fast to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Rounds over all endpoints before giving up. At least one is made.
    pub rounds: u32,
    /// Pause after the first round; it doubles after each further one.
    pub pause_first: Duration,
    /// No pause is longer.
    pub pause_max: Duration,
}

impl Default for Retry {
    /// About six seconds in all: longer than a validator takes to restart or a round to time out.
    fn default() -> Self {
        Self {
            rounds: 10,
            pause_first: Duration::from_millis(25),
            pause_max: Duration::from_secs(1),
        }
    }
}

impl Retry {
    /// One attempt at each endpoint.
    #[must_use]
    pub const fn never() -> Self {
        Self { rounds: 1, pause_first: Duration::ZERO, pause_max: Duration::ZERO }
    }

    pub(crate) fn pause(&self, round: u32) -> Duration {
        let factor = 1_u32.checked_shl(round).unwrap_or(u32::MAX);
        self.pause_first.saturating_mul(factor).min(self.pause_max)
    }
}

/// Whether another validator, or this one a little later, may do what was refused.
pub(crate) fn is_retryable(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::Internal
            | Code::Unknown
    )
}

#[derive(Debug)]
pub(crate) struct Endpoints {
    channels: Vec<Channel>,
    preferred: AtomicUsize,
    pub(crate) retry: Retry,
}

/// No request waits longer for its answer (streams: for their first byte).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A validator that does not even accept within this is tried again later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a silent peer is believed to be alive: a watch on a dead host ends after this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

impl Endpoints {
    /// Prepares a channel to each; nothing is sent yet.
    pub(crate) fn new(endpoints: &[String], retry: Retry) -> Result<Self, ClientError> {
        if endpoints.is_empty() {
            return Err(ClientError::NoEndpoints);
        }
        let channels = endpoints.iter().map(|text| channel(text)).collect::<Result<_, _>>()?;
        Ok(Self { channels, preferred: AtomicUsize::new(0), retry })
    }

    pub(crate) fn count(&self) -> usize {
        self.channels.len()
    }

    /// The channel number `turn`, counted round and round from the preferred one.
    pub(crate) fn channel(&self, from: usize, turn: usize) -> Option<Channel> {
        let index = from.wrapping_add(turn).checked_rem(self.channels.len())?;
        self.channels.get(index).cloned()
    }

    pub(crate) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// Calls `what` on one endpoint after the other until one answers, or refuses for good.
    pub(crate) async fn call<T, F, Fut>(&self, what: F) -> Result<T, ClientError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let (answer, endpoint) = self.call_from(self.preferred(), what).await?;
        self.preferred.store(endpoint, Ordering::Relaxed);
        Ok(answer)
    }

    /// Like [`Endpoints::call`], starting at endpoint `from`; also says which one answered.
    pub(crate) async fn call_from<T, F, Fut>(
        &self,
        from: usize,
        what: F,
    ) -> Result<(T, usize), ClientError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let mut attempts = 0;
        let mut last = Status::unavailable("no attempt was made");
        for round in 0..self.retry.rounds.max(1) {
            if round > 0 {
                tokio::time::sleep(self.retry.pause(round - 1)).await;
            }
            for turn in 0..self.count() {
                let Some(channel) = self.channel(from, turn) else { continue };
                attempts += 1;
                match what(channel).await {
                    Ok(answer) => return Ok((answer, from.wrapping_add(turn) % self.count())),
                    Err(status) if is_retryable(&status) => {
                        tracing::debug!(%status, turn, round, "trying the next endpoint");
                        last = status;
                    }
                    Err(status) => return Err(ClientError::Refused(Box::new(status))),
                }
            }
        }
        Err(ClientError::Unavailable { endpoints: self.count(), attempts, last: Box::new(last) })
    }
}

fn channel(text: &str) -> Result<Channel, ClientError> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let endpoint = Endpoint::from_shared(url)
        .map_err(|source| ClientError::BadEndpoint { endpoint: text.to_owned(), source })?;
    Ok(endpoint
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn three(rounds: u32) -> Endpoints {
        let retry = Retry { rounds, ..Retry::never() };
        let urls = ["http://127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3"];
        Endpoints::new(&urls.map(str::to_owned), retry).unwrap()
    }

    #[tokio::test]
    async fn the_next_endpoint_is_asked_when_one_is_full_and_remembered_when_it_answers() {
        let endpoints = three(1);
        let calls = Mutex::new(0_u32);
        let answer = endpoints
            .call(|_| async {
                let mut calls = calls.lock().unwrap();
                *calls += 1;
                if *calls < 3 { Err(Status::resource_exhausted("full")) } else { Ok(*calls) }
            })
            .await;
        assert_eq!(answer.unwrap(), 3);
        assert_eq!(endpoints.preferred(), 2);
    }

    #[tokio::test]
    async fn a_final_refusal_is_not_taken_elsewhere() {
        let calls = Mutex::new(0_u32);
        let answer: Result<(), _> = three(5)
            .call(|_| async {
                *calls.lock().unwrap() += 1;
                Err(Status::invalid_argument("bad proof"))
            })
            .await;
        assert!(matches!(answer, Err(ClientError::Refused(s)) if s.message() == "bad proof"));
        assert_eq!(*calls.lock().unwrap(), 1);
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_the_last_refusal_is_told() {
        let answer: Result<(), _> =
            three(4).call(|_| async { Err(Status::unavailable("gone")) }).await;
        let Err(ClientError::Unavailable { endpoints: 3, attempts: 12, last }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(last.message(), "gone");
    }

    #[test]
    fn pauses_double_up_to_their_limit() {
        let retry = Retry::default();
        assert_eq!(retry.pause(0), Duration::from_millis(25));
        assert_eq!(retry.pause(3), Duration::from_millis(200));
        assert_eq!(retry.pause(9), Duration::from_secs(1));
        assert_eq!(retry.pause(200), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn what_is_no_endpoint_is_named() {
        assert!(matches!(Endpoints::new(&[], Retry::default()), Err(ClientError::NoEndpoints)));
        let bad = Endpoints::new(&["http://[bad".to_owned()], Retry::default());
        assert!(matches!(bad, Err(ClientError::BadEndpoint { endpoint, .. })
            if endpoint == "http://[bad"));
    }
}
