//! A validator votes and sends no shares: the others' are enough, and it costs it nothing.

use conclave_node::l1::evidence;
use conclave_types::ValidatorIndex;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    super::error::DevnetError,
    scene::{Offender, Scene, Stake, demand},
    users::User,
};

/// Bundles that are opened without it.
const BUNDLES: usize = 3;

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Before and after.
    stake: [Vec<Stake>; 2],
    /// Heights whose bundle was opened, and with whose shares.
    opened: Vec<Opened>,
    /// Whose shares were in none.
    missing: Vec<ValidatorIndex>,
}

#[derive(Debug, Serialize)]
struct Opened {
    height: u64,
    shares: Vec<ValidatorIndex>,
}

/// Tells it all.
pub(super) async fn tell(scene: &mut Scene<'_>) -> Result<Report, DevnetError> {
    let names = scene.names();
    scene.screen.heading("1  a network in order, and what is at stake in it");
    let before = scene.stake("staked").await?;
    let mut user = User::new(scene.devnet).await?;

    scene.screen.heading(format!("2  {names} votes, and sends no decryption shares"));
    scene.begin().await?;
    let (byzantine, mut opened) = (scene.byzantine().to_vec(), Vec::new());
    // What was on its way before is opened with all of them.
    let from = scene.height().await?.saturating_add(2);
    scene
        .until("a later block", async |scene| Ok((scene.height().await? > from).then_some(())))
        .await?;
    let started = Instant::now();
    while opened.len() < BUNDLES {
        if started.elapsed() > scene.patience() {
            return Err(scene.late("a node that opens blocks by itself"));
        }
        let landed = user.transfer(scene).await?;
        let shares = landed.shares;
        let lies = shares.iter().any(|share| byzantine.contains(&share.as_u16()));
        demand(!lies, "a share that was withheld was used")?;
        if shares.is_empty() {
            continue;
        }
        let listed: Vec<_> = shares.iter().map(ToString::to_string).collect();
        let text = format!(
            "bundle {} at height {}, with the shares of validators {}",
            landed.id,
            landed.height,
            listed.join(", ")
        );
        scene.screen.step("opened", text);
        opened.push(Opened { height: landed.height.as_u64(), shares });
    }
    let all = (0_u16..).zip(&scene.devnet.validators).map(|(index, _)| ValidatorIndex::new(index));
    let is_missing = |index: &ValidatorIndex| !opened.iter().any(|one| one.shares.contains(index));
    let missing: Vec<_> = all.filter(is_missing).collect();
    let listed: Vec<_> = missing.iter().map(ToString::to_string).collect();
    scene.screen.step("missing", format!("validator {}: in none of them", listed.join(", ")));
    let are_all = byzantine.iter().all(|index| missing.contains(&ValidatorIndex::new(*index)));
    demand(are_all, "who withheld its shares is not missing")?;

    scene.screen.heading("3  on Ethereum: nothing");
    let last = opened.last().map_or(0, |opened| opened.height);
    scene.settled(last).await?;
    for Offender { validator: number, .. } in scene.offenders() {
        let l1 = scene.l1()?;
        let found = evidence::convictions(l1.funder.endpoints(), &l1.contracts, number).await?;
        demand(found.is_empty(), "silence is no offence, and somebody was convicted of it")?;
    }
    let after = scene.stake("stake").await?;
    demand(before == after, "silence is no offence, and somebody lost stake")?;
    scene.agreement().await?;
    Ok(Report { stake: [before, after], opened, missing })
}
