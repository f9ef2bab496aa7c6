//! Who reads, for each validator, what others post on L1, and shows its core what is of another history.
//!
//! Readers are a part of the world, as relayers are; the shipped ones are tasks around endpoints
//! (`node/src/l1/relay/postings.rs`). What both find in the data of transactions, and what a certificate that was posted
//! is to a validator, is one code (`conclave_contracts::posting`, `archive::posted`). The shipped reader passes over what
//! no quorum has signed, to spare its core the work. This one does not, so that what a lying provider shows comes to the
//! core, which has to believe nothing for being on L1.
//!
//! **Bounds.** A posting is read once in each life of a process; what its chain has not come to is looked at again with
//! each final L1 block. As much as a run has.

use std::{collections::BTreeSet, mem};

use alloy::primitives::B256;
use conclave_contracts::posting::{self, Signed};
use conclave_sequencer::archive::{self, OnL1};
use conclave_types::{BlockId, Digest, SettlementCertificate};

use super::{
    World,
    node::{News, Node},
};
use crate::disk::Disk;

/// What one reader remembers.
#[derive(Clone, Debug, Default)]
struct Reader {
    /// The newest L1 block that it has read.
    newest: u64,
    read: BTreeSet<B256>,
    /// What its validator's chain has not come to.
    open: Vec<Signed>,
}

/// All readers.
#[derive(Debug)]
pub(super) struct Readers {
    all: Vec<Reader>,
    /// How many times a core was shown what has settled of another history than its own, and what nobody has signed.
    shown: u64,
    invented: u64,
}

impl Readers {
    pub(super) fn new(nodes: u16) -> Self {
        Self { all: vec![Reader::default(); usize::from(nodes)], shown: 0, invented: 0 }
    }

    /// A process died: whoever reads for the next one begins anew.
    pub(super) fn forget(&mut self, node: u16) {
        if let Some(reader) = self.all.get_mut(usize::from(node)) {
            *reader = Reader::default();
        }
    }

    /// What they did, by name, if they did anything.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let counters = [("l1_postings_shown", self.shown), ("l1_postings_invented", self.invented)];
        counters.into_iter().filter(|(_, count)| *count > 0)
    }
}

/// The certificate in a posting, and what it is to a validator; nothing if it is none of its committee's.
fn compare(disk: &Disk, signed: &Signed) -> Option<(Option<SettlementCertificate>, OnL1)> {
    let (epoch, _) = signed.place();
    let Some(committee) = archive::committee(disk, epoch).ok()? else {
        return Some((None, OnL1::NotYet));
    };
    let certificate = posting::certificate(signed, &committee)?;
    let found = archive::posted(disk, certificate.clone()).ok()?;
    Some((Some(certificate), found))
}

/// What a provider makes of a certificate: one of another block under the same signature, and one of another history that
/// only the first of them has signed.
fn inventions(certificate: &SettlementCertificate) -> [SettlementCertificate; 2] {
    let (mut other, mut alone) = (certificate.clone(), certificate.clone());
    other.commitment.block = BlockId::new([0xee; 32]);
    alone.commitment.history_root = Digest::new([0xee; 32]);
    alone.signers.truncate(1);
    [other, alone]
}

impl World {
    /// Somebody reads for a node what has been posted, up to the newest block of L1, final or not.
    pub(super) fn read_postings(&mut self, node: u16) {
        let Some((l1, head)) = self.l1.as_ref().and_then(|l1| Some((l1, l1.head()?))) else {
            return;
        };
        let Some(Node { core: Some(_), disk, .. }) = self.nodes.get(usize::from(node)) else {
            return;
        };
        let Some(reader) = self.readers.all.get_mut(usize::from(node)) else { return };
        // What is not final may be in other blocks by now.
        let from = reader.newest.saturating_sub(l1.model().finality_blocks);
        reader.newest = head.number;
        let new = l1.postings(from).into_iter().filter(|signed| reader.read.insert(signed.id()));
        let all: Vec<_> = mem::take(&mut reader.open).into_iter().chain(new).collect();
        let lies = l1.model().false_postings.contains(&node);
        let (mut settled, mut invented) = (Vec::new(), Vec::new());
        for signed in all {
            let Some((certificate, found)) = compare(disk, &signed) else { continue };
            match found {
                OnL1::NotYet => {
                    reader.open.push(signed);
                    continue;
                }
                OnL1::Ours => {}
                OnL1::Other(posted) => settled.push(posted),
            }
            for made_up in certificate.iter().filter(|_| lies).flat_map(inventions) {
                if let Ok(OnL1::Other(posted)) = archive::posted(disk, made_up) {
                    invented.push(posted);
                }
            }
        }
        for posted in settled {
            self.readers.shown = self.readers.shown.saturating_add(1);
            self.oracle.of(node).reads_on_l1(self.now, node, &posted.certificate);
            self.tell(node, News::Posted(posted));
        }
        for posted in invented {
            self.readers.invented = self.readers.invented.saturating_add(1);
            self.tell(node, News::Posted(posted));
        }
    }
}
