//! What the tests of this crate share: a network of one, a store in memory, a payer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use conclave_consensus::{
    ConsensusMessage, HighWater, SignedProposal, SignedVote, SigningPosition, Step,
};
use conclave_encryption::{Packing, PublicKey, SealedBlock, SecretShare, Suite, rehearse, seal};
use conclave_types::{
    Block, BlockBody, BlockHeader, BlockId, BundleHeader, BundleNonce, ConsensusKey, Digest,
    EncryptedBundle, Epoch, Era, Genesis, GenesisAccount, Gwei, Height, KeyId, L1Origin, Leg,
    Member, NetworkId, Params, PayerAddress, PayerSignature, RollupId, RollupRegistration, Round,
    SettlementSecret, SharingMessage, SignatureBytes, Time, ValidatorIndex, VoteKind,
    digest::SigningDomain, digest::keccak,
};
use ed25519_dalek::{Signer as _, SigningKey};
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng as _;
use secp256k1::{Message as PayerMessage, PublicKey as PayerKey, Secp256k1, SecretKey};

use crate::{
    Config, Effects, Entry, Event, Identity, Input, Job, JobNumber, Message, PartialOpening, Peer,
    Ready, ReceiptBody, Rejection, SecretBytes, SecretName, Sequencer, ShareMessage, Store, Table,
    Write,
};

/// When the tests' networks begin.
pub(crate) const BEGIN: Time = Time::from_micros(1_800_000_000_000_000);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the disk is full")]
pub(crate) struct Full;

/// A store in memory that can be made to fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(crate) high_water: Option<HighWater>,
    pub(crate) secrets: BTreeMap<SecretName, SecretBytes>,
    pub(crate) is_full: bool,
}

impl Memory {
    /// The store of a validator that has never signed.
    pub(crate) fn new() -> Self {
        let at = SigningPosition { height: Height::ZERO, round: Round::ZERO, step: Step::Propose };
        let mark = HighWater { at, wal_entries: 0, attested: None };
        Self { high_water: Some(mark), ..Self::default() }
    }
}

impl Store for Memory {
    type Error = Full;

