//! The way out: rollups leave when L1 has waited for too long, and come back when it has caught up.
//!
//! Escape is active by itself, whether anybody says so or not. Somebody may write it down before the next commitment
//! does, and somebody announces the return as soon as the contract takes it: both are anyone's to do, and here it is
//! whoever forces transactions. The same one also tries either whether it is due or not, and before whatever is posted
//! until the next block: the contract has to refuse what is too early.

use alloy::{
    primitives::{Address, Log, U256},
    sol_types::{SolCall as _, SolEvent as _},
};
use conclave_contracts::{
    ConclaveInbox,
    ForcedInclusion::{
        self, escapeActiveCall, escapeAtCall, escapeCountCall, latchCall, resumeCall,
    },
    escape,
};
use conclave_derivation::L1Event;

use super::{Contracts, L1Fault, founding::FORCER};
use crate::{
    l1::evm::{Call, Executed},
    random::Random,
};

const GAS: u64 = 300_000;
/// How often of a thousand times somebody writes it down before each block.
const LATCHED_PERMILLE: u64 = 300;
/// How often somebody tries what may not be due.
const TRIED_PERMILLE: u64 = 150;

/// A time that rollups were away, as the contract has written it down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Escape {
    /// The first L1 block at which the settled origin was too far behind.
    pub(crate) latched_at: u64,
    /// What had settled by then.
    pub(crate) height: u64,
    /// Entries of the queue that it carries.
    pub(crate) cursor: u64,
    /// The L1 block of the return; 0 while rollups are away.
    pub(crate) resumed_at: u64,
    /// Entries of the queue before this one belong to the time away.
    pub(crate) resume_point: u64,
}

/// What the contract shows of it after a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EscapeShown {
    /// Whether rollups are away.
    pub(crate) is_active: bool,
    /// How many times are written down.
    pub(crate) count: u64,
    /// The last of them.
    pub(crate) newest: Option<Escape>,
    /// Of what settled with the block, how much before a return in it; none if there is no return in it.
    pub(crate) returned_after: Option<usize>,
}

impl EscapeShown {
    /// Whether it is written down that rollups are away.
    fn is_latched(&self) -> bool {
        self.newest.is_some_and(|newest| newest.resumed_at == 0)
    }
}

impl Contracts {
    /// What the contract shows in the newest block.
    pub(super) fn escape(&self) -> Result<EscapeShown, L1Fault> {
        let unanswered = |_refused| L1Fault::NoAnswer(self.number());
        let (ethereum, forced) = (&self.ethereum, self.deployed.forced);
        let is_active = ethereum.ask(forced, &escapeActiveCall {})?.map_err(unanswered)?;
        let count = ethereum.ask(forced, &escapeCountCall {})?.map_err(unanswered)?;
        let (count, returned_after) = (count.saturating_to(), self.returned_after());
        let mut shown = EscapeShown { is_active, count, newest: None, returned_after };
        if let Some(last) = count.checked_sub(1) {
            let found = ethereum.ask(forced, &escapeAtCall { index: U256::from(last) })?;
            let found = found.map_err(unanswered)?;
            shown.newest = Some(Escape {
                latched_at: found.latchedAt,
                height: found.height,
                cursor: found.cursor,
                resumed_at: found.resumedAt,
                resume_point: found.resumePoint,
            });
        }
        Ok(shown)
    }

    /// What rollups read in the newest block.
    pub(super) fn told(&self) -> Option<Vec<L1Event>> {
        let logs = self.ethereum.blocks().last().map(|sealed| sealed.logs.as_slice());
        let (inbox, forced) = (self.deployed.inbox, self.deployed.forced);
        escape::events(logs.unwrap_or_default(), inbox, forced)
    }

    /// How much settled in the newest block before a return in it.
    fn returned_after(&self) -> Option<usize> {
        let logs = self.ethereum.blocks().last().map(|sealed| sealed.logs.as_slice())?;
        let is = |log: &Log, of, event| log.address == of && log.topics().first() == Some(&event);
        let returned = ForcedInclusion::Returned::SIGNATURE_HASH;
        let place = logs.iter().position(|log| is(log, self.deployed.forced, returned))?;
        let settled = ConclaveInbox::Settled::SIGNATURE_HASH;
        let before = logs.iter().take(place);
        Some(before.filter(|log| is(log, self.deployed.inbox, settled)).count())
    }

    /// What somebody tries after a block, due or not.
    pub(super) fn escape_try(&self, random: &mut Random) -> Option<Call> {
        let forced = self.deployed.forced;
        let returns = random.chance(500);
        random.chance(TRIED_PERMILLE).then(|| match returns {
            true => Call::new(FORCER, forced, &resumeCall {}, GAS),
            false => Call::new(FORCER, forced, &latchCall {}, GAS),
        })
    }

    /// What somebody says of it before the next block.
    pub(super) fn escape_news(&self, random: &mut Random) -> Result<Option<Call>, L1Fault> {
        let shown = self.escape()?;
        let forced = self.deployed.forced;
        if shown.is_active && !shown.is_latched() {
            let says = random.chance(LATCHED_PERMILLE);
            return Ok(says.then(|| Call::new(FORCER, forced, &latchCall {}, GAS)));
        }
        let head = self.head()?;
        let margin = self.escape_delay / 2;
        let is_near = head.origin.saturating_add(margin) > head.number;
        Ok((shown.is_latched() && is_near).then(|| Call::new(FORCER, forced, &resumeCall {}, GAS)))
    }
}

/// Whether the contract refused to write down an escape or a return.
pub(super) fn is_refused_escape(forced: Address, executed: &Executed) -> bool {
    let Executed { call, output } = executed;
    let tried = [latchCall::SELECTOR, resumeCall::SELECTOR];
    let is_tried = tried.iter().any(|selector| call.data.first_chunk() == Some(selector));
    call.to == Some(forced) && is_tried && output.is_err()
}
