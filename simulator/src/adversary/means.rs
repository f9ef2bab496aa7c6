//! What a misbehaving validator has: its own keys, everything it has seen, and a source of chance; and, below, what
//! several ways to misbehave have in common.

pub(super) mod dealings;
pub(super) mod forger;
pub(super) mod points;
pub(crate) mod pooled;
pub(super) mod votes;

use std::{collections::BTreeMap, sync::Arc};

use conclave_consensus::{SignedProposal, SignedVote};
use conclave_encryption::{Dkg, Message as Content, Packing, SealedBlock, SecretShare};
use conclave_sequencer::{Identity, Members, Message, ShareMessage, encapsulation};
use conclave_types::{
    Attestation, Block, BlockCommitment, BlockId, BundleId, EncryptedBundle, Epoch, G1Bytes,
    G2Bytes, Genesis, Height, PayerAddress, SharingMessage, SignatureBytes, Time, ValidatorIndex,
    digest::SigningDomain,
};
use ed25519_dalek::Signer as _;

use self::pooled::{KeyShares, League};
use crate::{keyring::Keyring, load::Sighting, random::Random};

/// Bundles and blocks that it remembers; the oldest ids go first.
const MEMORY: usize = 4_096;

/// What a misbehaving validator has.
pub(crate) struct Means {
    /// Which validator it is.
    pub(crate) index: u16,
    /// How many there are.
    pub(crate) validators: u16,
    /// The payer whom a censor dislikes.
    pub(crate) victim: Option<PayerAddress>,
    /// What time it is by its clock.
    pub(crate) now: Time,
    /// The genesis of the network.
    pub(crate) genesis: Arc<Genesis>,
    /// Its keys.
    pub(crate) identity: Identity,
    /// Who is in league with it, itself included.
    pub(crate) fellows: Vec<u16>,
    /// Blocks that it has opened by itself since it was last asked.
    pub(crate) opened: Vec<(Height, BlockId)>,
    /// Its dice.
    pub(crate) random: Random,
    /// What it did.
    pub(crate) counters: BTreeMap<&'static str, u64>,
    /// What it has to tell a searcher; the world takes it after each step.
    pub(super) sighted: Vec<Sighting>,
    domain: SigningDomain,
    pub(crate) keyring: Keyring,
    /// Who held shares in which epoch.
    pub(super) members: BTreeMap<Epoch, Arc<Members>>,
    /// All the shares that it ever had, by epoch and point.
    pub(super) secrets: KeyShares,
    /// Those of all who are in league with it, itself included.
    league: League,
    /// The making of a key that is under way.
    pub(super) attempt: Option<Dkg>,
    pub(super) holder_seed: Option<[u8; 32]>,
    bundles: BTreeMap<BundleId, Arc<EncryptedBundle>>,
    blocks: BTreeMap<BlockId, Arc<Block>>,
    decided_bundle: Option<BundleId>,
}

impl Means {
    /// The means of validator `index`.
    #[must_use]
    pub(crate) fn new(
        index: u16,
        genesis: &Genesis,
        identity: &Identity,
        keyring: Keyring,
        random: Random,
    ) -> Self {
        let mut means = Self {
            index,
            validators: u16::try_from(genesis.members.len()).unwrap_or(u16::MAX),
            victim: None,
            now: genesis.time,
            genesis: Arc::new(genesis.clone()),
            identity: identity.clone(),
            fellows: Vec::new(),
            opened: Vec::new(),
            random,
            counters: BTreeMap::new(),
            sighted: Vec::new(),
            domain: SigningDomain::of(genesis),
            members: keyring.members().collect(),
            keyring,
            secrets: KeyShares::new(),
            league: League::default(),
            attempt: None,
            holder_seed: None,
            bundles: BTreeMap::new(),
            blocks: BTreeMap::new(),
            decided_bundle: None,
        };
        if let Some(share) = &identity.secret_share {
            means.keep(Epoch::ZERO, index, Arc::clone(share));
        }
        means
    }

    /// It has a share of a key. It erases none.
    pub(super) fn keep(&mut self, epoch: Epoch, point: u16, share: Arc<SecretShare>) {
        self.league.bring(epoch, point, &share);
        self.secrets.entry(epoch).or_default().insert(point, share);
    }

    /// With a payer whom a censor dislikes.
    #[must_use]
    pub(crate) const fn against(mut self, victim: Option<PayerAddress>) -> Self {
        self.victim = victim;
        self
    }

    /// In league with others, if it is one of them. It brings them what it has.
    #[must_use]
    pub(crate) fn with(mut self, fellows: Vec<u16>, league: &League) -> Self {
        if fellows.contains(&self.index) {
            for (epoch, shares) in &self.secrets {
                shares.iter().for_each(|(point, share)| league.bring(*epoch, *point, share));
            }
            self.league = league.clone();
        }
        self.fellows = fellows;
        self
    }

