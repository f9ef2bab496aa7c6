//! A certificate as `ConclaveInbox` takes it, and out of what was sent to it.
//!
//! What is in the calldata of a posting was public before it was in a block, and anybody may post: so nothing of it is
//! worth more than its signatures, and whoever reads one checks them.
//!
//! **Bounds.** Of data longer than [`DATA_BYTES_MAX`] nothing is read: nodes of Ethereum pass on no longer transaction,
//! and one that a builder puts into a block himself is not seen. Of a call only what is signed and who signed is read, a
//! fixed number of bytes wherever its parts stand: parts that lie over each other make nothing grow. Up to
//! [`CALLS_MAX`] calls of one transaction are returned, [`Signed`] each.

use alloy::{
    primitives::{B256, Bytes, U256, keccak256},
    sol_types::{SolCall as _, SolValue as _},
};
use conclave_types::{
    BlockCommitment, BlockId, Committee, Digest, Epoch, EpochEnd, Height, L1Origin,
    SettlementCertificate, ValidatorIndex, eip2537_g2, g2_of_eip2537,
};

use crate::ConclaveInbox::{BlockCommitment as OnL1, Posting, commitCall};

/// What is longer is not read.
pub const DATA_BYTES_MAX: usize = 128 << 10;
/// Calls in one transaction's data that are read.
pub const CALLS_MAX: usize = 8;
const WORD: usize = 32;
/// Bytes of a commitment, and of a signature, as the contracts take them.
const COMMITMENT_BYTES: usize = 12 * WORD;
const SIGNATURE_BYTES: usize = 256;

/// What of a posting is signed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    commitment: OnL1,
    signers: U256,
    signature: [u8; SIGNATURE_BYTES],
}

impl Signed {
    /// The epoch and the height that it names.
    #[must_use]
    pub const fn place(&self) -> (Epoch, Height) {
        (Epoch::new(self.commitment.epoch), Height::new(self.commitment.height))
    }

    /// What tells it from every other.
    #[must_use]
    pub fn id(&self) -> B256 {
        let signers = self.signers.to_be_bytes::<32>();
        let parts = [&self.commitment.abi_encode()[..], &signers, &self.signature];
        keccak256(parts.concat())
    }

