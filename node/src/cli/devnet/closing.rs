//! The closing question: do all validators have the same chain?

use std::time::Duration;

use conclave_types::{BlockId, Digest, Epoch, Height, KeyId};
use serde::Serialize;

use super::{error::DevnetError, network::Devnet, screen::Screen};

/// One validator at a height that all have revealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Standing {
    /// Its index in the committee.
    pub(crate) id: u16,
    /// The common height.
    pub(crate) height: Height,
    /// Its digest over everything revealed up to there.
    pub(crate) chain_digest: Digest,
    /// The epoch of the block there.
    pub(crate) epoch: Epoch,
    /// The key that opened it, which epochs of an era hand on; zero before the first.
    pub(crate) key_id: KeyId,
    /// The block there, proved by a certificate.
    #[serde(skip)]
    pub(crate) block: BlockId,
}

/// Asks every validator for the newest height that all of them have revealed.
pub(crate) async fn standings(devnet: &Devnet) -> Result<Vec<Standing>, DevnetError> {
    let mut common = Height::new(u64::MAX);
    for validator in &devnet.validators {
        common = common.min(validator.client.progression().await?.revealed);
    }
    let mut standings = Vec::new();
    for (id, validator) in (0..).zip(&devnet.validators) {
        let (block, chain_digest, epoch, key_id) = if common == Height::ZERO {
            let block = devnet.client.network().genesis().block_id();
            (block, Digest::ZERO, Epoch::ZERO, KeyId::ZERO)
        } else {
            let block = validator.client.block(common).await?;
            let reveal = block.reveal.ok_or_else(|| {
                let name = &validator.name;
                DevnetError::Broken(format!("{name} has revealed {common} and does not serve it"))
            })?;
            let header = &block.decided.header;
            (header.id(), reveal.chain_digest, header.epoch, header.key_id)
        };
        standings.push(Standing { id, height: common, chain_digest, epoch, key_id, block });
    }
    Ok(standings)
}

/// Whether all stand on the same chain.
pub(crate) fn is_same_chain(standings: &[Standing]) -> bool {
    standings.windows(2).all(|pair| match pair {
        [one, other] => one.chain_digest == other.chain_digest && one.block == other.block,
        _ => true,
    })
}

/// Prints the table; says whether all stand on the same chain.
pub(crate) async fn print(devnet: &Devnet, screen: &Screen) -> Result<bool, DevnetError> {
    let standings = standings(devnet).await?;
    let first = standings.first().copied();
    screen.heading("validators");
    screen.line("   validator     decided  signing  pool  height  chain digest      same chain");
    for (standing, validator) in standings.iter().zip(&devnet.validators) {
        let status = validator.client.node_status().await?;
        let is_same = first.is_some_and(|first| is_same_chain(&[first, *standing]));
        screen.line(format!(
            "   {:<12} {:>8}  {:<7} {:>5} {:>7}  {}…         {}",
            validator.name,
            status.decided_height,
            if status.signing { "yes" } else { "no" },
            status.pool_bundles,
            standing.height,
            standing.chain_digest.short(),
            if is_same { "yes" } else { "NO" },
        ));
    }
    if let Some(Standing { epoch, key_id, .. }) = first {
        screen.line(format!("   epoch {epoch}, key {key_id}"));
    }
    Ok(is_same_chain(&standings))
}

/// Prints where everything listens.
pub(crate) fn print_addresses(devnet: &Devnet, screen: &Screen) {
    screen.heading("addresses");
    for validator in &devnet.validators {
        screen.step(&validator.name, format!("{}   metrics {}", validator.grpc, validator.metrics));
    }
    for rollup in &devnet.rollups {
        screen.step(
            &format!("rollup {}", rollup.id),
            format!("{}   (Ethereum JSON-RPC)", rollup.url),
        );
    }
    if let Some(l1) = &devnet.l1 {
        let contract = l1.contracts.stake;
        screen.step("L1", format!("{}   (Ethereum JSON-RPC; ConclaveStake {contract})", l1.url()));
    }
    screen.step("logs", devnet.logs.display());
    if let (Some(validator), Some(rollup)) = (devnet.validators.first(), devnet.rollups.first()) {
        screen.line("");
        screen.line(format!("   conclave status --node {}", validator.grpc));
        screen.line(format!("   cast block latest --rpc-url {}", rollup.url));
    }
    if let (Some(l1), [first, ..]) = (&devnet.l1, devnet.staked.as_slice()) {
        let (url, contract) = (l1.url(), l1.contracts.stake);
        screen.line(format!(
            "   conclave stake status --l1 {url} --contract {contract} --validator {first}"
        ));
    }
}

/// A duration for people.
pub(crate) fn millis(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..100_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        100_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}
