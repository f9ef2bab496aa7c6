//! A certificate as `ConclaveInbox` takes it.

use alloy::primitives::{B256, Bytes, U256};
use conclave_types::{
    BlockCommitment, Committee, Digest, SettlementCertificate, ValidatorIndex, eip2537_g2,
};

use crate::ConclaveInbox::{BlockCommitment as OnL1, Posting};

/// The posting of a certificate signed by members of `committee`, with what extends the history that has settled: the
/// peaks of that, and the roots of the trees between it and the commitment. None if its signature is no point, or of
/// strangers.
#[must_use]
pub fn posting(
    certificate: &SettlementCertificate,
    (peaks, added): (&[Digest], &[Digest]),
    committee: &Committee,
) -> Option<Posting> {
    Some(Posting {
        commitment: commitment(&certificate.commitment),
        signers: bitmap(&certificate.signers, committee)?,
        signature: Bytes::copy_from_slice(&eip2537_g2(&certificate.signature)?),
        peaks: peaks.iter().map(word).collect(),
        added: added.iter().map(word).collect(),
    })
}

/// A commitment, as the contracts have it.
#[must_use]
pub fn commitment(commitment: &BlockCommitment) -> OnL1 {
    let end = commitment.epoch_end;
    OnL1 {
        epoch: commitment.epoch.as_u64(),
        height: commitment.height.as_u64(),
        blockId: B256::from(*commitment.block.as_bytes()),
        historyRoot: word(&commitment.history_root),
        revealRoot: word(&commitment.reveal_root),
        rollupCount: commitment.rollup_count,
        originNumber: commitment.l1_origin.number,
        originHash: word(&commitment.l1_origin.hash),
        forcedCursor: commitment.forced_cursor,
        withdrawalsRoot: word(&commitment.withdrawals_root),
        nextCommittee: end.map(|end| word(&end.next_committee)).unwrap_or_default(),
        dkgResult: end.map(|end| word(&end.dkg_result)).unwrap_or_default(),
    }
}

/// Bit i is row i of the committee, as L1 lists it.
fn bitmap(signers: &[ValidatorIndex], committee: &Committee) -> Option<U256> {
    let rows = committee.rows();
    let mut bits = U256::ZERO;
    for signer in signers {
        let row = rows.iter().position(|(index, _)| index == signer)?;
        bits.set_bit(row, true);
    }
    Some(bits)
}

fn word(digest: &Digest) -> B256 {
    B256::from(*digest.as_bytes())
}

#[cfg(test)]
mod tests {
    use conclave_types::{ConsensusKey, Member, SettlementSecret};
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn bits_are_rows_as_l1_lists_them_and_not_indices() {
        let member = |seed: u8, validator| Member {
            name: String::new(),
            consensus_key: ConsensusKey::new(
                SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes(),
            ),
            network_key: ConsensusKey::new([seed; 32]),
            settlement_key: SettlementSecret::from_seed(&[seed; 32]).key(),
            validator,
            power: 1,
        };
        let members = vec![member(1, 9), member(2, 4), member(3, 7)];
        let committee = Committee::new(members).unwrap();
        let signers =
            |list: &[u16]| -> Vec<_> { list.iter().copied().map(ValidatorIndex::new).collect() };
        // Numbers 4, 7, 9 are rows 0, 1, 2.
        assert_eq!(bitmap(&signers(&[0, 1]), &committee), Some(U256::from(0b101)));
        assert_eq!(bitmap(&signers(&[2]), &committee), Some(U256::from(0b010)));
        assert_eq!(bitmap(&signers(&[3]), &committee), None);
    }
}
