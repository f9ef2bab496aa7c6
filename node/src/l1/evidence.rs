//! Evidence as one takes it to L1, in the words of `ConclaveSlasher`.
//!
//! A node keeps what it saw. What leaves the node names the epoch and its committee besides, so that whoever gets it
//! can check it by the genesis alone; L1 believes neither, and checks it by the committee that it had in office.

use std::collections::BTreeMap;

use alloy::{
    primitives::{B256, Bytes, U256},
    sol_types::SolValue as _,
};
use borsh::{BorshDeserialize, BorshSerialize};
use conclave_consensus::{Evidence, SignedProposal, SignedVote};
use conclave_contracts::{
    ConclaveSlasher,
    bindings::slasher::IConclaveSlasher::{
        Position, Signature, SignedCommitment, SignedProposal as Proposed, SignedVote as Voted,
    },
};
use conclave_sequencer::DoubleAttestation;
use conclave_types::{
    Committee, ConsensusKey, Digest, Epoch, Genesis, Height, Member, SettlementCertificate,
    SettlementMember, SignatureBytes, ValidatorIndex, digest::SigningDomain, eip2537_signature,
};

use super::{Call, Contracts, L1Error, Sender, Sent, election, relay::commitment_on_l1};

/// What validators did.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Offence {
    /// One signed two votes or two proposals.
    Equivocation(Box<Evidence>),
    /// Some attested two commitments.
    DoubleAttestation(Box<DoubleAttestation>),
}

/// Evidence outside of a node.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Exhibit {
    /// The epoch in which it was done.
    pub epoch: Epoch,
    /// Its committee.
    pub committee: Vec<(ValidatorIndex, Member)>,
    /// What was done.
    pub offence: Offence,
}

/// A report of what a validator did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The offence's identity on L1.
    pub offence: B256,
    /// The validator's number on L1.
    pub validator: u32,
    /// What was seized, in gwei.
    pub seized_gwei: u64,
}

impl Offence {
    /// The height of what was signed.
    #[must_use]
    pub const fn height(&self) -> Height {
        match self {
            Self::Equivocation(evidence) => evidence.at().0,
            Self::DoubleAttestation(evidence) => evidence.first.commitment.height,
        }
    }

    /// Whom it convicts, if it convicts anybody.
    #[must_use]
    pub fn accused(&self) -> Vec<ValidatorIndex> {
        match self {
            Self::Equivocation(evidence) => vec![evidence.offender()],
            Self::DoubleAttestation(both) => {
                let DoubleAttestation { first, second } = &**both;
                let both = first.signers.iter().filter(|signer| second.signers.contains(signer));
                both.copied().collect()
            }
        }
    }

    /// Whether the signatures convict whoever is accused.
    #[must_use]
    pub fn convicts(&self, committee: &Committee, domain: &SigningDomain, epoch: Epoch) -> bool {
        match self {
            Self::Equivocation(evidence) => evidence.verify(committee, domain, epoch),
            Self::DoubleAttestation(both) => {
                let DoubleAttestation { first, second } = &**both;
                let (a, b) = (&first.commitment, &second.commitment);
                let contradict = (a.epoch, a.height) == (b.epoch, b.height) && a != b;
                let signed = |certificate: &SettlementCertificate| {
                    certificate.commitment.epoch == epoch
                        && certificate.verify_signature(committee, domain).is_ok()
                };
                contradict && !self.accused().is_empty() && signed(first) && signed(second)
            }
        }
    }
}

/// Reads evidence and checks it as a node of the network of `genesis` would: what this refuses L1 refuses too.
///
/// # Errors
///
/// If it is none, or convicts nobody there.
pub fn read(bytes: &[u8], genesis: &Genesis) -> Result<Exhibit, L1Error> {
    let exhibit: Exhibit = borsh::from_slice(bytes).map_err(|error| {
        L1Error::Evidence(format!(
            "this is no evidence as `conclave evidence export` writes it ({error})"
        ))
    })?;
    let committee = Committee::seated(exhibit.committee.clone())
        .map_err(|error| L1Error::Evidence(error.to_string()))?;
    let domain = SigningDomain::of(genesis);
    if exhibit.offence.convicts(&committee, &domain, exhibit.epoch) {
        return Ok(exhibit);
    }
    let accused: Vec<_> = exhibit.offence.accused().iter().map(ToString::to_string).collect();
    Err(L1Error::Evidence(format!(
        "this does not convict validator {} of network {}; check that the genesis is that of the evidence",
        accused.join(", "),
        domain.network
    )))
}

