//! Members who erase nothing: more of one committee than its key withstood, and no more of a later one than that
//! withstands. They keep to the protocol until one of them has to make room. Then they try to open what is sealed
//! with what they have kept, each epoch's shares by themselves: with the key, if they give it, and else with what they
//! make of the block.

use std::{collections::BTreeMap, sync::Arc};

use conclave_encryption::SealedBlock;
use conclave_sequencer::{Message, ShareMessage};
use conclave_types::{Block, BlockId, Epoch, G1Bytes, Height, ValidatorIndex};

use super::{Letter, Means, Misbehaviour};

/// Blocks that they work on at a time; beyond it they begin anew.
const MEMORY: usize = 64;

/// What they have made of a block: by epoch of the shares, and by point.
type Stock = BTreeMap<Epoch, BTreeMap<u16, Vec<G1Bytes>>>;

/// A block that nobody has decided yet.
struct Target {
    height: Height,
    sealed: SealedBlock,
    stock: Stock,
}

/// One of those.
#[derive(Default)]
pub(super) struct Hoard {
    targets: BTreeMap<BlockId, Target>,
}

impl Hoard {
    fn begin(&mut self, means: &mut Means, block: &Arc<Block>) -> Vec<Letter> {
        let (height, id) = (block.header.height, block.id());
        let Some((members, _)) = means.sharing_at(height) else { return Vec::new() };
        let stays = |fellow: &u16| !members.points(ValidatorIndex::new(*fellow)).is_empty();
        if means.fellows.iter().all(stays) || self.targets.contains_key(&id) {
            return Vec::new();
        }
        let Some(sealed) = means.sealed(block) else { return Vec::new() };
        if means.opens_by_key(height, &sealed) {
            means.opened.push((height, id));
        }
        if self.targets.len() >= MEMORY {
            self.targets.clear();
        }
        self.targets.insert(id, Target { height, sealed, stock: Stock::new() });
        let epochs: Vec<Epoch> = means.secrets.keys().copied().collect();
        let own: Vec<_> =
            epochs.into_iter().filter_map(|epoch| means.shares_with(block, epoch)).collect();
        for message in &own {
            if let Message::Shares(shares) = message {
                self.take(means, shares);
            }
        }
        let fellows = means.fellows.iter().filter(|fellow| **fellow != means.index);
        let letters = fellows
            .flat_map(|fellow| own.iter().map(|message| Letter::new(*fellow, message.clone())));
        letters.collect()
    }

    fn take(&mut self, means: &mut Means, message: &ShareMessage) {
        let Some(target) = self.targets.get_mut(&message.block) else { return };
        let Some(members) = means.members.get(&message.epoch) else { return };
        let each = message.shares.chunks(target.sealed.share_count().max(1));
        let stock = target.stock.entry(message.epoch).or_default();
        let points = members.points(message.validator);
        stock.extend(points.zip(each).map(|(point, shares)| (point, shares.to_vec())));
        // Only as many as open a block under the key that they are of.
        let needed = usize::from(members.packing().quorum());
        if stock.len() < needed {
            return;
        }
        means.count("hoarded_attempts");
        let shares = stock.iter().map(|(point, shares)| (*point, shares.as_slice()));
        let shares: Vec<_> = shares.take(needed).collect();
        let opened = target.sealed.combine(&shares, 0..target.sealed.share_count());
        let seed = means.random.bytes();
        if opened.is_ok_and(|openings| target.sealed.check(&openings, &seed)) {
            means.opened.push((target.height, message.block));
            self.targets.remove(&message.block);
        }
    }
}

impl Misbehaviour for Hoard {
    fn outgoing(&mut self, _: &mut Means, letter: Letter) -> Vec<Letter> {
        // From here on the block is decided, and opening it is everyone's right.
        if let Message::Shares(shares) = &letter.message {
            self.targets.remove(&shares.block);
        }
        vec![letter]
    }

    fn incoming(&mut self, means: &mut Means, from: u16, message: &Message) -> Vec<Letter> {
        match message {
            Message::Block(block) => self.begin(means, block),
            Message::Shares(message) if means.fellows.contains(&from) => {
                self.take(means, message);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
