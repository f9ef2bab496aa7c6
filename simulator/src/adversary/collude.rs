//! Liars who pool what they know, and try to open blocks before these are decided.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use conclave_encryption::SealedBlock;
use conclave_sequencer::{Message, ShareMessage};
use conclave_types::{Block, BlockId, G1Bytes, Height};

use super::{Letter, Means, Misbehaviour, means::points};

/// Blocks that they work on at a time; beyond it they begin anew.
const MEMORY: usize = 64;

/// A block with the shares of it that are known, by point.
struct Pool {
    height: Height,
    sealed: SealedBlock,
    shares: BTreeMap<u16, Vec<G1Bytes>>,
    /// What shares of other epochs come to. They are no shares of it, and used where there are none.
    stale: BTreeMap<u16, Vec<G1Bytes>>,
}

impl Pool {
    /// Takes the shares of a validator, which come one point after the other.
    fn take(&mut self, points: Range<u16>, shares: &[G1Bytes]) {
        let each = shares.chunks(self.sealed.share_count().max(1));
        self.shares.extend(points.zip(each).map(|(point, shares)| (point, shares.to_vec())));
    }
}

/// Shares every proposed block with its fellows alone, and opens what it can with what it has heard from
/// anyone; where shares are missing, it tries those of other epochs, and guesses.
#[derive(Default)]
pub(super) struct Collude {
    pools: BTreeMap<BlockId, Pool>,
}

impl Collude {
    fn begin(&mut self, means: &mut Means, block: &Arc<Block>) -> Vec<Letter> {
        let id = block.id();
        if self.pools.contains_key(&id) {
            return Vec::new();
        }
        let sealed = means.sealed(block);
        let (Some(sealed), Some(message)) = (sealed, means.shares_of(block)) else {
            return Vec::new();
        };
        let Message::Shares(own) = &message else { return Vec::new() };
        if self.pools.len() >= MEMORY {
            self.pools.clear();
        }
        let stale = means.stale_shares_of(block, &sealed);
        let (height, shares) = (block.header.height, BTreeMap::new());
        let mut pool = Pool { height, sealed, shares, stale };
        pool.take(points(means, height, own), &own.shares);
        self.pools.insert(id, pool);
        let fellows = means.fellows.iter().filter(|fellow| **fellow != means.index);
        let letters: Vec<_> = fellows.map(|fellow| Letter::new(*fellow, message.clone())).collect();
        self.try_to_open(means, id);
        letters
    }

    fn try_to_open(&mut self, means: &mut Means, id: BlockId) {
        let Some(pool) = self.pools.get(&id) else { return };
        means.count("attempts_to_open");
        if !pool.stale.is_empty() {
            means.count("stale_attempts");
        }
        let guess = vec![points::generator(); pool.sealed.share_count()];
        let Some((members, packing)) = means.sharing_at(pool.height) else { return };
        let missing =
            (0..members.holders().point_count()).filter(|point| !pool.shares.contains_key(point));
        let known = pool.shares.iter().map(|(point, shares)| (*point, shares.as_slice()));
        let made_up = missing.map(|point| (point, pool.stale.get(&point).unwrap_or(&guess)));
        let made_up = made_up.map(|(point, shares)| (point, shares.as_slice()));
        let shares: Vec<_> = known.chain(made_up).take(packing.quorum().into()).collect();
        let opened = pool.sealed.combine(&shares, 0..pool.sealed.share_count());
        let seed = means.random.bytes();
        if opened.is_ok_and(|openings| pool.sealed.check(&openings, &seed)) {
            means.opened.push((pool.height, id));
            self.pools.remove(&id);
        }
    }
}

/// Which points somebody's shares of a height are at.
fn points(means: &Means, height: Height, message: &ShareMessage) -> Range<u16> {
    means.sharing_at(height).map_or(0..0, |(members, _)| members.points(message.validator))
}

impl Misbehaviour for Collude {
    fn outgoing(&mut self, _: &mut Means, letter: Letter) -> Vec<Letter> {
        // From here on the block is decided, and opening it is everyone's right.
        if let Message::Shares(shares) = &letter.message {
            self.pools.remove(&shares.block);
        }
        vec![letter]
    }

    fn incoming(&mut self, means: &mut Means, _: u16, message: &Message) -> Vec<Letter> {
        match message {
            Message::Block(block) => self.begin(means, block),
            Message::Shares(message) => {
                if let Some(pool) = self.pools.get_mut(&message.block) {
                    pool.take(points(means, pool.height, message), &message.shares);
                    self.try_to_open(means, message.block);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
