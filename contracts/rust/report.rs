//! Evidence as `ConclaveSlasher` takes it: the call that reports it, and what identifies each offence there.
//!
//! Whoever reports it knows the committee of its epoch as L1 lists it ([`Seats`]). The two messages of a contradiction
//! stand in ascending order of their heights and digests, which makes one offence one report, whoever saw what first.

use std::collections::BTreeMap;

use alloy::{
    primitives::{B256, Bytes, U256, keccak256},
    sol_types::{SolCall, SolValue as _},
};
use conclave_consensus::{Evidence, SignedProposal, SignedVote};
use conclave_types::{
    BlockCommitment, BlockId, ConsensusKey, Digest, Epoch, Height, HistoryEntry,
    SettlementCertificate, SettlementMember, SignatureBytes, ValidatorIndex, VoteKind,
    digest::SigningDomain, eip2537_g2,
};

use crate::{
    ConclaveInbox,
    ConclaveSlasher::{
        self, reportAttestationsCall, reportPrematureShareCall, reportProposalsCall,
        reportVotesCall,
    },
    bindings::slasher::IConclaveSlasher::{
        HistoryEntry as Entry, Position, Signature, SignedCommitment, SignedProposal as Proposed,
        SignedShares, SignedVote as Voted,
    },
    posting,
};

/// `Offence` in `contracts/src/interfaces/IConclaveSlasher.sol`: the number is part of an offence's identity.
const DOUBLE_PREVOTE: u8 = 1;
const DOUBLE_PRECOMMIT: u8 = 2;
const DOUBLE_PROPOSAL: u8 = 3;
const DOUBLE_ATTESTATION: u8 = 4;
/// A share of a block that is not the chain's.
pub const PREMATURE_SHARE: u8 = 5;
/// A share that is not what a secret gives.
pub const WRONG_SHARE: u8 = 6;

/// Why something cannot be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// L1 has no such member in that epoch.
    #[error("validator {0}, with its keys of then, is not in the committee of that epoch on L1")]
    Stranger(ValidatorIndex),
    /// A signature of a commitment is no point.
    #[error("a signature that is no point")]
    NoPoint,
    /// A share is of no point that its sender holds.
    #[error("a wrong share that is of no member's point")]
    NoShare,
}

/// Where L1 lists each validator: by its consensus key, which no two members share.
#[derive(Clone, Debug)]
pub struct Seats {
    places: BTreeMap<ValidatorIndex, (u16, u32)>,
}

impl Seats {
    /// The members of a committee, each with its key, in a table with these rows.
    #[must_use]
    pub fn new(
        members: impl IntoIterator<Item = (ValidatorIndex, ConsensusKey)>,
        rows: &[SettlementMember],
    ) -> Self {
        let keyed = rows.iter().zip(0_u16..);
        let by_key: BTreeMap<_, _> =
            keyed.map(|(row, place)| (row.consensus_key, (place, row.validator))).collect();
        let place = |(index, key)| by_key.get(&key).map(|place| (index, *place));
        Self { places: members.into_iter().filter_map(place).collect() }
    }

    /// Its row.
    ///
    /// # Errors
    ///
    /// [`ReportError::Stranger`].
    pub fn place(&self, validator: ValidatorIndex) -> Result<u16, ReportError> {
        self.of(validator).map(|(place, _)| place)
    }

    /// Its number.
    ///
    /// # Errors
    ///
    /// [`ReportError::Stranger`].
    pub fn number(&self, validator: ValidatorIndex) -> Result<u32, ReportError> {
        self.of(validator).map(|(_, number)| number)
    }

    fn of(&self, validator: ValidatorIndex) -> Result<(u16, u32), ReportError> {
        self.places.get(&validator).copied().ok_or(ReportError::Stranger(validator))
    }

    fn bits(&self, validators: &[ValidatorIndex]) -> Result<U256, ReportError> {
        let mut bits = U256::ZERO;
        for validator in validators {
            bits.set_bit(usize::from(self.place(*validator)?), true);
        }
        Ok(bits)
    }
}

/// What a validator has signed of its shares of a block.
#[derive(Clone, Copy, Debug)]
pub struct SharesOf<'a> {
    /// The epoch that it names.
    pub epoch: Epoch,
    /// Of which height.
    pub height: Height,
    /// Of which block.
    pub block: BlockId,
    /// Who.
    pub validator: ValidatorIndex,
    /// The root over the shares.
    pub root: Digest,
    /// Its signature.
    pub signature: &'a SignatureBytes,
}

