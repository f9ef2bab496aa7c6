//! An Ethereum beside a test: the embedded one, or anvil, which comes with the contracts' toolchain.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use conclave_node::l1::{Contracts, Endpoints, Fees, Patience, Sender};
use conclave_types::Genesis;
use serde_json::{Value, json};

use super::{
    http,
    network::PATIENCE,
    process::{Process, binary, complaint, conclave},
    transactions::DEV_KEYS,
    wait::until,
};

fn embedded(directory: &Path, rpc: &str) -> Process {
    let mut command = Command::new(binary("conclave-l1"));
    command.args(["--rpc", rpc, "--control", "--finality-depth", "2", "--data-dir"]);
    command.arg(directory.join("l1"));
    Process::start("l1", &mut command, &directory.join("l1.log"))
}

/// An L1; its process goes away with it.
pub(crate) struct L1 {
    /// Host and port.
    pub(crate) address: String,
    directory: PathBuf,
    process: Process,
    is_anvil: bool,
}

impl L1 {
    /// The account of somebody who is no validator, and the network's contracts.
    pub(crate) async fn witness(&self, genesis: &Genesis) -> (Sender, Contracts) {
        let endpoints = Endpoints::connect(&[self.url()], None, Patience::default()).await;
        let endpoints = endpoints.expect("the L1 answers");
        let stake = (*genesis.l1_contract.as_bytes()).into();
        let contracts = Contracts::find(&endpoints, stake).await.expect("contracts");
        let signer = DEV_KEYS[0].parse().expect("a well-known key");
        (Sender::new(endpoints, signer, Fees::default()), contracts)
    }

    /// Starts the embedded L1 in `directory`.
    pub(crate) async fn start(directory: &Path) -> Self {
        let process = embedded(directory, "127.0.0.1:0");
        let address = until("the L1 to serve", PATIENCE, async || {
            std::fs::read_to_string(directory.join("l1/rpc.addr")).ok()
        });
        let (address, directory) = (address.await, directory.to_owned());
        Self { address, directory, process, is_anvil: false }
    }

    /// Kills the embedded L1 without a warning.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the embedded L1 again, where it was.
    pub(crate) fn relaunch(&mut self) {
        self.process = embedded(&self.directory, &self.address);
    }

    /// Starts anvil. What is to be the same on every L1 is not tested where there is one alone, so that it is missing
    /// fails whoever asks for it.
    pub(crate) async fn anvil(directory: &Path) -> Self {
        let root = conclave_tests::workspace_root();
        let program = root.join("contracts/node_modules/.bin/anvil");
        assert!(
            program.exists(),
            "anvil is not installed: run `make contracts` once, or the tests by `make test`, which installs it"
        );
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
        let address = free.expect("an address").to_string();
        let (_, port) = address.split_once(':').expect("host and port");
        let mut command = Command::new(program);
        // Final two epochs below the head, which are of 32 blocks unless told otherwise.
        command.args([
            "--port",
            port,
            "--block-time",
            "1",
            "--hardfork",
            "osaka",
            "--slots-in-an-epoch",
            "1",
        ]);
        let process = Process::start("anvil", &mut command, &directory.join("anvil.log"));
        until("anvil to serve", PATIENCE, async || http::call(&address, "eth_chainId", json!([])))
            .await;
        Self { address, directory: directory.to_owned(), process, is_anvil: true }
    }

    /// Where its JSON-RPC is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same under another name, which is another endpoint to whoever asks it.
    pub(crate) fn twin(&self) -> String {
        let (_, port) = self.address.split_once(':').expect("host and port");
        format!("http://localhost:{port}")
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// A file with the key of one of the accounts that have ether.
    pub(crate) fn key(&self, index: usize) -> String {
        self.key_file(&format!("account-{index}.key"), DEV_KEYS[index])
    }

    /// A file that only its owner can read.
    pub(crate) fn key_file(&self, name: &str, digits: &str) -> String {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let path = self.directory.join(name);
        let mut options = std::fs::File::options();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.expect("a key file opens").write_all(digits.as_bytes()).expect("a key is written");
        path.to_string_lossy().into_owned()
    }

    /// Deploys the contracts; where ConclaveStake is.
    pub(crate) fn deploy(&self) -> String {
        self.deploy_with(&[])
    }

    /// The same with more options.
    pub(crate) fn deploy_with(&self, options: &[&str]) -> String {
        let key = self.key(0);
        let deploy = ["l1", "deploy", "--first-rollup", "901", "--account-key", &key];
        let done = self.run(&[&deploy[..], options].concat());
        done["l1_contract"].as_str().expect("an address").to_owned()
    }

    /// Puts its clock forward: what comes from the next block on is so much later.
    pub(crate) fn advance(&self, seconds: u64) {
        let method = if self.is_anvil { "evm_increaseTime" } else { "l1_advance" };
        self.call(method, json!([seconds]));
    }

    /// Calls a method.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer = http::call(&self.address, method, params);
        answer.unwrap_or_else(|| panic!("the L1 does not answer {method}"))
    }

    /// Runs a command on this L1 that must succeed; what it prints.
    pub(crate) fn run(&self, command: &[&str]) -> Value {
        let url = self.url();
        let run = conclave(&[command, &["--l1", &url, "--json"]].concat());
        assert!(run.status.success(), "{command:?}: {}", complaint(&run));
        serde_json::from_slice(&run.stdout).expect("one JSON object on stdout")
    }

    /// Runs a command on this L1 that must fail; what it says.
    pub(crate) fn refusal(&self, command: &[&str]) -> String {
        let url = self.url();
        let run = conclave(&[command, &["--l1", &url]].concat());
        assert_eq!(run.status.code(), Some(1), "{command:?}: {}", complaint(&run));
        complaint(&run)
    }
}
