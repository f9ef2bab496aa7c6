//! Liars who pool what they know, and try to open blocks before these are decided.

use std::{collections::BTreeMap, sync::Arc};

use conclave_encryption::SealedBlock;
use conclave_sequencer::Message;
use conclave_types::{Block, BlockId, G1Bytes, Height};

use super::{Letter, Means, Misbehaviour, shares::generator};

/// Blocks that they work on at a time; beyond it they begin anew.
const MEMORY: usize = 64;

/// A block with the shares of it that are known.
struct Pool {
    height: Height,
    sealed: SealedBlock,
    shares: BTreeMap<u16, Vec<G1Bytes>>,
}

/// Shares every proposed block with its fellows alone, and opens what it can with what it has heard from
/// anyone; where shares are missing, it guesses.
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
        let shares = BTreeMap::from([(means.index, own.shares.clone())]);
        self.pools.insert(id, Pool { height: block.header.height, sealed, shares });
        let fellows = means.fellows.iter().filter(|fellow| **fellow != means.index);
        let letters: Vec<_> = fellows.map(|fellow| Letter::new(*fellow, message.clone())).collect();
        self.try_to_open(means, id);
        letters
    }

    fn try_to_open(&mut self, means: &mut Means, id: BlockId) {
        let Some(pool) = self.pools.get(&id) else { return };
        means.count("attempts_to_open");
        let guess = vec![generator(); pool.sealed.share_count()];
        let Some(quorum) = means.packing().map(|packing| packing.quorum().into()) else { return };
        let missing = (0..means.validators).filter(|party| !pool.shares.contains_key(party));
        let known = pool.shares.iter().map(|(party, shares)| (*party, shares.as_slice()));
        let guessed = missing.map(|party| (party, guess.as_slice()));
        let shares: Vec<_> = known.chain(guessed).take(quorum).collect();
        let opened = pool.sealed.combine(&shares, 0..pool.sealed.share_count());
        let seed = means.random.bytes();
        if opened.is_ok_and(|openings| pool.sealed.check(&openings, &seed)) {
            means.opened.push((pool.height, id));
            self.pools.remove(&id);
        }
    }
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
                    pool.shares.insert(message.validator.as_u16(), message.shares.clone());
                    self.try_to_open(means, message.block);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
