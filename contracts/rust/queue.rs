//! What an L1 block added to the forced queue, as the queue's events tell of it.
//!
//! The contract puts the hash of each entry into its event, and the core hashes the entry that it carries in the
//! same way. So an event whose content was altered on its way is seen here, and not on L1 when the cursor is settled.

use alloy::{
    primitives::{Address, B256, Log},
    sol_types::SolEvent as _,
};
use conclave_types::{
    Deposit, ForcedTransaction, Gwei, L1Content, L1Entry, PayerAddress, RollupId, WithdrawalRequest,
};

use crate::ForcedInclusion::{DepositQueued, TransactionForced, WithdrawalRequested};

/// Events that are entries.
const ENTRIES: [B256; 3] = [
    TransactionForced::SIGNATURE_HASH,
    DepositQueued::SIGNATURE_HASH,
    WithdrawalRequested::SIGNATURE_HASH,
];

/// The entries that the events of the contract `queue` in block `number` tell of, in their order. None if an event of an
/// entry is none, or its hash is not that of its content.
#[must_use]
pub fn entries(logs: &[Log], queue: Address, number: u64) -> Option<Vec<L1Entry>> {
    // The queue tells of other things too (escape, return, parameters), and others may tell whatever they like.
    let is_entry = |log: &&Log| {
        log.address == queue && log.topics().first().is_some_and(|topic| ENTRIES.contains(topic))
    };
    logs.iter().filter(is_entry).map(|log| entry(log, number)).collect()
}

/// The entry that an event of the queue tells of, if its hash is that of its content.
fn entry(log: &Log, l1_block: u64) -> Option<L1Entry> {
    let (index, content, hash) = if let Ok(log) = TransactionForced::decode_log(log) {
        let forced = ForcedTransaction {
            rollup: RollupId::new(log.rollup),
            gas_limit: log.gasLimit,
            transaction: log.transaction.to_vec(),
        };
        (log.index, L1Content::Forced(forced), log.entryHash)
    } else if let Ok(log) = DepositQueued::decode_log(log) {
        let payer = PayerAddress::new(log.payer.into_array());
        let deposit = Deposit { payer, amount: Gwei::new(log.amountGwei) };
        (log.index, L1Content::Deposit(deposit), log.entryHash)
    } else {
        let log = WithdrawalRequested::decode_log(log).ok()?;
        let request = WithdrawalRequest {
            payer: PayerAddress::new(log.payer.into_array()),
            recipient: PayerAddress::new(log.recipient.into_array()),
            amount: Gwei::new(log.amountGwei),
        };
        (log.index, L1Content::Withdrawal(request), log.entryHash)
    };
    let entry = L1Entry { index, l1_block, content };
    (entry.hash().as_bytes() == &hash.0).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForcedInclusion::EscapeLatched;

    const QUEUE: Address = Address::repeat_byte(2);
    const PAYER: [u8; 20] = [4; 20];

    fn deposit(index: u64, l1_block: u64, amount: u64) -> (L1Entry, Log) {
        let deposit = Deposit { payer: PayerAddress::new(PAYER), amount: Gwei::new(amount) };
        let entry = L1Entry { index, l1_block, content: L1Content::Deposit(deposit) };
        let event = DepositQueued {
            index,
            payer: PAYER.into(),
            amountGwei: amount,
            entryHash: B256::from(*entry.hash().as_bytes()),
        };
        (entry, Log { address: QUEUE, data: event.encode_log_data() })
    }

    #[test]
    fn events_are_entries_in_their_order_and_what_else_the_queue_tells_is_none() {
        let ((one, first), (two, second)) = (deposit(7, 30, 5), deposit(8, 30, 6));
        let latched = EscapeLatched {
            escape: alloy::primitives::U256::ZERO,
            latchedAt: 3,
            height: 2,
            cursor: 1,
        };
        let other = Log { address: QUEUE, data: latched.encode_log_data() };
        let forged = Log { address: Address::repeat_byte(3), data: deposit(8, 30, 7).1.data };
        let logs = [first, other, forged, second];
        assert_eq!(entries(&logs, QUEUE, 30), Some(vec![one, two]), "anyone can emit one");
        assert_eq!(entries(&[], QUEUE, 30), Some(Vec::new()));
    }

    #[test]
    fn an_event_of_another_block_or_content_is_no_entry() {
        let (_, log) = deposit(7, 30, 5);
        assert_eq!(
            entries(std::slice::from_ref(&log), QUEUE, 31),
            None,
            "the hash names the block"
        );
        let (_, other) = deposit(7, 30, 6);
        let mixed = Log {
            data: alloy::primitives::LogData::new_unchecked(
                log.topics().to_vec(),
                [&log.data.data[..32], &other.data.data[32..]].concat().into(),
            ),
            ..log
        };
        assert_eq!(entries(&[mixed], QUEUE, 30), None, "the amount of one and the hash of another");
    }
}
