//! The same orders in other worlds. This is a model of a proposer who reads what it orders, not a
//! run of the protocol: no validator of ours could.
//!
//! Block by block, with the users' trades that the run revealed, each quoted from this world's pool at the
//! same height as in the run:
//!
//! - **without a searcher**: in the order that the beacon drew;
//! - **with a reader**: in the same order, but around each trade that is worth it the proposer puts one of its
//!   own before, as large as earns most while the user's trade still goes through, and the way back
//!   right after. It pays two bundles' fees for that, as anyone would.

use super::{Earnings, MarketModel, Order, start, tolerated};
use crate::load::pool::{Pool, Side, Trade};

/// A user's trade in a revealed block, and what came out; none if it was undone.
#[derive(Clone, Copy, Debug)]
pub(in crate::load) struct Placed {
    pub(in crate::load) order: Order,
    pub(in crate::load) out: Option<u128>,
}

/// The world of a replay: its pool after each block.
struct World<'a> {
    model: &'a MarketModel,
    pools: Vec<Pool>,
    pool: Pool,
}

impl<'a> World<'a> {
    fn new(model: &'a MarketModel) -> Self {
        let pool = start(model);
        Self { model, pools: vec![pool], pool }
    }

    /// The trade as the user would have signed it here.
    fn signed(&self, order: &Order) -> Trade {
        let Trade { side, amount, .. } = order.trade;
        let quote = self.pools.get(order.quoted).map_or(0, |pool| pool.quote(side, amount));
        Trade { side, amount, least: tolerated(quote, self.model.tolerance_bps) }
    }
}

/// What came out of each trade without a searcher.
pub(super) fn without_searcher(model: &MarketModel, blocks: &[Vec<Placed>]) -> Vec<Option<u128>> {
    let mut world = World::new(model);
    let mut outs = Vec::new();
    for block in blocks {
        for placed in block {
            let trade = world.signed(&placed.order);
            outs.push(world.pool.trade(&trade));
        }
        world.pools.push(world.pool);
    }
    outs
}

/// What a proposer who reads every trade earns, and how many trades are undone in its world.
pub(super) fn with_reader(
    model: &MarketModel,
    blocks: &[Vec<Placed>],
    without: &[Option<u128>],
) -> (Earnings, u64) {
    let mut world = World::new(model);
    let mut earned = Earnings::default();
    let mut outs = Vec::new();
    for block in blocks {
        for placed in block {
            let trade = world.signed(&placed.order);
            let fees = i128::from(placed.order.charge).saturating_mul(2);
            let best = best_front(&world.pool, &trade);
            let worth = best.filter(|(_, gross)| *gross > fees);
            earned.attempts = earned.attempts.saturating_add(1);
            if let Some((front, gross)) = worth {
                earned.landed = earned.landed.saturating_add(1);
                earned.gross_gwei = earned.gross_gwei.saturating_add(gross);
                earned.fees_gwei = earned.fees_gwei.saturating_add(fees);
                let sandwich = sandwich(&world.pool, &trade, front);
                outs.push(sandwich.map(|(_, _, out)| out));
                world.pool = sandwich.map_or(world.pool, |(pool, _, _)| pool);
            } else {
                outs.push(world.pool.trade(&trade));
            }
        }
        world.pools.push(world.pool);
    }
    earned.net_gwei = earned.gross_gwei.saturating_sub(earned.fees_gwei);
    earned.users_lost_gwei = shortfall(without, &outs);
    let undone = outs.iter().filter(|out| out.is_none()).count();
    (earned, u64::try_from(undone).unwrap_or(u64::MAX))
}

/// What users got less than they would have; a trade that is undone in either world is left out, for
/// whoever keeps its money has not lost it.
pub(super) fn shortfall(without: &[Option<u128>], with: &[Option<u128>]) -> i128 {
    let signed = |out: u128| i128::try_from(out).unwrap_or(i128::MAX);
    let both = without.iter().zip(with).filter_map(|(without, with)| without.zip(*with));
    both.map(|(without, with)| signed(without).saturating_sub(signed(with))).sum()
}

