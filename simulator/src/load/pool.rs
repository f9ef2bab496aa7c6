//! A constant-product pool between ether and a token, in whole numbers.
//!
//! Whoever puts in `a` gets `b · a' / (A + a')` out of reserves `A` and `B`, where `a'` is `a` less the
//! pool's fee, rounded against the trader. Amounts are in units of 10⁻⁹: gwei of ether, and as fine
//! of the token.

use borsh::{BorshDeserialize, BorshSerialize};

/// Hundredths of a percent in a whole.
pub(crate) const WHOLE_BPS: u128 = 10_000;

/// Which way a trade goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshDeserialize, BorshSerialize)]
pub(crate) enum Side {
    /// Ether in, token out.
    Buy,
    /// Token in, ether out.
    Sell,
}

impl Side {
    /// The way back.
    #[must_use]
    pub(crate) const fn back(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A trade, as the transaction in a bundle spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshDeserialize, BorshSerialize)]
pub(crate) struct Trade {
    /// Which way.
    pub(crate) side: Side,
    /// What goes in.
    pub(crate) amount: u128,
    /// It is undone if less comes out.
    pub(crate) least: u128,
}

/// The reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    ether: u128,
    token: u128,
    fee_bps: u128,
}

impl Pool {
    /// A pool with as much of either, so that it begins at a price of one.
    #[must_use]
    pub(crate) const fn new(reserve: u128, fee_bps: u128) -> Self {
        Self { ether: reserve, token: reserve, fee_bps }
    }

    /// What would come out.
    #[must_use]
    pub(crate) fn quote(&self, side: Side, amount: u128) -> u128 {
        let (from, to) = self.reserves(side);
        let amount = amount.saturating_mul(WHOLE_BPS.saturating_sub(self.fee_bps));
        let whole = from.saturating_mul(WHOLE_BPS).saturating_add(amount);
        to.saturating_mul(amount).checked_div(whole).unwrap_or(0)
    }

    /// What would have to go in for `out` to come out; none if the pool does not have it.
    #[must_use]
    pub(crate) fn price_of(&self, side: Side, out: u128) -> Option<u128> {
        let (from, to) = self.reserves(side);
        let left = to.checked_sub(out)?.checked_mul(WHOLE_BPS.checked_sub(self.fee_bps)?)?;
        let whole = from.checked_mul(out)?.checked_mul(WHOLE_BPS)?;
        whole.checked_div(left)?.checked_add(1)
    }

    /// Trades, and says what came out; none, and nothing changes, if it is less than wanted.
    pub(crate) fn trade(&mut self, trade: &Trade) -> Option<u128> {
        let out = self.quote(trade.side, trade.amount);
        if out < trade.least {
            return None;
        }
        let (from, to) = match trade.side {
            Side::Buy => (&mut self.ether, &mut self.token),
            Side::Sell => (&mut self.token, &mut self.ether),
        };
        *from = from.saturating_add(trade.amount);
        *to = to.saturating_sub(out);
        Some(out)
    }

    /// What so much of the token is worth in ether at this price, moving nothing.
    #[must_use]
    pub(crate) fn worth(&self, token: i128) -> i128 {
        let (ether, own) = (self.ether.cast_signed(), self.token.cast_signed());
        token.saturating_mul(ether).checked_div(own).unwrap_or(0)
    }

    const fn reserves(&self, side: Side) -> (u128, u128) {
        match side {
            Side::Buy => (self.ether, self.token),
            Side::Sell => (self.token, self.ether),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: Pool = Pool::new(1_000_000, 30);

    #[test]
    fn the_product_never_falls() {
        let mut pool = POOL;
        for (side, amount) in [(Side::Buy, 5_000), (Side::Sell, 70_000), (Side::Buy, 1)] {
            let before = pool.ether * pool.token;
            pool.trade(&Trade { side, amount, least: 0 }).unwrap();
            assert!(pool.ether * pool.token >= before, "{side:?} {amount}");
        }
    }

    #[test]
    fn there_and_back_costs_the_fee_twice() {
        let mut pool = POOL;
        let token = pool.trade(&Trade { side: Side::Buy, amount: 10_000, least: 0 }).unwrap();
        assert_eq!(token, 9_871);
        let ether = pool.trade(&Trade { side: Side::Sell, amount: token, least: 0 }).unwrap();
        assert_eq!(ether, 9_940);
    }

    #[test]
    fn a_trade_that_gives_too_little_changes_nothing() {
        let mut pool = POOL;
        assert_eq!(pool.trade(&Trade { side: Side::Buy, amount: 10_000, least: 9_872 }), None);
        assert_eq!(pool, POOL);
    }

    #[test]
    fn the_price_of_an_amount_buys_it() {
        for out in [1, 77, 9_871, 300_000] {
            let price = POOL.price_of(Side::Buy, out).unwrap();
            assert!(POOL.quote(Side::Buy, price) >= out, "{out}");
            assert!(POOL.quote(Side::Buy, price - 2) < out, "{out}");
        }
        assert_eq!(POOL.price_of(Side::Buy, 1_000_000), None);
    }
}
