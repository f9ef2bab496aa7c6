//! Why the pool turns a bundle away. Not the bundle's fault alone: most of these change with the
//! pool and the ledger.

use borsh::BorshSerialize;
use conclave_types::{BundleId, Gwei, PayerAddress};

use crate::ledger::LedgerError;

/// Why the pool does not take a bundle.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq, BorshSerialize)]
pub enum PoolError {
    /// It is here already.
    #[error("bundle {0} is in the pool already")]
    Known(BundleId),
    /// The fee, the lane or the balance is not as the ledger needs it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its nonce was charged before.
    #[error("lane {lane} of {payer} is at sequence {expected}, {found} was used")]
    Used {
        /// Who would pay.
        payer: PayerAddress,
        /// The lane.
        lane: u64,
        /// The next sequence.
        expected: u64,
        /// The bundle's sequence.
        found: u64,
    },
    /// Its nonce is too far ahead of its lane.
    #[error("lane {lane} of {payer} is held up to sequence {expected}, found {found}")]
    Gap {
        /// Who would pay.
        payer: PayerAddress,
        /// The lane.
        lane: u64,
        /// The furthest sequence that is held.
        expected: u64,
        /// The bundle's sequence.
        found: u64,
    },
    /// Another bundle has this nonce, and this one does not pay enough more to replace it.
    #[error("to replace {occupant} takes a fee of {expected} and no less per byte, found {found}")]
    Underpriced {
        /// The bundle that is there.
        occupant: BundleId,
        /// The least fee that replaces it.
        expected: Gwei,
        /// The fee of this one.
        found: Gwei,
    },
    /// Another bundle is sealed with the same randomness; a block may not hold both.
    #[error("bundle {0} is sealed with the same point")]
    SamePoint(BundleId),
    /// The payer has its share of the pool, and nothing there stands below this one.
    #[error("{0} has as many bundles here as one payer may have, none of less worth")]
    PayerFull(PayerAddress),
    /// The pool is full, and nothing there stands below this one.
    #[error("the pool is full of bundles of no less worth; a higher priority fee may help")]
    Full,
}

impl PoolError {
    /// Whether the same bytes can never be taken. If not, the sender may try again later.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Known(_)
                | Self::Used { .. }
                | Self::Ledger(LedgerError::Fee { .. } | LedgerError::Lanes { .. })
        )
    }
}
