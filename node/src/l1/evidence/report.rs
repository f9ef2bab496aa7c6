//! Evidence as `ConclaveSlasher` takes it: the call that reports it, and what identifies each offence there.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    sol_types::SolValue as _,
};
use conclave_consensus::{Evidence, SignedProposal, SignedVote};
use conclave_contracts::{
    ConclaveSlasher,
    bindings::slasher::IConclaveSlasher::{
        Position, Signature, SignedCommitment, SignedProposal as Proposed, SignedShares,
        SignedVote as Voted,
    },
};
use conclave_sequencer::{DoubleAttestation, ShareMessage};
use conclave_types::{
    BlockCommitment, Committee, ConsensusKey, Digest, Epoch, Member, SettlementCertificate,
    SettlementMember, SignatureBytes, ValidatorIndex, VoteKind, digest::SigningDomain, eip2537_g2,
};

use super::{Exhibit, Offence, PrematureShare, SettledProof, WrongShare};
use crate::l1::{Call, Contracts, L1Error, relay::commitment_on_l1};

/// `Offence` in `contracts/src/interfaces/IConclaveSlasher.sol`: the number is part of an offence's identity.
const DOUBLE_PREVOTE: u8 = 1;
const DOUBLE_PRECOMMIT: u8 = 2;
const DOUBLE_PROPOSAL: u8 = 3;
const DOUBLE_ATTESTATION: u8 = 4;
pub(super) const PREMATURE_SHARE: u8 = 5;
pub(super) const WRONG_SHARE: u8 = 6;

/// A report, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// What reports it.
    pub(super) call: Call,
    /// Each offence that it shows, by its identity on L1.
    pub(super) offences: Vec<B256>,
    /// The first half of the evidence's hash, as a number.
    evidence: U256,
}

impl Report {
    /// The report of an exhibit, `rows` being the committee of its epoch as L1 lists it.
    pub(super) fn of(
        exhibit: &Exhibit,
        rows: &[SettlementMember],
        domain: &SigningDomain,
        contracts: &Contracts,
    ) -> Result<Self, L1Error> {
        let seats = Seats::new(&exhibit.committee, rows);
        let epoch = exhibit.epoch;
        match &exhibit.offence {
            Offence::Equivocation(evidence) => {
                let (height, round) = evidence.at();
                let offender = evidence.offender();
                let at = Position {
                    epoch: epoch.as_u64(),
                    member: seats.place(offender)?,
                    height: height.as_u64(),
                    round: round.as_u32(),
                };
                let kind = kind(evidence);
                let offences = vec![identity(seats.number(offender)?, kind, &at)];
                let (call, signatures) = match &**evidence {
                    Evidence::Votes(a, b) => votes(at, [a, b], (domain, epoch), contracts),
                    Evidence::Proposals(a, b) => proposals(at, [a, b], (domain, epoch), contracts),
                };
                Ok(Self { call, offences, evidence: first_half(&signatures) })
            }
            Offence::DoubleAttestation(both) => {
                attestations(both, &exhibit.offence.accused(), &seats, domain, contracts)
            }
            Offence::PrematureShare(share) => premature(share, &seats, contracts),
            Offence::WrongShare(share) => wrong(share, exhibit, &seats, contracts),
        }
    }

    /// What `reporter` announces before it reports one of the offences.
    pub(super) fn seal(&self, offence: B256, reporter: Address, salt: B256) -> B256 {
        keccak256((offence, self.evidence, reporter, salt).abi_encode())
    }
}

/// Where L1 lists each validator: by its consensus key, which no two members share.
struct Seats<'a> {
    by_key: BTreeMap<ConsensusKey, (u16, u32)>,
    committee: &'a [(ValidatorIndex, Member)],
}

impl<'a> Seats<'a> {
    fn new(committee: &'a [(ValidatorIndex, Member)], rows: &[SettlementMember]) -> Self {
        let keyed = rows.iter().zip(0_u16..);
        let by_key = keyed.map(|(row, place)| (row.consensus_key, (place, row.validator)));
        Self { by_key: by_key.collect(), committee }
    }

