//! The way out when nothing settles, as whoever waits for settlement sees it: how it stands, and the two transactions that
//! are anyone's to send.
//!
//! ```text
//!  settling ──▶ overdue ──latch──▶ away ──resume──▶ settling
//!     origin + delay + 1     │          ▲  something newer has settled
//!                            └─ the next posting latches, too ─┘
//! ```
//!
//! **Invariants.** All that is told is asked of one L1 block, by its number, and most endpoints say it alike. What a contract
//! would refuse is refused here, with what to wait for, and is not paid for; unless things change before a block takes the
//! transaction, or L1 takes that block back meanwhile.

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    providers::Provider as _,
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use conclave_contracts::{
    ConclaveInbox::{Head, headCall},
    ForcedInclusion::{
        Escape, EscapeLatched, Returned, escapeActiveCall, escapeAtCall, escapeCountCall,
        forcedParametersCall, latchCall, resumeCall,
    },
};
use serde::Serialize;

use super::{Call, Contracts, Endpoints, L1Error, Sender, Sent};

/// States of an inbox (`InboxState` in `contracts/src/interfaces/IConclaveInbox.sol`).
const CLOSED: u8 = 0;
const OPEN: u8 = 1;
/// For so many blocks longer a return must be possible, or less if the delay is short: it is paid for whenever it is taken.
const SLACK_BLOCKS: u64 = 5;
/// Over so many blocks the pace of L1 is measured.
const PACE_BLOCKS: u64 = 64;

/// Why an escape is not latched, or its end not announced. Nothing was sent, but for [`EscapeError::L1`].
#[derive(Debug, thiserror::Error)]
pub enum EscapeError {
    /// The network has not begun.
    #[error("this network is not open on L1 yet, so nothing can be overdue")]
    NotOpen,
    /// It is latched.
    #[error(
        "an escape is latched since L1 block {latched_at}, from height {height} on: there is nothing to do before \
         `conclave escape resume`"
    )]
    Latched {
        /// Since when.
        latched_at: u64,
        /// What had settled then.
        height: u64,
    },
    /// Settlement is in time.
    #[error(
        "nothing is overdue: height {height} has settled, up to L1 block {origin}; if nothing newer settles, an escape can be \
         latched from L1 block {due} on, {wait}"
    )]
    NotDue {
        /// What has settled.
        height: u64,
        /// Up to which L1 block.
        origin: u64,
        /// From which block on it would be overdue.
        due: u64,
        /// How long that is.
        wait: String,
    },
    /// Nobody is away.
    #[error("rollups are not away: there is no escape to return from")]
    NotAway,
    /// They may leave, and nobody has written that down.
    #[error(
        "rollups may leave, and nobody has written that down: the next posting does, or `conclave escape latch`; then there \
         is something to return from"
    )]
    NotLatched,
    /// What has settled is too old.
    #[error(
        "what has settled, height {height}, is of L1 block {origin}, and rollups come back when something of L1 block {needed} \
         or later has: wait for that (`conclave escape status` shows it), then announce the return"
    )]
    StillBehind {
        /// What has settled.
        height: u64,
        /// Up to which L1 block.
        origin: u64,
        /// Up to which it would have to be.
        needed: u64,
    },
    /// Nothing settles any more.
    #[error(
        "this network is abandoned on L1: nothing settles there any more, so rollups that are away stay away"
    )]
    Abandoned,
    /// L1 cannot be asked, or a block took the transaction and the contract refused it.
    #[error(transparent)]
    L1(#[from] L1Error),
}

/// Where a network is between settling and leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It has not begun.
    Closed,
    /// What has settled is new enough.
    Settling,
    /// It is too old: rollups may leave, and anybody may write that down.
    Overdue,
    /// That is written down: rollups derive their chains from the queue on L1.
    Away,
}

