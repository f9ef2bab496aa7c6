//! A validator signs what nobody honest could: the others report it, L1 convicts it, the others have the verdict spoken,
//! and the next committee does without it.

use alloy::providers::Provider as _;
use conclave_contracts::ConclaveSlasher;
use conclave_node::l1::{
    election,
    evidence::{self, Record},
};
use conclave_types::Epoch;
use serde::Serialize;

use super::{
    super::{super::chain::ether, error::DevnetError},
    scene::{Offender, Scene, Stake, demand},
};

/// How long a verdict waits for an answer to the report (`RESOLUTION` in `contracts/src/ConclaveSlasher.sol`), and
/// a little more.
const RESOLUTION_SECONDS: u64 = 3 * 86_400 + 1;

/// `State.Resolved` in `contracts/src/interfaces/IConclaveSlasher.sol`.
const RESOLVED: u8 = 3;

/// What the validator does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misdeed {
    /// In words.
    pub(super) what: &'static str,
    /// Whether it costs the validator its place for ever.
    pub(super) tombstones: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Before anything happened, when it was reported, and after the verdict.
    stake: [Vec<Stake>; 3],
    /// Every conviction of the offender.
    convictions: Vec<Record>,
    /// What the verdict took, in gwei.
    slashed_gwei: u64,
    /// The first epoch that it is no member of, and who is.
    epoch: u64,
    committee: Vec<u32>,
    /// Heights decided since it began to misbehave.
    heights: u64,
}

/// Tells it all.
pub(super) async fn tell(scene: &mut Scene<'_>, misdeed: Misdeed) -> Result<Report, DevnetError> {
    let Misdeed { what, tombstones } = misdeed;
    let offenders = scene.offenders();
    let [Offender { name, validator: number }] = &offenders[..] else {
        return Err(DevnetError::Options("a trial has one offender".to_owned()));
    };
    let number = *number;
    scene.screen.heading("1  a network in order, and what is at stake in it");
    let before = scene.stake("staked").await?;
    let from = scene.height().await?;

    scene.screen.heading(format!("2  {name} {what}"));
    scene.begin().await?;
    let seen = scene.until("evidence against it", async |scene| {
        let mut honest = scene.honest().await?.into_iter();
        Ok(honest.find(|(_, status)| status.evidence_count > 0))
    });
    let (witness, status) = seen.await?;
    let height = status.decided_height;
    scene.screen.step("seen", format!("by {witness}, at height {height}: what it signed is kept"));

    scene.screen.heading("3  on Ethereum: reported by one of the others, judged by a contract");
    let convictions = convicted(scene, number).await?;
    // It has lied enough: another epoch of it would be another case.
    scene.end()?;
    let accused = scene.stake("stake").await?;
    let convicted = accused.iter().find(|stake| stake.validator() == number);
    let in_escrow = convicted.is_some_and(|stake| stake.is_convicted(tombstones));
    demand(in_escrow, "the stake of who is convicted is not in escrow")?;
    verdict(scene, &convictions).await?;
    let after = scene.stake("stake").await?;
    let of = |stakes: &[Stake]| {
        let found = stakes.iter().find(|stake| stake.validator() == number);
        found.map_or(0, |stake| stake.total_gwei())
    };
    let slashed_gwei = of(&before).saturating_sub(of(&after));
    demand(slashed_gwei > 0, "the verdict took nothing")?;
    scene.screen.step("slashed", format!("{} of validator {number}", ether(slashed_gwei)));

    scene.screen.heading("4  the next committee does without it");
    let (epoch, committee) = left_out(scene, number).await?;
    scene.agreement().await?;
    let height = scene.height().await?;
    let heights = height.saturating_sub(from);
    scene.screen.step("decided", format!("{heights} heights since it misbehaved, up to {height}"));
    Ok(Report {
        stake: [before, accused, after],
        convictions,
        slashed_gwei,
        epoch,
        committee,
        heights,
    })
}

/// Waits for a conviction, and tells it.
async fn convicted(scene: &mut Scene<'_>, number: u32) -> Result<Vec<Record>, DevnetError> {
    let convictions = scene.until("a conviction on L1", async |scene| {
        let l1 = scene.l1()?;
        let found = evidence::convictions(l1.funder.endpoints(), &l1.contracts, number).await?;
        Ok((!found.is_empty()).then_some(found))
    });
    let convictions = convictions.await?;
    for record in &convictions {
        let text = format!(
            "validator {number}, {} at height {}, round {}, of epoch {}, by {} in L1 block {}: {} seized",
            record.words(),
            record.height,
            record.round,
            record.epoch,
            record.reporter,
            record.l1_block,
            ether(record.seized_gwei),
        );
        scene.screen.step("convicted", text);
    }
    Ok(convictions)
}

/// Lets the time for an answer pass, and waits until the validators have closed the cases.
async fn verdict(scene: &mut Scene<'_>, convictions: &[Record]) -> Result<(), DevnetError> {
    let endpoints = scene.l1()?.funder.endpoints().clone();
    let advanced = endpoints.ask("l1_advance", |provider| async move {
        provider.raw_request::<_, bool>("l1_advance".into(), [RESOLUTION_SECONDS]).await
    });
    advanced.await?;
    let text =
        "nobody answers for it: the clock of this L1 is put forward by the three days that one may";
    scene.screen.step("waited", text);
    for record in convictions {
        let offence = record.offence;
        let resolved = scene.until("a verdict", async |scene| {
            let l1 = scene.l1()?;
            let question = ConclaveSlasher::caseOfCall { offence };
            let case = l1.funder.endpoints().call(l1.contracts.slasher, &question).await?;
            Ok((case.state == RESOLVED).then_some(case.reporter))
        });
        let reporter = resolved.await?;
        let text = format!("had by one of the others, as anyone may; a part is for {reporter}");
        scene.screen.step("verdict", text);
    }
    Ok(())
}

/// Waits for an epoch whose committee on L1 does not have it, and until the chain has come to it.
async fn left_out(scene: &mut Scene<'_>, number: u32) -> Result<(u64, Vec<u32>), DevnetError> {
    let (epoch, committee) = scene
        .until("a committee on L1 without it", async |scene| {
            let l1 = scene.l1()?;
            let endpoints = l1.funder.endpoints();
            let next = election::next_epoch(endpoints, &l1.contracts).await?;
            let newest = Epoch::new(next.saturating_sub(1));
            let rows = election::serving(endpoints, &l1.contracts, newest).await?;
            let members: Vec<u32> = rows.iter().map(|row| row.validator).collect();
            Ok((!members.contains(&number)).then_some((newest.as_u64(), members)))
        })
        .await?;
    let listed: Vec<_> = committee.iter().map(ToString::to_string).collect();
    scene.screen.step("elected", format!("for epoch {epoch}: validators {}", listed.join(", ")));
    let decided = scene.until("a block of that epoch", async |scene| {
        let honest = scene.honest().await?;
        let begun = honest.iter().all(|(_, status)| status.epoch >= epoch);
        Ok(begun.then(|| honest.first().map_or(0, |(_, status)| status.decided_height)))
    });
    let height = decided.await?;
    scene.screen.step("serves", format!("since before height {height}"));
    Ok((epoch, committee))
}