impl SharesOf<'_> {
    /// The same as L1 takes it, and where it was signed.
    ///
    /// # Errors
    ///
    /// [`ReportError::Stranger`].
    pub fn on_l1(&self, seats: &Seats) -> Result<(SignedShares, Position), ReportError> {
        let (epoch, height) = (self.epoch.as_u64(), self.height.as_u64());
        let member = seats.place(self.validator)?;
        let signed = SignedShares {
            epoch,
            member,
            height,
            blockId: B256::from(*self.block.as_bytes()),
            root: B256::from(*self.root.as_bytes()),
            signature: signature(self.signature),
        };
        Ok((signed, Position { epoch, member, height, round: 0 }))
    }
}

/// A report of what contradicts itself, what has settled, or the key.
#[derive(Clone, Debug)]
pub struct Contradiction {
    /// What reports it.
    pub call: Bytes,
    /// Each offence that it shows, by its identity on L1.
    pub offences: Vec<B256>,
    /// The first half of the evidence's hash, as a number.
    pub evidence: U256,
}

/// Two votes or two proposals of one validator in one round.
///
/// # Errors
///
/// [`ReportError`].
pub fn equivocation(
    evidence: &Evidence,
    seats: &Seats,
    (domain, epoch): (&SigningDomain, Epoch),
) -> Result<Contradiction, ReportError> {
    let (height, round) = evidence.at();
    let offender = evidence.offender();
    let at = Position {
        epoch: epoch.as_u64(),
        member: seats.place(offender)?,
        height: height.as_u64(),
        round: round.as_u32(),
    };
    let offences = vec![identity(seats.number(offender)?, kind(evidence), &at)];
    let (call, signatures) = match evidence {
        Evidence::Votes(a, b) => votes(at, [a, b], (domain, epoch)),
        Evidence::Proposals(a, b) => proposals(at, [a, b], (domain, epoch)),
    };
    Ok(Contradiction { call, offences, evidence: first_half(&signatures) })
}

/// Two commitments that contradict each other, each attested by all of `accused`; `held` is what the history of the higher
/// one has at the height of the other.
///
/// # Errors
///
/// [`ReportError`].
pub fn attestations(
    pair: [&SettlementCertificate; 2],
    held: Option<&HistoryEntry>,
    accused: &[ValidatorIndex],
    seats: &Seats,
    domain: &SigningDomain,
) -> Result<Contradiction, ReportError> {
    let digest = |certificate: &SettlementCertificate| domain.commitment(&certificate.commitment);
    let pair = ascending(pair, |certificate: &SettlementCertificate| {
        (certificate.commitment.height, digest(certificate))
    });
    let digests = pair.map(|certificate| *digest(certificate).as_bytes()).concat();
    let [SettlementCertificate { commitment: lower, .. }, _] = pair;
    // The offence is that of the lower height.
    let at = Position {
        epoch: lower.epoch.as_u64(),
        member: 0,
        height: lower.height.as_u64(),
        round: 0,
    };
    let identify = |validator: &ValidatorIndex| {
        Ok(identity(seats.number(*validator)?, DOUBLE_ATTESTATION, &at))
    };
    let offences = accused.iter().map(identify).collect::<Result<_, ReportError>>()?;
    let [first, second] = pair.map(|certificate| signed(certificate, seats));
    let (first, second, accused) = (first?, second?, seats.bits(accused)?);
    let held = held.map_or_else(Entry::default, |HistoryEntry { digest, path }| Entry {
        digest: B256::from(*digest.as_bytes()),
        path: path.iter().map(|digest| B256::from(*digest.as_bytes())).collect(),
    });
    let call = reportAttestationsCall { first, second, held, accused };
    // Not the signatures: of a sum anyone can make another.
    Ok(Contradiction { call: encode(&call), offences, evidence: first_half(&digests) })
}

/// Shares of another block than that of the commitment of their height, which `path` proves to be in the posting of the
/// height `under`.
///
/// # Errors
///
/// [`ReportError::Stranger`].
pub fn premature_share(
    shares: &SharesOf<'_>,
    settled: &BlockCommitment,
    (under, path): (Height, &[Digest]),
    seats: &Seats,
) -> Result<Contradiction, ReportError> {
    let (signed, at) = shares.on_l1(seats)?;
    let offences = vec![identity(seats.number(shares.validator)?, PREMATURE_SHARE, &at)];
    let call = reportPrematureShareCall {
        shares: signed,
        settled: commitment(settled),
        under: under.as_u64(),
        path: path.iter().map(|digest| B256::from(*digest.as_bytes())).collect(),
    };
    let evidence = first_half(shares.signature.as_bytes());
    Ok(Contradiction { call: encode(&call), offences, evidence })
}

