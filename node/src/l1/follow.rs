//! Keeping a node in step with L1: one task that feeds the core the final blocks, in order, as long as it has room.
//!
//! ```text
//!  endpoints ──▶ observer ──▶ driver.feed ──▶ core: the block is seen, the chain may name it
//!                   ▲                           │
//!                   └── restart at the chain's origin, if the core has gone on without us
//! ```
//!
//! Where to go on is the core's to say, so nothing is kept here: after a restart, and whenever the core is somewhere
//! else than the observer, it begins behind the origin of the chain.
//!
//! **Nothing that L1 does stops a node.** Whatever goes wrong is told once, counted, and tried again after a while:
//! the node goes on like one that does not see L1, it repeats its parents' origins and takes a quorum's word for
//! the others'. One endpoint that says something else than most of all stops not even that: the node follows what most
//! say, and tells whom to take out.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use alloy::primitives::Address;
use conclave_sequencer::L1Position;
use conclave_types::{Genesis, L1Origin};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Contracts, Endpoints, L1Error, Patience,
    observe::{ObserveError, Observer},
};
use crate::{config::L1Config, driver::Driver, errors, metrics::Metrics};

/// Between two attempts there is never more than this.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// For so long the endpoints may be behind what the chain has seen: somebody's are always the last.
const BEHIND_PATIENCE: Duration = Duration::from_secs(60);

/// For so long L1 may finalize nothing: four epochs of Ethereum and some.
const STANDSTILL_PATIENCE: Duration = Duration::from_secs(1_800);

/// Why L1 cannot be followed at the moment.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It cannot be asked.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// What it shows cannot be.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// Others see more of it.
    #[error(
        "the chain has seen L1 up to block {chain}, and most endpoints call final no more than {found}; wait until they are in step, or name others"
    )]
    Behind {
        /// The origin of the chain.
        chain: u64,
        /// What most endpoints call final.
        found: u64,
    },
    /// Nothing becomes final.
    #[error(
        "most endpoints have called nothing above block {found} final for {STANDSTILL_PATIENCE:?}; either L1 stands still, or they do: compare with others"
    )]
    Standstill {
        /// What most endpoints call final.
        found: u64,
    },
    /// The core does not take a block.
    #[error(
        "L1 block {number} does not continue what this chain has seen of L1; name endpoints that serve the chain in the genesis"
    )]
    NotTaken {
        /// Its number.
        number: u64,
    },
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// Too few endpoints answer. It may pass by itself.
    Outage,
    /// The endpoints are out of step.
    Lagging,
    /// Endpoints contradict each other, the chain, or what was final.
    Contradiction,
    /// One contradicts most others, which are followed.
    Dissent,
}

impl TroubleKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Outage, Self::Lagging, Self::Contradiction, Self::Dissent];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Lagging => "lagging",
            Self::Contradiction => "contradiction",
            Self::Dissent => "dissent",
        }
    }

    /// Whether somebody has to act.
    #[must_use]
    pub const fn is_alarm(self) -> bool {
        !matches!(self, Self::Outage)
    }
}

impl FollowError {
    const fn kind(&self) -> TroubleKind {
        match self {
            Self::L1(L1Error::NoAnswer { .. }) | Self::Observe(ObserveError::TooFew(_)) => {
                TroubleKind::Outage
            }
            Self::Behind { .. } | Self::Standstill { .. } => TroubleKind::Lagging,
            Self::L1(_) | Self::Observe(_) | Self::NotTaken { .. } => TroubleKind::Contradiction,
        }
    }
}

/// What is wrong at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its kind.
    pub kind: TroubleKind,
    /// The error in words, with the remedy.
    pub reason: String,
}

/// What a node sees of L1, besides what its core took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The newest block that most endpoints were heard to call final.
    pub newest_final: u64,
    /// What is wrong at the moment.
    pub trouble: Option<Trouble>,
}

/// What is followed, and for whom.
pub struct Follower {
    config: L1Config,
    chain_id: u64,
    stake: Address,
    driver: Driver,
    metrics: Arc<Metrics>,
    sight: watch::Sender<Sight>,
    silent: BTreeSet<String>,
    /// Who differs from most others, and about which block it did last.
    dissenting: BTreeMap<String, u64>,
    pace: Pace,
}

/// What an attempt led to.
enum Progress {
    /// The core took a block; there may be another one.
    Fed,
    /// There is no other final block yet.
    UpToDate,
    /// The core takes no more until the chain has carried some.
    Full,
    /// The node is stopping.
    Stopping,
}

