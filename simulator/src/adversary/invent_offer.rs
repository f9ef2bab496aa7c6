//! Proposes blocks with a committee that L1 has not offered.

use conclave_types::{Block, CommitteeOffer};

use super::{Means, means::forger::Forgery};

/// Its own validator, and the next.
pub(super) struct InventOffer;

impl Forgery for InventOffer {
    fn change(&mut self, means: &Means, block: &mut Block) {
        let parent = means.block(&block.header.parent).map(|parent| parent.header.l1_origin);
        if parent.is_some_and(|parent| parent != block.header.l1_origin) {
            let own = usize::from(means.index);
            let members = means.genesis.members.iter().skip(own).take(2).cloned().collect();
            let offer = CommitteeOffer { epoch: block.header.epoch.next(), members };
            block.body.offers.truncate(CommitteeOffer::COUNT_MAX.saturating_sub(1));
            block.body.offers.push(offer);
        }
    }
}
