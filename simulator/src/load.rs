//! The users: payers who seal bundles for two rollups and hand them to validators, and one who does
//! everything a payer should not.
//!
//! Whatever is handed in is registered with what should become of it ([`Standing`]), so that the
//! oracles can judge what the validators make of it.

mod market;
mod pool;
mod searcher;
mod spam;

use conclave_encryption::{Sealed, SealingKey, seal};
use conclave_types::{
    BundleHeader, BundleId, BundleNonce, EncryptedBundle, Genesis, GenesisAccount, Gwei, Height,
    HeightDelta, KeyId, Leg, PayerAddress, PayerSignature, RevealedBlock, RollupId, digest::keccak,
};
use secp256k1::{All, Message, PublicKey as PayerKey, Secp256k1, SecretKey};

pub use market::{Earnings, MarketFigures, MarketModel};
pub(crate) use searcher::Sighting;

use self::{
    market::{Market, Trader},
    searcher::{Searcher, charge},
};
use crate::{random::Random, scenario::Scenario};

/// How long a bundle stays valid.
const LIFETIME: HeightDelta = HeightDelta::new(1_000);
/// What every payer owns at genesis.
pub(crate) const BALANCE: Gwei = Gwei::new(1_000_000_000_000);
/// Lanes that a payer uses.
const LANES: usize = 2;
/// Bundles of others that the hostile payer remembers.
const SEEN_MAX: usize = 64;

/// What should become of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is included, and opens to these legs.
    Good(Vec<Leg>),
    /// It is included and pays, and has no effect.
    Dud,
    /// The same, because nobody can decrypt it.
    Unopenable,
    /// Another bundle has its nonce: at most one of them is included.
    Rival(Vec<Leg>),
    /// It is never included.
    Forged,
}

/// A bundle that a user hands in, and what should become of it.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    /// The bundle.
    pub(crate) bundle: EncryptedBundle,
    /// Its id.
    pub(crate) id: BundleId,
    /// What should become of it.
    pub(crate) standing: Standing,
}

impl Handed {
    fn new(bundle: EncryptedBundle, standing: Standing) -> Self {
        Self { id: bundle.id(), bundle, standing }
    }
}

struct Payer {
    secret: SecretKey,
    address: PayerAddress,
    next: [u64; LANES],
}

impl Payer {
    fn new(curve: &Secp256k1<All>, random: &mut Random) -> Option<Self> {
        let secret = SecretKey::from_byte_array(&random.bytes()).ok()?;
        let public = PayerKey::from_secret_key(curve, &secret).serialize_uncompressed();
        let hash = keccak(public.get(1..)?);
        let address = PayerAddress::from_slice(hash.as_bytes().get(12..)?).ok()?;
        Some(Self { secret, address, next: [0; LANES] })
    }

    fn nonce(&mut self, lane: u64) -> Option<BundleNonce> {
        let next = self.next.get_mut(usize::try_from(lane).ok()?)?;
        let sequence = *next;
        *next = next.saturating_add(1);
        Some(BundleNonce { lane, sequence })
    }
}

/// Payers with their keys and nonces.
pub(crate) struct Load {
    curve: Secp256k1<All>,
    payers: Vec<Payer>,
    /// One with money and no manners, and one with neither.
    hostile: Vec<Payer>,
    seen: Vec<EncryptedBundle>,
    random: Random,
    rollups: Vec<RollupId>,
    made: u64,
    /// Transactions have at least this many bytes.
    bytes: usize,
    market: Option<Market>,
    searcher: Option<Searcher>,
    /// What the genesis grants the first payer.
    first_grant: Gwei,
}

impl Load {
    /// The users of a scenario.
    #[must_use]
    pub(crate) fn of(scenario: &Scenario, seed: u64, rollups: Vec<RollupId>) -> Self {
        let load = Self::new(seed, scenario.payers, rollups);
        let mut load = load.with_market(scenario.market, seed);
        load.pad_to(scenario.bundle_bytes);
        let grant = scenario.l1.as_ref().and_then(|l1| l1.first_grant_gwei);
        load.first_grant = grant.map_or(BALANCE, Gwei::new);
        load
    }

    /// `count` payers whose keys follow from the seed.
    #[must_use]
    pub(crate) fn new(seed: u64, count: u64, rollups: Vec<RollupId>) -> Self {
        let curve = Secp256k1::new();
        let mut random = Random::new(seed, 2);
        let payers = (0..count).filter_map(|_| Payer::new(&curve, &mut random)).collect();
        let hostile = (0..2).filter_map(|_| Payer::new(&curve, &mut random)).collect();
        Self {
            curve,
            payers,
            hostile,
            seen: Vec::new(),
            random,
            rollups,
            made: 0,
            bytes: 0,
            market: None,
            searcher: None,
            first_grant: BALANCE,
        }
    }

    /// From now on a bundle's transactions have `bytes` together, or a little more.
    pub(crate) fn pad_to(&mut self, bytes: u32) {
        self.bytes = usize::try_from(bytes).unwrap_or(0);
    }

    /// The same payers, who trade, and a searcher among them.
    fn with_market(mut self, model: Option<MarketModel>, seed: u64) -> Self {
        let rollup = self.rollups.first().copied();
        if let Some((model, rollup)) = model.zip(rollup) {
            self.market = Some(Market::new(model, rollup, Random::new(seed, 3)));
            let payer = Payer::new(&self.curve, &mut Random::new(seed, 4));
            self.searcher = payer.map(Searcher::new);
        }
        self
    }

