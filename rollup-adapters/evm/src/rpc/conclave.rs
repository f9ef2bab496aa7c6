//! The methods that are Conclave's: `conclave_status` and `conclave_getTransactionOutcome`.

use conclave_types::{BundleId, Digest};
use ethrex_common::H256;
use serde_json::{Value, json};

use super::{Answer, INVALID_PARAMS, Rpc, failure, internal};

const USAGE: &str = "expected [transactionHash] or [bundleId, leg]";

impl Rpc {
    /// Where the rollup stands: its head, and the place in Conclave's stream behind it.
    pub(super) async fn status(&self) -> Answer {
        let head = self.chain.head().await.map_err(internal)?;
        let rules = self.chain.rules();
        let progress = self.progress.borrow().clone();
        Ok(json!({
            "networkId": rules.network.to_string(),
            "chainId": rules.rollup.as_u64(),
            "nextSequence": head.cursor.next_sequence,
            "lastHeight": head.height().as_u64(),
            "lastBlockId": head.block.to_string(),
            "headNumber": head.number,
            "headHash": head.hash,
            "headTimestamp": head.timestamp,
            "stateRoot": head.state_root,
            "slotSeconds": rules.period.get(),
            "gasLimit": rules.gas_limit,
            "connected": progress.connected,
            "revealedHeight": progress.revealed_height,
            "waitingTransactions": progress.waiting,
            "executedTransactions": progress.executed,
            "skippedTransactions": progress.skipped,
        }))
    }

    /// What became of a transaction, by its hash or by its place in a bundle; null if no executed
    /// slot had it.
    pub(super) async fn outcome(&self, params: &[Value]) -> Answer {
        let head = self.chain.head().await.map_err(internal)?.number;
        let outcomes = self.chain.outcomes();
        let found = match params {
            [Value::String(hash)] => {
                let hash: Digest = hash.parse().map_err(invalid)?;
                match outcomes.by_hash(&hash, head).map_err(internal)? {
                    Some(found) => Some(found),
                    None => return self.outcome_by_receipt(H256(*hash.as_bytes())).await,
                }
            }
            [Value::String(bundle), leg] => {
                let bundle: BundleId = bundle.parse().map_err(invalid)?;
                let leg = leg.as_u64().and_then(|leg| u16::try_from(leg).ok());
                let leg = leg.ok_or_else(|| failure(INVALID_PARAMS, USAGE))?;
                outcomes.by_leg(&bundle, leg, head).map_err(internal)?
            }
            _ => return Err(failure(INVALID_PARAMS, USAGE)),
        };
        let Some((number, record)) = found else { return Ok(Value::Null) };
        let mut answer = record.to_json(number);
        let hash = self.chain.store().get_canonical_block_hash(number).await.map_err(internal)?;
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("blockHash".into(), json!(hash));
        }
        Ok(answer)
    }

    /// For transactions that were executed longer ago than outcomes are kept.
    async fn outcome_by_receipt(&self, hash: H256) -> Answer {
        let store = self.chain.store();
        let location = store.get_transaction_location(hash).await.map_err(internal)?;
        let Some((number, block, index)) = location else { return Ok(Value::Null) };
        let receipt = store.get_receipt(number, index).await.map_err(internal)?;
        let succeeded = receipt.is_some_and(|receipt| receipt.succeeded);
        Ok(json!({
            "transactionHash": hash,
            "blockNumber": format!("{number:#x}"),
            "blockHash": block,
            "transactionIndex": format!("{index:#x}"),
            "status": if succeeded { "executed" } else { "reverted" },
        }))
    }
}

fn invalid(error: conclave_types::IdError) -> ethrex_rpc::RpcErrorMetadata {
    failure(INVALID_PARAMS, format!("{error}; {USAGE}"))
}
