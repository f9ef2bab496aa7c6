//! From raw bytes to a transaction that may be executed: every check that needs no state.
//!
//! Payload building and block import disagree on some of these (building does not look at the chain
//! id, import does), so one foreign transaction could make a block that nobody accepts. They are all
//! made here, before execution.

use ethrex_common::{Address, types::Transaction};
use ethrex_crypto::NativeCrypto;

use crate::outcome::SkipReason;

/// A well-formed transaction of this chain with its recovered sender.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The transaction.
    pub transaction: Transaction,
    /// Who signed it.
    pub sender: Address,
}

/// Parses one item of the stream.
///
/// # Errors
///
/// Why it can never be executed on this chain.
pub fn parse(raw: &[u8], chain_id: u64) -> Result<Parsed, SkipReason> {
    let transaction = decode(raw)?;
    allowed(&transaction)?;
    let found = transaction.chain_id().filter(|found| *found != chain_id);
    if let Some(found) = found {
        return Err(SkipReason::WrongChain { expected: chain_id, found });
    }
    let sender = transaction.sender(&NativeCrypto).map_err(|_error| SkipReason::BadSignature)?;
    Ok(Parsed { transaction, sender })
}

/// The decoder takes some encodings that are not canonical; two encodings of one transaction would
/// give its hash two meanings.
fn decode(raw: &[u8]) -> Result<Transaction, SkipReason> {
    let decoded = Transaction::decode_canonical(raw);
    let transaction = decoded.map_err(|_error| SkipReason::Malformed)?;
    let mut encoded = Vec::with_capacity(raw.len());
    transaction.encode_canonical(&mut encoded);
    if encoded == raw { Ok(transaction) } else { Err(SkipReason::Malformed) }
}

fn allowed(transaction: &Transaction) -> Result<(), SkipReason> {
    match transaction {
        Transaction::LegacyTransaction(_)
        | Transaction::EIP2930Transaction(_)
        | Transaction::EIP1559Transaction(_)
        | Transaction::EIP7702Transaction(_) => Ok(()),
        Transaction::EIP4844Transaction(_)
        | Transaction::PrivilegedL2Transaction(_)
        | Transaction::FeeTokenTransaction(_)
        | Transaction::FrameTransaction(_) => {
            Err(SkipReason::TypeNotAllowed(u8::from(transaction.tx_type())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_malformed_whatever_its_first_byte() {
        for first in 0..=u8::MAX {
            for length in [0, 1, 2, 33, 200] {
                let mut raw = vec![first];
                raw.resize(1 + length, 0xc1);
                assert_eq!(parse(&raw, 901).unwrap_err(), SkipReason::Malformed);
            }
        }
        assert_eq!(parse(&[], 901).unwrap_err(), SkipReason::Malformed);
    }
}
