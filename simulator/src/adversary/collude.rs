//! Liars who pool what they know, and try to open blocks before these are decided: with the key, if their shares of it
//! give it, and else with their shares of the block.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use conclave_encryption::{Packing, SealedBlock};
use conclave_sequencer::{Message, ShareMessage};
use conclave_types::{Block, BlockId, G1Bytes, Height};

use super::{
    Letter, Means, Misbehaviour,
    means::{points, pooled},
};

/// Blocks that they work on at a time; beyond it they begin anew.
const MEMORY: usize = 64;

/// A block with the shares of it that are known, by point.
struct Pool {
    height: Height,
    sealed: SealedBlock,
    shares: BTreeMap<u16, Vec<G1Bytes>>,
    /// What shares of other epochs come to. They are no shares of it, and used where there are none.
    stale: BTreeMap<u16, Vec<G1Bytes>>,
    /// What is used where there are none of those either.
    guess: Vec<G1Bytes>,
}

/// Points with what they have said of a block, or what stands for it.
type Said<'a> = Vec<(u16, &'a [G1Bytes])>;

impl Pool {
    /// Takes the shares of a validator, which come one point after the other.
    fn take(&mut self, points: Range<u16>, shares: &[G1Bytes]) {
        let each = shares.chunks(self.sealed.share_count().max(1));
        self.shares.extend(points.zip(each).map(|(point, shares)| (point, shares.to_vec())));
    }

    /// All points: first those whose shares are known.
    fn said(&self, points: u16) -> Said<'_> {
        let missing = (0..points).filter(|point| !self.shares.contains_key(point));
        let known = self.shares.iter().map(|(point, shares)| (*point, shares.as_slice()));
        let made_up = missing.map(|point| (point, self.stale.get(&point).unwrap_or(&self.guess)));
        known.chain(made_up.map(|(point, shares)| (point, shares.as_slice()))).collect()
    }

    /// Whether the first t of these open the block.
    fn opens(&self, said: &Said<'_>, seed: &[u8; 32]) -> bool {
        let opened = self.sealed.combine(said, 0..self.sealed.share_count());
        opened.is_ok_and(|openings| self.sealed.check(&openings, seed))
    }

    /// Of the last sub-batch, which has empty slots, and which fewer than t shares determine: whether the first of
    /// these open it. None if all its slots are filled.
    fn opens_the_rest(&self, packing: Packing, said: &Said<'_>, seed: &[u8; 32]) -> Option<bool> {
        let count = self.sealed.share_count();
        let last = count.checked_sub(1)?;
        let filled = self.sealed.opening_range(last..count).len();
        if filled == usize::from(packing.packing()) {
            return None;
        }
        let (known, others) = said.split_at_checked(pooled::share_needs(packing, filled))?;
        let of_last = |(point, shares): &(u16, &[G1Bytes])| Some((*point, *shares.get(last)?));
        let mut shares: Vec<(u16, G1Bytes)> = known.iter().map(of_last).collect::<Option<_>>()?;
        let others: Vec<u16> = others.iter().map(|(point, _)| *point).collect();
        let found = pooled::shares_of_others(packing, filled, &shares, &others);
        shares.extend(others.into_iter().zip(found.unwrap_or_default()));
        let whole = |(point, share): (u16, G1Bytes)| (point, vec![share; count]);
        let shares: Vec<(u16, Vec<G1Bytes>)> = shares.into_iter().map(whole).collect();
        let shares: Said<'_> = shares.iter().map(|(point, it)| (*point, it.as_slice())).collect();
        let opened = self.sealed.combine(&shares, last..count);
        Some(opened.is_ok_and(|it| self.sealed.check_range(last..count, &it, seed)))
    }
}

/// Shares every proposed block with its fellows alone, and opens what it can with their shares of the key and with what
/// it has heard of the block from anyone; where either is missing, it tries those of other epochs, and guesses.
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
        let guess = vec![points::generator(); sealed.share_count()];
        let (height, shares) = (block.header.height, BTreeMap::new());
        let by_key = means.opens_by_key(height, &sealed);
        let mut pool = Pool { height, sealed, shares, stale, guess };
        pool.take(points_of(means, height, own), &own.shares);
        self.pools.insert(id, pool);
        let fellows = means.fellows.iter().filter(|fellow| **fellow != means.index);
        let letters: Vec<_> = fellows.map(|fellow| Letter::new(*fellow, message.clone())).collect();
        if by_key {
            self.opened(means, height, id);
        } else {
            self.try_to_open(means, id);
        }
        letters
    }

    fn try_to_open(&mut self, means: &mut Means, id: BlockId) {
        let Some(pool) = self.pools.get(&id) else { return };
        means.count("attempts_to_open");
        if !pool.stale.is_empty() {
            means.count("stale_attempts");
        }
        let Some((members, packing)) = means.sharing_at(pool.height) else { return };
        let said = pool.said(members.holders().point_count());
        let seed = means.random.bytes();
        let rest = pool.opens_the_rest(packing, &said, &seed);
        let opens = rest == Some(true) || pool.opens(&said, &seed);
        let height = pool.height;
        if rest.is_some() {
            means.count("short_attempts");
        }
        if opens {
            self.opened(means, height, id);
        }
    }

    fn opened(&mut self, means: &mut Means, height: Height, id: BlockId) {
        means.opened.push((height, id));
        self.pools.remove(&id);
    }
}

/// Which points somebody's shares of a height are at.
fn points_of(means: &Means, height: Height, message: &ShareMessage) -> Range<u16> {
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
                    pool.take(points_of(means, pool.height, message), &message.shares);
                    self.try_to_open(means, message.block);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
