//! Our types as Malachite sees them.
//!
//! The consensus value is the block id alone; blocks travel beside consensus (`ProposalAndParts`). A
//! validator's address is its index. Signatures cover [`SigningDomain`]'s digests, so they do not
//! depend on anything in here.
//!
//! [`SigningDomain`]: conclave_types::digest::SigningDomain

use std::{fmt, sync::Arc};

use conclave_types::{
    BlockId, Committee, ConsensusKey, Height, Member, SignatureBytes, ValidatorIndex,
    digest::Hasher,
};
use malachitebft_core_types as mc;

/// A validator's index where Malachite wants an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) ValidatorIndex);

impl Address {
    /// The address of a node that is no member: no validator ever gets this index.
    pub(crate) const FOLLOWER: Self = Self(ValidatorIndex::new(u16::MAX));
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl mc::Address for Address {}

/// A height where Malachite wants its own trait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CoreHeight(pub(crate) Height);

impl fmt::Display for CoreHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl mc::Height for CoreHeight {
    const ZERO: Self = Self(Height::ZERO);
    const INITIAL: Self = Self(Height::new(1));

    fn increment_by(&self, n: u64) -> Self {
        Self(Height::new(self.0.as_u64().saturating_add(n)))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.as_u64().checked_sub(n).map(|number| Self(Height::new(number)))
    }

    fn as_u64(&self) -> u64 {
        self.0.as_u64()
    }
}

/// The value that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value(pub(crate) BlockId);

impl mc::Value for Value {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.0
    }
}

/// A vote without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) kind: mc::VoteType,
    pub(crate) height: CoreHeight,
    pub(crate) round: mc::Round,
    pub(crate) value: mc::NilOrVal<BlockId>,
    pub(crate) voter: Address,
}

impl mc::Vote<Bft> for Vote {
    fn height(&self) -> CoreHeight {
        self.height
    }

    fn round(&self) -> mc::Round {
        self.round
    }

    fn value(&self) -> &mc::NilOrVal<BlockId> {
        &self.value
    }

    fn take_value(self) -> mc::NilOrVal<BlockId> {
        self.value
    }

    fn vote_type(&self) -> mc::VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.voter
    }

    // Vote extensions are disabled for every height, so there is never one to carry.
    fn extension(&self) -> Option<&mc::SignedExtension<Bft>> {
        None
    }

    fn take_extension(&mut self) -> Option<mc::SignedExtension<Bft>> {
        None
    }

    fn extend(self, _: mc::SignedExtension<Bft>) -> Self {
        self
    }
}

/// A proposal without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) height: CoreHeight,
    pub(crate) round: mc::Round,
    pub(crate) value: Value,
    pub(crate) pol_round: mc::Round,
    pub(crate) proposer: Address,
}

impl mc::Proposal<Bft> for Proposal {
    fn height(&self) -> CoreHeight {
        self.height
    }

    fn round(&self) -> mc::Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> mc::Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// Blocks do not travel through consensus, so there is no part to construct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoPart {}

impl mc::ProposalPart<Bft> for NoPart {
    fn is_first(&self) -> bool {
        match *self {}
    }

    fn is_last(&self) -> bool {
        match *self {}
    }
}

/// A committee member. Its key is parsed in the [`Committee`]; the core only hands it about, and copies it for every
/// vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validator {
    address: Address,
    key: ConsensusKey,
    power: u64,
}

impl mc::Validator<Bft> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &ConsensusKey {
        &self.key
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

/// The committee of a height, in index order. Malachite clones it often, so the members are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValidatorSet {
    validators: Arc<Vec<Validator>>,
    total_power: u64,
    /// Whether every member has the same power: then proposers simply take turns.
    equal: bool,
}

impl ValidatorSet {
    /// The members of `committee`.
    pub(crate) fn new(committee: &Committee) -> Self {
        let validator = |(index, member): (ValidatorIndex, &Member)| Validator {
            address: Address(index),
            key: member.consensus_key,
            power: member.power,
        };
        let validators: Vec<_> = committee.iter().map(validator).collect();
        let first = validators.first().map(|validator| validator.power);
        let equal = validators.iter().all(|validator| Some(validator.power) == first);
        Self { validators: Arc::new(validators), total_power: committee.total_power(), equal }
    }

