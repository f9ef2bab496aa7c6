//! What came of making a key, as L1 knows it: the key, and whose each of its points is.
//!
//! L1 judges a share by `V_j` of the point that it was made with, so it has to know who holds point j. Members hold as
//! many points as they have tickets, perhaps none, and in the order of their indices, whereas L1 lists members by
//! their numbers there. A tree that named the holder nowhere would let an honest share be judged by another's point.
//! So each leaf names it:
//!
//! ```text
//!  leaf 0      suite, era, the numbers of the sharing, PK, X₂
//!  leaf 1 + j  row of the holder ‖ which of its points this is ‖ V_j
//! ```
//!
//! Which of its points it is says where in the holder's message the shares of that point stand.

use std::ops::Range;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{genesis::EncryptionKey, ids::Digest, merkle};

/// A key with its sharing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DkgResult {
    /// The key, with `V_j` of each point.
    pub key: EncryptionKey,
    /// Which points each member holds, in the order in which L1 lists them.
    pub holders: Vec<Range<u16>>,
}

impl DkgResult {
    /// The points of the member in a row; none if there is no such row.
    #[must_use]
    pub fn points(&self, row: usize) -> Range<u16> {
        self.holders.get(row).cloned().unwrap_or_default()
    }

    /// The root by which the commitment at the end of an epoch names it.
    #[must_use]
    pub fn root(&self) -> Digest {
        merkle::root(&self.leaves())
    }

    /// The path of the key under the root.
    #[must_use]
    pub fn key_path(&self) -> Vec<Digest> {
        merkle::path(&self.leaves(), 0).unwrap_or_default()
    }

    /// The path of a point, its holder and `V_j` under the root; none if there is no such point.
    #[must_use]
    pub fn point_path(&self, point: u16) -> Option<Vec<Digest>> {
        merkle::path(&self.leaves(), usize::from(point).saturating_add(1))
    }

    fn leaves(&self) -> Vec<Digest> {
        let Self { key, .. } = self;
        let parties = u16::try_from(key.verification_keys.len()).unwrap_or(u16::MAX);
        let head = [
            b"conclave/dkg/v1".as_slice(),
            &[key.suite],
            &key.era.as_u32().to_be_bytes(),
            &key.secrecy.to_be_bytes(),
            &key.packing.to_be_bytes(),
            &parties.to_be_bytes(),
            key.public_key.as_bytes(),
            key.public_key_g2.as_bytes(),
        ];
        let points = (0_u16..).zip(&key.verification_keys).map(|(point, verification_key)| {
            let (row, place) = self.holder(point);
            let leaf = [
                b"conclave/dkg-point/v1".as_slice(),
                &row.to_be_bytes(),
                &place.to_be_bytes(),
                verification_key.as_bytes(),
            ];
            merkle::leaf(&leaf.concat())
        });
        [merkle::leaf(&head.concat())].into_iter().chain(points).collect()
    }

    /// The row that holds a point, and which of its points it is. A committee has no row with the number that stands
    /// for nobody.
    fn holder(&self, point: u16) -> (u16, u16) {
        let mut rows = (0_u16..).zip(&self.holders);
        let found = rows.find(|(_, points)| points.contains(&point));
        found.map_or((u16::MAX, 0), |(row, points)| (row, point.saturating_sub(points.start)))
    }
}
