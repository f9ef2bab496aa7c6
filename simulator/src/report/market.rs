//! What the searcher earned, as a table.

use crate::load::{Earnings, MarketFigures};

/// Bundles to which earnings are scaled, so that runs of any length compare.
const PER_BUNDLES: i128 = 1_000;

/// What the searcher earned in some runs, taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketTable {
    /// What the figures are.
    pub caption: String,
    /// The two worlds.
    pub columns: [&'static str; 2],
    /// A name and a figure for each world.
    pub rows: Vec<(&'static str, [String; 2])>,
}

/// The table of some runs. Sums come first and the scale last, so that each run counts for as many bundles
/// as it had.
#[must_use]
pub fn market_table(runs: &[MarketFigures]) -> MarketTable {
    let trades: u64 = runs.iter().map(|run| run.trades).sum();
    let undone: u64 = runs.iter().map(|run| run.undone_without_searcher).sum();
    let plaintext = sum(runs.iter().map(|run| &run.plaintext));
    let sealed = sum(runs.iter().map(|run| &run.sealed));
    let each = |figure: &dyn Fn(&Earnings) -> String| [figure(&plaintext), figure(&sealed)];
    let scaled = |gwei: i128| {
        let scaled = gwei.saturating_mul(PER_BUNDLES).checked_div(i128::from(trades));
        ether(scaled.unwrap_or(0))
    };
    let rows = vec![
        ("victims that it could try", each(&|e| e.attempts.to_string())),
        ("times that it traded", each(&|e| e.landed.to_string())),
        ("trading, ETH per 1,000 user bundles", each(&|e| scaled(e.gross_gwei))),
        ("bundle fees, ETH per 1,000 user bundles", each(&|e| scaled(e.fees_gwei))),
        ("kept, ETH per 1,000 user bundles", each(&|e| scaled(e.net_gwei))),
        ("users lost, ETH per 1,000 user bundles", each(&|e| scaled(e.users_lost_gwei))),
        ("users' trades undone", each(&|e| e.users_undone.to_string())),
    ];
    let count = runs.len();
    MarketTable {
        caption: format!(
            "front-runner: {trades} user trades in {count} run(s), {undone} undone without it"
        ),
        columns: ["plaintext (model)", "sealed (as it ran)"],
        rows,
    }
}

fn sum<'a>(earnings: impl Iterator<Item = &'a Earnings>) -> Earnings {
    earnings.fold(Earnings::default(), |sum, next| Earnings {
        attempts: sum.attempts.saturating_add(next.attempts),
        landed: sum.landed.saturating_add(next.landed),
        gross_gwei: sum.gross_gwei.saturating_add(next.gross_gwei),
        fees_gwei: sum.fees_gwei.saturating_add(next.fees_gwei),
        net_gwei: sum.net_gwei.saturating_add(next.net_gwei),
        users_lost_gwei: sum.users_lost_gwei.saturating_add(next.users_lost_gwei),
        users_undone: sum.users_undone.saturating_add(next.users_undone),
    })
}

/// Ether with four decimals, from gwei, cut off.
fn ether(gwei: i128) -> String {
    let sign = if gwei < 0 { "-" } else { "" };
    let parts = gwei.unsigned_abs() / 100_000;
    format!("{sign}{}.{:04}", parts / 10_000, parts % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earnings_are_scaled_by_the_bundles_of_all_runs() {
        let run = |trades, net_gwei| MarketFigures {
            trades,
            sealed: Earnings { net_gwei, ..Earnings::default() },
            ..MarketFigures::default()
        };
        let table = market_table(&[run(100, -3_000_000_000), run(300, 1_000_000_000)]);
        let (_, [_, kept]) = table.rows.iter().find(|(name, _)| name.starts_with("kept")).unwrap();
        assert_eq!(kept, "-5.0000");
        assert_eq!(ether(1_234_567_890), "1.2345");
    }
}