pub(crate) fn encode(call: &impl SolCall) -> Bytes {
    call.abi_encode().into()
}

const fn kind(evidence: &Evidence) -> u8 {
    match evidence {
        Evidence::Votes(vote, _) => match vote.kind {
            VoteKind::Prevote => DOUBLE_PREVOTE,
            VoteKind::Precommit => DOUBLE_PRECOMMIT,
        },
        Evidence::Proposals(..) => DOUBLE_PROPOSAL,
    }
}

/// The identity of an offence of a kind by the validator of that number.
#[must_use]
pub fn identity(validator: u32, kind: u8, at: &Position) -> B256 {
    offence_of(validator, (at.epoch, kind), (at.height, at.round))
}

/// `ConclaveSlasher.offenceOf`: all wrong shares of an epoch are one offence, whatever their heights.
#[must_use]
pub fn offence_of(validator: u32, (epoch, kind): (u64, u8), at: (u64, u32)) -> B256 {
    let (height, round) = if kind == WRONG_SHARE { (0, 0) } else { at };
    let words = [u64::from(validator), epoch, u64::from(kind), height, u64::from(round)];
    keccak256(words.map(U256::from).abi_encode())
}

/// The first half of the hash of what an offence is shown by, as a seal names it.
#[must_use]
pub fn first_half(evidence: &[u8]) -> U256 {
    U256::from_be_bytes(keccak256(evidence).0) >> 128
}

fn votes(
    at: Position,
    pair: [&SignedVote; 2],
    (domain, epoch): (&SigningDomain, Epoch),
) -> (Bytes, Vec<u8>) {
    let [a, _] = pair;
    let kind = a.kind.code();
    let pair = ascending(pair, |vote| vote.digest(domain, epoch));
    let signatures = pair.map(|vote| *vote.signature.as_bytes()).concat();
    let [first, second] = pair.map(|vote| {
        let block = vote.block.map_or(B256::ZERO, |block| B256::from(*block.as_bytes()));
        Voted { blockId: block, signature: signature(&vote.signature) }
    });
    (encode(&reportVotesCall { at, kind, first, second }), signatures)
}

fn proposals(
    at: Position,
    pair: [&SignedProposal; 2],
    (domain, epoch): (&SigningDomain, Epoch),
) -> (Bytes, Vec<u8>) {
    let pair = ascending(pair, |proposal: &SignedProposal| proposal.digest(domain, epoch));
    let signatures = pair.map(|proposal| *proposal.signature.as_bytes()).concat();
    let [first, second] = pair.map(|proposal| Proposed {
        blockId: B256::from(*proposal.block.as_bytes()),
        polkaRound: proposal.pol_round.map_or(u32::MAX, |round| round.as_u32()),
        signature: signature(&proposal.signature),
    });
    (encode(&reportProposalsCall { at, first, second }), signatures)
}

/// A commitment: the same layout as the inbox has, declared by another contract.
#[must_use]
pub fn commitment(commitment: &BlockCommitment) -> ConclaveSlasher::BlockCommitment {
    let ConclaveInbox::BlockCommitment {
        epoch,
        height,
        blockId,
        historyRoot,
        revealRoot,
        rollupCount,
        originNumber,
        originHash,
        forcedCursor,
        withdrawalsRoot,
        nextCommittee,
        dkgResult,
    } = posting::commitment(commitment);
    ConclaveSlasher::BlockCommitment {
        epoch,
        height,
        blockId,
        historyRoot,
        revealRoot,
        rollupCount,
        originNumber,
        originHash,
        forcedCursor,
        withdrawalsRoot,
        nextCommittee,
        dkgResult,
    }
}

fn signed(
    certificate: &SettlementCertificate,
    seats: &Seats,
) -> Result<SignedCommitment, ReportError> {
    let signature = eip2537_g2(&certificate.signature).ok_or(ReportError::NoPoint)?;
    Ok(SignedCommitment {
        commitment: commitment(&certificate.commitment),
        signers: seats.bits(&certificate.signers)?,
        signature: Bytes::copy_from_slice(&signature),
    })
}

/// The order that makes one offence one report, whoever saw what first.
fn ascending<T, K: Ord>([a, b]: [&T; 2], key: impl Fn(&T) -> K) -> [&T; 2] {
    if key(a) <= key(b) { [a, b] } else { [b, a] }
}

