//! A share that is not what its sender's secret gives, with all that judges it: the block's header, the bundles of the
//! sub-batch that it is of, the key, and who holds which of its points.
//!
//! A node keeps the message of whoever was to blame for openings that open nothing (`conclave_sequencer`). Here the one
//! share in it that is wrong by itself is looked for, since that is all L1 is shown. A message with fewer shares than its
//! sender owed, or more, is of no use to anybody; it is not looked into, since to send none would have been no offence
//! either.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_encryption::{Encapsulation, PublicKey, SealedBlock, SubBatch};
use conclave_types::{
    Block, BlockHeader, BundleOutline, Committee, Digest, DkgResult, Epoch, G1Bytes,
    ValidatorIndex, digest::SigningDomain, merkle,
};

use super::Read;
use crate::{archive, capsule_point, message::ShareMessage, store::Store};

/// A wrong share, and what shows that it is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct WrongShare {
    /// The shares as they were sent.
    pub shares: ShareMessage,
    /// Which of them is wrong.
    pub index: u32,
    /// The header of their block.
    pub header: BlockHeader,
    /// The key of its epoch, and who holds its points.
    pub sharing: DkgResult,
    /// The bundles of the share's sub-batch, in block order, each with its path in the block's bundle root.
    pub bundles: Vec<(BundleOutline, Vec<Digest>)>,
}

/// What a node's own chain says of shares that it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// One is wrong.
    Wrong(Box<WrongShare>),
    /// None is wrong by itself.
    Right,
    /// The chain has not come as far as that.
    NotYet,
}

/// Where a share stands: at which point of the key, which of its sender's points that is, and for which sub-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareSeat {
    /// The point.
    pub point: u16,
    /// Which of its sender's it is.
    pub place: u16,
    /// The sub-batch.
    pub sub_batch: u32,
}

impl WrongShare {
    /// Looks for a wrong share in a message that a node keeps.
    ///
    /// # Errors
    ///
    /// If the store fails or is damaged.
    pub fn find<S: Store>(store: &S, shares: ShareMessage) -> Read<Judged, S> {
        let block = archive::block(store, shares.height)?;
        let committee = archive::committee(store, shares.epoch)?;
        let sharing = archive::sharing(store, shares.epoch)?;
        let (Some(block), Some(committee), Some(sharing)) = (block, committee, sharing) else {
            return Ok(Judged::NotYet);
        };
        let block = block.block;
        if block.id() != shares.block {
            return Ok(Judged::Right);
        }
        let points = points(&sharing, &committee, shares.validator);
        let count = sub_batch_count(block.header.bundle_count, sharing.key.packing);
        let owed = count.and_then(|count| points.len().checked_mul(usize::try_from(count).ok()?));
        if owed != Some(shares.shares.len()) {
            return Ok(Judged::Right);
        }
        let bundles = archive::block_bundles(store, &block)?;
        let us: Option<Vec<_>> = bundles.iter().map(|bundle| capsule_point(bundle)).collect();
        let wrong = us.and_then(|us| first_wrong(&shares, &block, (&sharing, points), &us));
        let Some((index, entries)) = wrong else { return Ok(Judged::Right) };
        let leaves: Vec<_> =
            block.body.bundles.iter().map(|id| merkle::leaf(id.as_bytes())).collect();
        let bundles = entries.filter_map(|at| {
            Some((bundles.get(at)?.outline(), merkle::path(&leaves, at).unwrap_or_default()))
        });
        let bundles = bundles.collect();
        let header = block.header;
        Ok(Judged::Wrong(Box::new(Self { shares, index, header, sharing, bundles })))
    }

    /// Whether L1 would find it wrong, too, if it knows the key and its holders as this has them.
    #[must_use]
    pub fn convicts(&self, committee: &Committee, domain: &SigningDomain, epoch: Epoch) -> bool {
        let Self { shares, header, sharing, .. } = self;
        let is_block = header.network == domain.network
            && header.id() == shares.block
            && (header.epoch, header.height) == (epoch, shares.height)
            && header.key_id == sharing.key.id(&domain.network);
        is_block
            && shares.is_signed(committee, domain, epoch)
            && self.is_wrong(committee) == Some(true)
    }

