//! Pages in a browser: which may call a real node by gRPC-Web, and which are refused.

#![expect(clippy::unwrap_used, reason = "tests are free to panic; this lets their helpers too")]

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use conclave_node::{
    config::{Config, ConfigError},
    driver,
    genesis::{Plan, make},
    node::{Node, NodeError},
};
use conclave_types::Params;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

const CALL: &str = "/conclave.v1.NodeService/GetStatus HTTP/1.1";
const CONTENT: &str = "Content-Type: application/grpc-web+proto";
/// A message without fields.
const EMPTY: [u8; 5] = [0; 5];

struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), NodeError>>,
    _directory: TempDir,
}

impl Running {
    async fn start(web_origins: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = configured(&directory, web_origins).unwrap();
        let node = Node::start(&config, None).await.unwrap();
        let address = node.addresses().grpc.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(node.run(async { stopped.await.unwrap() }));
        Self { address, stop, task, _directory: directory }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// What a request is answered, head and body.
    fn ask(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, body.len());
        let rest = format!("Host: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(&[head.as_bytes(), b"\r\n", rest.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            // Who is not answered may be hung up on.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => drop(read.unwrap()),
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn configured(directory: &TempDir, web_origins: &[&str]) -> Result<Config, ConfigError> {
    let plan = Plan {
        name: "one".to_owned(),
        validators: 1,
        rollups: Vec::new(),
        accounts: Vec::new(),
        l1: None,
        params: Params::default(),
        base_port: 0,
        web_origins: web_origins.iter().map(ToString::to_string).collect(),
        time: driver::now(),
    };
    let out = directory.path().join("net");
    make(&plan, &out).unwrap();
    Config::load(&out.join("validator-0/config.toml"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_listed_origins_call_by_grpc_web() {
    let node = Running::start(&["loopback", "https://wallet.example"]).await;
    let own = ["http://localhost:5173", "http://127.0.0.1", "https://[::1]:8443"];
    for origin in own.into_iter().chain(["https://wallet.example"]) {
        let allowed = format!("access-control-allow-origin: {origin}\r\n");
        let asks = "Access-Control-Request-Method: POST\r\n\
                    Access-Control-Request-Headers: content-type,x-grpc-web";
        let preflight = node.ask(&format!("OPTIONS {CALL}\r\nOrigin: {origin}\r\n{asks}"), &[]);
        assert!(preflight.starts_with("HTTP/1.1 200 "), "{preflight}");
        assert!(preflight.contains(&allowed), "{preflight}");
        let answer = node.ask(&format!("POST {CALL}\r\nOrigin: {origin}\r\n{CONTENT}"), &EMPTY);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&allowed), "{answer}");
        assert!(answer.contains("grpc-status:0"), "{answer}");
    }
    // No browser leaves its origin out of a request to another.
    let answer = node.ask(&format!("POST {CALL}\r\n{CONTENT}"), &EMPTY);
    assert!(answer.contains("grpc-status:0"), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_pages_are_refused_before_a_service_sees_them() {
    let node = Running::start(&["loopback", "https://wallet.example"]).await;
    for origin in [
        "https://evil.example",
        "http://wallet.example",
        "https://wallet.example:8443",
        "https://wallet.example.evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example:127",
        "null",
    ] {
        for method in ["OPTIONS", "POST"] {
            let refused =
                node.ask(&format!("{method} {CALL}\r\nOrigin: {origin}\r\n{CONTENT}"), &EMPTY);
            assert!(refused.contains("grpc-status: 7\r\n"), "{origin}: {refused}");
            assert!(!refused.contains("access-control-allow-origin"), "{origin}: {refused}");
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_origins_no_browser_is_answered() {
    let node = Running::start(&[]).await;
    let answer = node.ask(&format!("POST {CALL}\r\n{CONTENT}"), &EMPTY);
    assert!(!answer.contains("HTTP/1.1 200") && !answer.contains("grpc-status:0"), "{answer}");
    node.stop().await;
}

#[test]
fn what_is_no_origin_is_named_with_the_remedy() {
    for bad in ["", "*", "null", "wallet.example", "https://a.example/", "https://a.example/x"] {
        let directory = tempfile::tempdir().unwrap();
        let error = configured(&directory, &[bad]).unwrap_err();
        let ConfigError::Invalid { problems, .. } = error else { panic!("{error}") };
        let keys: Vec<_> = problems.iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["grpc.web_origins"], "{bad}");
    }
}
