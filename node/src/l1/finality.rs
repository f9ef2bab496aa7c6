//! Waiting until a transaction is final, and sending it again if a reorganization took it out of its block.
//!
//! An endpoint that is started anew, or a network that is gone for a moment, is no reason to leave whoever waits without
//! an answer: silence is waited out, and told. So is that too few answer for most of all to say the same, whatever they
//! say: that a transaction is in no block takes most of them, too.
//!
//! **Bounds.** It takes no longer than the endpoints' patience for finality, and silence no longer than that for
//! inclusion. What is in no block is sent again at once, and then ever later, up to [`AGAIN_MAX`]: half an hour of it is
//! a hundred requests to each endpoint.

use std::fmt;

use alloy::primitives::B256;
use tokio::time::{Duration, Instant};

use super::{
    L1Error, Sender, Sent,
    sent::{self, Told},
};

/// At least once in so long a transaction that is in no block is sent again: two blocks of Ethereum.
const AGAIN_MAX: Duration = Duration::from_secs(24);
/// That endpoints are silent is told at most once in so long.
const QUIET: Duration = Duration::from_secs(60);

/// What is waited for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// That the transaction's block is final.
    Finality {
        /// The transaction.
        hash: B256,
        /// The block.
        block: u64,
    },
    /// That a block takes the transaction again.
    Inclusion {
        /// The transaction.
        hash: B256,
        /// The block in which it was.
        block: u64,
    },
    /// That endpoints answer again.
    Answer {
        /// The transaction.
        hash: B256,
        /// The block in which it was seen last.
        block: u64,
    },
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finality { hash, block } => {
                write!(f, "waiting until block {block} with transaction {hash} is final")
            }
            Self::Inclusion { hash, block } => write!(
                f,
                "transaction {hash} is no longer in block {block}, most endpoints say; it is sent again until a block takes it"
            ),
            Self::Answer { hash, block } => write!(
                f,
                "no L1 endpoint tells what became of transaction {hash}, last seen in block {block}; they are asked again"
            ),
        }
    }
}

impl Sender {
    /// Waits until a transaction is final. One that a reorganization took out of its block is sent again. Whenever
    /// something else is waited for `tell` hears of it.
    ///
    /// # Errors
    ///
    /// If it does not become final in time, it was undone, or endpoints contradict each other.
    pub async fn wait_final(
        &self,
        sent: &Sent,
        mut tell: impl FnMut(Waiting),
    ) -> Result<Sent, L1Error> {
        let patience = self.endpoints().patience();
        let (started, mut sent) = (Instant::now(), sent.clone());
        let (mut told, mut again) = (None, Again::new(patience.look_every));
        let (mut heard, mut silence) = (started, None);
        loop {
            let waiting = match self.look(&mut sent, &mut again).await {
                Ok(None) => return Ok(sent),
                Ok(Some(waiting)) => {
                    heard = Instant::now();
                    waiting
                }
                Err(error) if error.is_silence() => {
                    let (hash, block, after) = (sent.hash(), sent.block(), heard.elapsed());
                    if after > patience.inclusion {
                        return Err(L1Error::Silent { hash, block, after, source: error.into() });
                    }
                    Waiting::Answer { hash, block }
                }
                Err(error) => return Err(error),
            };
            // An endpoint that comes and goes is not told of each time.
            let is_new = if let Waiting::Answer { .. } = waiting {
                let is_new = silence.is_none_or(|told: Instant| told.elapsed() >= QUIET);
                silence = if is_new { Some(Instant::now()) } else { silence };
                is_new
            } else {
                told.replace(waiting) != Some(waiting)
            };
            if is_new {
                tell(waiting);
            }
            let after = patience.finality;
            if started.elapsed() > after {
                return Err(match waiting {
                    Waiting::Inclusion { hash, .. } => {
                        L1Error::NotIncluded { hash, nonce: sent.nonce, after }
                    }
                    Waiting::Finality { hash, block } | Waiting::Answer { hash, block } => {
                        L1Error::NotFinal { hash, block, after }
                    }
                });
            }
            tokio::time::sleep(patience.look_every).await;
        }
    }

    /// What is waited for at the moment; nothing once the transaction is final.
    async fn look(&self, sent: &mut Sent, again: &mut Again) -> Result<Option<Waiting>, L1Error> {
        let endpoints = self.endpoints();
        let Told { receipt, answering, denying } = sent::receipt(endpoints, sent.hash()).await?;
        let Some(receipt) = receipt else {
            if again.is_due(Instant::now()) {
                self.again(sent).await;
            }
            // While others are silent, or see other blocks, one that does not have it says nothing of the chain.
            if !endpoints.is_majority(denying) {
                let (what, of) = ("eth_getTransactionReceipt", endpoints.urls().count());
                return Err(L1Error::Discord { what, answering, of });
            }
            return Ok(Some(Waiting::Inclusion { hash: sent.hash(), block: sent.block() }));
        };
        sent.receipt = receipt;
        *again = Again::new(self.endpoints().patience().look_every);
        let (hash, block) = (sent.hash(), sent.block());
        if let Some(of) = sent.receipt.block_hash
            && self.endpoints().is_final(block, of).await?
        {
            self.check(sent).await?;
            return Ok(None);
        }
        Ok(Some(Waiting::Finality { hash, block }))
    }

    async fn again(&self, sent: &Sent) {
        if let Err(error) = self.endpoints().broadcast(sent.raw(), sent.hash()).await {
            tracing::debug!(error = crate::errors::chain(&error), "cannot be sent again yet");
        }
    }
}

/// When something that failed is to be tried again: at once, and then after twice as long each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    pause: Duration,
    since: Option<Instant>,
}

impl Again {
    pub(super) const fn new(pause: Duration) -> Self {
        Self { pause, since: None }
    }

    /// The same for what was tried at `now`.
    pub(super) const fn after(now: Instant, pause: Duration) -> Self {
        Self { pause, since: Some(now) }
    }

    /// Whether it is; then not again for a while.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if let Some(since) = self.since {
            if now.duration_since(since) < self.pause {
                return false;
            }
            self.pause = self.pause.saturating_mul(2).min(AGAIN_MAX.max(self.pause));
        }
        self.since = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_at_once_and_then_ever_later_and_never_given_up() {
        let start = Instant::now();
        let mut again = Again::new(Duration::from_millis(200));
        let looks = (0..=9_000_u64).map(|look| start + Duration::from_millis(200 * look));
        let due: Vec<_> = looks.filter(|now| again.is_due(*now)).collect();
        let pauses: Vec<_> = due.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        assert_eq!(due[0], start);
        assert_eq!(pauses[..9], [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 24_000, 24_000]);
        assert_eq!(due.len(), 81, "in half an hour");
    }
}
