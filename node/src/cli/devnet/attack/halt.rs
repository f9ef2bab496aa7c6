//! More than a third does not vote: nothing is decided, nothing settles, and after the delay rollups may leave. Then
//! the validators return, and so does everything else.

use std::time::Duration;

use conclave_contracts::ForcedInclusion;
use conclave_node::l1::{Call, Sent};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    super::error::DevnetError,
    scene::{Scene, demand},
    users::User,
};

/// A chain that has decided nothing for so long stands still.
const STILL: Duration = Duration::from_secs(8);

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The last height before.
    halted_at: u64,
    /// L1 blocks after which rollups may leave.
    escape_delay_blocks: u32,
    /// The escape on L1: since which block, and from which settled height on.
    escape: Escape,
    /// A height that has a bundle again.
    landed: u64,
}

#[derive(Debug, Serialize)]
struct Escape {
    latched_at: u64,
    height: u64,
    resumed_at: u64,
    resume_point: u64,
    settled_height: u64,
}

/// Tells it all.
pub(super) async fn tell(scene: &mut Scene<'_>) -> Result<Report, DevnetError> {
    let names = scene.names();
    scene.screen.heading("1  a network in order");
    let mut user = User::new(scene.devnet).await?;
    let first = user.transfer(scene).await?;
    scene.screen.step("landed", format!("a bundle, at height {}", first.height));
    scene.settled(first.height.as_u64()).await?;
    demand(!is_active(scene).await?, "rollups may leave a network that is in order")?;
    let l1 = scene.l1()?;
    let question = ForcedInclusion::forcedParametersCall {};
    let parameters = l1.funder.endpoints().call(l1.contracts.forced, &question).await?;
    let delay = parameters.escapeDelayBlocks;
    scene.screen.step(
        "delay",
        format!("rollups may leave {delay} L1 blocks after the origin that settled last"),
    );

    scene.screen.heading(format!("2  {names} do not vote any more"));
    scene.begin().await?;
    let (mut height, mut since) = (scene.height().await?, Instant::now());
    let halted = scene.until("the chain to stand still", async |scene| {
        let now = scene.height().await?;
        if now > height {
            (height, since) = (now, Instant::now());
        }
        Ok((since.elapsed() > STILL).then_some(now))
    });
    let halted_at = halted.await?;
    scene.screen.step("halted", format!("at height {halted_at}: no quorum"));

    scene.screen.heading("3  on Ethereum: rollups may leave");
    let active = scene.until("the escape", async |scene| Ok(is_active(scene).await?.then_some(())));
    active.await?;
    let latched = send(scene, &ForcedInclusion::latchCall {}).await?;
    let latched = latched.event::<ForcedInclusion::EscapeLatched>()?;
    let text = format!(
        "in L1 block {}: rollups go on from height {}, and carry the queue from entry {} on by themselves",
        latched.latchedAt, latched.height, latched.cursor
    );
    scene.screen.step("escape", text);

    scene.screen.heading(format!("4  {names} are back"));
    scene.end()?;
    let next = scene.until("a block", async |scene| {
        let now = scene.height().await?;
        Ok((now > halted_at).then_some(now))
    });
    let next = next.await?;
    scene.screen.step("decided", format!("height {next}"));
    let returned = returned(scene).await?;
    let text = format!(
        "in L1 block {}, with height {} settled and {} entries in the queue",
        returned.resumedAt, returned.settledHeight, returned.resumePoint
    );
    scene.screen.step("returned", text);
    demand(!is_active(scene).await?, "the return has not ended the escape")?;
    let last = user.transfer(scene).await?;
    scene.screen.step("landed", format!("a bundle, at height {}", last.height));
    scene.settled(last.height.as_u64()).await?;
    let escape = Escape {
        latched_at: latched.latchedAt,
        height: latched.height,
        resumed_at: returned.resumedAt,
        resume_point: returned.resumePoint,
        settled_height: returned.settledHeight,
    };
    scene.agreement().await?;
    Ok(Report { halted_at, escape_delay_blocks: delay, escape, landed: last.height.as_u64() })
}

/// Announces the return, as soon as L1 lets anybody do it.
async fn returned(scene: &mut Scene<'_>) -> Result<ForcedInclusion::Returned, DevnetError> {
    let resumed = scene.until("the return", async |scene| {
        match send(scene, &ForcedInclusion::resumeCall {}).await {
            Ok(sent) => Ok(Some(sent)),
            // Not before something of now has settled.
            Err(DevnetError::L1(error)) if error.is_refusal("StillBehind") => Ok(None),
            Err(error) => Err(error),
        }
    });
    Ok(resumed.await?.event()?)
}

async fn is_active(scene: &Scene<'_>) -> Result<bool, DevnetError> {
    let l1 = scene.l1()?;
    let question = ForcedInclusion::escapeActiveCall {};
    Ok(l1.funder.endpoints().call(l1.contracts.forced, &question).await?)
}

async fn send<C: alloy::sol_types::SolCall>(
    scene: &Scene<'_>,
    call: &C,
) -> Result<Sent, DevnetError> {
    let l1 = scene.l1()?;
    Ok(l1.funder.send(Call::new(l1.contracts.forced, call)).await?)
}