    fn get(&self, index: ValidatorIndex) -> Option<&Validator> {
        // Before anybody has left, a member's place is its index.
        let first = self.validators.get(index.as_usize());
        first.filter(|validator| validator.address.0 == index).or_else(|| {
            let place = self.validators.binary_search_by_key(&index, |member| member.address.0);
            self.validators.get(place.ok()?)
        })
    }

    /// The voting power of a member; zero for a stranger.
    pub(crate) fn power(&self, index: ValidatorIndex) -> u64 {
        self.get(index).map_or(0, |validator| validator.power)
    }

    /// Who proposes. With equal powers members take turns, so that a silent one costs one round. With
    /// unequal powers each position is drawn by power from a public hash: fair over time, and nothing
    /// in it can be ground, since it depends on the position alone.
    pub(crate) fn proposer(&self, height: Height, round: u32) -> &Validator {
        let chosen = if self.equal {
            let turn = u128::from(height.as_u64()) + u128::from(round);
            let place = turn % (self.validators.len() as u128);
            usize::try_from(place).ok().and_then(|place| self.validators.get(place))
        } else {
            self.drawn(height, round)
        };
        #[expect(
            clippy::expect_used,
            reason = "a committee has members and the draw is below their sum"
        )]
        chosen.expect("the place is below the number of members")
    }

    fn drawn(&self, height: Height, round: u32) -> Option<&Validator> {
        let digest = Hasher::new("conclave/proposer/v1").u64(height.as_u64()).u32(round).finish();
        let (head, _) = digest.as_bytes().split_first_chunk::<16>()?;
        let mut left = u128::from_be_bytes(*head) % u128::from(self.total_power);
        self.validators.iter().find(|validator| {
            let power = u128::from(validator.power);
            let found = left < power;
            left = left.saturating_sub(power);
            found
        })
    }
}

impl mc::ValidatorSet<Bft> for ValidatorSet {
    fn count(&self) -> usize {
        self.validators.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.total_power
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        self.get(address.0)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.validators.get(index)
    }
}

/// ed25519, as the names Malachite needs. Signing and verifying happen in the effect handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ed25519Strict;

impl mc::SigningScheme for Ed25519Strict {
    type DecodingError = &'static str;
    type Signature = SignatureBytes;
    type PublicKey = ConsensusKey;
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<SignatureBytes, &'static str> {
        let bytes = bytes.first_chunk::<64>().filter(|_| bytes.len() == 64);
        bytes.map(|bytes| SignatureBytes::new(*bytes)).ok_or("a signature has 64 bytes")
    }

    fn encode_signature(signature: &SignatureBytes) -> Vec<u8> {
        signature.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<ConsensusKey, &'static str> {
        let bytes = bytes.first_chunk::<32>().filter(|_| bytes.len() == 32);
        bytes.map(|bytes| ConsensusKey::new(*bytes)).ok_or("a key has 32 bytes")
    }

    fn encode_public_key(key: &ConsensusKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

/// The context: all the types above under one name.
#[derive(Clone, Debug)]
pub(crate) struct Bft;

impl mc::Context for Bft {
    type Address = Address;
    type Height = CoreHeight;
    type ProposalPart = NoPart;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = mc::LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519Strict;

    fn select_proposer<'a>(
        &self,
        set: &'a ValidatorSet,
        height: CoreHeight,
        round: mc::Round,
    ) -> &'a Validator {
        set.proposer(height.0, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(
        &self,
        height: CoreHeight,
        round: mc::Round,
        value: Value,
        pol_round: mc::Round,
        proposer: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, proposer }
    }

    fn new_prevote(
        &self,
        height: CoreHeight,
        round: mc::Round,
        value: mc::NilOrVal<BlockId>,
        voter: Address,
    ) -> Vote {
        Vote { kind: mc::VoteType::Prevote, height, round, value, voter }
    }

    fn new_precommit(
        &self,
        height: CoreHeight,
        round: mc::Round,
        value: mc::NilOrVal<BlockId>,
        voter: Address,
    ) -> Vote {
        Vote { kind: mc::VoteType::Precommit, height, round, value, voter }
    }
}
