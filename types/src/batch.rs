//! One rollup's slice of a revealed block: what a rollup executes.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    block::L1Origin,
    height::Height,
    ids::{BlockId, BundleId, Digest, RollupId},
    time::Time,
};

/// Which leg of which bundle an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LegRef {
    /// The bundle.
    pub bundle: BundleId,
    /// Its place among the bundle's legs, from 0.
    pub leg: u16,
    /// How many legs the bundle has. All of them are in this block.
    pub legs: u16,
}

/// Which entry of the forced queue on L1 an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ForcedRef {
    /// Its place in the queue.
    pub index: u64,
    /// Gas of the rollup that was paid for on L1.
    pub gas_limit: u64,
}

/// Where an item came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ItemSource {
    /// From a bundle.
    Leg(LegRef),
    /// From the forced queue. These items come before all others of their height.
    Forced(ForcedRef),
}

impl ItemSource {
    /// The leg, if it is one.
    #[must_use]
    pub const fn leg(&self) -> Option<&LegRef> {
        match self {
            Self::Leg(leg) => Some(leg),
            Self::Forced(_) => None,
        }
    }
}

/// One transaction of a batch.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BatchItem {
    /// The rollup's own transaction bytes.
    pub transaction: Vec<u8>,
    /// Where it came from.
    pub source: ItemSource,
}

/// One rollup's items of one height, in order. Only heights with items have a batch.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Batch {
    /// The rollup.
    pub rollup: RollupId,
    /// 0, 1, 2, … without a gap.
    pub sequence: u64,
    /// Height of the batch before; 0 if this is the first.
    pub previous_height: Height,
    /// The height.
    pub height: Height,
    /// The decided block.
    pub block: BlockId,
    /// The block's time.
    pub time: Time,
    /// The block's L1 origin.
    pub l1_origin: L1Origin,
    /// The block's beacon, as randomness for the rollup.
    pub randomness: Digest,
    /// The transactions, in order.
    pub items: Vec<BatchItem>,
}