/// Posts evidence; anyone may. What the offender has at stake is seized at once.
///
/// # Errors
///
/// If the contract refuses it.
pub async fn submit(
    sender: &Sender,
    contracts: &Contracts,
    exhibit: &Exhibit,
    genesis: &Genesis,
) -> Result<(Vec<Report>, Sent), L1Error> {
    let domain = &SigningDomain::of(genesis);
    let rows = election::serving(sender.endpoints(), contracts, exhibit.epoch).await?;
    let places = places(&exhibit.committee, &rows);
    let epoch = exhibit.epoch;
    let call = match &exhibit.offence {
        Offence::Equivocation(evidence) => {
            let (height, round) = evidence.at();
            let at = Position {
                epoch: epoch.as_u64(),
                member: place(&places, evidence.offender())?,
                height: height.as_u64(),
                round: round.as_u32(),
            };
            match &**evidence {
                Evidence::Votes(a, b) => votes(at, [a, b], (domain, epoch), contracts),
                Evidence::Proposals(a, b) => proposals(at, [a, b], (domain, epoch), contracts),
            }
        }
        Offence::DoubleAttestation(evidence) => {
            attestations(evidence, &exhibit.offence.accused(), &places, domain, contracts)?
        }
    };
    let sent = sender.send(call).await?;
    let told = sent.events::<ConclaveSlasher::Convicted>();
    let report = |told: ConclaveSlasher::Convicted| Report {
        offence: told.offence,
        validator: told.validator,
        seized_gwei: u64::try_from(told.seized).unwrap_or(u64::MAX),
    };
    Ok((told.into_iter().map(report).collect(), sent))
}

/// Where L1 lists each validator: by its consensus key, which no two members share.
fn places(
    committee: &[(ValidatorIndex, Member)],
    rows: &[SettlementMember],
) -> BTreeMap<ValidatorIndex, u16> {
    let by_key: BTreeMap<ConsensusKey, u16> =
        rows.iter().map(|row| row.consensus_key).zip(0_u16..).collect();
    let place = |(index, member): &(ValidatorIndex, Member)| {
        Some((*index, *by_key.get(&member.consensus_key)?))
    };
    committee.iter().filter_map(place).collect()
}

fn place(places: &BTreeMap<ValidatorIndex, u16>, of: ValidatorIndex) -> Result<u16, L1Error> {
    places.get(&of).copied().ok_or_else(|| L1Error::Missing {
        what: format!(
            "validator {of}, with its keys of then, in the committee of that epoch on L1"
        ),
    })
}

fn votes(
    at: Position,
    pair: [&SignedVote; 2],
    (domain, epoch): (&SigningDomain, Epoch),
    contracts: &Contracts,
) -> Call {
    let [a, _] = pair;
    let kind = a.kind.code();
    let [first, second] = ascending(pair, |vote| vote.digest(domain, epoch)).map(|vote| {
        let block = vote.block.map_or(B256::ZERO, |block| B256::from(*block.as_bytes()));
        Voted { blockId: block, signature: signature(&vote.signature) }
    });
    Call::new(contracts.slasher, &ConclaveSlasher::reportVotesCall { at, kind, first, second })
}

fn proposals(
    at: Position,
    pair: [&SignedProposal; 2],
    (domain, epoch): (&SigningDomain, Epoch),
    contracts: &Contracts,
) -> Call {
    let digest = |proposal: &SignedProposal| proposal.digest(domain, epoch);
    let [first, second] = ascending(pair, digest).map(|proposal| Proposed {
        blockId: B256::from(*proposal.block.as_bytes()),
        polkaRound: proposal.pol_round.map_or(u32::MAX, |round| round.as_u32()),
        signature: signature(&proposal.signature),
    });
    Call::new(contracts.slasher, &ConclaveSlasher::reportProposalsCall { at, first, second })
}

fn attestations(
    evidence: &DoubleAttestation,
    accused: &[ValidatorIndex],
    places: &BTreeMap<ValidatorIndex, u16>,
    domain: &SigningDomain,
    contracts: &Contracts,
) -> Result<Call, L1Error> {
    let digest = |certificate: &SettlementCertificate| domain.commitment(&certificate.commitment);
    let pair = ascending([&evidence.first, &evidence.second], digest);
    let [first, second] = pair.map(|certificate| signed(certificate, places));
    let (first, second, accused) = (first?, second?, bits(accused, places)?);
    let call = ConclaveSlasher::reportAttestationsCall { first, second, accused };
    Ok(Call::new(contracts.slasher, &call))
}

fn signed(
    certificate: &SettlementCertificate,
    places: &BTreeMap<ValidatorIndex, u16>,
) -> Result<SignedCommitment, L1Error> {
    let signature = eip2537_signature(&certificate.signature)
        .ok_or_else(|| L1Error::Evidence("a signature that is no point".to_owned()))?;
    // The same layout, declared by another contract.
    let commitment = commitment_on_l1(&certificate.commitment).abi_encode();
    let commitment = ConclaveSlasher::BlockCommitment::abi_decode(&commitment)
        .map_err(|error| L1Error::Evidence(error.to_string()))?;
    Ok(SignedCommitment {
        commitment,
        signers: bits(&certificate.signers, places)?,
        signature: Bytes::copy_from_slice(&signature),
    })
}

fn bits(
    validators: &[ValidatorIndex],
    places: &BTreeMap<ValidatorIndex, u16>,
) -> Result<U256, L1Error> {
    let mut bits = U256::ZERO;
    for validator in validators {
        bits.set_bit(usize::from(place(places, *validator)?), true);
    }
    Ok(bits)
}

/// The order that makes one offence one report, whoever saw what first.
fn ascending<T>([a, b]: [&T; 2], digest: impl Fn(&T) -> Digest) -> [&T; 2] {
    if digest(a) <= digest(b) { [a, b] } else { [b, a] }
}

fn signature(bytes: &SignatureBytes) -> Signature {
    let (r, s) = bytes.as_bytes().split_at(32);
    Signature { r: B256::from_slice(r), s: B256::from_slice(s) }
}
