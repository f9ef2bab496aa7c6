//! Questions that the execution client would answer wrongly, or not as Ethereum users expect.
//!
//! - States older than about 128 blocks are gone. The client then answers balances, nonces, code and
//!   storage from the *wrong* state; we refuse.
//! - On a rollup `safe` and `finalized` mean settled and final on L1. Nothing is settled yet, so both
//!   are the genesis. Nothing is pending either: `pending` is `latest`.
//! - `eth_getLogs` beyond the head is an error in the client; elsewhere it ends at the head.
//! - State overrides would be ignored silently; we refuse them.

use ethrex_rpc::{RpcApiContext, RpcErrorMetadata, types::block_identifier};
use serde_json::{Value, json};

use super::{INVALID_PARAMS, LIMIT_EXCEEDED, SERVER_ERROR, failure, internal};

/// Blocks that one `eth_getLogs` may search.
const LOG_BLOCKS_MAX: u64 = 10_000;

/// Filters that may exist at once; they expire when nobody asks for five minutes.
const FILTERS_MAX: usize = 1_024;

/// What `safe` and `finalized` stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// The genesis: a rollup's blocks settle on L1, and none has.
    NothingSettled,
    /// What the chain says itself.
    OfTheChain,
}

/// Where a method has its block parameter, and whether it reads the state there.
fn block_parameter(method: &str) -> Option<(usize, bool)> {
    match method {
        "eth_getBalance"
        | "eth_getCode"
        | "eth_getTransactionCount"
        | "eth_call"
        | "eth_estimateGas"
        | "eth_createAccessList" => Some((1, true)),
        "eth_getStorageAt" | "eth_getProof" => Some((2, true)),
        "eth_getBlockByNumber"
        | "eth_getBlockTransactionCountByNumber"
        | "eth_getTransactionByBlockNumberAndIndex"
        | "eth_getBlockReceipts" => Some((0, false)),
        "eth_feeHistory" => Some((1, false)),
        _ => None,
    }
}

/// Checks and adapts a request before the client sees it; answers it if that is simpler.
///
/// # Errors
///
/// What to answer instead of the client's wrong answer.
pub(crate) async fn check(
    context: &RpcApiContext,
    tags: Tags,
    method: &str,
    params: &mut Vec<Value>,
) -> Result<Option<Value>, RpcErrorMetadata> {
    if let Some((position, reads_state)) = block_parameter(method) {
        if params.len() == position && reads_state {
            params.push(json!("latest"));
        }
        if let Some(block) = params.get_mut(position) {
            adapt_tag(tags, block);
            if reads_state {
                check_state(context, block.clone()).await?;
            }
        }
    }
    match method {
        "eth_call" | "eth_estimateGas" => check_overrides(params).map(|()| None),
        "eth_getLogs" => clamp_logs(context, tags, params).await,
        "eth_newFilter" => {
            let filter = params.first_mut().and_then(Value::as_object_mut);
            let values = filter.into_iter().flat_map(serde_json::Map::values_mut);
            values.for_each(|value| adapt_tag(tags, value));
            check_filters(context).map(|()| None)
        }
        _ => Ok(None),
    }
}

