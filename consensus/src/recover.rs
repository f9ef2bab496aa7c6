//! From what is on disk and in the configuration to an engine that can start.

use std::sync::Arc;

use borsh::BorshDeserialize as _;
use conclave_types::{
    Certificate, Height, ValidatorIndex, Verifier, VoteKind, digest::SigningDomain,
};
use malachitebft_core_consensus::{Params, State};
use malachitebft_core_types::{ThresholdParams, ValuePayload};

use crate::{
    archive,
    context::{Address, Bft, CoreHeight, ValidatorSet},
    interface::ConfigError,
    message::SignedVote,
    record::{Recovered, SignedRecord},
    terms::Seats,
    wal::Logged,
};

/// Early messages are kept in the archive, so the core's own queue stays empty; it must have a size.
const CORE_QUEUE_HEIGHTS: usize = 1;
const CORE_QUEUE_INPUTS: usize = 1;

/// Malachite's state machine before a height, the first of a committee.
pub(crate) fn new_core(
    height: Height,
    set: &ValidatorSet,
    own: Option<ValidatorIndex>,
) -> State<Bft> {
    let params = Params {
        address: own.map_or(Address::FOLLOWER, Address),
        threshold_params: ThresholdParams::default(),
        value_payload: ValuePayload::ProposalAndParts,
        enabled: own.is_some(),
    };
    let set = set.clone();
    State::new(Bft, CoreHeight(height), set, params, CORE_QUEUE_HEIGHTS, CORE_QUEUE_INPUTS)
}

/// Decodes and checks the log of the height after the tip; logs of other heights are left over.
pub(crate) fn read_log(
    recovered: &Recovered,
    seats: &Seats,
    domain: &SigningDomain,
    verifier: &dyn Verifier,
) -> Result<Vec<Logged>, ConfigError> {
    let height = recovered.decided.next();
    let Seats { epoch, committee, .. } = seats;
    let epoch = *epoch;
    let entries = recovered.wal.iter().filter(|entry| entry.height == height);
    let read = (0_u64..).zip(entries).map(|(index, entry)| {
        let damaged = ConfigError::DamagedLog { height, index };
        let Ok(logged) = Logged::try_from_slice(&entry.bytes) else { return Err(damaged) };
        let genuine = as_signed(&logged).is_none_or(|record| {
            let (digest, signature) = match &record {
                SignedRecord::Vote(vote) => (vote.digest(domain, epoch), vote.signature),
                SignedRecord::Proposal(proposal) => {
                    (proposal.digest(domain, epoch), proposal.signature)
                }
            };
            committee
                .key(archive::author(&record))
                .is_some_and(|key| verifier.is_signed(key, &digest, &signature))
        });
        if entry.index == index && genuine { Ok(logged) } else { Err(damaged) }
    });
    read.collect()
}

/// The signed message that an entry holds, if it holds one.
pub(crate) fn as_signed(logged: &Logged) -> Option<SignedRecord> {
    match logged {
        Logged::Vote(vote) => Some(SignedRecord::Vote(Arc::new(vote.clone()))),
        Logged::Proposal(proposal) => Some(SignedRecord::Proposal(Arc::new(proposal.clone()))),
        Logged::Polka(_) | Logged::Waited(..) | Logged::Value { .. } => None,
    }
}

/// The votes that a decision's certificate is made of.
pub(crate) fn precommits(certificate: &Certificate) -> impl Iterator<Item = SignedRecord> {
    certificate.signatures.iter().map(|(voter, signature)| {
        SignedRecord::Vote(Arc::new(SignedVote {
            kind: VoteKind::Precommit,
            height: certificate.height,
            round: certificate.round,
            block: Some(certificate.block),
            voter: *voter,
            signature: *signature,
        }))
    })
}