    fn commit(&mut self, writes: &[Write]) -> Result<(), Full> {
        if self.is_full {
            return Err(Full);
        }
        for write in writes {
            match write {
                Write::Put { table, key, value } => {
                    self.tables.entry(*table).or_default().insert(key.clone(), value.clone());
                }
                Write::Delete { table, key } => {
                    self.tables.entry(*table).or_default().remove(key);
                }
                Write::DeleteRange { table, from, to } => {
                    self.tables.entry(*table).or_default().retain(|key, _| key < from || key >= to);
                }
                Write::HighWater(mark) => self.high_water = Some(*mark),
                Write::PutSecret { name, value } => {
                    self.secrets.insert(*name, value.clone());
                }
                Write::EraseSecret { name } => {
                    self.secrets.remove(name);
                }
            }
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Full> {
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, Full> {
        let Some(rows) = self.tables.get(&table) else { return Ok(vec![]) };
        let range = rows.range(from.to_vec()..).take_while(|(key, _)| key.as_slice() < to);
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn high_water(&self) -> Result<Option<HighWater>, Full> {
        Ok(self.high_water)
    }

    fn secrets(&self) -> Result<Vec<(SecretName, SecretBytes)>, Full> {
        Ok(self.secrets.iter().map(|(name, value)| (*name, value.clone())).collect())
    }
}

/// A payer with a key.
pub(crate) struct Payer(SecretKey);

impl Payer {
    pub(crate) fn new(number: u8) -> Self {
        Self(SecretKey::from_byte_array(&[number.max(1); 32]).unwrap())
    }

    pub(crate) fn address(&self) -> PayerAddress {
        let key = PayerKey::from_secret_key(&Secp256k1::new(), &self.0).serialize_uncompressed();
        PayerAddress::from_slice(&keccak(&key[1..]).as_bytes()[12..]).unwrap()
    }

    pub(crate) fn sign(&self, bundle: &mut EncryptedBundle) {
        let digest = PayerMessage::from_digest(*bundle.signing_digest().as_bytes());
        let signature = Secp256k1::new().sign_ecdsa_recoverable(&digest, &self.0);
        let (recovery, compact) = signature.serialize_compact();
        let v = 27 + u8::try_from(i32::from(recovery)).unwrap();
        let bytes: Vec<u8> = compact.into_iter().chain([v]).collect();
        bundle.signature = PayerSignature::new(bytes.try_into().unwrap());
    }
}

/// A network of one validator, driven until something has happened.
pub(crate) struct Solo {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) key: PublicKey,
    pub(crate) identity: Identity,
    pub(crate) store: Memory,
    pub(crate) core: Sequencer,
    pub(crate) now: Time,
    pub(crate) events: Vec<Event>,
    pub(crate) answers: Vec<(u64, Result<ReceiptBody, Rejection>)>,
    pub(crate) penalties: usize,
    /// What it voted for.
    pub(crate) votes: Vec<(VoteKind, Option<BlockId>)>,
    /// Parts of blocks that it showed the others.
    pub(crate) shown: Vec<Arc<PartialOpening>>,
    /// Shares that it sent.
    pub(crate) shared: Vec<Arc<ShareMessage>>,
    /// Work that waits for the test; without it, work is done at once.
    pub(crate) held: Option<Vec<(JobNumber, Job)>>,
    proposed: Option<BlockId>,
    identities: Vec<Identity>,
    rng: ChaCha12Rng,
}

/// A genesis for `count` validators, with their identities, and payer 1 funded.
pub(crate) fn network(count: usize) -> (Genesis, Vec<Identity>) {
    let packing = Packing::for_parties(count).unwrap();
    let (encryption_key, shares) = rehearse(Suite::Packed, packing, Era::ZERO, &[7; 32]).unwrap();
    let identity = |(index, share): (usize, SecretShare)| Identity {
        signing_key: SigningKey::from_bytes(&[u8::try_from(index).unwrap() + 1; 32]),
        secret_share: Some(Arc::new(share)),
        settlement: Some(SettlementSecret::from_seed(&[u8::try_from(index).unwrap() + 1; 32])),
        lost_state: None,
    };
    let identities: Vec<_> = shares.into_iter().enumerate().map(identity).collect();
    let member = |(index, identity): (usize, &Identity)| Member {
        name: format!("v{index}"),
        consensus_key: ConsensusKey::new(identity.signing_key.verifying_key().to_bytes()),
        network_key: ConsensusKey::new([u8::try_from(index).unwrap(); 32]),
        settlement_key: identity.settlement.as_ref().unwrap().key(),
        validator: 0,
        power: 1,
    };
    let rollup =
        |id| RollupRegistration { id: RollupId::new(id), name: String::new(), gas_limit: 1 };
    let genesis = Genesis {
        name: "test".into(),
        time: BEGIN,
        l1_chain_id: 0,
        l1_contract: PayerAddress::ZERO,
        l1_origin: L1Origin::default(),
        params: Params::default(),
        members: identities.iter().enumerate().map(member).collect(),
        encryption_key: Some(encryption_key),
        rollups: vec![rollup(901), rollup(902)],
        accounts: vec![GenesisAccount {
            address: Payer::new(1).address(),
            balance: Gwei::new(1_000_000_000),
        }],
    };
    (genesis, identities)
}

impl Solo {
    pub(crate) fn new() -> Self {
        Self::of(1, 0)
    }

    /// One validator of a network of `count`, the others being played by the test.
    pub(crate) fn of(count: usize, index: usize) -> Self {
        let (genesis, identities) = network(count);
        Self::in_network(genesis, identities, index)
    }

    /// One validator of a network of `count` that is to make its key first. Until the test sets it,
    /// `self.key` is one that nobody has shares of.
    pub(crate) fn keyless(count: usize, index: usize) -> Self {
        let (genesis, mut identities) = network(count);
        identities.iter_mut().for_each(|identity| identity.secret_share = None);
        let mut solo = Self::in_network(genesis.clone(), identities, index);
        let (key, genesis) =
            (genesis.encryption_key.clone(), Genesis { encryption_key: None, ..genesis });
        solo.key = PublicKey::new(genesis.network_id(), key.as_ref().unwrap()).unwrap();
        solo.genesis = Arc::new(genesis);
        solo.store = Memory::new();
        solo.restart();
        solo
    }

    fn in_network(genesis: Genesis, identities: Vec<Identity>, index: usize) -> Self {
        let key =
            PublicKey::new(genesis.network_id(), genesis.encryption_key.as_ref().unwrap()).unwrap();
        let identity = identities[index].clone();
        let genesis = Arc::new(genesis);
        let store = Memory::new();
        let config = Config {
            genesis: Arc::clone(&genesis),
            identity: Some(identity.clone()),
            seed: [9; 32],
        };
        let (core, ready) = Sequencer::recover(config, &store, BEGIN).unwrap();
        let mut solo = Self {
            genesis,
            key,
            identity,
            store,
            core,
            now: BEGIN,
            events: vec![],
            answers: vec![],
            penalties: 0,
            votes: vec![],
            shown: vec![],
            shared: vec![],
            held: None,
            proposed: None,
            identities,
            rng: ChaCha12Rng::seed_from_u64(8),
        };
        solo.carry_out(ready);
        solo
    }

    /// Whether this validator proposes at height 1.
    pub(crate) fn is_first_proposer(&mut self) -> bool {
        let own = self.identity.signing_key.verifying_key().to_bytes();
        self.events.iter().any(|event| {
            let Event::Round { proposer, .. } = event else { return false };
            let member = self.genesis.members.get(proposer.as_usize());
            member.is_some_and(|member| *member.consensus_key.as_bytes() == own)
        })
    }

    /// The settlement key of a validator.
    pub(crate) fn settlement_secret(&self, validator: u16) -> &SettlementSecret {
        self.identities[usize::from(validator)].settlement.as_ref().unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            genesis: Arc::clone(&self.genesis),
            identity: Some(self.identity.clone()),
            seed: [9; 32],
        }
    }

    /// Starts again from the store, as after a crash.
    pub(crate) fn restart(&mut self) {
        let (core, ready) = Sequencer::recover(self.config(), &self.store, self.now).unwrap();
        self.core = core;
        self.carry_out(ready);
    }

    pub(crate) fn input(&mut self, input: Input) {
        let ready = self.core.step(self.now, input);
        self.carry_out(ready);
    }

    fn carry_out(&mut self, ready: Ready) {
        let effects = ready.persist(&mut self.store).unwrap();
        let Effects { jobs, answers, events, halt, penalties, broadcast, .. } = effects;
        for message in broadcast {
            if let Message::Block(block) = &message {
                self.proposed = Some(block.id());
            }
            if let Message::Consensus(ConsensusMessage::Vote(vote)) = &message {
                self.votes.push((vote.kind, vote.block));
            }
            if let Message::Shares(shares) = &message {
                self.shared.push(Arc::clone(shares));
            }
            if let Message::Part(part) = message {
                self.shown.push(part);
            }
        }
        assert_eq!(halt, None);
        self.penalties += penalties.len();
        self.answers.extend(answers);
        self.events.extend(events);
        if let Some(held) = &mut self.held {
            return held.extend(jobs);
        }
        for (job, work) in jobs {
            self.input(Input::JobDone { job, output: work.run() });
        }
    }

    /// Does the work that was held, and what follows from it at once.
    pub(crate) fn work(&mut self) {
        for (job, work) in self.held.take().unwrap_or_default() {
            self.input(Input::JobDone { job, output: work.run() });
        }
    }

    /// Lets virtual time pass until this validator proposes; says what.
    pub(crate) fn run_to_proposal(&mut self) -> BlockId {
        for _ in 0..1_000 {
            if let Some(block) = self.proposed {
                return block;
            }
            let wake = self.core.wake_at().unwrap_or(self.now);
            self.now = wake.max(self.now.after(Duration::from_micros(10)));
            self.input(Input::Tick);
        }
        panic!("no proposal: {:?}", self.core.status());
    }

    /// The proposer of height 1, round 0, proposes a block.
    pub(crate) fn propose(&mut self, block: &Arc<Block>) {
        let proposer = block.header.proposer;
        let mut proposal = SignedProposal {
            height: Height::new(1),
            round: Round::ZERO,
            block: block.id(),
            pol_round: None,
            proposer,
            signature: SignatureBytes::new([0; 64]),
        };
        let digest = proposal.digest(&SigningDomain::of(&self.genesis), Epoch::ZERO);
        let key = &self.identities[proposer.as_usize()].signing_key;
        proposal.signature = SignatureBytes::new(key.sign(digest.as_bytes()).to_bytes());
        self.hear(proposer.as_u16(), Message::Block(Arc::clone(block)));
        let proposal = ConsensusMessage::Proposal(proposal.into());
        self.hear(proposer.as_u16(), Message::Consensus(proposal));
    }

    /// Another validator votes for a block at height 1, round 0.
    pub(crate) fn vote(&mut self, kind: VoteKind, voter: u16, block: BlockId) {
        let voter = ValidatorIndex::new(voter);
        let mut vote = SignedVote {
            kind,
            height: Height::new(1),
            round: Round::ZERO,
            block: Some(block),
            voter,
            signature: SignatureBytes::new([0; 64]),
        };
        let digest = vote.digest(&SigningDomain::of(&self.genesis), Epoch::ZERO);
        let key = &self.identities[voter.as_usize()].signing_key;
        vote.signature = SignatureBytes::new(key.sign(digest.as_bytes()).to_bytes());
        self.hear(voter.as_u16(), Message::Consensus(ConsensusMessage::Vote(vote.into())));
    }

    /// The shares that another validator sends for a decided block.
    pub(crate) fn shares_of(
        &self,
        validator: u16,
        at: (Height, BlockId),
        sealed: &SealedBlock,
    ) -> ShareMessage {
        let identity = &self.identities[usize::from(validator)];
        let mut message = ShareMessage {
            epoch: Epoch::ZERO,
            height: at.0,
            block: at.1,
            validator: ValidatorIndex::new(validator),
            shares: sealed.share(identity.secret_share.as_ref().unwrap(), validator),
            signature: SignatureBytes::new([0; 64]),
        };
        message.signature = self.sign_shares(validator, &message);
        message
    }

    /// A message of a sharing, as a validator signs it.
    pub(crate) fn sharing(&self, from: u16, content: Vec<u8>, round: u32) -> SharingMessage {
        let mut message = SharingMessage {
            epoch: Epoch::new(1),
            round: Round::new(round),
            from: ValidatorIndex::new(from),
            content,
            signature: SignatureBytes::new([0; 64]),
        };
        let digest = message.digest(&SigningDomain::of(&self.genesis));
        let key = &self.identities[usize::from(from)].signing_key;
        message.signature = SignatureBytes::new(key.sign(digest.as_bytes()).to_bytes());
        message
    }

    pub(crate) fn sign_shares(&self, validator: u16, message: &ShareMessage) -> SignatureBytes {
        let domain = SigningDomain::of(&self.genesis);
        let ShareMessage { epoch, height, block, shares, .. } = message;
        let digest = ShareMessage::digest(&domain, *epoch, *height, *block, shares);
        let key = &self.identities[usize::from(validator)].signing_key;
        SignatureBytes::new(key.sign(digest.as_bytes()).to_bytes())
    }

    /// A message of another validator comes in.
    pub(crate) fn hear(&mut self, from: u16, message: Message) {
        let from = Peer::Validator(ValidatorIndex::new(from));
        self.input(Input::Message { from, message });
    }

    /// Lets virtual time pass until `height` is revealed.
    pub(crate) fn run_to(&mut self, height: u64) {
        for _ in 0..10_000 {
            if self.core.status().revealed >= Height::new(height) {
                return;
            }
            let wake = self.core.wake_at().unwrap_or(self.now);
            self.now = wake.max(self.now.after(Duration::from_micros(10)));
            self.input(Input::Tick);
        }
        panic!("height {height} was not revealed: {:?}", self.core.status());
    }

    pub(crate) fn header(&self, sequence: u64) -> BundleHeader {
        BundleHeader {
            network: self.genesis.network_id(),
            suite: 1,
            key_id: KeyId::ZERO,
            payer: Payer::new(1).address(),
            nonce: BundleNonce { lane: 0, sequence },
            max_fee: Gwei::new(1_000_000),
            priority_fee: Gwei::ZERO,
            valid_until: Height::new(500),
            body_bytes: 0,
        }
    }

    pub(crate) fn sealed(&mut self, header: BundleHeader, legs: &[Leg]) -> EncryptedBundle {
        let sealed = seal(self.key.sealing_key(), header, legs, &mut self.rng).unwrap();
        let mut bundle = EncryptedBundle {
            header: sealed.header,
            capsule: sealed.capsule,
            body: sealed.body,
            signature: PayerSignature::new([0; 65]),
        };
        Payer::new(1).sign(&mut bundle);
        bundle
    }

    pub(crate) fn bundle(&mut self, sequence: u64) -> EncryptedBundle {
        let header = self.header(sequence);
        let leg = |rollup| Leg { rollup: RollupId::new(rollup), transaction: vec![1, 2, 3] };
        self.sealed(header, &[leg(901), leg(902)])
    }

    pub(crate) fn submit(&mut self, bundle: EncryptedBundle) -> Result<ReceiptBody, Rejection> {
        let ticket = self.answers.len() as u64;
        self.input(Input::Submit { ticket, bundle });
        if let Some(wake) = self.core.intake.wake_at() {
            // A block is on its way, and goes first.
            self.now = wake;
            self.input(Input::Tick);
        }
        let (answered, answer) = self.answers.last().expect("every submission is answered").clone();
        assert_eq!(answered, ticket);
        answer
    }
}

/// A block without anything in it, of no network.
pub(crate) fn empty_block(height: Height) -> Block {
    let body = BlockBody::default();
    let header = BlockHeader {
        network: NetworkId::ZERO,
        height,
        parent: BlockId::ZERO,
        parent_certificate: Digest::ZERO,
        proposer: ValidatorIndex::new(0),
        time: BEGIN,
        epoch: Epoch::ZERO,
        l1_origin: L1Origin::default(),
        l1_entries_root: Digest::ZERO,
        key_id: KeyId::ZERO,
        sharing_root: Digest::ZERO,
        bundle_root: body.bundle_root(),
        bundle_count: 0,
        revealed_height: Height::ZERO,
        reveal_digest: Digest::ZERO,
        ledger_digest: Digest::ZERO,
    };
    Block { header, body }
}