/// A signature of a consensus key.
#[must_use]
pub fn signature(bytes: &SignatureBytes) -> Signature {
    let (r, s) = bytes.as_bytes().split_at(32);
    Signature { r: B256::from_slice(r), s: B256::from_slice(s) }
}

#[cfg(test)]
mod tests {
    use alloy::hex;
    use conclave_types::{NetworkId, Round, SettlementKey};
    use ed25519_dalek::{Signer as _, SigningKey};
    use serde_json::{Value, json};

    use super::*;

    const EPOCH: Epoch = Epoch::new(3);
    const HEIGHT: Height = Height::new(6);
    const ROUND: Round = Round::new(1);
    /// Who contradicts itself.
    const OFFENDER: ValidatorIndex = ValidatorIndex::new(4);

    fn domain() -> SigningDomain {
        SigningDomain {
            network: NetworkId::new([0x11; 32]),
            l1_chain_id: 560_048,
            l1_contract: [0x22; 20],
        }
    }

    fn secret(index: u16) -> SigningKey {
        SigningKey::from_bytes(&[u8::try_from(index).unwrap() + 0x41; 32])
    }

    fn key(index: u16) -> ConsensusKey {
        ConsensusKey::new(secret(index).verifying_key().to_bytes())
    }

    /// The committee of `evidence-v1.json`.
    fn seats() -> Seats {
        let row = |index: u16| SettlementMember {
            consensus_key: key(index),
            validator: u32::from(index) + 1,
            power: 1,
            settlement_key: SettlementKey::new([0; 96]),
        };
        let rows: Vec<_> = (0..7).map(row).collect();
        Seats::new((0..7).map(|index| (ValidatorIndex::new(index), key(index))), &rows)
    }

    fn sign(digest: &Digest) -> SignatureBytes {
        SignatureBytes::new(secret(OFFENDER.as_u16()).sign(digest.as_bytes()).to_bytes())
    }

    fn proposal(block: u8, pol_round: Option<Round>) -> SignedProposal {
        let mut said = SignedProposal {
            height: HEIGHT,
            round: ROUND,
            block: BlockId::new([block; 32]),
            pol_round,
            proposer: OFFENDER,
            signature: SignatureBytes::new([0; 64]),
        };
        said.signature = sign(&said.digest(&domain(), EPOCH));
        said
    }

    fn vote(kind: VoteKind, block: Option<u8>) -> SignedVote {
        let mut said = SignedVote {
            kind,
            height: HEIGHT,
            round: ROUND,
            block: block.map(|block| BlockId::new([block; 32])),
            voter: OFFENDER,
            signature: SignatureBytes::new([0; 64]),
        };
        said.signature = sign(&said.digest(&domain(), EPOCH));
        said
    }

    /// Each kind of contradiction in one round: other blocks, one block again with another polka, and a vote for nil.
    fn contradictions() -> Vec<(&'static str, Evidence)> {
        let polka = Some(Round::new(0));
        let votes = |kind, other| Evidence::Votes(vote(kind, Some(1)), vote(kind, other));
        vec![
            ("two blocks proposed", Evidence::Proposals(proposal(1, None), proposal(2, None))),
            ("one with a polka", Evidence::Proposals(proposal(1, polka), proposal(2, None))),
            ("one block, two polkas", Evidence::Proposals(proposal(1, polka), proposal(1, None))),
            ("two prevotes", votes(VoteKind::Prevote, Some(2))),
            ("a precommit and nil", votes(VoteKind::Precommit, None)),
        ]
    }

    /// `contracts/test/verify/Evidence.t.sol` reports each to the slasher.
    #[test]
    fn equivocations_are_reported_by_the_pinned_calls() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/equivocations-v1.json");
        let pinned: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let case = |(about, evidence): (&str, Evidence)| {
            let told = equivocation(&evidence, &seats(), (&domain(), EPOCH)).unwrap();
            let turned = match evidence {
                Evidence::Votes(a, b) => Evidence::Votes(b, a),
                Evidence::Proposals(a, b) => Evidence::Proposals(b, a),
            };
            let again = equivocation(&turned, &seats(), (&domain(), EPOCH)).unwrap();
            assert_eq!(again.call, told.call, "{about}: one report, whoever saw what first");
            let [offence] = told.offences[..] else { panic!("{about}: one offence") };
            json!({
                "about": about,
                "call": hex::encode_prefixed(&told.call),
                "offence": hex::encode_prefixed(offence),
            })
        };
        let found = json!(contradictions().into_iter().map(case).collect::<Vec<_>>());
        assert_eq!(pinned["calls"], found, "{}", serde_json::to_string_pretty(&found).unwrap());
    }
}
