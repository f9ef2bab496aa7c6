//! How much has settled, and each time that rollups leave and come back, as the contracts' events tell of it: what
//! `conclave_derivation::Derivation` has to know of L1.

use alloy::{
    primitives::{Address, Log},
    sol_types::SolEvent as _,
};
use conclave_derivation::L1Event;
use conclave_types::Height;

use crate::{
    ConclaveInbox::Settled,
    ForcedInclusion::{EscapeLatched, Returned},
};

/// What the events of an L1 block tell of it, in their order, the inbox and the queue being at these addresses. None if
/// one of them is not what it is called: an endpoint has altered it, and without it what comes later contradicts.
#[must_use]
pub fn events(logs: &[Log], inbox: Address, queue: Address) -> Option<Vec<L1Event>> {
    let of = |log: &Log| {
        let is = |address, event| log.address == address && log.topics().first() == Some(&event);
        if is(inbox, Settled::SIGNATURE_HASH) {
            Some(settled(log))
        } else if is(queue, EscapeLatched::SIGNATURE_HASH) {
            Some(latched(log))
        } else if is(queue, Returned::SIGNATURE_HASH) {
            Some(returned(log))
        } else {
            None
        }
    };
    logs.iter().filter_map(of).collect()
}

fn settled(log: &Log) -> Option<L1Event> {
    let event = Settled::decode_log(log).ok()?;
    let (origin, cursor) = (event.origin, event.cursor);
    Some(L1Event::Settled { height: Height::new(event.height), origin, cursor })
}

fn latched(log: &Log) -> Option<L1Event> {
    let event = EscapeLatched::decode_log(log).ok()?;
    Some(L1Event::Latched {
        escape: event.escape.saturating_to(),
        latched_at: event.latchedAt,
        height: Height::new(event.height),
        cursor: event.cursor,
    })
}

fn returned(log: &Log) -> Option<L1Event> {
    let event = Returned::decode_log(log).ok()?;
    let escape = event.escape.saturating_to();
    Some(L1Event::Returned { escape, resume_point: event.resumePoint })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, LogData, U256};

    use super::*;

    const INBOX: Address = Address::repeat_byte(1);
    const QUEUE: Address = Address::repeat_byte(2);

    fn log(address: Address, event: &impl alloy::sol_types::SolEvent) -> Log {
        Log { address, data: event.encode_log_data() }
    }

    #[test]
    fn events_are_read_in_their_order_and_only_from_whose_they_are() {
        let settled = Settled {
            epoch: 1,
            height: 9,
            commitment: B256::ZERO,
            root: B256::ZERO,
            origin: 7,
            cursor: 5,
            relayer: Address::ZERO,
        };
        let latched = EscapeLatched { escape: U256::from(3), latchedAt: 40, height: 9, cursor: 5 };
        let returned =
            Returned { escape: U256::from(3), resumedAt: 50, resumePoint: 8, settledHeight: 9 };
        let [of_settled, of_latched, of_returned] = [
            L1Event::Settled { height: Height::new(9), origin: 7, cursor: 5 },
            L1Event::Latched { escape: 3, latched_at: 40, height: Height::new(9), cursor: 5 },
            L1Event::Returned { escape: 3, resume_point: 8 },
        ];
        let logs = [log(QUEUE, &latched), log(INBOX, &settled), log(QUEUE, &returned)];
        let found = events(&logs, INBOX, QUEUE);
        assert_eq!(found, Some(vec![of_latched, of_settled, of_returned]));
        // Anyone can emit these.
        let other = Address::repeat_byte(3);
        let forged = [log(other, &settled), log(INBOX, &latched), log(QUEUE, &settled)];
        assert_eq!(events(&forged, INBOX, QUEUE), Some(Vec::new()));
        for whole in logs {
            let cut = whole.data.data.slice(..31);
            let data = LogData::new_unchecked(whole.topics().to_vec(), cut);
            let altered = Log { data, ..whole };
            assert_eq!(events(&[altered], INBOX, QUEUE), None);
        }
    }
}