    /// A call of the inbox from its selector on, with whatever is behind it.
    fn read(call: &[u8]) -> Option<Self> {
        let arguments = commitCall::SELECTOR.len();
        let posting = begin(call, arguments, arguments)?;
        let signers = posting.checked_add(COMMITMENT_BYTES)?;
        let commitment = OnL1::abi_decode_validate(call.get(posting..signers)?).ok()?;
        let signature = begin(call, posting, signers.checked_add(WORD)?)?;
        if word_at(call, signature)? != U256::from(SIGNATURE_BYTES) {
            return None;
        }
        let signature = call.get(signature.checked_add(WORD)?..)?.first_chunk()?;
        Some(Self { commitment, signers: word_at(call, signers)?, signature: *signature })
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<U256> {
    Some(U256::from_be_bytes(*bytes.get(at..)?.first_chunk::<WORD>()?))
}

/// Where in a call a part begins whose offset from `base` stands at `at`. As the contract reckons: what is before `base` has
/// a negative offset, so the sum wraps.
fn begin(call: &[u8], base: usize, at: usize) -> Option<usize> {
    usize::try_from(U256::from(base).wrapping_add(word_at(call, at)?)).ok()
}

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

/// What was posted by the data of a transaction: calls of the inbox, wherever they stand. Most contracts through which
/// one calls another have the whole call in their own data. Of a call all is found that the inbox would find, wherever in it
/// the parts of the posting stand (`contracts/test/Layouts.t.sol`).
pub fn postings(data: &[u8]) -> impl Iterator<Item = Signed> {
    let data = if data.len() > DATA_BYTES_MAX { &[] } else { data };
    let calls = data.windows(commitCall::SELECTOR.len()).enumerate();
    let calls = calls.filter(|(_, found)| *found == commitCall::SELECTOR);
    calls.filter_map(|(at, _)| Signed::read(data.get(at..)?)).take(CALLS_MAX)
}

/// The certificate that was posted, signed by members of `committee`. None if it names others, its signature is no point,
/// or its commitment is none. The signature is not checked.
#[must_use]
pub fn certificate(posted: &Signed, committee: &Committee) -> Option<SettlementCertificate> {
    Some(SettlementCertificate {
        commitment: read(&posted.commitment)?,
        signers: signers(posted.signers, committee)?,
        signature: g2_of_eip2537(&posted.signature)?,
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
        // Its signature ends there; what is behind it is not read.
        let end = 4 + 32 + 32 * 17 + SIGNATURE_BYTES;
        assert_eq!(read(&cut[..end]), std::slice::from_ref(&one));
        assert_eq!(read(&cut[..end - 1]).len(), 0);
        assert_eq!(read(&[]).len(), 0);
        assert_eq!(read(&commitCall::SELECTOR.repeat(1_000)).len(), 0);
        assert_eq!(read(&data(&one).repeat(CALLS_MAX + 3)).len(), CALLS_MAX);
        // Selectors alone hide nothing, however many.
        let behind = [commitCall::SELECTOR.repeat(1_000), data(&one)].concat();
        assert_eq!(read(&behind), std::slice::from_ref(&one));
        let filled = |bytes: usize| {
            let call = data(&one);
            let rest = vec![0; bytes - call.len()];
            [call, rest].concat()
        };
        assert_eq!(read(&filled(DATA_BYTES_MAX)), std::slice::from_ref(&one));
        assert_eq!(read(&filled(DATA_BYTES_MAX + 1)).len(), 0);
    }

    /// The layouts that `contracts/test/Layouts.t.sol` runs on the contract.
    fn layouts() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/posting-layouts-v1.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn encode(certificate: &SettlementCertificate, layout: &serde_json::Value) -> Vec<u8> {
        let posting = posting(certificate, (&[], &[]), &committee()).unwrap();
        let parts =
            layout["parts"].as_array().unwrap().iter().map(|part| match part.as_str().unwrap() {
                "selector" => commitCall::SELECTOR.to_vec(),
                "commitment" => posting.commitment.abi_encode(),
                "signers" => posting.signers.abi_encode(),
                "signature" => posting.signature.to_vec(),
                bytes => alloy::hex::decode(bytes).unwrap(),
            });
        parts.flatten().collect()
    }

    #[test]
    fn whatever_settles_is_read_wherever_its_parts_lie() {
        let (certified, layouts) = (certified(false), layouts());
        let read = |data: &[u8]| -> Vec<_> {
            postings(data).map(|posting| certificate(&posting, &committee()).unwrap()).collect()
        };
        for layout in layouts["layouts"].as_array().unwrap() {
            let found =
                if layout["settles"].as_bool().unwrap() { &[certified.clone()][..] } else { &[] };
            let call = encode(&certified, layout);
            assert_eq!(read(&call), found, "{}", layout["name"]);
            // In the data of another contract, at no word's place.
            let through = [&[0xab; 37], &call[..], &[0xcd; 5]].concat();
            assert_eq!(read(&through), found, "{}", layout["name"]);
        }
        let usual = encode(&certified, &layouts["layouts"][0]);
        for word in layouts["narrow"].as_array().unwrap() {
            let mut dirty = usual.clone();
            dirty[4 + 32 + 32 * usize::try_from(word.as_u64().unwrap()).unwrap()] = 1;
            assert_eq!(postings(&dirty).count(), 0, "L1 takes no such number");
        }
    }

    #[test]
    fn parts_that_lie_over_each_other_make_nothing_grow() {
        let certified = certified(false);
        let call = data(&certified);
        let at = |word: usize| 4 + 32 + 32 * word;
        // Where the peaks and what was added begin, and how long the signature says that it is.
        let (peaks, added, signature) = (at(14), at(15), at(16));
        let word = |number: u64| U256::from(number).to_be_bytes::<32>();
        let mut over = call.clone();
        over[peaks..][..32].copy_from_slice(&word(16 * 32));
        over[added..][..32].copy_from_slice(&word(16 * 32));
        let read: Vec<_> = postings(&over).collect();
        assert_eq!(certificate(&read[0], &committee()), Some(certified));
        for length in [0, 255, 257, 1 << 20, u64::MAX] {
            let mut long = [&call[..], &[0; 4_096]].concat();
            long[signature..][..32].copy_from_slice(&word(length));
            assert_eq!(postings(&long).count(), 0, "{length}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let committee = committee();
        let posted = || {
            let data = data(&certified(true));
            postings(&data).next().unwrap()
        };
        assert_eq!(certificate(&posted(), &committee), Some(certified(true)));
        let changes: [fn(&mut Signed); 4] = [
            |posting| posting.signers = U256::from(0b1000),
            |posting| posting.signature = [1; 256],
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
