//! The bytes of write-ahead log entries: the inputs that move Malachite's state machine.

use borsh::{BorshDeserialize, BorshSerialize};
use conclave_types::{BlockId, Height, Round, ValidatorIndex};
use malachitebft_core_consensus::{Input, ProposedValue};
use malachitebft_core_types::{self as mc, Timeout, TimeoutKind, Validity, ValueOrigin};

use crate::{
    context::{Address, Bft, CoreHeight, Value},
    convert::{
        polka_from_core, polka_to_core, proposal_from_core, proposal_to_core, round_from_core,
        round_to_core, vote_from_core, vote_to_core,
    },
    message::{PolkaCertificate, SignedProposal, SignedVote},
};

/// A vote with what tells it from other entries.
const VOTE_BYTES: usize = 128;

/// Which wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub(crate) enum Wait {
    /// For a proposal.
    Propose,
    /// For more prevotes.
    Prevote,
    /// For more precommits.
    Precommit,
    /// Until the last votes are sent again.
    Rebroadcast,
}

impl Wait {
    /// The wait that Malachite means; none for its finalization window, which is never used.
    pub(crate) const fn from_core(kind: TimeoutKind) -> Option<Self> {
        match kind {
            TimeoutKind::Propose => Some(Self::Propose),
            TimeoutKind::Prevote => Some(Self::Prevote),
            TimeoutKind::Precommit => Some(Self::Precommit),
            TimeoutKind::Rebroadcast => Some(Self::Rebroadcast),
            TimeoutKind::FinalizeHeight(_) => None,
        }
    }

    pub(crate) const fn to_core(self, round: Round) -> Timeout {
        let kind = match self {
            Self::Propose => TimeoutKind::Propose,
            Self::Prevote => TimeoutKind::Prevote,
            Self::Precommit => TimeoutKind::Precommit,
            Self::Rebroadcast => TimeoutKind::Rebroadcast,
        };
        Timeout::new(round_to_core(round), kind)
    }
}

/// An input worth keeping.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Logged {
    /// A vote, ours or another's.
    Vote(SignedVote),
    /// A proposal, ours or another's.
    Proposal(SignedProposal),
    /// A polka that arrived as a certificate.
    Polka(PolkaCertificate),
    /// A wait that ended.
    Waited(Wait, Round),
    /// A block that is held and was judged.
    Value {
        /// The height.
        height: Height,
        /// The round.
        round: Round,
        /// Who proposed it.
        proposer: ValidatorIndex,
        /// The block.
        block: BlockId,
        /// The verdict.
        valid: bool,
    },
}

impl Logged {
    /// What is kept of `input`; none for inputs that Malachite does not log.
    pub(crate) fn from_core(input: &Input<Bft>) -> Option<Self> {
        match input {
            Input::Vote(vote) => Some(Self::Vote(vote_from_core(&vote.message, vote.signature))),
            Input::Proposal(proposal) => {
                Some(Self::Proposal(proposal_from_core(&proposal.message, proposal.signature)))
            }
            Input::PolkaCertificate(certificate) => Some(Self::Polka(polka_from_core(certificate))),
            Input::TimeoutElapsed(timeout) => {
                let round = round_from_core(timeout.round);
                Wait::from_core(timeout.kind).map(|wait| Self::Waited(wait, round))
            }
            Input::ProposedValue(value, _) => Some(Self::Value {
                height: value.height.0,
                round: round_from_core(value.round),
                proposer: value.proposer.0,
                block: value.value.0,
                valid: value.validity.is_valid(),
            }),
            Input::StartHeight(..)
            | Input::RoundCertificate(_)
            | Input::Propose(_)
            | Input::SyncValueResponse(_) => None,
        }
    }

    /// The bytes of an entry; none if they cannot be encoded.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        // Nearly all are votes, one for each that is counted, and a buffer that is to grow is ten times theirs.
        let mut bytes = Vec::with_capacity(VOTE_BYTES);
        self.serialize(&mut bytes).is_ok().then_some(bytes)
    }

    pub(crate) fn to_core(&self) -> Input<Bft> {
        match self {
            Self::Vote(vote) => Input::Vote(vote_to_core(vote)),
            Self::Proposal(proposal) => Input::Proposal(proposal_to_core(proposal)),
            Self::Polka(certificate) => Input::PolkaCertificate(polka_to_core(certificate)),
            Self::Waited(wait, round) => Input::TimeoutElapsed(wait.to_core(*round)),
            Self::Value { height, round, proposer, block, valid } => {
                value_input(*height, *round, *proposer, *block, *valid)
            }
        }
    }
}

/// A judged block as Malachite's input.
pub(crate) fn value_input(
    height: Height,
    round: Round,
    proposer: ValidatorIndex,
    block: BlockId,
    valid: bool,
) -> Input<Bft> {
    let value = ProposedValue {
        height: CoreHeight(height),
        round: round_to_core(round),
        valid_round: mc::Round::Nil,
        proposer: Address(proposer),
        value: Value(block),
        validity: Validity::from_bool(valid),
    };
    Input::ProposedValue(value, ValueOrigin::Consensus)
}
