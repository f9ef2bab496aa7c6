//! Putting a committee on offer for the next epoch, when the chain is about to want one and nobody has.
//!
//! Anyone may have the contract elect, and the chain takes what L1 offers last, so what is done here costs money and
//! gives no power. One offer an epoch is enough: it is made late, so that it counts the stake of then.

use std::time::Duration;

use conclave_contracts::offers::keyed;
use conclave_types::{Epoch, Member};
use tokio::time::Instant;

use super::decide::Turns;
use crate::l1::{Call, Contracts, Endpoints, L1Error, election, offers};

/// Whose turn it is to offer, and since when.
#[derive(Clone, Debug)]
pub(super) struct Offering {
    takeover: Duration,
    due: Option<(Epoch, Instant)>,
    not_before: Instant,
    /// For which epoch this node has offered last, and when.
    offered: Option<(Epoch, Instant)>,
    /// For which epoch it was said that there is no money.
    poor_for: Option<Epoch>,
}

/// A failed attempt is repeated after this.
const RETRY: Duration = Duration::from_secs(5);
/// How long an offer may take until the chain has carried it. Anybody can make it outdated meanwhile, with a gwei.
const ON_ITS_WAY: Duration = Duration::from_secs(20 * 60);

impl Offering {
    pub(super) const fn new(takeover: Duration, now: Instant) -> Self {
        Self { takeover, due: None, not_before: now, offered: None, poor_for: None }
    }

    /// Whether this validator is to see to an offer for `wanted` now. Who comes first changes with the epoch; every
    /// other one waits for as many delays as its rank.
    pub(super) fn is_due(&mut self, now: Instant, turns: Turns, wanted: Option<Epoch>) -> bool {
        let Some(epoch) = wanted else {
            self.due = None;
            return false;
        };
        let since = match self.due {
            Some((of, since)) if of == epoch => since,
            Some(_) | None => {
                self.due = Some((epoch, now));
                now
            }
        };
        let is_on_its_way =
            self.offered.is_some_and(|(of, at)| of == epoch && now < at + ON_ITS_WAY);
        let turn = since + self.takeover.saturating_mul(turns.rank(epoch.as_u64()));
        !is_on_its_way && now >= turn.max(self.not_before)
    }

    /// This node has offered.
    pub(super) const fn offered(&mut self, now: Instant, epoch: Epoch) {
        self.offered = Some((epoch, now));
    }

    /// There is no money for it; says so once for each epoch.
    pub(super) fn cannot_pay(&mut self, epoch: Epoch) {
        if self.poor_for.replace(epoch) != Some(epoch) {
            tracing::error!(
                %epoch,
                "what offers of committees may cost in a day is spent; raise l1.relay.day_cost_gwei_max, or others have to offer"
            );
        }
    }

    /// It was seen to, or could not be: not again right away.
    pub(super) fn rest(&mut self, now: Instant) {
        self.not_before = now + RETRY;
    }
}

/// The call that offers a committee for `epoch`; none if L1 does not take offers for it now, or the committee that
/// it would elect is on offer.
pub(super) async fn call(
    endpoints: &Endpoints,
    contracts: &Contracts,
    epoch: Epoch,
) -> Result<Option<Call>, L1Error> {
    if election::next_epoch(endpoints, contracts).await? != epoch.as_u64() {
        return Ok(None);
    }
    let elected = election::elected(endpoints, contracts).await?;
    let numbers: Vec<u32> = elected.iter().map(|elected| elected.validator).collect();
    let newest = endpoints.newest().await?;
    let members = endpoints
        .agree("eth_getLogs", |provider| {
            let numbers = numbers.clone();
            async move {
                let keys =
                    offers::keys_set(&provider, contracts, &numbers, newest, |_, _| true).await?;
                let member =
                    |number: &u32| keys.get(number)?.last().map(|keys| keyed(*number, keys));
                Ok(numbers.iter().map(member).collect::<Option<Vec<Member>>>())
            }
        })
        .await?;
    let Some(members) = members else {
        let what = "the keys of a validator whom an election chooses".to_owned();
        return Err(L1Error::Missing { what });
    };
    let Some(committee) = election::committee(&elected, &members) else { return Ok(None) };
    if election::is_offered(endpoints, contracts, epoch.as_u64(), &committee).await? {
        return Ok(None);
    }
    Ok(Some(election::offer(contracts, &members)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEOVER: Duration = Duration::from_secs(10);

    #[test]
    fn validators_take_turns_by_epoch_and_take_over_by_rank() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let turns = |seat| Turns { seat, seats: 4 };
        // Epoch 6: seat 2 first, then 3, 0, 1, and who has no seat last.
        let wanted = Some(Epoch::new(6));
        for (seat, waits) in [(Some(2), 0), (Some(3), 10), (Some(0), 20), (Some(1), 30), (None, 40)]
        {
            let (mut offering, turns) = (Offering::new(TAKEOVER, start), turns(seat));
            assert_eq!(offering.is_due(start, turns, wanted), waits == 0, "{seat:?}");
            if waits > 0 {
                assert!(!offering.is_due(after(waits - 1), turns, wanted), "{seat:?}");
            }
            assert!(offering.is_due(after(waits), turns, wanted), "{seat:?}");
            offering.rest(after(waits));
            assert!(!offering.is_due(after(waits + 4), turns, wanted), "{seat:?} has just tried");
            assert!(offering.is_due(after(waits + 5), turns, wanted), "{seat:?}");
        }
        let (mut offering, turns) = (Offering::new(TAKEOVER, start), turns(Some(3)));
        assert!(!offering.is_due(start, turns, wanted));
        assert!(!offering.is_due(after(10), turns, None), "somebody has seen to it");
        assert!(!offering.is_due(after(10), turns, wanted), "it is wanted anew, from now on");
        assert!(
            offering.is_due(after(10), turns, Some(Epoch::new(7))),
            "another epoch, another turn"
        );
    }
}
