//! `conclave stake claim --earned` and `--pot`: fees that an epoch has shared out, on their way to L1.

use anyhow::{Context as _, bail};
use conclave_node::l1::{Contracts, Sender, withdrawals};
use conclave_types::{Payee, wire::PaidOut};

use crate::cli::{chain::Done, proofs::Prover, withdraw::pay};

/// Payments that one command brings; the next one brings what is left.
const CLAIMS_MAX: usize = 32;

/// Has everything paid that is settled and was not paid yet, the oldest first.
pub(super) async fn bring(
    sender: &Sender,
    contracts: &Contracts,
    node: &str,
    payee: Payee,
    done: &mut Done,
) -> anyhow::Result<()> {
    let prover = Prover::connect(node).await?;
    let (unpaid, more) = unpaid(&prover, sender, contracts, payee).await?;
    let settled = withdrawals::settled(sender.endpoints(), contracts).await?;
    let (due, early): (Vec<_>, Vec<_>) =
        unpaid.into_iter().partition(|paid| paid.height.as_u64() <= settled);
    let gwei = |list: &[PaidOut]| -> u64 {
        list.iter().map(|paid| paid.withdrawal.amount.as_u64()).fold(0, u64::saturating_add)
    };
    if due.is_empty() {
        match early.first() {
            Some(first) => bail!(
                "nothing to claim yet: height {} pays it out and has not settled, what has is {settled}",
                first.height
            ),
            None => bail!("nothing to claim: all that was shared out is paid"),
        }
    }
    for (brought, paid) in due.iter().enumerate() {
        let payment = pay(&prover, sender, contracts, paid, done).await;
        payment.with_context(|| format!("{brought} of {} payments were made", due.len()))?;
    }
    done.add("payments", due.len());
    done.add("amount_gwei", gwei(&due));
    done.add("not_settled_gwei", gwei(&early));
    if more {
        done.add("then", "the same command again: there is more");
    }
    Ok(())
}

/// The oldest payments that were not made yet, and whether there may be more.
async fn unpaid(
    prover: &Prover,
    sender: &Sender,
    contracts: &Contracts,
    payee: Payee,
) -> anyhow::Result<(Vec<PaidOut>, bool)> {
    let (mut unpaid, mut from) = (Vec::new(), 0);
    loop {
        let page = prover.paid_to(payee, from).await?;
        let Some(last) = page.last() else { return Ok((unpaid, false)) };
        from = last.withdrawal.index.saturating_add(1);
        for paid in page {
            if unpaid.len() >= CLAIMS_MAX {
                return Ok((unpaid, true));
            }
            if !withdrawals::is_paid(sender.endpoints(), contracts, paid.withdrawal.index).await? {
                unpaid.push(paid);
            }
        }
    }
}
