//! Strangers talk nonsense to every port. It is refused or ignored, and the network goes on.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::harness::{
    http,
    network::{Network, PATIENCE, VALIDATORS},
    oracle,
    rollup::Rollup,
    wait::until,
};

/// What a port scanner, a broken client or an attacker might send first.
fn garbage() -> Vec<Vec<u8>> {
    let noise: Vec<u8> =
        (0..65_536_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    vec![
        vec![],
        vec![0],
        vec![0xff; 16],
        noise,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        // multistream-select, then a length of 2^63.
        b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(),
        // An HTTP/2 preface, then a frame longer than any.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\xff\xff\xff\xff".to_vec(),
        // TLS, which nobody speaks here.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ]
}

async fn assert_alive(network: &Network) {
    for index in 0..VALIDATORS {
        let height = network.height(index).await;
        network.wait_height(index, height + 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_every_port_of_a_validator_stops_nothing() {
    let mut network = Network::start().await;
    let ports = [0, 1, 2].map(|offset| network.p2p_port(0) + offset);
    for port in ports {
        for bytes in garbage() {
            // Refused, reset, answered or ignored: all of it is fine.
            drop(http::send_raw(&format!("127.0.0.1:{port}"), &bytes));
        }
    }
    assert_alive(&network).await;
    assert_eq!(network.process(0).ended(), None, "the validator still runs");
    assert!(!network.log(0).contains("panicked"), "{}", network.log(0));
    oracle::check(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_connect_and_say_nothing_do_not_shut_out_validators() {
    let mut network = Network::start().await;
    let address = format!("127.0.0.1:{}", network.p2p_port(0));
    let connect = |_| std::net::TcpStream::connect(&address).expect("a port takes connections");
    let mut silent: Vec<_> = (0..200).map(connect).collect();
    for stream in &mut silent {
        drop(stream.write_all(b"\x13/multistream/1.0.0\n"));
    }
    assert_alive(&network).await;
    // A validator that comes back finds its way through the crowd.
    network.kill(0);
    network.launch(0);
    let mut again: Vec<_> = Vec::new();
    while again.len() < 200 {
        match std::net::TcpStream::connect(&address) {
            Ok(stream) => again.push(stream),
            Err(_) => drop(network.wait_status(0, "it listens again", |_| true).await),
        }
    }
    let height = network.height(1).await;
    network.wait_height(0, height + 5).await;
    network.wait_status(0, "it signs", |status| status.signing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_rpc_answers_nonsense_with_errors_and_goes_on() {
    let network = Network::start().await;
    let rollup = Rollup::start(&network, 901, "rollup").await;
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let batch =
        Value::from(vec![json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}); 5_000]);
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("noise", vec![0xa5; 1_000]),
        ("cut short", br#"{"jsonrpc":"2.0","id":1,"method":"eth_ch"#.to_vec()),
        ("deep", deep),
        ("a number", b"7".to_vec()),
        ("an empty batch", b"[]".to_vec()),
        ("a batch beyond the limit", batch.to_string().into_bytes()),
        ("no such method", json!({"id": 1, "method": "eth_fly"}).to_string().into_bytes()),
        (
            "wrong parameters",
            json!({"id": 1, "method": "eth_getBalance", "params": [7]}).to_string().into_bytes(),
        ),
        (
            "parameters of a wrong kind",
            json!({"id": 1, "method": "eth_call", "params": "x"}).to_string().into_bytes(),
        ),
        (
            "a raw transaction",
            json!({"id": 1, "method": "eth_sendRawTransaction", "params": ["0x02"]})
                .to_string()
                .into_bytes(),
        ),
    ];
    for (what, body) in bodies {
        let (code, answer) = http::post(&rollup.address, &body).expect(what);
        assert!((200..500).contains(&code), "{what}: HTTP {code} {answer}");
        let answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{what}: {answer}"));
        let error = if answer.is_array() { &answer[0]["error"] } else { &answer["error"] };
        assert!(error["code"].is_i64(), "{what}: {answer}");
        assert!(
            error["message"].as_str().is_some_and(|words| !words.is_empty()),
            "{what}: {answer}"
        );
    }
    // Larger than any request: refused, whether the answer arrives before the connection breaks or not.
    drop(http::post(&rollup.address, &vec![b' '; 8 << 20]));
    for bytes in garbage() {
        drop(http::send_raw(&rollup.address, &bytes));
    }
    // A client that sends half a request and waits holds up nobody.
    let mut half = std::net::TcpStream::connect(&rollup.address).expect("connects");
    half.write_all(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{").expect("writes");
    assert_eq!(rollup.call("eth_chainId", json!([])), json!("0x385"));
    half.set_nonblocking(true).expect("a socket option");
    assert!(half.read(&mut [0; 1]).is_err(), "it is still waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_rpc_hangs_up_on_too_many_and_serves_again_when_they_leave() {
    let network = Network::start().await;
    let rollup = Rollup::start(&network, 901, "rollup").await;
    let connect =
        |_| std::net::TcpStream::connect(&rollup.address).expect("a port takes connections");
    let held: Vec<_> = (0..512).map(connect).collect();
    let mut refused = connect(512);
    refused.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    assert_eq!(refused.read(&mut [0]).expect("hung up on, not kept waiting"), 0);
    let height = network.height(0).await;
    network.wait_height(0, height + 2).await;
    drop(held);
    let asked = async || http::call(&rollup.address, "eth_chainId", json!([]));
    assert_eq!(until("JSON-RPC to serve again", PATIENCE, asked).await, json!("0x385"));
}