impl Follower {
    /// Follows the L1 of a genesis, and where what it sees can be watched.
    #[must_use]
    pub fn new(
        config: L1Config,
        genesis: &Genesis,
        driver: Driver,
        metrics: Arc<Metrics>,
    ) -> (Self, watch::Receiver<Sight>) {
        let (sight, watched) = watch::channel(Sight::default());
        let follower = Self {
            config,
            chain_id: genesis.l1_chain_id,
            stake: (*genesis.l1_contract.as_bytes()).into(),
            driver,
            metrics,
            sight,
            silent: BTreeSet::new(),
            dissenting: BTreeMap::new(),
            pace: Pace::new(Instant::now()),
        };
        (follower, watched)
    }

    /// Follows until `stop`.
    ///
    /// # Errors
    ///
    /// Never: whatever goes wrong is tried again.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
        Ok(())
    }

    /// Ends when the driver does.
    async fn follow(&mut self) {
        let (mut observer, mut backoff) = (None, self.config.poll());
        let mut snapshots = self.driver.watch();
        loop {
            match self.attempt(&mut observer).await {
                Ok(progress) => {
                    let dissent = self.tell_dissents(observer.as_ref());
                    self.well(dissent);
                    backoff = self.config.poll();
                    match progress {
                        Progress::Fed => {}
                        Progress::UpToDate => tokio::time::sleep(backoff).await,
                        Progress::Full if snapshots.changed().await.is_ok() => {}
                        Progress::Full | Progress::Stopping => return,
                    }
                }
                Err(error) => {
                    self.ill(&error);
                    tokio::time::sleep(backoff).await;
                    backoff = backoff.saturating_mul(2).min(BACKOFF_MAX.max(self.config.poll()));
                }
            }
            self.tell_silent(observer.as_ref());
        }
    }

    async fn attempt(&mut self, observer: &mut Option<Observer>) -> Result<Progress, FollowError> {
        let position = self.driver.snapshot().l1;
        let observer = match observer {
            Some(observer) => observer,
            None => observer.insert(self.connect(&position).await?),
        };
        if !goes_on(observer.position().0, &position) {
            observer.restart(position.origin, position.forced_cursor);
        }
        if !position.has_room {
            return Ok(Progress::Full);
        }
        let next = observer.next().await;
        let newest_final = observer.newest_final();
        self.see(|sight| sight.newest_final = newest_final);
        let Some(block) = next? else {
            self.pace.check(Instant::now(), newest_final, position.origin.number)?;
            return Ok(Progress::UpToDate);
        };
        let number = block.origin.number;
        let Ok(after) = self.driver.feed(block).await else { return Ok(Progress::Stopping) };
        if after.observed.number < number {
            return Err(FollowError::NotTaken { number });
        }
        Ok(Progress::Fed)
    }

    async fn connect(&self, position: &L1Position) -> Result<Observer, FollowError> {
        let urls = &self.config.endpoints;
        let endpoints = Endpoints::connect(urls, Some(self.chain_id), Patience::default()).await?;
        let contracts = Contracts::find(&endpoints, self.stake).await?;
        tracing::info!(after = position.origin.number, queue = %contracts.forced, "following L1");
        Ok(Observer::new(endpoints, contracts, position.origin, position.forced_cursor))
    }

    fn see(&self, change: impl FnOnce(&mut Sight)) {
        self.sight.send_if_modified(|sight| {
            let before = sight.clone();
            change(sight);
            *sight != before
        });
    }

    /// L1 is followed, if not by all of its endpoints.
    fn well(&self, dissent: Option<Trouble>) {
        self.see(|sight| {
            let before = sight.trouble.as_ref().map(|before| before.kind);
            if before.is_some_and(|before| before != TroubleKind::Dissent) {
                tracing::info!("L1 is followed again");
            }
            sight.trouble = dissent;
        });
    }

    fn ill(&self, error: &FollowError) {
        let (kind, reason) = (error.kind(), errors::chain(error));
        self.metrics.l1_trouble(kind.name());
        self.see(|sight| {
            let before = sight.trouble.as_ref();
            // What is wrong with who does not answer is worded anew each time.
            let is_news = before.is_none_or(|before| {
                before.kind != kind || kind.is_alarm() && before.reason != reason
            });
            if is_news && kind.is_alarm() {
                tracing::error!(reason, "L1 cannot be followed; this node goes on without");
            } else if is_news {
                tracing::warn!(reason, "L1 cannot be followed; this node goes on without");
            }
            sight.trouble = Some(Trouble { kind, reason });
        });
    }

    /// Says which endpoints contradict most others, when that changes; what is wrong then.
    fn tell_dissents(&mut self, observer: Option<&Observer>) -> Option<Trouble> {
        let dissents: Vec<_> = observer.into_iter().flat_map(Observer::dissents).collect();
        for dissent in &dissents {
            let before = self.dissenting.get(&dissent.url);
            if before.is_none() {
                tracing::error!(reason = %dissent, "an L1 endpoint is not believed, most others are");
            }
            if before != Some(&dissent.number) {
                self.metrics.l1_trouble(TroubleKind::Dissent.name());
            }
        }
        self.dissenting =
            dissents.iter().map(|dissent| (dissent.url.clone(), dissent.number)).collect();
        let reasons: Vec<_> = dissents.iter().map(ToString::to_string).collect();
        let trouble = Trouble { kind: TroubleKind::Dissent, reason: reasons.join("; ") };
        (!reasons.is_empty()).then_some(trouble)
    }

    /// Says which endpoints fail while the others are enough, when that changes.
    fn tell_silent(&mut self, observer: Option<&Observer>) {
        let failures: Vec<_> = observer.into_iter().flat_map(Observer::failures).collect();
        let silent: BTreeSet<_> = failures.iter().map(|(url, _)| (*url).to_owned()).collect();
        for (url, reason) in failures {
            if !self.silent.contains(url) {
                tracing::warn!(url, reason, "an L1 endpoint fails, the others are asked");
            }
        }
        for url in self.silent.difference(&silent) {
            tracing::info!(url, "an L1 endpoint answers again");
        }
        self.silent = silent;
    }
}

