//! An EVM rollup node beside a test's network.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};

use super::{
    http,
    network::{Network, PATIENCE},
    process::{Process, binary},
    wait::until,
};

/// A rollup node; its process goes away with it.
pub(crate) struct Rollup {
    /// What is asked for JSON-RPC.
    pub(crate) address: String,
    name: String,
    id: u64,
    directory: PathBuf,
    log: PathBuf,
    sequencers: Vec<String>,
    process: Option<Process>,
}

impl Rollup {
    /// Starts a node of rollup `id` and waits until it serves. `name` tells nodes of one rollup apart.
    pub(crate) async fn start(network: &Network, id: u64, name: &str) -> Self {
        let mut rollup = Self {
            address: String::new(),
            name: name.to_owned(),
            id,
            directory: network.directory().join(name),
            log: network.directory().join(format!("{name}.log")),
            sequencers: network.endpoints.clone(),
            process: None,
        };
        rollup.launch().await;
        rollup
    }

    /// Starts the node again and waits until it serves.
    pub(crate) async fn launch(&mut self) {
        let address_file = self.directory.join("rpc.addr");
        if address_file.exists() {
            std::fs::remove_file(&address_file).expect("a stale address goes away");
        }
        let mut command = Command::new(binary("conclave-evm"));
        command.args([
            "--chain-id",
            &self.id.to_string(),
            "--rpc",
            "127.0.0.1:0",
            "--dev-accounts",
        ]);
        command.arg("--data-dir").arg(&self.directory);
        command.args(self.sequencers.iter().flat_map(|url| ["--sequencer", url]));
        self.process = Some(Process::start(&self.name, &mut command, &self.log));
        let what = format!("{} to serve", self.name);
        self.address = until(&what, PATIENCE, async || {
            let address = std::fs::read_to_string(&address_file).ok()?.trim().to_owned();
            http::call(&address, "eth_chainId", json!([])).map(|_| address)
        })
        .await;
    }

    /// Kills the node without a warning.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("the node runs").kill();
    }

    /// Calls a method.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer = http::call(&self.address, method, params);
        answer.unwrap_or_else(|| panic!("{} does not answer {method}", self.name))
    }

    /// Executed and skipped transactions since it was started.
    pub(crate) fn head(&self) -> u64 {
        self.call("conclave_status", json!([]))["headNumber"].as_u64().expect("a number")
    }

    /// Waits until the node has executed everything up to a height.
    pub(crate) async fn wait_height(&self, height: u64) {
        let what = format!("{} at height {height}", self.name);
        until(&what, PATIENCE, async || {
            let status = http::call(&self.address, "conclave_status", json!([]))?;
            let reached = status["revealedHeight"].as_u64()? >= height;
            (reached && status["waitingTransactions"].as_u64()? == 0).then_some(())
        })
        .await;
    }
}
