//! What stands on Ethereum: the stake of the validators, and the queue that they cannot keep anything out of.

use alloy::signers::local::PrivateKeySigner;
use conclave_node::l1::queue;

use super::{
    super::{super::chain::ether, l1::DevnetL1},
    Account, Call, DevnetError, Envelope, Story, dev_address, short,
};

impl Story<'_> {
    pub(super) async fn ethereum(&self, l1: &DevnetL1) -> Result<(), DevnetError> {
        self.screen.heading("5  on Ethereum: stake, and a way in past the validators");
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
        let Some(rollup) = self.devnet.rollups.first() else { return Ok(()) };
        // An account that does nothing else: what happens to its nonce disturbs nobody.
        let mut account = Account::new(PrivateKeySigner::random(), rollup.id, 0);
        let raw = account.sign(Envelope::Eip1559, Call::transfer(dev_address(1)?, 0))?;
        let gas = queue::gas_floor(&raw.bytes);
        let queued = queue::force(&l1.funder, contracts, rollup.id, &raw.bytes, gas).await?;
        self.screen.step(
            "forced",
            format!(
                "transaction {} for rollup {} is entry {} of the queue, in L1 block {}; nodes do not \
                 follow L1 yet, so no block carries it",
                short(raw.hash),
                rollup.id,
                queued.index,
                queued.sent.block(),
            ),
        );
        Ok(())
    }
}
