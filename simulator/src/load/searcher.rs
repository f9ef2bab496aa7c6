//! The searcher: it is told what colluding validators see of sealed bundles, and hands in sealed
//! bundles of its own, which pay like everyone's and land where the beacon puts them.
//!
//! Of a bundle it sees the payer, the fee and how long it is. From what the same payer's earlier bundles
//! turned out to be it guesses which way the next one goes, tries to trade ahead of it, and gets out
//! of what it got into as soon as that is revealed.

use std::collections::BTreeSet;

use conclave_encryption::SealingKey;
use conclave_types::{BundleHeader, BundleId, BundleNonce, Genesis, Gwei, Height};

use super::{Handed, Load, Payer, Standing, header, market::Trader, pool::Trade, sealed, signed};

/// Trades with which it waits to get out; one at a time is the rule.
const EXITS_MAX: usize = 1_024;

/// What a validator sees of a sealed bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The bundle.
    pub(crate) id: BundleId,
    /// Who pays, how much, and how long it is.
    pub(crate) header: BundleHeader,
}

/// The searcher's own affairs.
pub(super) struct Searcher {
    pub(super) payer: Payer,
    seen: BTreeSet<BundleId>,
    wanted: Vec<(Trader, Trade)>,
}

impl Searcher {
    pub(super) const fn new(payer: Payer) -> Self {
        Self { payer, seen: BTreeSet::new(), wanted: Vec::new() }
    }

    /// Remembers trades with which to get out.
    pub(super) fn gets_out(&mut self, trades: Vec<Trade>) {
        let room = EXITS_MAX.saturating_sub(self.wanted.len());
        self.wanted.extend(trades.into_iter().take(room).map(|trade| (Trader::Exit, trade)));
    }
}

impl Load {
    /// A colluding validator sees a bundle.
    pub(crate) fn sighted(&mut self, sighting: &Sighting) {
        let (Some(market), Some(searcher)) = (&self.market, &mut self.searcher) else { return };
        let payer = &sighting.header.payer;
        if *payer == searcher.payer.address || !searcher.seen.insert(sighting.id) {
            return;
        }
        if let Some(trade) = market.front(payer) {
            searcher.wanted.push((Trader::Front, trade));
        }
    }

    /// What the searcher hands in.
    pub(crate) fn searched(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
    ) -> Vec<Handed> {
        let wanted = self.searcher.as_mut().map(|searcher| std::mem::take(&mut searcher.wanted));
        let wanted = wanted.unwrap_or_default();
        wanted
            .into_iter()
            .filter_map(|(trader, trade)| self.searcher_bundle(genesis, key, now, trader, trade))
            .collect()
    }

    fn searcher_bundle(
        &mut self,
        genesis: &Genesis,
        key: &SealingKey,
        now: Height,
        trader: Trader,
        trade: Trade,
    ) -> Option<Handed> {
        let (market, searcher) = (self.market.as_mut()?, self.searcher.as_mut()?);
        let legs = vec![market.leg(&trade)?];
        // Getting out must not wait for a way in that is stuck.
        let lane = u64::from(trader == Trader::Exit);
        let nonce: BundleNonce = searcher.payer.nonce(lane)?;
        let header = header(genesis, searcher.payer.address, nonce, now);
        let bundle = sealed(key, header, &legs, &mut self.random)?;
        let bundle = signed(&self.curve, &searcher.payer.secret, bundle);
        let handed = Handed::new(bundle, Standing::Good(legs));
        let charge = charge(genesis, &handed.bundle.header);
        market.register(handed.id, trader, trade, charge);
        Some(handed)
    }
}

/// What a bundle pays, in gwei.
pub(super) fn charge(genesis: &Genesis, header: &BundleHeader) -> u64 {
    let charge = genesis.params.fees.charge(header.body_bytes, header.priority_fee);
    charge.map_or(0, Gwei::as_u64)
}