/// Whether an observer that stands at `at` comes to what the core takes next: it stands there, or between the
/// chain's origin and there.
fn goes_on(at: L1Origin, position: &L1Position) -> bool {
    at == position.observed
        || at.number < position.observed.number && at.number > position.origin.number
        || at == position.origin
}

/// Whether the endpoints are in step, with the chain and by themselves.
#[derive(Debug)]
struct Pace {
    newest_final: u64,
    moved: Instant,
    behind: Option<Instant>,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self { newest_final: 0, moved: now, behind: None }
    }

    fn check(&mut self, now: Instant, newest_final: u64, chain: u64) -> Result<(), FollowError> {
        let found = newest_final;
        if found > self.newest_final {
            (self.newest_final, self.moved) = (found, now);
        }
        if found >= chain {
            self.behind = None;
        } else {
            let since = *self.behind.get_or_insert(now);
            if now.duration_since(since) > BEHIND_PATIENCE {
                return Err(FollowError::Behind { chain, found });
            }
        }
        if now.duration_since(self.moved) > STANDSTILL_PATIENCE {
            return Err(FollowError::Standstill { found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use conclave_types::Digest;

    use super::*;

    fn at(number: u64) -> L1Origin {
        L1Origin { number, hash: Digest::new([u8::try_from(number).unwrap(); 32]) }
    }

    #[test]
    fn an_observer_that_the_chain_has_left_behind_or_that_is_on_another_chain_begins_anew() {
        let position = |origin, observed| L1Position {
            origin: at(origin),
            forced_cursor: 0,
            observed: at(observed),
            has_room: true,
        };
        let elsewhere = L1Origin { hash: Digest::new([0xee; 32]), ..at(5) };
        let table = [
            ("where the core is", at(5), position(3, 5), true),
            ("still on its way there", at(4), position(3, 5), true),
            ("at the origin, to catch up", at(3), position(3, 5), true),
            ("the chain has jumped over it", at(5), position(9, 9), false),
            ("the core did not take its last block", at(6), position(3, 5), false),
            ("the chain has another block there", elsewhere, position(5, 5), false),
        ];
        for (case, observer, position, expected) in table {
            assert_eq!(goes_on(observer, &position), expected, "{case}");
        }
    }

    #[test]
    fn endpoints_that_are_behind_the_chain_or_stand_still_for_long_are_an_alarm() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start);
        pace.check(after(10), 7, 9).unwrap();
        pace.check(after(70), 8, 9).unwrap();
        let behind = pace.check(after(71), 8, 9).unwrap_err();
        assert!(matches!(behind, FollowError::Behind { chain: 9, found: 8 }), "{behind}");
        assert_eq!(behind.kind(), TroubleKind::Lagging);
        pace.check(after(80), 9, 9).unwrap();
        pace.check(after(1_880), 9, 9).unwrap();
        let still = pace.check(after(1_881), 9, 9).unwrap_err();
        assert!(matches!(still, FollowError::Standstill { found: 9 }), "{still}");
        pace.check(after(1_882), 10, 9).unwrap();
    }

    #[test]
    fn only_an_outage_is_expected_to_pass_by_itself() {
        let silence = L1Error::NoAnswer { what: "eth_chainId", failures: Vec::new() };
        assert_eq!(FollowError::from(silence).kind(), TroubleKind::Outage);
        let other = L1Error::WrongChain { url: String::new(), expected: 1, found: 2 };
        assert_eq!(FollowError::from(other).kind(), TroubleKind::Contradiction);
        let alarms = TroubleKind::ALL.map(TroubleKind::is_alarm);
        assert_eq!(alarms, [false, true, true, true]);
    }
}
