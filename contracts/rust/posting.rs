//! A certificate as `ConclaveInbox` takes it, and out of what was sent to it.
//!
//! What is in the calldata of a posting was public before it was in a block, and anybody may post: so nothing of it is
//! worth more than its signatures, and whoever reads one checks them.

use alloy::{
    primitives::{B256, Bytes, U256},
    sol_types::SolCall as _,
};
use conclave_types::{
    BlockCommitment, BlockId, Committee, Digest, Epoch, EpochEnd, Height, L1Origin,
    SettlementCertificate, ValidatorIndex, eip2537_g2, g2_of_eip2537,
};

use crate::ConclaveInbox::{BlockCommitment as OnL1, Posting, commitCall};

/// Places in one transaction's data that are read as a posting.
const PLACES_MAX: usize = 8;

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

/// The postings in the data of a transaction: calls of the inbox, wherever they stand. Most contracts through which one
/// calls another have the whole call in their own data.
pub fn postings(data: &[u8]) -> impl Iterator<Item = Posting> {
    let calls = data.windows(commitCall::SELECTOR.len()).enumerate();
    let calls = calls.filter(|(_, found)| *found == commitCall::SELECTOR).take(PLACES_MAX);
    calls.filter_map(|(at, _)| Some(commitCall::abi_decode(data.get(at..)?).ok()?.posting))
}

/// The certificate that was posted, signed by members of `committee`. None if it names others, its signature is no point,
/// or its commitment is none. The signature is not checked.
#[must_use]
pub fn certificate(posting: &Posting, committee: &Committee) -> Option<SettlementCertificate> {
    let signature: &[u8; 256] = posting.signature.as_ref().try_into().ok()?;
    Some(SettlementCertificate {
        commitment: read(&posting.commitment)?,
        signers: signers(posting.signers, committee)?,
        signature: g2_of_eip2537(signature)?,
    })
}

/// The commitment that the contracts were given. None if it is half an end of an epoch.
fn read(given: &OnL1) -> Option<BlockCommitment> {
    let digest = |word: B256| Digest::new(word.0);
    let epoch_end = match (given.nextCommittee.is_zero(), given.dkgResult.is_zero()) {
        (true, true) => None,
        (false, false) => Some(EpochEnd {
            next_committee: digest(given.nextCommittee),
            dkg_result: digest(given.dkgResult),
        }),
        (true, false) | (false, true) => return None,
    };
    Some(BlockCommitment {
        epoch: Epoch::new(given.epoch),
        height: Height::new(given.height),
        block: BlockId::new(given.blockId.0),
        history_root: digest(given.historyRoot),
        reveal_root: digest(given.revealRoot),
        rollup_count: given.rollupCount,
        l1_origin: L1Origin { number: given.originNumber, hash: digest(given.originHash) },
        forced_cursor: given.forcedCursor,
        withdrawals_root: digest(given.withdrawalsRoot),
        epoch_end,
    })
}

/// Those whose rows have their bit, ascending. None if there are bits beyond the rows.
fn signers(bits: U256, committee: &Committee) -> Option<Vec<ValidatorIndex>> {
    let rows = committee.rows();
    let named = rows.iter().enumerate().filter(|(row, _)| bits.bit(*row));
    let mut signers: Vec<_> = named.map(|(_, (index, _))| *index).collect();
    signers.sort_unstable();
    (signers.len() == bits.count_ones()).then_some(signers)
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

    fn committee() -> Committee {
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
        Committee::new(vec![member(1, 9), member(2, 4), member(3, 7)]).unwrap()
    }

    fn indices(list: &[u16]) -> Vec<ValidatorIndex> {
        list.iter().copied().map(ValidatorIndex::new).collect()
    }

    #[test]
    fn bits_are_rows_as_l1_lists_them_and_not_indices() {
        let committee = committee();
        // Numbers 4, 7, 9 are rows 0, 1, 2.
        for (list, bits) in [(&[0, 1][..], 0b101), (&[2], 0b010), (&[0, 1, 2], 0b111)] {
            assert_eq!(bitmap(&indices(list), &committee), Some(U256::from(bits)));
            assert_eq!(signers(U256::from(bits), &committee), Some(indices(list)));
        }
        assert_eq!(bitmap(&indices(&[3]), &committee), None);
        assert_eq!(signers(U256::from(0b1001), &committee), None, "a bit beyond the committee");
        assert_eq!(signers(U256::MAX, &committee), None);
    }

    /// A certificate of two members, of a height that ends an epoch or not.
    fn certified(ends_epoch: bool) -> SettlementCertificate {
        let digest = |byte| Digest::new([byte; 32]);
        let end = EpochEnd { next_committee: digest(7), dkg_result: digest(8) };
        let commitment = BlockCommitment {
            epoch: Epoch::new(3),
            height: Height::new(12),
            block: BlockId::new([1; 32]),
            history_root: digest(2),
            reveal_root: digest(3),
            rollup_count: 4,
            l1_origin: L1Origin { number: 5, hash: digest(6) },
            forced_cursor: 9,
            withdrawals_root: digest(10),
            epoch_end: ends_epoch.then_some(end),
        };
        let signature = SettlementSecret::from_seed(&[1; 32]).sign(&digest(11));
        SettlementCertificate { commitment, signers: indices(&[0, 2]), signature }
    }

    fn data(certificate: &SettlementCertificate) -> Vec<u8> {
        let between = [Digest::new([12; 32])];
        let posting = posting(certificate, (&between, &between), &committee()).unwrap();
        commitCall { posting }.abi_encode()
    }

    #[test]
    fn what_was_posted_is_read_wherever_it_stands_in_the_data() {
        let [one, end] = [certified(false), certified(true)];
        let read = |data: &[u8]| -> Vec<_> {
            postings(data).map(|posting| certificate(&posting, &committee()).unwrap()).collect()
        };
        for certificate in [&one, &end] {
            assert_eq!(read(&data(certificate)), std::slice::from_ref(certificate));
        }
        // Through another contract, two of them, behind something that looks like a call.
        let through = [&[0xab; 37], &commitCall::SELECTOR[..], &data(&one), &data(&end), &[0; 9]];
        assert_eq!(read(&through.concat()), [one.clone(), end]);
        let cut = data(&one);
        assert_eq!(read(&cut[..cut.len() - 1]).len(), 0);
        assert_eq!(read(&[]).len(), 0);
        assert_eq!(read(&commitCall::SELECTOR.repeat(1_000)).len(), 0);
        assert_eq!(read(&data(&one).repeat(PLACES_MAX + 3)).len(), PLACES_MAX);
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let committee = committee();
        let posted = || {
            let data = data(&certified(true));
            postings(&data).next().unwrap()
        };
        assert_eq!(certificate(&posted(), &committee), Some(certified(true)));
        let changes: [fn(&mut Posting); 5] = [
            |posting| posting.signers = U256::from(0b1000),
            |posting| posting.signature = Bytes::from(vec![0; 255]),
            |posting| posting.signature = Bytes::from(vec![1; 256]),
            |posting| posting.commitment.nextCommittee = B256::ZERO,
            |posting| posting.commitment.dkgResult = B256::ZERO,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut posting = posted();
            change(&mut posting);
            assert_eq!(certificate(&posting, &committee), None, "change {number}");
        }
    }
}
