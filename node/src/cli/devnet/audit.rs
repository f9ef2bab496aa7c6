//! After the load: was every promise kept? Each bundle is looked up in the chain, each transaction on
//! its rollup; nothing is taken from what the load itself believes.

use std::{collections::BTreeMap, time::Duration};

use conclave_client::{Level, Opened};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    closing::{Standing, is_same_chain, standings},
    error::DevnetError,
    load::{Expected, Fate, Submitted},
    network::{Devnet, ROLLUPS},
    queue,
    tracker::{Percentiles, Tracker},
};

/// A bundle that is not revealed this long after the load has ended is lost.
const REVEAL_PATIENCE: Duration = Duration::from_secs(60);

/// One question is answered within this.
const ASK_PATIENCE: Duration = Duration::from_secs(1);

/// Mistakes that are told one by one.
const COMPLAINTS_MAX: usize = 20;

/// What became of the bundles. `revealed` ones have opened; `undecryptable` ones are the rest of
/// `ordered`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Bundles {
    pub(crate) submitted: u64,
    pub(crate) ordered: u64,
    pub(crate) revealed: u64,
    pub(crate) undecryptable: u64,
}

/// Latencies since submission.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) ordered: Percentiles,
    pub(crate) revealed: Percentiles,
}

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// From the beginning of the command, contracts and key included, until a first bundle of its load was open.
    pub(crate) first_revealed_ms: Option<u64>,
    /// Heights decided during the run.
    pub(crate) heights: u64,
    /// What became of the bundles.
    pub(crate) bundles: Bundles,
    /// In a block, reverted ones included, by rollup.
    pub(crate) transactions_executed: BTreeMap<String, u64>,
    /// Latencies since submission.
    pub(crate) latency_ms: Latency,
    /// What the queue on L1 did, if there is an L1.
    pub(crate) l1: Option<queue::Report>,
    /// Every validator at a common height.
    pub(crate) validators: Vec<Standing>,
    /// Whether all of them have the same chain.
    pub(crate) consistent: bool,
    /// Promises that did not hold.
    #[serde(skip)]
    pub(crate) complaints: Vec<String>,
}

/// Looks everything up.
pub(crate) async fn audit(
    devnet: &mut Devnet,
    submitted: &[Submitted],
    (tracker, since): (&Tracker, Instant),
    l1: Option<queue::Report>,
) -> Result<Report, DevnetError> {
    let mut complaints = Vec::new();
    if l1.is_some_and(|l1| !l1.forced.succeeded) {
        complaints.push("the forced transaction failed on its rollup".to_owned());
    }
    let (bundles, height) = look_up_bundles(devnet, submitted, &mut complaints).await?;
    let mut transactions_executed = BTreeMap::new();
    for id in ROLLUPS {
        transactions_executed.insert(id.to_string(), 0);
    }
    for rollup in &devnet.rollups {
        rollup.wait_height(height).await?;
    }
    for expected in submitted.iter().flat_map(|bundle| &bundle.transactions) {
        let is_in_block = look_up_transaction(devnet, expected, &mut complaints).await?;
        if let Some(count) = transactions_executed.get_mut(&expected.rollup.to_string()) {
            *count += u64::from(is_in_block);
        }
    }
    devnet.check()?;
    let validators = standings(devnet).await?;
    let consistent = is_same_chain(&validators);
    if !consistent {
        complaints.push("the validators do not have the same chain".to_owned());
    }
    complaints.truncate(COMPLAINTS_MAX);
    let decided = devnet.client.progression().await?.decided.as_u64();
    let first_revealed = tracker.first_revealed();
    let after = |at: Instant| at.saturating_duration_since(devnet.began).as_millis();
    Ok(Report {
        first_revealed_ms: first_revealed.and_then(|at| u64::try_from(after(at)).ok()),
        heights: decided.saturating_sub(devnet.start_height),
        bundles,
        transactions_executed,
        latency_ms: Latency {
            ordered: tracker.latency(since, |marks| marks.ordered),
            revealed: tracker.latency(since, |marks| marks.revealed),
        },
        l1,
        validators,
        consistent,
        complaints,
    })
}

/// Waits for every bundle's reveal; also says up to which height they reach.
async fn look_up_bundles(
    devnet: &Devnet,
    submitted: &[Submitted],
    complaints: &mut Vec<String>,
) -> Result<(Bundles, u64), DevnetError> {
    let deadline = Instant::now() + REVEAL_PATIENCE;
    let mut found = Bundles::default();
    let mut height = 0;
    for bundle in submitted {
        found.submitted += 1;
        // Once patience is over, each is still asked for.
        let patience = deadline.saturating_duration_since(Instant::now()).max(ASK_PATIENCE);
        let status = devnet.client.wait(bundle.id, Level::Revealed, patience).await;
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                complaints.push(format!("bundle {} is lost: {error}", bundle.id));
                continue;
            }
        };
        let (Some(place), Some(opened)) = (status.progress.place(), status.progress.opened())
        else {
            complaints.push(format!("bundle {} has no place: {status:?}", bundle.id));
            continue;
        };
        found.ordered += 1;
        height = height.max(place.height.as_u64());
        count_opened(bundle, opened, &mut found, complaints);
    }
    Ok((found, height))
}

fn count_opened(
    bundle: &Submitted,
    opened: &Opened,
    found: &mut Bundles,
    complaints: &mut Vec<String>,
) {
    match &opened.legs {
        Ok(_) => found.revealed += 1,
        Err(_) => found.undecryptable += 1,
    }
    if opened.legs.is_ok() != bundle.is_decryptable {
        complaints.push(format!(
            "bundle {} was to {}, found {:?}",
            bundle.id,
            if bundle.is_decryptable { "open" } else { "be undecryptable" },
            opened.legs
        ));
    }
}

/// Whether a transaction is in a block; complains if that is not its fate.
async fn look_up_transaction(
    devnet: &Devnet,
    expected: &Expected,
    complaints: &mut Vec<String>,
) -> Result<bool, DevnetError> {
    let Some(rollup) = devnet.rollups.iter().find(|rollup| rollup.id == expected.rollup) else {
        return Ok(false);
    };
    let receipt = rollup.receipt(expected.hash).await?;
    let found = match (&receipt, expected.fate) {
        (Some(receipt), _) if receipt.status() => Fate::Executed,
        (Some(_), _) => Fate::Reverted,
        (None, Fate::Skipped(reason)) => match rollup.outcome(expected.hash).await? {
            Some(outcome) if outcome.reason == reason => Fate::Skipped(reason),
            told => {
                complaints.push(format!(
                    "transaction {} on rollup {} was to be skipped ({reason}), found {told:?}",
                    expected.hash, rollup.id
                ));
                return Ok(false);
            }
        },
        (None, _) => Fate::Absent,
    };
    if found != expected.fate {
        let told = rollup.outcome(expected.hash).await?;
        complaints.push(format!(
            "transaction {} on rollup {}: expected {:?}, found {found:?} ({told:?})",
            expected.hash, rollup.id, expected.fate
        ));
    }
    Ok(receipt.is_some())
}
