//! What the tests of the rollup node share: a sequencer that serves a script, a wallet, and the node
//! in this process or as its own.

#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test uses a part")]

pub mod sequencer;
pub mod wallet;

use std::{
    future::Future,
    num::NonZeroU64,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider as _, ProviderBuilder},
};
use conclave_evm::{
    genesis::dev_alloc,
    node::{self, ADDRESS_FILE, Config, NodeError},
};
use conclave_types::RollupId;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const CHAIN_ID: u64 = 901;
pub const GAS_LIMIT: u64 = 30_000_000;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Polls until `condition` answers something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "never happened: {what}");
        looks.tick().await;
    }
}

pub fn config(sequencers: Vec<String>, dir: &Path) -> Config {
    Config {
        rollup: RollupId::new(CHAIN_ID),
        sequencers,
        data_dir: dir.to_path_buf(),
        rpc: "127.0.0.1:0".parse().unwrap(),
        gas_limit: None,
        period: NonZeroU64::MIN,
        alloc: dev_alloc().unwrap(),
    }
}

/// What a wallet talks to.
#[derive(Clone, Debug)]
pub struct Rollup {
    pub url: String,
    pub provider: DynProvider,
}

impl Rollup {
    fn at(address: &str) -> Self {
        let url = format!("http://{address}");
        let provider = ProviderBuilder::new().connect_http(url.parse().unwrap()).erased();
        Self { url, provider }
    }

    pub async fn rpc(&self, method: &'static str, params: Value) -> Result<Value, String> {
        let answer = self.provider.raw_request(method.into(), params).await;
        answer.map_err(|error| error.to_string())
    }

    pub async fn status(&self) -> Value {
        self.rpc("conclave_status", serde_json::json!([])).await.unwrap()
    }

    /// Waits until the batch before `next_sequence` is executed.
    pub async fn reached(&self, next_sequence: u64) -> Value {
        eventually(&format!("batch {next_sequence} is next"), || async {
            let status = self.rpc("conclave_status", serde_json::json!([])).await.ok()?;
            (status["nextSequence"].as_u64()? >= next_sequence).then_some(status)
        })
        .await
    }

    pub async fn balance(&self, address: Address) -> U256 {
        self.provider.get_balance(address).await.unwrap()
    }

    pub async fn outcome(&self, hash: B256) -> Value {
        self.rpc("conclave_getTransactionOutcome", serde_json::json!([hash])).await.unwrap()
    }
}

/// The address that a node wrote down, once it has.
async fn address(dir: &Path) -> String {
    let path = dir.join(ADDRESS_FILE);
    eventually("the node listens", || async { std::fs::read_to_string(&path).ok() }).await
}

/// A node inside the test's process.
#[derive(Debug)]
pub struct Node {
    pub rollup: Rollup,
    stop: CancellationToken,
    running: JoinHandle<Result<(), NodeError>>,
}

impl Node {
    pub async fn start(config: Config) -> Self {
        let stop = CancellationToken::new();
        let dir = config.data_dir.clone();
        let running = tokio::spawn(node::run(config, stop.clone()));
        let rollup = Rollup::at(&address(&dir).await);
        Self { rollup, stop, running }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

/// A node as its own process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub rollup: Rollup,
}

/// An L1 as its own process, driven by hand; killed when dropped.
#[derive(Debug)]
pub struct L1 {
    child: Child,
    pub at: Rollup,
}

impl L1 {
    /// Starts the L1 in `dir`, driven by hand: it produces no block by itself.
    pub async fn start(dir: &Path, options: &[&str]) -> Self {
        let mut command = l1_command(dir);
        command.arg("--control").args(options);
        let l1 = Self::run(command, dir).await;
        l1.at.rpc("l1_pause", serde_json::json!([true])).await.unwrap();
        l1
    }

    /// Runs a command that starts an L1 in `dir`.
    pub async fn run(mut command: Command, dir: &Path) -> Self {
        // As with a rollup: a killed process leaves its address behind.
        let _absent = std::fs::remove_file(dir.join(ADDRESS_FILE)).is_err();
        let child = command.spawn().unwrap();
        Self { child, at: Rollup::at(&address(dir).await) }
    }

    /// Makes blocks.
    pub async fn mine(&self, blocks: u64) {
        self.at.rpc("l1_mine", serde_json::json!([blocks])).await.unwrap();
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for L1 {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err();
        let _reaped = self.child.wait().is_ok();
    }
}

pub fn l1_command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-l1"));
    command
        .args(["--log", "warn", "--rpc", "127.0.0.1:0", "--data-dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

pub fn command(sequencer: &str, dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave-evm"));
    command
        .args(["--chain-id", &CHAIN_ID.to_string(), "--sequencer", sequencer])
        .args(["--rpc", "127.0.0.1:0", "--dev-accounts", "--json", "--log", "warn", "--data-dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

impl Process {
    pub async fn start(sequencer: &str, dir: &Path) -> Self {
        // A killed process leaves its address behind; the next one removes it, but we might be faster.
        let _absent = std::fs::remove_file(dir.join(ADDRESS_FILE)).is_err();
        let mut process = Self::spawn(sequencer, dir);
        process.rollup = Rollup::at(&address(dir).await);
        process
    }

    /// Starts a process without waiting for it to serve.
    pub fn spawn(sequencer: &str, dir: &Path) -> Self {
        let child = command(sequencer, dir).spawn().unwrap();
        Self { child, rollup: Rollup::at("127.0.0.1:1") }
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub async fn exit_code(&mut self) -> Option<i32> {
        let child = std::cell::RefCell::new(&mut self.child);
        eventually("the process ends", || async { child.borrow_mut().try_wait().unwrap() })
            .await
            .code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill().is_err();
        let _reaped = self.child.wait().is_ok();
    }
}
