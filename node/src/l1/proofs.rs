//! What was ordered, as `ConclaveInbox` is shown it. Nothing is sent: its checks are views, for contracts that act on
//! what was ordered to call with just these bytes.

use alloy::{
    eips::BlockId,
    primitives::{B256, Bytes},
    rpc::types::TransactionRequest,
    sol_types::SolCall as _,
};
use conclave_contracts::{
    ConclaveInbox::{
        self, proveAbsenceCall, proveAtomicCall, proveTransactionCall, proveTransactionsCall,
    },
    bindings::inbox::NamespaceTree::{Absence, Inclusion, Leaf, Leg, LegProof, TransactionRange},
    posting,
};
use conclave_derivation::{
    AbsenceProof, AtomicProof, BatchProof, NamespaceProof, TransactionProof,
};
use conclave_types::{Digest, RollupId, wire::HistoryProof};

use super::{Contracts, Endpoints, L1Error};

/// What is said of the block that a commitment is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// A transaction is in a batch, at its place.
    Transaction(TransactionProof),
    /// These are the transactions of a batch.
    Batch(BatchProof),
    /// All legs of a bundle are in it.
    Atomic(AtomicProof),
    /// A rollup has no batch in it.
    Absence(RollupId, AbsenceProof),
}

impl Statement {
    /// The call by which the inbox checks it, for a commitment that has settled.
    #[must_use]
    pub fn calldata(&self, history: &HistoryProof) -> Bytes {
        let proof = history_on_l1(history);
        let call = match self {
            Self::Transaction(shown) => proveTransactionCall {
                proof,
                batch: inclusion(&shown.batch),
                item: shown.item,
                transactionHash: word(&shown.transaction),
                siblings: words(&shown.siblings),
            }
            .abi_encode(),
            Self::Batch(shown) => proveTransactionsCall {
                proof,
                batch: inclusion(&shown.batch),
                range: TransactionRange {
                    first: shown.first,
                    hashes: words(&shown.transactions),
                    siblings: words(&shown.siblings),
                },
            }
            .abi_encode(),
            Self::Atomic(shown) => proveAtomicCall {
                proof,
                bundle: B256::from(*shown.bundle.as_bytes()),
                legs: shown.legs.iter().map(leg).collect(),
                legProofs: shown.legs.iter().map(leg_proof).collect(),
            }
            .abi_encode(),
            Self::Absence(rollup, shown) => proveAbsenceCall {
                proof,
                rollup: rollup.as_u64(),
                absence: Absence {
                    hasBefore: shown.before.is_some(),
                    before: neighbour(shown.before.as_ref()),
                    hasAfter: shown.after.is_some(),
                    afterwards: neighbour(shown.after.as_ref()),
                },
            }
            .abi_encode(),
        };
        call.into()
    }
}

/// Has the inbox check a call of [`Statement::calldata`], at the newest block.
///
/// # Errors
///
/// If nobody answers, or the inbox refuses: it says what is not shown. [`is_overtaken`](super::withdrawals::is_overtaken)
/// tells whether more has settled meanwhile.
pub async fn check(
    endpoints: &Endpoints,
    contracts: &Contracts,
    calldata: &Bytes,
) -> Result<(), L1Error> {
    let request = TransactionRequest::default().to(contracts.inbox).input(calldata.clone().into());
    endpoints.eth_call(&request, BlockId::latest()).await.map(drop)
}

fn history_on_l1(history: &HistoryProof) -> ConclaveInbox::HistoryProof {
    ConclaveInbox::HistoryProof {
        commitment: posting::commitment(&history.commitment),
        under: history.under.as_u64(),
        path: words(&history.path),
    }
}

fn inclusion(proof: &NamespaceProof) -> Inclusion {
    let leaf = &proof.leaf;
    Inclusion {
        leaf: Leaf {
            rollup: leaf.rollup.as_u64(),
            index: leaf.index,
            items: leaf.items,
            transactionBytes: leaf.bytes,
            sequence: leaf.sequence,
            previousHeight: leaf.previous_height.as_u64(),
            transactionRoot: word(&leaf.transaction_root),
            atomicRoot: word(&leaf.atomic_root),
        },
        siblings: words(&proof.siblings),
    }
}

/// The inbox does not look at a neighbour that is said not to be there.
fn neighbour(proof: Option<&NamespaceProof>) -> Inclusion {
    proof.map(inclusion).unwrap_or_default()
}

fn leg(leg: &conclave_derivation::LegProof) -> Leg {
    Leg { rollup: leg.batch.leaf.rollup.as_u64(), transactionHash: word(&leg.transaction) }
}

fn leg_proof(leg: &conclave_derivation::LegProof) -> LegProof {
    LegProof {
        batch: inclusion(&leg.batch),
        item: leg.item,
        transactionSiblings: words(&leg.transaction_siblings),
        atomicSiblings: words(&leg.atomic_siblings),
    }
}

fn word(digest: &Digest) -> B256 {
    B256::from(*digest.as_bytes())
}

fn words(digests: &[Digest]) -> Vec<B256> {
    digests.iter().map(word).collect()
}