    /// Counts a misdeed.
    pub(crate) fn count(&mut self, what: &'static str) {
        let counter = self.counters.entry(what).or_default();
        *counter = counter.saturating_add(1);
    }

    /// Its signature of a commitment; none without a settlement key.
    pub(super) fn attest(&self, commitment: &BlockCommitment) -> Option<G2Bytes> {
        let digest = self.domain.commitment(commitment);
        self.identity.settlement.as_ref().map(|secret| secret.sign(&digest))
    }

    /// Its own attestation, if a message is one.
    pub(super) fn own_attestation(&self, message: &Message) -> Option<Arc<Attestation>> {
        let Message::Attestation(attestation) = message else { return None };
        (attestation.validator.as_u16() == self.index).then(|| Arc::clone(attestation))
    }

    /// Tells a searcher of a bundle.
    pub(super) fn sight(&mut self, bundle: &EncryptedBundle) {
        self.count("sighted_bundles");
        self.sighted.push(Sighting { id: bundle.id(), header: bundle.header.clone() });
    }

    /// Everyone else.
    pub(crate) fn others(&self) -> impl Iterator<Item = u16> + use<> {
        let index = self.index;
        (0..self.validators).filter(move |other| *other != index)
    }

    /// Remembers what goes by.
    pub(super) fn note(&mut self, message: &Message) {
        match message {
            Message::Bundles(bundles) => {
                for bundle in bundles.iter().take(MEMORY.saturating_sub(self.bundles.len())) {
                    self.bundles.insert(bundle.id(), Arc::clone(bundle));
                }
            }
            Message::Block(block) if self.blocks.len() < MEMORY => {
                self.blocks.insert(block.id(), Arc::clone(block));
            }
            // Its own core shares what it has decided.
            Message::Shares(shares) if shares.validator.as_u16() == self.index => {
                let block = self.blocks.get(&shares.block);
                let bundle = block.and_then(|block| block.body.bundles.first().copied());
                self.decided_bundle = bundle.or(self.decided_bundle);
            }
            _ => {}
        }
    }

    /// A bundle that went by.
    #[must_use]
    pub(crate) fn bundle(&self, id: &BundleId) -> Option<&Arc<EncryptedBundle>> {
        self.bundles.get(id)
    }

    /// How many openings a block that went by has.
    #[must_use]
    pub(crate) fn opening_count(&self, id: &BlockId) -> Option<usize> {
        self.blocks.get(id).map(|block| block.body.bundles.len().saturating_add(1))
    }

    /// A block that went by.
    #[must_use]
    pub(crate) fn block(&self, id: &BlockId) -> Option<&Arc<Block>> {
        self.blocks.get(id)
    }

    /// A bundle of the newest decided block that had one.
    #[must_use]
    pub(crate) const fn decided_bundle(&self) -> Option<BundleId> {
        self.decided_bundle
    }

    /// Its own vote for another block, signed.
    #[must_use]
    pub(crate) fn vote(&self, vote: &SignedVote, block: Option<BlockId>) -> SignedVote {
        let voter = ValidatorIndex::new(self.index);
        let mut other = SignedVote { block, voter, ..vote.clone() };
        let signature = self
            .sign(other.digest(&self.domain, self.keyring.epochs().at(other.height)).as_bytes());
        other.signature = signature;
        other
    }

    /// Its own proposal of another block, signed.
    #[must_use]
    pub(crate) fn proposal(&self, proposal: &SignedProposal, block: BlockId) -> SignedProposal {
        let mut other = SignedProposal { block, ..proposal.clone() };
        other.signature = self
            .sign(other.digest(&self.domain, self.keyring.epochs().at(other.height)).as_bytes());
        other
    }

    /// A block whose bundles it knows, as it is opened.
    #[must_use]
    pub(crate) fn sealed(&self, block: &Block) -> Option<SealedBlock> {
        let ids = block.body.bundles.iter();
        let bundles: Option<Vec<_>> =
            ids.map(|id| self.bundle(id).map(|bundle| encapsulation(bundle))).collect();
        let height = block.header.height;
        let key = &self.keyring.at(height)?.key;
        SealedBlock::new(key, height, block.id(), &bundles?).ok()
    }

    /// Who holds which points of the key of a height, and how it is shared.
    #[must_use]
    pub(crate) fn sharing_at(&self, height: Height) -> Option<(&Members, Packing)> {
        self.keyring.at(height).map(|key| (&*key.members, key.key.packing()))
    }