    /// None if its parts do not belong together.
    fn is_wrong(&self, committee: &Committee) -> Option<bool> {
        let Self { shares, header, sharing, bundles, .. } = self;
        let seat = self.seat(committee)?;
        let share = shares.shares.get(usize::try_from(self.index).ok()?)?;
        let entries = self.entries(seat);
        if bundles.len() != entries.len() {
            return None;
        }
        let mut us = Vec::new();
        for ((bundle, path), at) in bundles.iter().zip(entries) {
            let leaf = merkle::leaf(bundle.id().as_bytes());
            if merkle::root_from_path(leaf, at, path) != Some(header.bundle_root) {
                return None;
            }
            us.push(point_of(&bundle.capsule)?);
        }
        let key = PublicKey::new(header.network, &sharing.key).ok()?;
        let at = (shares.height, shares.block);
        let sub_batch = usize::try_from(seat.sub_batch).ok()?;
        let sub_batch = SubBatch::new(&key, at, sub_batch, &us).ok()?;
        Some(!sub_batch.is_share(seat.point, share))
    }

    /// Where the share stands; none if its sender holds no such point.
    #[must_use]
    pub fn seat(&self, committee: &Committee) -> Option<ShareSeat> {
        let count = sub_batch_count(self.header.bundle_count, self.sharing.key.packing)?;
        let place = u16::try_from(self.index.checked_div(count)?).ok()?;
        let points = points(&self.sharing, committee, self.shares.validator);
        let point = points.start.checked_add(place).filter(|point| points.contains(point))?;
        Some(ShareSeat { point, place, sub_batch: self.index.checked_rem(count)? })
    }

    /// The places of the sub-batch's bundles in the block. The beacon point comes before them.
    #[must_use]
    pub fn entries(&self, seat: ShareSeat) -> std::ops::Range<usize> {
        let narrow = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let count = narrow(self.header.bundle_count);
        let packing = usize::from(self.sharing.key.packing);
        let from = narrow(seat.sub_batch).saturating_mul(packing);
        let to = from.saturating_add(packing).saturating_sub(1);
        from.saturating_sub(1)..to.min(count)
    }
}

/// The first share that is wrong by itself, and the places of its sub-batch's bundles in the block.
fn first_wrong(
    shares: &ShareMessage,
    block: &Block,
    (sharing, points): (&DkgResult, std::ops::Range<u16>),
    us: &[G1Bytes],
) -> Option<(u32, std::ops::Range<usize>)> {
    let key = PublicKey::new(block.header.network, &sharing.key).ok()?;
    // Shares depend on u alone.
    let us: Vec<_> = us.iter().copied().map(Encapsulation::from).collect();
    let sealed = SealedBlock::new(&key, shares.height, shares.block, &us).ok()?;
    let count = sealed.share_count();
    let of_points = points.zip(shares.shares.chunks(count.max(1)));
    let mut wrong = of_points.enumerate().filter_map(|(place, (point, of_point))| {
        let sub_batch = sealed.first_wrong(point, of_point)?;
        let openings = sealed.opening_range(sub_batch..sub_batch.saturating_add(1));
        let entries = openings.start.saturating_sub(1)..openings.end.saturating_sub(1);
        let index = place.checked_mul(count)?.checked_add(sub_batch)?;
        Some((u32::try_from(index).ok()?, entries))
    });
    wrong.next()
}

/// The points that a validator holds.
fn points(
    sharing: &DkgResult,
    committee: &Committee,
    validator: ValidatorIndex,
) -> std::ops::Range<u16> {
    let row = committee.rows().iter().position(|(index, _)| *index == validator);
    row.map(|row| sharing.points(row)).unwrap_or_default()
}

/// Sub-batches of a block: so many shares are owed for each point. None if there are no slots.
fn sub_batch_count(bundle_count: u32, packing: u16) -> Option<u32> {
    let packing = u32::from(packing);
    let entries = bundle_count.checked_add(1)?;
    entries.checked_add(packing)?.checked_sub(1)?.checked_div(packing)
}

/// u, with which every capsule begins.
fn point_of(capsule: &[u8]) -> Option<G1Bytes> {
    capsule.get(..G1Bytes::LEN).and_then(|bytes| G1Bytes::from_slice(bytes).ok())
}
