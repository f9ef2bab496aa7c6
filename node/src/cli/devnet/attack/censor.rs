//! A proposer leaves a payer's bundles out of its blocks: others carry them, and what is forced through L1 nobody
//! can leave out.

use conclave_types::Height;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    super::{error::DevnetError, queue},
    scene::{Scene, demand, l1_of},
    users::User,
};

/// Bundles that are handed in at least, and blocks that the censor proposes meanwhile.
const BUNDLES: usize = 8;
const BLOCKS: u64 = 2;

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Heights that have a bundle of the payer.
    landed: Vec<u64>,
    /// Blocks of the censor that were decided in the meantime.
    censored_blocks: u64,
    /// Heights between handing in and landing, at most.
    waited_heights_max: u64,
    /// The transaction that was forced.
    forced: queue::Forced,
}

/// Tells it all.
pub(super) async fn tell(scene: &mut Scene<'_>) -> Result<Report, DevnetError> {
    let names = scene.names();
    let payer = User::address()?;
    scene.screen.heading("1  a network in order");
    let mut user = User::new(scene.devnet).await?;
    let first = user.transfer(scene).await?;
    scene.screen.step("landed", format!("a bundle of {payer}, at height {}", first.height));

    scene.screen.heading(format!("2  {names} leaves {payer} out of its blocks"));
    scene.begin().await?;
    let from = scene.height().await?;
    let (mut landed, mut waited_heights_max, mut censored_blocks) = (Vec::new(), 0, 0);
    let started = Instant::now();
    while landed.len() < BUNDLES || censored_blocks < BLOCKS {
        if started.elapsed() > scene.patience() {
            return Err(scene.late("enough blocks of the censor"));
        }
        let before = scene.height().await?;
        let bundle = user.transfer(scene).await?;
        let height = bundle.height.as_u64();
        let by_censor = scene.byzantine().contains(&bundle.proposer.as_u16());
        // What it proposed before it was told is on its way still.
        demand(!by_censor || height <= from.saturating_add(2), "the censor carried a bundle")?;
        waited_heights_max = waited_heights_max.max(height.saturating_sub(before));
        landed.push(height);
        censored_blocks = blocks_of_censor(scene, from, height).await?;
    }
    let text = format!(
        "{} bundles, in blocks of others; {censored_blocks} blocks of the censor in the meantime have none",
        landed.len()
    );
    scene.screen.step("landed", text);
    scene.screen.step("waited", format!("for {waited_heights_max} heights at most"));

    scene.screen.heading("3  past all of them: forced through Ethereum");
    let waiting = queue::Waiting::enqueue(scene.devnet, l1_of(scene.devnet)?).await?;
    let waiting = waiting.ok_or_else(|| DevnetError::Options("a devnet has rollups".to_owned()))?;
    let (transaction, entry, block) = waiting.forced();
    scene.screen.step("forced", format!("{transaction}: entry {entry}, in L1 block {block}"));
    let forced = tokio::time::timeout(scene.patience(), waiting.landed()).await;
    let late = scene.late("the forced transaction");
    let forced = forced.or(Err(late))??.forced;
    let text = format!(
        "at height {}, once that block was final; executed in EVM block {}",
        forced.height, forced.evm_block
    );
    scene.screen.step("carried", text);
    demand(forced.succeeded, "the forced transaction failed")?;
    scene.agreement().await?;
    Ok(Report { landed, censored_blocks, waited_heights_max, forced })
}

/// How many blocks the censor has proposed above a height, up to another.
async fn blocks_of_censor(scene: &Scene<'_>, from: u64, to: u64) -> Result<u64, DevnetError> {
    let mut count = 0_u64;
    for height in from.saturating_add(3)..=to {
        let block = scene.devnet.client.block(Height::new(height)).await?;
        let by_censor = scene.byzantine().contains(&block.decided.header.proposer.as_u16());
        count = count.saturating_add(u64::from(by_censor));
    }
    Ok(count)
}