/// How the escape stands at an L1 block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// In short.
    pub stage: Stage,
    /// Whether nothing can settle ever again.
    pub abandoned: bool,
    /// The L1 block of which all this is.
    pub l1_block: u64,
    /// Its time, in seconds since 1970.
    pub l1_time: u64,
    /// The newest height that has settled.
    pub settled_height: u64,
    /// Up to which L1 block that has carried the queue.
    pub settled_origin: u64,
    /// How many L1 blocks ago that is.
    pub behind_blocks: u64,
    /// How many it may be.
    pub escape_delay_blocks: u64,
    /// From which L1 block on it can be latched, as long as nothing newer settles; none if it is not to come. A delay that
    /// was changed in the meantime makes that later: what is latched says since when.
    pub latch_from_block: Option<u64>,
    /// When that block was, or is about to be.
    pub latch_from_time: Option<u64>,
    /// How often rollups left.
    pub escapes: u64,
    /// Since which L1 block they are away, or were the last time.
    pub latched_at: Option<u64>,
    /// What had settled then.
    pub latched_height: Option<u64>,
    /// Entries of the queue that this carried.
    pub latched_cursor: Option<u64>,
    /// The L1 block of the last return; none while they are away.
    pub resumed_at: Option<u64>,
    /// Entries of the queue before this one belong to the time away; none while it lasts.
    pub resume_point: Option<u64>,
    /// Up to which L1 block something has to settle for a return in one of the next blocks; none if they are not away.
    pub resume_from_origin: Option<u64>,
    /// Whether `latch` would be taken.
    pub can_latch: bool,
    /// Whether `resume` would be taken.
    pub can_resume: bool,
    /// What comes next, in words.
    pub next: String,
}

/// What L1 shows at one block.
#[derive(Clone, Debug)]
struct Seen {
    block: u64,
    time: u64,
    /// An earlier block and its time.
    earlier: (u64, u64),
    /// When it became overdue, if it is.
    due_time: Option<u64>,
    head: Head,
    delay: u64,
    is_active: bool,
    count: u64,
    newest: Option<Escape>,
}

/// An escape that was latched.
#[derive(Debug)]
pub struct Latched {
    /// What is written down.
    pub event: EscapeLatched,
    /// The transaction.
    pub sent: Sent,
}

/// A return that was announced.
#[derive(Debug)]
pub struct Resumed {
    /// What is written down.
    pub event: Returned,
    /// The transaction.
    pub sent: Sent,
}

/// How it stands.
///
/// # Errors
///
/// If too few endpoints answer, or agree.
pub async fn standing(endpoints: &Endpoints, contracts: &Contracts) -> Result<Standing, L1Error> {
    Ok(judge(&look(endpoints, contracts).await?))
}

