//! What stands on Ethereum: the stake of the validators, and the queue that they cannot keep anything out of.

use super::{
    super::{super::chain::ether, l1::DevnetL1, queue::Waiting},
    DevnetError, Story, short,
};

impl Story<'_> {
    pub(super) async fn ethereum(&self, l1: &DevnetL1) -> Result<(), DevnetError> {
        self.screen.heading("5  on Ethereum: stake, and a way in past the validators");
        self.stake(l1).await?;
        let Some(waiting) = Waiting::enqueue(self.devnet, l1).await? else { return Ok(()) };
        let (transaction, entry, block) = waiting.forced();
        self.screen.step(
            "forced",
            format!(
                "transaction {} is entry {entry} of the queue, in L1 block {block}",
                short(transaction)
            ),
        );
        let (payer, entry, block) = waiting.deposited();
        self.screen.step(
            "deposited",
            format!(
                "for payer {payer}, who has nothing: entry {entry} of the queue, in L1 block {block}"
            ),
        );
        let report = waiting.landed().await?;
        let forced = report.forced;
        self.screen.step(
            "carried",
            format!(
                "by the block at height {}, once L1 block {} was final: item {} of batch #{} for rollup {}",
                forced.height,
                forced.l1_block,
                forced.item.saturating_add(1),
                forced.batch,
                forced.rollup,
            ),
        );
        self.screen.step(
            "executed",
            format!(
                "on rollup {} in EVM block {}, status {}",
                forced.rollup,
                forced.evm_block,
                u8::from(forced.succeeded),
            ),
        );
        let (deposited, settled) = (report.deposited, report.settled);
        self.screen.step(
            "credited",
            format!(
                "{} paid for bundle {} at height {}; {} are left",
                ether(deposited.amount_gwei),
                deposited.bundle,
                deposited.height,
                ether(deposited.balance_gwei),
            ),
        );
        self.screen.step(
            "settled",
            format!(
                "on L1 up to height {}, up to {} for good",
                settled.height, settled.final_height
            ),
        );
        Ok(())
    }

    async fn stake(&self, l1: &DevnetL1) -> Result<(), DevnetError> {
        let chain_id = l1.funder.endpoints().chain_id();
        let contracts = &l1.contracts;
        self.screen.step(
            "contracts",
            format!(
                "on chain {chain_id}: ConclaveStake {}, ForcedInclusion {}",
                contracts.stake, contracts.forced
            ),
        );
        for standing in l1.standings(&self.devnet.staked).await? {
            self.screen.step(
                "staked",
                format!(
                    "validator {} of operator {}: {}, elected with power {}",
                    standing.validator,
                    standing.operator,
                    ether(standing.bonded_gwei),
                    standing.elected_power,
                ),
            );
        }
        Ok(())
    }
}
