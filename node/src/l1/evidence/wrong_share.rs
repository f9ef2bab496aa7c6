//! A wrong share that a node has found in its store ([`WrongShare`]), as L1 is shown it.

#[cfg(test)]
mod tests;

use conclave_contracts::wrong_share::ShareClaim;
use conclave_sequencer::archive::{ShareSeat, WrongShare};
use conclave_types::Committee;

/// The claim that L1 judges; none if its sender holds no such point.
pub(super) fn claim<'a>(share: &'a WrongShare, committee: &Committee) -> Option<ShareClaim<'a>> {
    let ShareSeat { point, place, sub_batch } = share.seat(committee)?;
    let WrongShare { shares, index, header, sharing, bundles } = share;
    let (shares, index) = (shares.shares.as_slice(), usize::try_from(*index).ok()?);
    Some(ShareClaim { shares, index, point, place, sub_batch, header, sharing, bundles })
}