/// Writes down that rollups may leave.
///
/// # Errors
///
/// If there is nothing to write down, or L1 does not do it.
pub async fn latch(sender: &Sender, contracts: &Contracts) -> Result<Latched, EscapeError> {
    standing(sender.endpoints(), contracts).await?.may_latch()?;
    match sender.send(Call::new(contracts.forced, &latchCall {})).await {
        Ok(sent) => Ok(Latched { event: sent.event()?, sent }),
        Err(error @ L1Error::Reverted(_)) => {
            // Something has settled since, or somebody was faster: nothing was paid.
            standing(sender.endpoints(), contracts).await?.may_latch()?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Announces that rollups come back.
///
/// # Errors
///
/// If they are not away or have to stay, or L1 does not do it.
pub async fn resume(sender: &Sender, contracts: &Contracts) -> Result<Resumed, EscapeError> {
    standing(sender.endpoints(), contracts).await?.may_resume()?;
    match sender.send(Call::new(contracts.forced, &resumeCall {})).await {
        Ok(sent) => Ok(Resumed { event: sent.event()?, sent }),
        Err(error @ L1Error::Reverted(_)) => {
            standing(sender.endpoints(), contracts).await?.may_resume()?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

impl Standing {
    /// Whether the contract would write down that rollups may leave.
    ///
    /// # Errors
    ///
    /// Says why not, and what to wait for.
    pub fn may_latch(&self) -> Result<(), EscapeError> {
        match self.stage {
            Stage::Overdue => Ok(()),
            Stage::Closed => Err(EscapeError::NotOpen),
            Stage::Away if self.abandoned => Err(EscapeError::Abandoned),
            Stage::Away => Err(EscapeError::Latched {
                latched_at: self.latched_at.unwrap_or_default(),
                height: self.latched_height.unwrap_or_default(),
            }),
            Stage::Settling => Err(EscapeError::NotDue {
                height: self.settled_height,
                origin: self.settled_origin,
                due: self.latch_from_block.unwrap_or_default(),
                wait: self.wait(),
            }),
        }
    }

    /// Whether the contract would take the announcement of a return in the next block.
    ///
    /// # Errors
    ///
    /// Says why not, and what to wait for.
    pub fn may_resume(&self) -> Result<(), EscapeError> {
        match (self.stage, self.resume_from_origin) {
            (Stage::Away | Stage::Overdue, _) if self.abandoned => Err(EscapeError::Abandoned),
            (Stage::Away, Some(needed)) if self.settled_origin < needed => {
                let (height, origin) = (self.settled_height, self.settled_origin);
                Err(EscapeError::StillBehind { height, origin, needed })
            }
            (Stage::Away, _) => Ok(()),
            (Stage::Overdue, _) => Err(EscapeError::NotLatched),
            (Stage::Closed | Stage::Settling, _) => Err(EscapeError::NotAway),
        }
    }

    /// How long it is until it can be latched.
    fn wait(&self) -> String {
        let Some(from) = self.latch_from_time else { return "never".to_owned() };
        let seconds = from.saturating_sub(self.l1_time);
        let (hours, minutes) = (seconds / 3_600, seconds % 3_600 / 60);
        match (hours, minutes) {
            (0, 0) => format!("in about {seconds} s"),
            (0, minutes) => format!("in about {minutes} min"),
            (hours, minutes) => format!("in about {hours} h {minutes} min"),
        }
    }

    fn words(&self) -> String {
        let (latch, resume) = (self.may_latch(), self.may_resume());
        match (self.stage, latch, resume) {
            (Stage::Overdue, ..) if self.abandoned => {
                "rollups may leave, for good: anybody may write that down (conclave escape latch)".to_owned()
            }
            (Stage::Overdue, ..) => {
                "rollups may leave: anybody may write that down (conclave escape latch), and the next posting does".to_owned()
            }
            (Stage::Away, _, Ok(())) => {
                "what has settled is new enough: anybody may announce the return (conclave escape resume)".to_owned()
            }
            (Stage::Away, _, Err(why)) | (_, Err(why), _) => why.to_string(),
            (Stage::Closed | Stage::Settling, Ok(()), _) => String::new(),
        }
    }
}

fn judge(seen: &Seen) -> Standing {
    let Seen { block, time, head, delay, newest, .. } = seen;
    let (height, origin) = (head.height.to::<u64>(), head.origin.to::<u64>());
    let is_away = newest.as_ref().is_some_and(|escape| escape.resumedAt == 0);
    let stage = match head.state {
        _ if is_away => Stage::Away,
        CLOSED => Stage::Closed,
        _ if seen.is_active => Stage::Overdue,
        _ => Stage::Settling,
    };
    let due = origin.saturating_add(*delay).saturating_add(1);
    let due = matches!(stage, Stage::Settling | Stage::Overdue).then_some(due);
    let to_come = due.map(|due| {
        let blocks = due.saturating_sub(*block);
        time.saturating_add(blocks.saturating_mul(seen.pace_ms()) / 1_000)
    });
    let ended = newest.as_ref().filter(|_| !is_away);
    // The transaction is in the next block at the earliest, and must not be too late in the one after that.
    let slack = SLACK_BLOCKS.min(delay / 8);
    let needed = block.saturating_add(1).saturating_add(slack).saturating_sub(delay / 2);
    let mut standing = Standing {
        stage,
        abandoned: head.state > OPEN,
        l1_block: *block,
        l1_time: *time,
        settled_height: height,
        settled_origin: origin,
        behind_blocks: block.saturating_sub(origin),
        escape_delay_blocks: *delay,
        latch_from_block: due,
        latch_from_time: due.and(seen.due_time).or(to_come),
        escapes: seen.count,
        latched_at: newest.as_ref().map(|escape| escape.latchedAt),
        latched_height: newest.as_ref().map(|escape| escape.height),
        latched_cursor: newest.as_ref().map(|escape| escape.cursor),
        resumed_at: ended.map(|escape| escape.resumedAt),
        resume_point: ended.map(|escape| escape.resumePoint),
        resume_from_origin: is_away.then_some(needed),
        can_latch: false,
        can_resume: false,
        next: String::new(),
    };
    standing.can_latch = standing.may_latch().is_ok();
    standing.can_resume = standing.may_resume().is_ok();
    standing.next = standing.words();
    standing
}

impl Seen {
    /// Milliseconds that an L1 block takes.
    const fn pace_ms(&self) -> u64 {
        let (block, time) = self.earlier;
        let took_ms = self.time.saturating_sub(time).saturating_mul(1_000);
        match took_ms.checked_div(self.block.saturating_sub(block)) {
            Some(pace) => pace,
            None => 0,
        }
    }
}

async fn look(endpoints: &Endpoints, contracts: &Contracts) -> Result<Seen, L1Error> {
    let block = endpoints.newest().await?;
    let at = At { endpoints, block };
    let forced = contracts.forced;
    let head = at.call(contracts.inbox, &headCall {}).await?;
    let delay = u64::from(at.call(forced, &forcedParametersCall {}).await?.escapeDelayBlocks);
    let count = at.call(forced, &escapeCountCall {}).await?;
    let newest = match count.checked_sub(alloy::primitives::U256::ONE) {
        Some(index) => Some(at.call(forced, &escapeAtCall { index }).await?),
        None => None,
    };
    let due = head.origin.to::<u64>().saturating_add(delay).saturating_add(1);
    let due_time = if due <= block { Some(at.time(due).await?) } else { None };
    let earlier = block.saturating_sub(PACE_BLOCKS);
    Ok(Seen {
        block,
        time: at.time(block).await?,
        earlier: (earlier, at.time(earlier).await?),
        due_time,
        delay,
        is_active: at.call(forced, &escapeActiveCall {}).await?,
        count: count.saturating_to(),
        head,
        newest,
    })
}

/// One L1 block, as most endpoints show it.
struct At<'a> {
    endpoints: &'a Endpoints,
    block: u64,
}

impl At<'_> {
    async fn call<C: SolCall>(
        &self,
        address: alloy::primitives::Address,
        call: &C,
    ) -> Result<C::Return, L1Error> {
        let request = TransactionRequest::default().to(address).input(call.abi_encode().into());
        let answer = self.endpoints.eth_call(&request, BlockId::number(self.block)).await?;
        C::abi_decode_returns(&answer).map_err(|source| L1Error::Abi { address, source })
    }

    async fn time(&self, number: u64) -> Result<u64, L1Error> {
        let asked = self.endpoints.agree("eth_getBlockByNumber", |provider| async move {
            let block = provider.get_block_by_number(BlockNumberOrTag::Number(number)).await?;
            Ok(block.map(|block| block.header.timestamp))
        });
        asked.await?.ok_or_else(|| L1Error::Missing { what: format!("L1 block {number}") })
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Uint;

    use super::*;

    /// An open network with a delay of 100 blocks of 12 s, at L1 block 1000, of which block `origin` has settled.
    fn seen(origin: u64) -> Seen {
        let head = Head {
            height: Uint::from(70),
            previousHeight: Uint::from(60),
            origin: Uint::from(origin),
            cursor: Uint::from(3),
            epoch: 1,
            postedAt: Uint::from(9),
            place: 0,
            state: OPEN,
        };
        Seen {
            block: 1_000,
            time: 1_000_000,
            earlier: (936, 1_000_000 - 64 * 12),
            due_time: None,
            head,
            delay: 100,
            is_active: false,
            count: 0,
            newest: None,
        }
    }

    fn away(origin: u64) -> Seen {
        let newest = Escape { latchedAt: 901, height: 50, cursor: 2, resumedAt: 0, resumePoint: 0 };
        Seen { is_active: true, count: 1, newest: Some(newest), ..seen(origin) }
    }

    #[test]
    fn who_is_too_early_is_told_for_which_block_to_wait_and_how_long() {
        let found = judge(&seen(910));
        assert_eq!((found.stage, found.behind_blocks), (Stage::Settling, 90));
        assert_eq!(found.latch_from_block, Some(1_011));
        assert_eq!(found.latch_from_time, Some(1_000_000 + 11 * 12));
        let why = found.may_latch().unwrap_err().to_string();
        assert!(why.contains("height 70") && why.contains("L1 block 1011"), "{why}");
        assert!(why.contains("in about 2 min"), "{why}");
        assert_eq!((found.can_latch, found.can_resume), (false, false));
        assert_eq!(found.next, why);
        assert!(matches!(found.may_resume(), Err(EscapeError::NotAway)));
        let closed = judge(&Seen { head: Head { state: CLOSED, ..seen(0).head }, ..seen(0) });
        assert!(matches!(closed.may_latch(), Err(EscapeError::NotOpen)));
        assert_eq!((closed.stage, closed.latch_from_block), (Stage::Closed, None));
    }

    #[test]
    fn what_is_overdue_may_be_latched_once() {
        let due = Seen { is_active: true, due_time: Some(999_000), ..seen(899) };
        let found = judge(&due);
        assert_eq!((found.stage, found.can_latch, found.can_resume), (Stage::Overdue, true, false));
        assert_eq!((found.latch_from_block, found.latch_from_time), (Some(1_000), Some(999_000)));
        let why = found.may_resume().unwrap_err().to_string();
        assert!(why.contains("conclave escape latch"), "{why}");
        let found = judge(&away(899));
        let why = found.may_latch().unwrap_err().to_string();
        assert!(why.contains("since L1 block 901, from height 50"), "{why}");
        assert_eq!((found.latch_from_block, found.latched_cursor), (None, Some(2)));
    }

    #[test]
    fn a_return_is_for_when_what_has_settled_is_within_half_the_delay_of_the_next_blocks() {
        for (origin, can_resume) in [(899, false), (955, false), (956, true), (990, true)] {
            let found = judge(&away(origin));
            assert_eq!((found.stage, found.can_resume), (Stage::Away, can_resume), "{origin}");
            assert_eq!(found.resume_from_origin, Some(956));
            let told = if can_resume { "conclave escape resume" } else { "L1 block 956" };
            assert!(found.next.contains(told), "{}", found.next);
        }
        let mut abandoned = away(990);
        abandoned.head.state = OPEN + 1;
        let abandoned = judge(&abandoned);
        assert!(matches!(abandoned.may_resume(), Err(EscapeError::Abandoned)));
        assert!(matches!(abandoned.may_latch(), Err(EscapeError::Abandoned)));
        let mut overdue = Seen { is_active: true, due_time: Some(999_000), ..seen(899) };
        overdue.head.state = OPEN + 1;
        let overdue = judge(&overdue);
        assert!(overdue.can_latch && overdue.next.contains("for good"), "{}", overdue.next);
        assert!(matches!(overdue.may_resume(), Err(EscapeError::Abandoned)));
    }

    #[test]
    fn after_a_return_it_stands_as_ever_and_the_last_time_is_told() {
        let mut back = away(990);
        back.is_active = false;
        let newest = back.newest.as_mut().unwrap();
        (newest.resumedAt, newest.resumePoint) = (980, 7);
        let found = judge(&back);
        assert_eq!((found.stage, found.escapes), (Stage::Settling, 1));
        assert_eq!((found.resumed_at, found.resume_point), (Some(980), Some(7)));
        assert!(matches!(found.may_resume(), Err(EscapeError::NotAway)));
        // And a second time.
        back.is_active = true;
        back.head.origin = Uint::from(899);
        assert_eq!(judge(&back).stage, Stage::Overdue);
    }

    #[test]
    fn nonsense_of_an_endpoint_is_a_standing_all_the_same() {
        let mut mad = seen(0);
        (mad.block, mad.time, mad.delay) = (0, 0, u64::MAX);
        mad.earlier = (u64::MAX, u64::MAX);
        mad.head.origin = Uint::MAX;
        let found = judge(&mad);
        assert_eq!((found.stage, found.behind_blocks), (Stage::Settling, 0));
        assert_eq!(found.latch_from_block, Some(u64::MAX));
    }
}