    /// The payers' genesis accounts.
    #[must_use]
    pub(crate) fn accounts(&self) -> Vec<GenesisAccount> {
        let searcher = self.searcher.as_ref().map(|searcher| &searcher.payer);
        let accounts = self.payers.iter().chain(self.hostile.first()).chain(searcher);
        let first = self.first_payer();
        let balance = |address| if Some(address) == first { self.first_grant } else { BALANCE };
        let account = |address| GenesisAccount { address, balance: balance(address) };
        accounts.map(|payer| account(payer.address)).collect()
    }

    /// The payer whom a censor dislikes.
    #[must_use]
    pub(crate) fn first_payer(&self) -> Option<PayerAddress> {
        self.payers.first().map(|payer| payer.address)
    }

    /// Seals the next bundle; one in four has a leg for each rollup.
    pub(crate) fn next(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
    ) -> Option<Handed> {
        let count = u64::try_from(self.payers.len()).unwrap_or(u64::MAX);
        let pick = usize::try_from(self.random.below(count)).ok()?;
        let lane = self.random.below(u64::try_from(LANES).unwrap_or(1));
        let trade = self.market.as_mut().map(|market| market.next_trade(pick));
        let leg = self.market.as_ref().zip(trade).and_then(|(market, trade)| market.leg(&trade));
        let legs = leg.map_or_else(|| self.legs(), |leg| vec![leg]);
        let payer = self.payers.get_mut(pick)?;
        let nonce = payer.nonce(lane)?;
        let header = header(genesis, payer.address, nonce, now);
        let bundle = sealed(key, header, &legs, &mut self.random)?;
        let bundle = signed(&self.curve, &payer.secret, bundle);
        if let Some((market, trade)) = self.market.as_mut().zip(trade) {
            let charge = charge(genesis, &bundle.header);
            market.register(bundle.id(), Trader::User(payer.address), trade, charge);
        }
        if self.seen.len() < SEEN_MAX {
            self.seen.push(bundle.clone());
        } else if let Some(slot) = self.seen.get_mut(usize::try_from(self.made).ok()? % SEEN_MAX) {
            *slot = bundle.clone();
        }
        Some(Handed::new(bundle, Standing::Good(legs)))
    }

    /// Seals once more what came back with the end of an era, under the same nonce.
    pub(crate) fn again(&mut self, key: &SealingKey, returned: &Handed) -> Option<Handed> {
        let Standing::Good(legs) = &returned.standing else { return None };
        let header = returned.bundle.header.clone();
        let payer = self.payers.iter().find(|payer| payer.address == header.payer)?;
        let bundle = sealed(key, header, legs, &mut self.random)?;
        let bundle = signed(&self.curve, &payer.secret, bundle);
        Some(Handed::new(bundle, returned.standing.clone()))
    }

    /// A block is open.
    pub(crate) fn revealed(&mut self, block: &RevealedBlock) {
        let Some(market) = &mut self.market else { return };
        let exits = market.revealed(block);
        if let Some(searcher) = &mut self.searcher {
            searcher.gets_out(exits);
        }
    }

    /// What the searcher earned; none without a market.
    #[must_use]
    pub(crate) fn market_figures(&self) -> Option<MarketFigures> {
        self.market.as_ref().map(Market::figures)
    }

    fn legs(&mut self) -> Vec<Leg> {
        let cross = self.random.chance(250);
        self.made = self.made.saturating_add(1);
        let made = self.made;
        let count = if cross { self.rollups.len() } else { 1 };
        let bytes = self.bytes.checked_div(count).unwrap_or(0);
        let leg = |rollup: &RollupId| {
            let mut transaction = format!("tx {made} for {rollup}").into_bytes();
            transaction.resize(transaction.len().max(bytes), b' ');
            Leg { rollup: *rollup, transaction }
        };
        if cross {
            return self.rollups.iter().map(leg).collect();
        }
        let count = u64::try_from(self.rollups.len()).unwrap_or(1);
        let pick = usize::try_from(self.random.below(count)).unwrap_or(0);
        self.rollups.iter().skip(pick).take(1).map(leg).collect()
    }
}

fn header(genesis: &Genesis, payer: PayerAddress, nonce: BundleNonce, now: Height) -> BundleHeader {
    BundleHeader {
        network: genesis.network_id(),
        suite: genesis.params.sharing.suite,
        key_id: KeyId::ZERO,
        payer,
        nonce,
        max_fee: Gwei::new(1_000_000),
        priority_fee: Gwei::ZERO,
        valid_until: now.saturating_add(LIFETIME),
        body_bytes: 0,
    }
}

fn sealed(
    key: &SealingKey,
    header: BundleHeader,
    legs: &[Leg],
    random: &mut Random,
) -> Option<EncryptedBundle> {
    seal(key, header, legs, random.rng()).ok().map(unsigned)
}

fn unsigned(sealed: Sealed) -> EncryptedBundle {
    let Sealed { header, capsule, body } = sealed;
    EncryptedBundle { header, capsule, body, signature: PayerSignature::new([0; 65]) }
}

fn signed(
    curve: &Secp256k1<All>,
    secret: &SecretKey,
    mut bundle: EncryptedBundle,
) -> EncryptedBundle {
    let message = Message::from_digest(*bundle.signing_digest().as_bytes());
    let (recovery, compact) = curve.sign_ecdsa_recoverable(&message, secret).serialize_compact();
    let mut bytes = [0; 65];
    let v = u8::try_from(i32::from(recovery)).unwrap_or(0).saturating_add(27);
    for (to, from) in bytes.iter_mut().zip(compact.into_iter().chain([v])) {
        *to = from;
    }
    bundle.signature = PayerSignature::new(bytes);
    bundle
}
