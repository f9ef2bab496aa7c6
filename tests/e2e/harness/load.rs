//! Users that keep submitting, whatever happens to the validators, and remember what was promised to them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use conclave_client::{Admission, Client, Level, Submission, Terms, Wallet};
use conclave_types::{BundleId, Leg, RollupId, ValidatorIndex};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    network::{PATIENCE, ROLLUPS, payers},
    wait::until,
};

/// Each user's pace: enough to fill every block, little enough to look everything up again.
const PACE: Duration = Duration::from_millis(40);

/// A bundle that a validator signed a receipt for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) id: BundleId,
    /// Who signed; none if it was in a block already when it was handed in again.
    pub(crate) by: Option<ValidatorIndex>,
}

/// A running load.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    users: JoinSet<(Wallet, Vec<Submission>)>,
}

impl Load {
    /// Starts one user for each payer; every third bundle has a leg on each rollup. Payloads are unique.
    pub(crate) fn start(client: &Client) -> Self {
        let mut load =
            Self { stop: Arc::default(), acknowledged: Arc::default(), users: JoinSet::new() };
        for (user, payer) in payers().into_iter().enumerate() {
            let wallet = client.wallet(payer);
            let (stop, acknowledged) = (Arc::clone(&load.stop), Arc::clone(&load.acknowledged));
            load.users.spawn(async move {
                let mut submissions = Vec::new();
                let mut pace = interval(PACE);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                for number in 0_u64.. {
                    pace.tick().await;
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    // A refusal is an answer too while validators are away; only promises count.
                    if let Ok(submission) =
                        wallet.submit(&legs(user, number), &Terms::default()).await
                    {
                        let by = match &submission.admission {
                            Admission::Received(receipt) => Some(receipt.validator),
                            Admission::Known(status) if status.progress.place().is_some() => None,
                            // In somebody's pool, nobody knows whose: no promise.
                            Admission::Known(_) => {
                                submissions.push(submission);
                                continue;
                            }
                        };
                        let promise = Acknowledged { id: submission.id, by };
                        acknowledged.lock().expect("no user panics").push(promise);
                        submissions.push(submission);
                    }
                }
                (wallet, submissions)
            });
        }
        load
    }

    /// How many bundles were acknowledged so far.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().expect("no user panics").len()
    }

    /// Waits until `more` further bundles were acknowledged.
    pub(crate) async fn wait(&self, more: usize) {
        let target = self.count() + more;
        let what = format!("{more} more bundles to be acknowledged");
        until(&what, PATIENCE, async || (self.count() >= target).then_some(())).await;
    }

    /// Ends the load and says what was acknowledged.
    pub(crate) async fn stop(self) -> Vec<Acknowledged> {
        self.end().await.0
    }

    /// Ends the load and waits, as its users would, until everything that was admitted is opened. Returns
    /// how many bundles that were.
    pub(crate) async fn settle(self) -> usize {
        let (_, users) = self.end().await;
        let mut settled = 0;
        for (wallet, submissions) in users {
            for submission in &submissions {
                let status =
                    wallet.watch(submission, Level::Revealed).finish_within(PATIENCE).await;
                let status = status.unwrap_or_else(|error| panic!("{}: {error}", submission.id));
                assert!(status.progress.opened().is_some(), "{} is not opened", submission.id);
                settled += 1;
            }
        }
        settled
    }

    async fn end(mut self) -> (Vec<Acknowledged>, Vec<(Wallet, Vec<Submission>)>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut users = Vec::new();
        while let Some(ended) = self.users.join_next().await {
            users.push(ended.expect("no user panics"));
        }
        (self.acknowledged.lock().expect("no user panics").clone(), users)
    }
}

fn legs(user: usize, number: u64) -> Vec<Leg> {
    let leg = |id| Leg {
        rollup: RollupId::new(id),
        transaction: format!("user {user}, bundle {number}, rollup {id}").into_bytes(),
    };
    match number % 3 {
        0 => ROLLUPS.map(leg).to_vec(),
        1 => vec![leg(ROLLUPS[0])],
        _ => vec![leg(ROLLUPS[1])],
    }
}