    fn of(&self, validator: ValidatorIndex) -> Result<(u16, u32), L1Error> {
        let member = self.committee.iter().find(|(index, _)| *index == validator);
        let found = member.and_then(|(_, member)| self.by_key.get(&member.consensus_key));
        found.copied().ok_or_else(|| L1Error::Missing {
            what: format!(
                "validator {validator}, with its keys of then, in the committee of that epoch on L1"
            ),
        })
    }

    /// Its row.
    fn place(&self, validator: ValidatorIndex) -> Result<u16, L1Error> {
        self.of(validator).map(|(place, _)| place)
    }

    /// Its number.
    fn number(&self, validator: ValidatorIndex) -> Result<u32, L1Error> {
        self.of(validator).map(|(_, number)| number)
    }

    fn bits(&self, validators: &[ValidatorIndex]) -> Result<U256, L1Error> {
        let mut bits = U256::ZERO;
        for validator in validators {
            bits.set_bit(usize::from(self.place(*validator)?), true);
        }
        Ok(bits)
    }
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

fn identity(validator: u32, kind: u8, at: &Position) -> B256 {
    offence_of(validator, (at.epoch, kind), (at.height, at.round))
}

/// `ConclaveSlasher.offenceOf`.
pub(super) fn offence_of(
    validator: u32,
    (epoch, kind): (u64, u8),
    (height, round): (u64, u32),
) -> B256 {
    let words = [u64::from(validator), epoch, u64::from(kind), height, u64::from(round)];
    keccak256(words.map(U256::from).abi_encode())
}

fn first_half(evidence: &[u8]) -> U256 {
    U256::from_be_bytes(keccak256(evidence).0) >> 128
}

fn votes(
    at: Position,
    pair: [&SignedVote; 2],
    (domain, epoch): (&SigningDomain, Epoch),
    contracts: &Contracts,
) -> (Call, Vec<u8>) {
    let [a, _] = pair;
    let kind = a.kind.code();
    let pair = ascending(pair, |vote| vote.digest(domain, epoch));
    let signatures = pair.map(|vote| *vote.signature.as_bytes()).concat();
    let [first, second] = pair.map(|vote| {
        let block = vote.block.map_or(B256::ZERO, |block| B256::from(*block.as_bytes()));
        Voted { blockId: block, signature: signature(&vote.signature) }
    });
    let call = ConclaveSlasher::reportVotesCall { at, kind, first, second };
    (Call::new(contracts.slasher, &call), signatures)
}

fn proposals(
    at: Position,
    pair: [&SignedProposal; 2],
    (domain, epoch): (&SigningDomain, Epoch),
    contracts: &Contracts,
) -> (Call, Vec<u8>) {
    let pair = ascending(pair, |proposal: &SignedProposal| proposal.digest(domain, epoch));
    let signatures = pair.map(|proposal| *proposal.signature.as_bytes()).concat();
    let [first, second] = pair.map(|proposal| Proposed {
        blockId: B256::from(*proposal.block.as_bytes()),
        polkaRound: proposal.pol_round.map_or(u32::MAX, |round| round.as_u32()),
        signature: signature(&proposal.signature),
    });
    let call = ConclaveSlasher::reportProposalsCall { at, first, second };
    (Call::new(contracts.slasher, &call), signatures)
}

fn attestations(
    evidence: &DoubleAttestation,
    accused: &[ValidatorIndex],
    seats: &Seats<'_>,
    domain: &SigningDomain,
    contracts: &Contracts,
) -> Result<Report, L1Error> {
    let digest = |certificate: &SettlementCertificate| domain.commitment(&certificate.commitment);
    let pair = ascending([&evidence.first, &evidence.second], digest);
    let digests = pair.map(|certificate| *digest(certificate).as_bytes()).concat();
    let commitment = &evidence.first.commitment;
    let at = Position {
        epoch: commitment.epoch.as_u64(),
        member: 0,
        height: commitment.height.as_u64(),
        round: 0,
    };
    let identify = |validator: &ValidatorIndex| {
        Ok(identity(seats.number(*validator)?, DOUBLE_ATTESTATION, &at))
    };
    let offences = accused.iter().map(identify).collect::<Result<_, L1Error>>()?;
    let [first, second] = pair.map(|certificate| signed(certificate, seats));
    let (first, second, accused) = (first?, second?, seats.bits(accused)?);
    let call = ConclaveSlasher::reportAttestationsCall { first, second, accused };
    let call = Call::new(contracts.slasher, &call);
    // Not the signatures: of a sum anyone can make another.
    Ok(Report { call, offences, evidence: first_half(&digests) })
}

fn premature(
    share: &PrematureShare,
    seats: &Seats<'_>,
    contracts: &Contracts,
) -> Result<Report, L1Error> {
    let ShareMessage { height, validator, signature: by, .. } = &share.shares;
    let Some(SettledProof { under, path }) = &share.settled else {
        let what = format!(
            "a proof that height {height} has settled: a validator that keeps this evidence reports it with one"
        );
        return Err(L1Error::Missing { what });
    };
    let (shares, at) = signed_shares(&share.shares, seats)?;
    let call = ConclaveSlasher::reportPrematureShareCall {
        shares,
        settled: commitment(&share.commitment)?,
        under: under.as_u64(),
        path: path.iter().map(|digest| B256::from(*digest.as_bytes())).collect(),
    };
    let offences = vec![identity(seats.number(*validator)?, PREMATURE_SHARE, &at)];
    let evidence = first_half(by.as_bytes());
    Ok(Report { call: Call::new(contracts.slasher, &call), offences, evidence })
}

fn wrong(
    share: &WrongShare,
    exhibit: &Exhibit,
    seats: &Seats<'_>,
    contracts: &Contracts,
) -> Result<Report, L1Error> {
    let ShareMessage { validator, signature: by, .. } = &share.shares;
    let nothing = || L1Error::Evidence("a wrong share that is of no member's point".to_owned());
    let committee = Committee::seated(exhibit.committee.clone());
    let committee = committee.map_err(|error| L1Error::Evidence(error.to_string()))?;
    let claim = share.claim(&committee).ok_or_else(nothing)?;
    let (shares, at) = signed_shares(&share.shares, seats)?;
    let call = ConclaveSlasher::reportWrongShareCall { shares, claim };
    let offences = vec![identity(seats.number(*validator)?, WRONG_SHARE, &at)];
    let evidence = first_half(by.as_bytes());
    Ok(Report { call: Call::new(contracts.slasher, &call), offences, evidence })
}

/// A share message as L1 takes it, and where it was signed.
fn signed_shares(
    message: &ShareMessage,
    seats: &Seats<'_>,
) -> Result<(SignedShares, Position), L1Error> {
    let ShareMessage { epoch, height, block, validator, shares, signature: by } = message;
    let (epoch, height) = (epoch.as_u64(), height.as_u64());
    let member = seats.place(*validator)?;
    let signed = SignedShares {
        epoch,
        member,
        height,
        blockId: B256::from(*block.as_bytes()),
        root: B256::from(*ShareMessage::root(shares).as_bytes()),
        signature: signature(by),
    };
    Ok((signed, Position { epoch, member, height, round: 0 }))
}

/// The same layout as the inbox has, declared by another contract.
fn commitment(commitment: &BlockCommitment) -> Result<ConclaveSlasher::BlockCommitment, L1Error> {
    let encoded = commitment_on_l1(commitment).abi_encode();
    ConclaveSlasher::BlockCommitment::abi_decode(&encoded)
        .map_err(|error| L1Error::Evidence(error.to_string()))
}

fn signed(
    certificate: &SettlementCertificate,
    seats: &Seats<'_>,
) -> Result<SignedCommitment, L1Error> {
    let signature = eip2537_g2(&certificate.signature)
        .ok_or_else(|| L1Error::Evidence("a signature that is no point".to_owned()))?;
    Ok(SignedCommitment {
        commitment: commitment(&certificate.commitment)?,
        signers: seats.bits(&certificate.signers)?,
        signature: Bytes::copy_from_slice(&signature),
    })
}

/// The order that makes one offence one report, whoever saw what first.
fn ascending<T>([a, b]: [&T; 2], digest: impl Fn(&T) -> Digest) -> [&T; 2] {
    if digest(a) <= digest(b) { [a, b] } else { [b, a] }
}

pub(super) fn signature(bytes: &SignatureBytes) -> Signature {
    let (r, s) = bytes.as_bytes().split_at(32);
    Signature { r: B256::from_slice(r), s: B256::from_slice(s) }
}
