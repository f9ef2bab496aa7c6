//! What users trade, and what a searcher makes of it.
//!
//! Every user's bundle carries a trade against one pool on one rollup. A user trades one way
//! by habit, and now and then the other. In the run itself the trades are sealed: whoever wants
//! to trade ahead of one has to guess its side and its amount from who pays for it, and gets a
//! place that the beacon draws ([`super::searcher`]). What the run reveals is played again, block by block,
//! in two more worlds ([`replay`]): one without a searcher, and one in which the proposer reads
//! every trade before it fixes the order.
//!
//! What is remembered grows with the bundles of a run, which its limits bound.
//!
//! The model leaves out what it does not need: users always have what they trade, gas on the rollup is
//! free, and nobody else keeps the price in line.

pub(super) mod replay;

use std::collections::BTreeMap;

use conclave_types::{BundleId, Leg, PayerAddress, RevealedBlock, RollupId};
use serde::{Deserialize, Serialize};

use self::replay::Placed;
use super::pool::{Pool, Side, Trade, WHOLE_BPS};
use crate::random::Random;

/// Nanoether in an ether: amounts are drawn in whole ether.
const ETHER: u128 = 1_000_000_000;
/// Amounts are 1, 2, 4 … ether, each as likely.
const DOUBLINGS: u64 = 8;
/// A searcher guesses only from so many trades of a user.
const GUESS_TRADES_MIN: u64 = 3;

/// The pool and the users' habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketModel {
    /// Ether in the pool, and as much of the token.
    pub reserve_ether: u64,
    /// What the pool keeps of a trade, in hundredths of a percent.
    pub fee_bps: u64,
    /// How much less than quoted a user accepts, in hundredths of a percent.
    pub tolerance_bps: u64,
    /// How often of a thousand times a user trades the way it always does; at 500 it has no habit.
    pub habit_permille: u64,
}

impl Default for MarketModel {
    fn default() -> Self {
        Self { reserve_ether: 10_000, fee_bps: 30, tolerance_bps: 100, habit_permille: 500 }
    }
}

/// Whose trade a bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trader {
    User(PayerAddress),
    /// Ahead of a user, as the searcher hopes.
    Front,
    /// The searcher gets out again.
    Exit,
}

/// A trade that was handed in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) trader: Trader,
    pub(super) trade: Trade,
    /// How many blocks were revealed when it was quoted.
    pub(super) quoted: usize,
    /// What its bundle pays, in gwei.
    pub(super) charge: u64,
}

/// What a user did so far, as everyone can see.
#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    buys: u64,
    sells: u64,
    amount: u128,
}

/// What the searcher has, in what it began with.
#[derive(Clone, Copy, Debug, Default)]
struct Purse {
    ether: i128,
    token: i128,
    fees: u64,
    fronts: u64,
    landed: u64,
}

/// What a searcher earned, in gwei, and what its users lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Earnings {
    /// Trades that it tried to get ahead of.
    pub attempts: u64,
    /// Times that it had the place that it wanted, or a place that it took.
    pub landed: u64,
    /// What its trades earned.
    pub gross_gwei: i128,
    /// What its bundles paid.
    pub fees_gwei: i128,
    /// What it kept.
    pub net_gwei: i128,
    /// What users got less than without a searcher, at the price at the beginning.
    pub users_lost_gwei: i128,
    /// Users' trades that were undone because they would have got too little.
    pub users_undone: u64,
}

/// The searcher in two worlds, over one flow of orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarketFigures {
    /// Users' trades that were revealed.
    pub trades: u64,
    /// Trades that are undone even without a searcher.
    pub undone_without_searcher: u64,
    /// The baseline: the proposer reads every trade and orders them as it likes.
    pub plaintext: Earnings,
    /// As it happened in this run: the searcher sees who pays, how much, and how long a bundle is.
    pub sealed: Earnings,
}

/// The market of a run.
pub(super) struct Market {
    model: MarketModel,
    rollup: RollupId,
    known: BTreeMap<BundleId, Order>,
    habits: BTreeMap<PayerAddress, Habit>,
    /// The pool after each revealed block, the first before any.
    pools: Vec<Pool>,
    /// Users' trades in each revealed block, in its order.
    blocks: Vec<Vec<Placed>>,
    purse: Purse,
    random: Random,
}

impl Market {
    pub(super) fn new(model: MarketModel, rollup: RollupId, random: Random) -> Self {
        let pool = start(&model);
        Self {
            model,
            rollup,
            known: BTreeMap::new(),
            habits: BTreeMap::new(),
            pools: vec![pool],
            blocks: Vec::new(),
            purse: Purse::default(),
            random,
        }
    }

    /// The next trade of the user at `index`.
    pub(super) fn next_trade(&mut self, index: usize) -> Trade {
        let usual = if index.is_multiple_of(2) { Side::Buy } else { Side::Sell };
        let side = if self.random.chance(self.model.habit_permille) { usual } else { usual.back() };
        let doublings = u32::try_from(self.random.below(DOUBLINGS)).unwrap_or(0);
        self.quoted(side, ETHER.saturating_mul(1 << doublings), self.model.tolerance_bps)
    }

    /// A trade that accepts so much less than the latest revealed pool would give.
    fn quoted(&self, side: Side, amount: u128, tolerance_bps: u64) -> Trade {
        let quote = self.pool().quote(side, amount);
        Trade { side, amount, least: tolerated(quote, tolerance_bps) }
    }

