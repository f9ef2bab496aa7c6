//! What is posted to a rollup node's JSON-RPC port.

use conclave_evm::rpc::envelope::{Posted, Refusal, Request};
use serde_json::json;

use crate::fuzz;

#[test]
fn body() {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": "0x00"}, "latest"]});
    let notification = json!({"jsonrpc": "2.0", "method": "eth_chainId", "params": null});
    let odd = json!({"id": {}, "method": 7, "params": {}});
    let batch = json!([call, notification, odd, 7, "x", null]);
    let long = vec![notification.clone(); 101];
    let bodies = [json!(call), json!(notification), json!(odd), batch, json!(long), json!([])];
    let corpus = bodies.map(|body| body.to_string().into_bytes());
    fuzz("JSON-RPC body", &corpus, |bytes| match Posted::parse(bytes) {
        Ok(Posted::One(request)) => check(&request),
        Ok(Posted::Batch(requests)) => {
            assert!((1..=100).contains(&requests.len()), "{} in a batch", requests.len());
            requests.iter().for_each(check);
        }
        Err(refusal) => check_refusal(&refusal, &[-32_700, -32_600]),
    });
}

#[test]
fn nesting_without_end_is_refused_and_not_followed() {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let refusal = Posted::parse(&deep).expect_err("too deep");
    check_refusal(&refusal, &[-32_700]);
}

fn check(request: &Request) {
    let id = request.id.as_ref();
    let echoed = id.is_none_or(|id| id.is_null() || id.is_string() || id.is_number());
    assert!(echoed, "an id that JSON-RPC does not know is not echoed: {id:?}");
    if let Err(refusal) = &request.call {
        check_refusal(refusal, &[-32_600, -32_602]);
    }
}

fn check_refusal(refusal: &Refusal, codes: &[i32]) {
    assert!(codes.contains(&refusal.code), "{refusal:?}");
    assert!(!refusal.message.is_empty(), "{refusal:?}");
}