/// Puts a trade of `front` before the victim's and goes back after it: the pool then, what that earned in
/// ether, and what the victim got; none if the victim's trade would be undone.
fn sandwich(pool: &Pool, victim: &Trade, front: u128) -> Option<(Pool, i128, u128)> {
    let mut pool = *pool;
    let got = pool.trade(&Trade { side: victim.side, amount: front, least: 0 })?;
    let out = pool.trade(victim)?;
    let side = victim.side.back();
    let (paid, returned) = match victim.side {
        Side::Buy => (front, pool.trade(&Trade { side, amount: got, least: 0 })?),
        // Sold first, and bought back as much as was sold.
        Side::Sell => {
            let amount = pool.price_of(side, front)?;
            pool.trade(&Trade { side, amount, least: front })?;
            (amount, got)
        }
    };
    let earned = i128::try_from(returned).ok()?.checked_sub(i128::try_from(paid).ok()?)?;
    Some((pool, earned, out))
}

/// The front trade that earns most, and how much. Earnings rise with it, and then fall or end
/// where the victim's trade is undone.
fn best_front(pool: &Pool, victim: &Trade) -> Option<(u128, i128)> {
    let earned = |front: u128| sandwich(pool, victim, front).map(|(_, earned, _)| earned);
    earned(0)?;
    let (mut fits, mut undoes) = (0, victim.amount.saturating_mul(64));
    while undoes - fits > 1 {
        let middle = fits.midpoint(undoes);
        if earned(middle).is_some() {
            fits = middle;
        } else {
            undoes = middle;
        }
    }
    let (mut low, mut high) = (0, fits);
    while high - low > 2 {
        let third = (high - low) / 3;
        let (left, right) = (low.saturating_add(third), high.saturating_sub(third));
        if earned(left) < earned(right) {
            low = left;
        } else {
            high = right;
        }
    }
    let best = (low..=high).filter_map(|front| Some((front, earned(front)?)));
    best.max_by_key(|(_, earned)| *earned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHER: u128 = super::super::ETHER;

    fn victim(side: Side, ether: u128, tolerance_bps: u64) -> (Pool, Trade) {
        let pool = start(&MarketModel::default());
        let amount = ether * ETHER;
        let least = tolerated(pool.quote(side, amount), tolerance_bps);
        (pool, Trade { side, amount, least })
    }

    #[test]
    fn a_large_trade_is_worth_a_sandwich_either_way() {
        for side in [Side::Buy, Side::Sell] {
            let (pool, trade) = victim(side, 128, 100);
            let (front, earned) = best_front(&pool, &trade).unwrap();
            let (_, _, out) = sandwich(&pool, &trade, front).unwrap();
            assert!(earned > 0, "{side:?}: {earned}");
            assert!(out >= trade.least && out < pool.quote(side, trade.amount), "{side:?}");
            assert!(sandwich(&pool, &trade, front * 2).is_none(), "{side:?}: it could take more");
        }
    }

    #[test]
    fn a_small_trade_is_not_worth_the_fee_of_the_pool() {
        let (pool, trade) = victim(Side::Buy, 4, 100);
        let (_, earned) = best_front(&pool, &trade).unwrap();
        assert!(earned <= 0, "{earned}");
    }

    #[test]
    fn a_trade_without_tolerance_leaves_nothing_to_take() {
        let (pool, trade) = victim(Side::Buy, 128, 0);
        let (front, earned) = best_front(&pool, &trade).unwrap();
        assert!(front < 10 && earned <= 0, "{front} {earned}");
    }

    #[test]
    fn users_lose_what_they_get_less_than_without() {
        let (without, with) =
            ([Some(10), None, Some(7), Some(3)], [Some(8), Some(1), None, Some(4)]);
        assert_eq!(shortfall(&without, &with), 1);
    }
}
