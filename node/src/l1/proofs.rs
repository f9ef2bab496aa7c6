//! What was ordered, as `ConclaveInbox` is shown it. Nothing is sent: its checks are views, for contracts that act on
//! what was ordered to call with just these bytes.

use alloy::{
    eips::BlockId,
    primitives::{B256, Bytes, U256, aliases::U192},
    rpc::types::TransactionRequest,
    sol_types::SolCall as _,
};
use conclave_contracts::{
    ConclaveInbox::{
        self, proveAbsenceCall, proveAtomicCall, proveKeptTransactionCall, proveTransactionCall,
        proveTransactionsCall,
    },
    bindings::inbox::NamespaceTree::{
        Absence, Inclusion, Leaf, LeanInclusion, Leg, LegProof, TransactionRange,
    },
    posting,
};
use conclave_derivation::{
    AbsenceProof, AtomicProof, BatchProof, NamespaceProof, TransactionProof,
};
use conclave_types::{Digest, Height, RollupId, wire::HistoryProof};

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

/// The call by which the inbox checks a transaction of the block at `height`, of `rollups` rollups, whose reveal root has been
/// kept there (`keepReveal`): a third of the bytes of [`Statement::calldata`], and under no posting.
#[must_use]
pub fn kept_calldata(height: Height, rollups: u32, shown: &TransactionProof) -> Bytes {
    let leaf = &shown.batch.leaf;
    let place = [
        &height.as_u64().to_be_bytes()[..],
        &leaf.rollup.as_u64().to_be_bytes(),
        &rollups.to_be_bytes(),
        &leaf.index.to_be_bytes(),
        &leaf.items.to_be_bytes(),
        &shown.item.to_be_bytes(),
    ]
    .concat();
    let batch = [leaf.bytes, leaf.sequence, leaf.previous_height.as_u64()];
    let proof = LeanInclusion {
        place: U256::from_be_slice(&place),
        batch: U192::from_be_slice(&batch.map(u64::to_be_bytes).concat()),
        transactionHash: word(&shown.transaction),
        atomicRoot: word(&leaf.atomic_root),
        siblings: [words(&shown.siblings), words(&shown.batch.siblings)].concat(),
    };
    proveKeptTransactionCall { proof }.abi_encode().into()
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

/// Has the inbox check that a commitment has settled, at the newest block.
///
/// # Errors
///
/// As of [`check`].
pub async fn check_settled(
    endpoints: &Endpoints,
    contracts: &Contracts,
    history: &HistoryProof,
) -> Result<(), L1Error> {
    let call = ConclaveInbox::proveCommitmentCall { proof: history_on_l1(history) };
    endpoints.call(contracts.inbox, &call).await.map(drop)
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use conclave_derivation::NamespaceLeaf;

    use super::*;

    fn vectors(name: &str) -> Value {
        let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn digest(value: &Value) -> Digest {
        Digest::new(value.as_str().unwrap().parse::<B256>().unwrap().0)
    }

    fn digests(value: &Value) -> Vec<Digest> {
        value.as_array().unwrap().iter().map(digest).collect()
    }

    /// `contracts/test/Inbox.t.sol` sends these calls to the inbox.
    #[test]
    fn a_transaction_of_a_kept_reveal_is_shown_by_the_pinned_call() {
        let block = &vectors("settlement-v1.json")["namespaces"];
        let kept = vectors("kept-transactions-v1.json");
        let number = |value: &Value| value.as_u64().unwrap();
        for case in kept["calls"].as_array().unwrap() {
            let batch = &block["rollups"][usize::try_from(number(&case["batch"])).unwrap()];
            let item = usize::try_from(number(&case["item"])).unwrap();
            let small = |name: &str| u32::try_from(number(&batch[name])).unwrap();
            let shown = TransactionProof {
                batch: NamespaceProof {
                    leaf: NamespaceLeaf {
                        rollup: RollupId::new(number(&batch["rollup"])),
                        index: small("index"),
                        items: small("items"),
                        bytes: number(&batch["bytes"]),
                        sequence: number(&batch["sequence"]),
                        previous_height: Height::new(number(&batch["previous_height"])),
                        transaction_root: digest(&batch["transaction_root"]),
                        atomic_root: digest(&batch["atomic_root"]),
                    },
                    siblings: digests(&batch["path"]),
                },
                item: u32::try_from(item).unwrap(),
                transaction: digest(&case["transaction"]),
                siblings: digests(&batch["transaction_paths"][item]),
            };
            let rollups = u32::try_from(number(&block["count"])).unwrap();
            let call = kept_calldata(Height::new(number(&kept["height"])), rollups, &shown);
            assert_eq!(call, case["call"].as_str().unwrap().parse::<Bytes>().unwrap());
        }
    }
}