fn adapt_tag(tags: Tags, block: &mut Value) {
    match block {
        Value::Null => *block = json!("latest"),
        Value::String(tag) if tag == "pending" => *block = json!("latest"),
        Value::String(tag)
            if tags == Tags::NothingSettled && (tag == "safe" || tag == "finalized") =>
        {
            *block = json!("0x0");
        }
        Value::Object(fields) => {
            fields.get_mut("blockNumber").into_iter().for_each(|block| adapt_tag(tags, block));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

async fn check_state(context: &RpcApiContext, block: Value) -> Result<(), RpcErrorMetadata> {
    if block == "latest" {
        return Ok(());
    }
    let block = block_identifier::BlockIdentifierOrHash::parse(block, 1)?;
    let header = block.resolve_block_header(&context.storage).await.map_err(internal)?;
    let Some(header) = header else {
        return Err(failure(SERVER_ERROR, "header not found"));
    };
    if context.storage.has_state_root(header.state_root).map_err(internal)? {
        return Ok(());
    }
    let message = format!("the state of block {} is pruned; recent states are kept", header.number);
    Err(failure(SERVER_ERROR, message))
}

fn check_overrides(params: &mut Vec<Value>) -> Result<(), RpcErrorMetadata> {
    let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(|o| o.is_empty());
    if params.iter().skip(2).all(empty) {
        params.truncate(2);
        return Ok(());
    }
    Err(failure(INVALID_PARAMS, "state and block overrides are not supported"))
}

fn check_filters(context: &RpcApiContext) -> Result<(), RpcErrorMetadata> {
    let filters = context.active_filters.lock().map_err(internal)?;
    if filters.len() < FILTERS_MAX {
        return Ok(());
    }
    Err(failure(LIMIT_EXCEEDED, format!("there are {FILTERS_MAX} filters already; try later")))
}

async fn clamp_logs(
    context: &RpcApiContext,
    tags: Tags,
    params: &mut [Value],
) -> Result<Option<Value>, RpcErrorMetadata> {
    let Some(filter) = params.first_mut().and_then(Value::as_object_mut) else { return Ok(None) };
    filter.retain(|_, value| !value.is_null());
    if filter.contains_key("blockHash") {
        return Ok(None);
    }
    let head = context.storage.get_latest_block_number().await.map_err(internal)?;
    let mut bound = async |name: &str| {
        let mut block = filter.get(name).cloned().unwrap_or(json!("latest"));
        adapt_tag(tags, &mut block);
        let block = block_identifier::BlockIdentifier::parse(block, 0)?;
        let number = block.resolve_block_number(&context.storage).await.map_err(internal)?;
        let number = number.unwrap_or(head);
        let clamped = if name == "toBlock" { number.min(head) } else { number };
        filter.insert(name.to_owned(), json!(format!("{clamped:#x}")));
        Ok::<u64, RpcErrorMetadata>(clamped)
    };
    let (from, to) = (bound("fromBlock").await?, bound("toBlock").await?);
    if from > to {
        return Ok(Some(json!([])));
    }
    if to.saturating_sub(from) >= LOG_BLOCKS_MAX {
        let message = format!("the range {from}..={to} is longer than {LOG_BLOCKS_MAX} blocks");
        return Err(failure(LIMIT_EXCEEDED, message));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_without_a_meaning_before_settlement_are_adapted() {
        let cases = [
            (json!("pending"), json!("latest")),
            (Value::Null, json!("latest")),
            (json!("safe"), json!("0x0")),
            (json!("finalized"), json!("0x0")),
            (json!({"blockNumber": "finalized"}), json!({"blockNumber": "0x0"})),
            (json!("latest"), json!("latest")),
            (json!("0x7"), json!("0x7")),
            (json!({"blockHash": "0x00"}), json!({"blockHash": "0x00"})),
        ];
        for (mut given, expected) in cases {
            adapt_tag(Tags::NothingSettled, &mut given);
            assert_eq!(given, expected);
        }
    }

    #[test]
    fn the_tags_of_a_chain_with_finality_are_left_to_it() {
        for tag in ["safe", "finalized"] {
            let mut block = json!({ "blockNumber": tag });
            adapt_tag(Tags::OfTheChain, &mut block);
            assert_eq!(block, json!({ "blockNumber": tag }));
        }
        let mut pending = json!("pending");
        adapt_tag(Tags::OfTheChain, &mut pending);
        assert_eq!(pending, json!("latest"));
    }

    #[test]
    fn overrides_are_refused_and_empty_ones_are_none() {
        let mut params = vec![json!({}), json!("latest"), json!({})];
        assert_eq!(check_overrides(&mut params).ok(), Some(()));
        assert_eq!(params, [json!({}), json!("latest")]);
        params.push(json!({"0x00": {"balance": "0x1"}}));
        assert_eq!(check_overrides(&mut params).unwrap_err().code, INVALID_PARAMS);
    }
}
