//! What has settled, as the inbox shows it, and what relayers send to it.

use alloy::{primitives::B256, sol_types::SolEvent as _};
use conclave_contracts::{
    ConclaveElection::{electionNowCall, offeredCall},
    ConclaveInbox::{self, commitCall, headCall},
    ConclaveStake::epochCountCall,
    offers,
    posting::{self, Signed},
};
use conclave_sequencer::archive::Posting;
use conclave_types::{Committee, Digest, Epoch, Member, SettlementMember, settlement_committee};

use super::{Contracts, L1Fault, operators::operator};
use crate::l1::evm::Call;

/// Gas of a posting: the largest committee, a third of it absent, and an epoch that ends.
const POST_GAS: u64 = 2_000_000;
/// Of an election: it reads everyone who is enlisted, and writes a table.
const OFFER_GAS: u64 = 1 << 24;

/// Where settlement stands in the newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The epoch in office.
    pub(crate) epoch: u64,
    /// The height that settled last.
    pub(crate) height: u64,
    /// The L1 block up to which that has seen L1.
    pub(crate) origin: u64,
    /// The newest L1 block.
    pub(crate) number: u64,
}

/// A commitment that the inbox has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Its epoch.
    pub(crate) epoch: u64,
    /// Its height.
    pub(crate) height: u64,
    /// Its digest.
    pub(crate) digest: Digest,
    /// The root over the commitments up to it.
    pub(crate) root: Digest,
    /// Up to where it has seen L1, and the entries of the queue up to there.
    pub(crate) origin: u64,
    /// Entries of the queue up to there.
    pub(crate) cursor: u64,
}

impl Contracts {
    /// Where settlement stands.
    pub(in crate::l1) fn head(&self) -> Result<Head, L1Fault> {
        let number = self.number();
        let head = self.ethereum.ask(self.deployed.inbox, &headCall {})?;
        let head = head.map_err(|_refused| L1Fault::NoAnswer(number))?;
        let small = |number: alloy::primitives::Uint<40, 1>| number.to::<u64>();
        let (height, origin) = (small(head.height), small(head.origin));
        Ok(Head { epoch: head.epoch.into(), height, origin, number })
    }

    /// What settled with the newest block.
    pub(super) fn settled(&self) -> Vec<Settled> {
        let logs = self.ethereum.blocks().last().map(|sealed| sealed.logs.as_slice());
        let logs = logs.unwrap_or_default().iter();
        let of_inbox = logs.filter(|log| log.address == self.deployed.inbox);
        let events = of_inbox.filter_map(|log| ConclaveInbox::Settled::decode_log(log).ok());
        let settled = |event: alloy::primitives::Log<ConclaveInbox::Settled>| Settled {
            epoch: event.epoch,
            height: event.height,
            digest: Digest::new(event.commitment.0),
            root: Digest::new(event.root.0),
            origin: event.origin,
            cursor: event.cursor,
        };
        events.map(settled).collect()
    }

    /// What was posted in the blocks from number `from` on and settled with them: what a provider shows whoever asks for
    /// the transactions behind the inbox's events.
    pub(in crate::l1) fn postings(&self, from: u64) -> Vec<Signed> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let calls = self.ethereum.blocks().iter().skip(from).flat_map(|sealed| &sealed.executed);
        let settled = calls.filter(|executed| {
            executed.call.to == Some(self.deployed.inbox) && executed.output.is_ok()
        });
        settled.flat_map(|executed| posting::postings(&executed.call.data)).collect()
    }

    /// A relayer posts a certificate of a committee, in the place of what it has posted before and waits. As with the
    /// shipped one, price hardly matters any more once what has settled is half the escape delay behind, and then it
    /// waits for nothing else of its sender.
    pub(in crate::l1) fn post(
        &mut self,
        validator: u32,
        found: &Posting,
        office: &Committee,
    ) -> Result<(), L1Fault> {
        let Posting { certificate, peaks, added } = found;
        let Some(posting) = posting::posting(certificate, (peaks, added), office) else {
            return Ok(());
        };
        let from = operator(validator);
        let call = Call::new(from, self.deployed.inbox, &commitCall { posting }, POST_GAS);
        let head = self.head()?;
        let is_urgent = head.number.saturating_sub(head.origin) > self.escape_delay / 2;
        if is_urgent {
            self.ethereum.send_first(call.urgent());
        } else {
            self.ethereum.send_again(call);
        }
        Ok(())
    }

    /// A relayer has a committee elected, unless L1 takes no offers for that epoch, or the committee that it would
    /// elect is on offer.
    pub(in crate::l1) fn offer(&mut self, validator: u32, epoch: Epoch) -> Result<(), L1Fault> {
        let number = self.number();
        let unanswered = |_refused| L1Fault::NoAnswer(number);
        let next = self.ethereum.ask(self.deployed.stake, &epochCountCall {})?;
        if next.map_err(unanswered)? != epoch.as_u64() {
            return Ok(());
        }
        let elected = self.ethereum.ask(self.deployed.election, &electionNowCall {})?;
        let elected = elected.map_err(unanswered)?;
        let keys = self.keys_set();
        let member = |(number, power): (&u32, &u64)| {
            let newest = keys.get(number)?.last()?;
            Some(Member { power: *power, ..offers::keyed(*number, newest) })
        };
        let members = elected.members.iter().zip(&elected.powers).map(member);
        let Some(members) = members.collect::<Option<Vec<Member>>>() else { return Ok(()) };
        let rows: Vec<_> = members.iter().map(row).collect();
        let hash = B256::from(*settlement_committee(&rows).as_bytes());
        let question = offeredCall { epoch: epoch.as_u64(), committeeHash: hash };
        // Refusing is how the contract says that it is not.
        if self.ethereum.ask(self.deployed.election, &question)?.is_ok() {
            return Ok(());
        }
        let call = offers::snapshot(&members);
        let from = operator(validator);
        self.ethereum.send(Call::new(from, self.deployed.election, &call, OFFER_GAS));
        Ok(())
    }
}

/// A member as a table has it.
pub(super) fn row(member: &Member) -> SettlementMember {
    let Member { consensus_key, settlement_key, validator, power, .. } = member;
    SettlementMember {
        consensus_key: *consensus_key,
        validator: *validator,
        power: *power,
        settlement_key: *settlement_key,
    }
}
