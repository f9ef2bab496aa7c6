//! Why a valid block is not voted for yet: what depends on this node's clock, pool or view of L1. A polka
//! overrides all of it.

use std::{sync::Arc, time::Duration};

use conclave_mempool::{Proposed, Target};
use conclave_types::{Block, BlockId, EncryptedBundle, Round, Time};

use crate::{job::capsule_point, sequencer::Sequencer};

impl Sequencer {
    /// Whether this node's clock, L1 view or pool says: not yet. A polka overrides all three.
    pub(super) fn is_withheld(
        &self,
        now: Time,
        block: &Block,
        id: BlockId,
        bundles: &[Arc<EncryptedBundle>],
    ) -> bool {
        if self.candidates.polkas.contains(&(block.header.height, id)) {
            return false;
        }
        let timing = &self.context.genesis.params.timing;
        let drift = Duration::from_millis(timing.clock_drift_max_ms);
        if block.header.time > now.after(drift) {
            return true;
        }
        if !self.l1.confirms(block) {
            return true;
        }
        self.omits_overdue(now, block, bundles)
    }

    /// The inclusion rule: a fresh block with room that omits what this validator has held too long.
    fn omits_overdue(&self, now: Time, block: &Block, bundles: &[Arc<EncryptedBundle>]) -> bool {
        let params = &self.context.genesis.params;
        let height = block.header.height;
        if !self.chain.keys.takes_bundles(height)
            || height.above(block.header.revealed_height) > params.limits.reveal_lag_max
        {
            return false;
        }
        let round = self.engine.round().map_or(0, Round::as_u32);
        let delay = params.timing.inclusion_delay(round);
        let target = Target { height, key: block.header.key_id };
        let headers: Vec<_> = bundles.iter().map(|bundle| &bundle.header).collect();
        let points: Vec<_> = bundles.iter().filter_map(|bundle| capsule_point(bundle)).collect();
        let proposed = Proposed { target, headers: &headers, points: &points };
        !self.pool.omitted(now, delay, &self.chain.ledger, &proposed).is_empty()
    }
}