    /// A trade that gets ahead of the payer's, if the payer has a habit; none if the searcher could
    /// only guess. It would rather not trade at all than after a trade that moved the price against it.
    pub(super) fn front(&self, payer: &PayerAddress) -> Option<Trade> {
        let habit = self.habits.get(payer)?;
        let trades = habit.buys.saturating_add(habit.sells);
        let most = habit.buys.max(habit.sells);
        let guessable = trades >= GUESS_TRADES_MIN && most.saturating_mul(3) >= trades * 2;
        let side = if habit.buys >= habit.sells { Side::Buy } else { Side::Sell };
        let amount = habit.amount.checked_div(u128::from(trades))?;
        guessable.then(|| self.quoted(side, amount, self.model.tolerance_bps / 10))
    }

    /// The trade that gets out of `placed`, whatever it costs.
    fn exit(&self, placed: &Trade, out: u128) -> Option<Trade> {
        let amount = match placed.side {
            Side::Buy => out,
            // It sold what it did not have, and buys that back.
            Side::Sell => self.pool().price_of(Side::Buy, placed.amount)?,
        };
        Some(Trade { side: placed.side.back(), amount, least: 0 })
    }

    /// A trade as a bundle carries it.
    pub(super) fn leg(&self, trade: &Trade) -> Option<Leg> {
        Some(Leg { rollup: self.rollup, transaction: borsh::to_vec(trade).ok()? })
    }

    pub(super) fn register(&mut self, id: BundleId, trader: Trader, trade: Trade, charge: u64) {
        let quoted = self.blocks.len();
        self.known.insert(id, Order { trader, trade, quoted, charge });
    }

    /// The trades of a block, in its order; returns those with which the searcher gets out of what it
    /// got into. Blocks come once each, in order: whoever reveals one for the first time tells.
    pub(super) fn revealed(&mut self, block: &RevealedBlock) -> Vec<Trade> {
        let next = u64::try_from(self.pools.len()).unwrap_or(u64::MAX);
        if block.height.as_u64() != next {
            return Vec::new();
        }
        let (mut pool, mut users, mut entered) = (*self.pool(), Vec::new(), Vec::new());
        for order in block.bundles.iter().filter_map(|bundle| self.known.remove(&bundle.id)) {
            let out = pool.trade(&order.trade);
            match order.trader {
                Trader::User(payer) => {
                    self.habits.entry(payer).or_default().add(&order.trade);
                    users.push(Placed { order, out });
                }
                Trader::Front => {
                    self.purse.fronts = self.purse.fronts.saturating_add(1);
                    self.purse.settle(&order, out);
                    entered.extend(out.map(|out| (order.trade, out)));
                }
                Trader::Exit => self.purse.settle(&order, out),
            }
        }
        let entries = u64::try_from(entered.len()).unwrap_or(u64::MAX);
        self.purse.landed = self.purse.landed.saturating_add(entries);
        self.pools.push(pool);
        self.blocks.push(users);
        entered.iter().filter_map(|(trade, out)| self.exit(trade, *out)).collect()
    }

    /// What the searcher earned here, and would have earned if it could read.
    pub(super) fn figures(&self) -> MarketFigures {
        let without = replay::without_searcher(&self.model, &self.blocks);
        let (plaintext, undone) = replay::with_reader(&self.model, &self.blocks, &without);
        let placed = || self.blocks.iter().flatten();
        let sealed_outs: Vec<_> = placed().map(|placed| placed.out).collect();
        let Purse { ether, token, fees, fronts, landed } = self.purse;
        let gross_gwei = ether.saturating_add(self.pool().worth(token));
        let fees_gwei = i128::from(fees);
        let count = |outs: &[Option<u128>]| {
            u64::try_from(outs.iter().filter(|out| out.is_none()).count()).unwrap_or(u64::MAX)
        };
        MarketFigures {
            trades: u64::try_from(placed().count()).unwrap_or(u64::MAX),
            undone_without_searcher: count(&without),
            plaintext: Earnings { users_undone: undone, ..plaintext },
            sealed: Earnings {
                attempts: fronts,
                landed,
                gross_gwei,
                fees_gwei,
                net_gwei: gross_gwei.saturating_sub(fees_gwei),
                users_lost_gwei: replay::shortfall(&without, &sealed_outs),
                users_undone: count(&sealed_outs),
            },
        }
    }

    fn pool(&self) -> &Pool {
        static EMPTY: Pool = Pool::new(0, 0);
        self.pools.last().unwrap_or(&EMPTY)
    }
}

impl Habit {
    fn add(&mut self, trade: &Trade) {
        let count = match trade.side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        };
        *count = count.saturating_add(1);
        self.amount = self.amount.saturating_add(trade.amount);
    }
}

impl Purse {
    /// The bundle pays whether or not its trade is undone.
    fn settle(&mut self, order: &Order, out: Option<u128>) {
        self.fees = self.fees.saturating_add(order.charge);
        let Some(out) = out else { return };
        let (paid, got) = match order.trade.side {
            Side::Buy => (&mut self.ether, &mut self.token),
            Side::Sell => (&mut self.token, &mut self.ether),
        };
        *paid = paid.saturating_sub_unsigned(order.trade.amount);
        *got = got.saturating_add_unsigned(out);
    }
}

fn start(model: &MarketModel) -> Pool {
    Pool::new(ETHER.saturating_mul(model.reserve_ether.into()), model.fee_bps.into())
}

fn tolerated(quote: u128, tolerance_bps: u64) -> u128 {
    let share = WHOLE_BPS.saturating_sub(tolerance_bps.into());
    quote.saturating_mul(share).checked_div(WHOLE_BPS).unwrap_or(0)
}
