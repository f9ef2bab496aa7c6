//! Blindness: an honest validator shares a block only after it has told its decision, and never are
//! there more than c shares of a block that is not decided, those of all liars included.

use std::collections::{BTreeMap, BTreeSet};

use conclave_sequencer::ShareMessage;
use conclave_types::{BlockId, Height};

use super::{BLIND, Check, chain::Chain, ensure};

/// Who has shared what.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    secrecy: usize,
    liars: usize,
    sharers: BTreeMap<(Height, BlockId), BTreeSet<u16>>,
}

impl Shares {
    /// `liars` are taken to share everything at once among themselves.
    pub(super) const fn new(secrecy: usize, liars: usize) -> Self {
        Self { secrecy, liars, sharers: BTreeMap::new() }
    }

    /// A machine of the message's validator sends it.
    pub(super) fn sent(&mut self, node: u16, message: &ShareMessage, chain: &Chain) -> Check {
        let (height, block) = (message.height, message.block);
        let sharers = self.sharers.entry((height, block)).or_default();
        sharers.insert(message.validator.as_u16());
        let known = sharers.len().saturating_add(self.liars);
        let decided = chain.block(height) == Some(block);
        ensure(decided || known <= self.secrecy, BLIND, || {
            let most = self.secrecy;
            format!(
                "{known} shares of block {block} at {height}, which nobody decided; {most} tell nothing"
            )
        })?;
        ensure(decided && chain.decided_at(node) >= height, BLIND, || {
            format!("validator {node} shares block {block} at {height}, which it has not decided")
        })
    }
}