    /// Whether it opens a block by k = sk·u, with the secret key that the league's shares of some epoch give. Each
    /// epoch's are tried by themselves. Where fewer are known than give the key, those of other epochs stand in for the
    /// missing ones, and guesses; or those that there are are taken for enough.
    pub(super) fn opens_by_key(&mut self, height: Height, sealed: &SealedBlock) -> bool {
        let Some(key) = self.keyring.at(height).map(|it| Arc::clone(&it.key)) else { return false };
        let Ok(guess) = SecretShare::from_bytes(&[1; SecretShare::BYTES]) else { return false };
        let pooled = self.league.shares();
        for (epoch, held) in &pooled {
            let Some(members) = self.members.get(epoch) else { continue };
            let packing = members.packing();
            let stale = |point: u16| {
                let others = pooled.iter().filter(|(other, _)| *other != epoch);
                others.filter_map(|(_, shares)| shares.get(&point)).next_back()
            };
            let missing = (0..packing.parties()).filter(|point| !held.contains_key(point));
            let made_up = missing.map(|point| (point, stale(point).map_or(&guess, |it| &**it)));
            let known: Vec<_> = held.iter().map(|(point, share)| (*point, &**share)).collect();
            let needed = pooled::key_needs(packing);
            let filled: Vec<_> = known.iter().copied().chain(made_up).take(needed).collect();
            let known = known.get(..needed).unwrap_or(&known);
            self.count("key_attempts");
            for shares in [known, &filled] {
                let secret = pooled::secret_key(packing, shares);
                let is_it = |it: &SecretShare| pooled::is_secret_of(it, key.sealing_key());
                if let Some(secret) = secret.filter(is_it) {
                    return self.opens_with(&secret, sealed, key.packing().quorum());
                }
            }
        }
        false
    }

    /// Opens a block with the secret key: it is everyone's share in a sharing that is constant.
    fn opens_with(&mut self, secret: &SecretShare, sealed: &SealedBlock, quorum: u16) -> bool {
        let shares = (0..quorum).map(|point| (point, sealed.share(secret, point)));
        let shares: Vec<(u16, Vec<G1Bytes>)> = shares.collect();
        let shares: Vec<_> = shares.iter().map(|(point, it)| (*point, it.as_slice())).collect();
        let opened = sealed.combine(&shares, 0..sealed.share_count());
        let seed = self.random.bytes();
        opened.is_ok_and(|openings| sealed.check(&openings, &seed))
    }

    /// What it makes of a block with shares of *other* epochs than the block's, by point.
    #[must_use]
    pub(crate) fn stale_shares_of(
        &self,
        block: &Block,
        sealed: &SealedBlock,
    ) -> BTreeMap<u16, Vec<G1Bytes>> {
        let others = self.secrets.iter().filter(|(epoch, _)| **epoch != block.header.epoch);
        let secrets = others.flat_map(|(_, secrets)| secrets);
        secrets.map(|(point, secret)| (*point, sealed.share(secret, *point))).collect()
    }

    /// Its real shares for a block whose bundles it knows.
    #[must_use]
    pub(crate) fn shares_of(&self, block: &Block) -> Option<Message> {
        self.shares_with(block, block.header.epoch)
    }

    /// What it makes of a block with its shares of an epoch, the block's or another.
    #[must_use]
    pub(super) fn shares_with(&self, block: &Block, epoch: Epoch) -> Option<Message> {
        let sealed = self.sealed(block)?;
        let secrets = self.secrets.get(&epoch)?;
        let shares = secrets.iter().map(|(point, secret)| sealed.share(secret, *point));
        let shares: Vec<_> = shares.flatten().collect();
        let (height, id) = (block.header.height, block.id());
        let message = ShareMessage {
            epoch,
            height,
            block: id,
            validator: ValidatorIndex::new(self.index),
            shares: Vec::new(),
            signature: SignatureBytes::new([0; 64]),
        };
        Some(self.shares(&message, shares))
    }

    /// A share message with other shares in it, signed.
    #[must_use]
    pub(crate) fn shares(&self, message: &ShareMessage, shares: Vec<G1Bytes>) -> Message {
        let ShareMessage { epoch, height, block, .. } = *message;
        let digest = ShareMessage::digest(&self.domain, epoch, height, block, &shares);
        let signature = self.sign(digest.as_bytes());
        Message::Shares(Arc::new(ShareMessage { shares, signature, ..message.clone() }))
    }

    /// A message of a sharing that says something else, signed.
    #[must_use]
    pub(super) fn say(&self, message: &SharingMessage, content: &Content) -> Message {
        let mut message = SharingMessage { content: content.encode(), ..message.clone() };
        message.signature = self.sign(message.digest(&self.domain).as_bytes());
        Message::Sharing(Arc::new(message))
    }

    fn sign(&self, bytes: &[u8]) -> SignatureBytes {
        SignatureBytes::new(self.identity.signing_key.sign(bytes).to_bytes())
    }
}
