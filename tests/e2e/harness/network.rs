//! Four validators on ports that stay the same when a validator is started again.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use conclave_client::{
    Client, Payer, Retry,
    messages::{GetStatusResponse, L1Status},
};
use conclave_types::Genesis;
use tempfile::TempDir;

use super::{
    l1::L1,
    process::{Process, binary, complaint, conclave},
    transactions::DEV_KEYS,
    wait::until,
};

/// Validators of a test's network.
pub(crate) const VALIDATORS: usize = 4;
/// Its rollups.
pub(crate) const ROLLUPS: [u64; 2] = [901, 902];
/// What each payer starts with, in gwei.
pub(crate) const BALANCE_GWEI: u64 = 1_000_000_000_000;
/// Ports that `conclave genesis` gives to each validator.
const PORTS_EACH: u16 = 10;
/// A network that is this slow is broken, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A network; its processes and its directory go away with it.
pub(crate) struct Network {
    /// Talks to all validators.
    pub(crate) client: Client,
    /// Each talks to one validator.
    pub(crate) clients: Vec<Client>,
    /// gRPC addresses.
    pub(crate) endpoints: Vec<String>,
    base_port: u16,
    processes: Vec<Option<Process>>,
    directory: TempDir,
}

impl Network {
    /// Makes a network, starts its validators and waits until they have made its key.
    pub(crate) async fn start() -> Self {
        let network = Self::start_with(&[]).await;
        network.client.wait_for_key(PATIENCE).await.expect("the validators make a key");
        network
    }

    /// Makes a network with further options of `conclave genesis`, starts its validators and waits for the
    /// first block.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        Self::start_edited(options, |_, config| config).await
    }

    /// [`Network::start_with`], with what `edit` makes of each validator's configuration.
    pub(crate) async fn start_edited(
        options: &[&str],
        edit: impl Fn(usize, String) -> String,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let base_port = free_ports();
        make_with(&directory.path().join("net"), base_port, options);
        for index in 0..VALIDATORS {
            let config = directory.path().join(format!("net/validator-{index}/config.toml"));
            let text = std::fs::read_to_string(&config).expect("a configuration");
            std::fs::write(&config, edit(index, text)).expect("a configuration is written");
        }
        let endpoints: Vec<_> = (0..VALIDATORS)
            .map(|index| format!("http://127.0.0.1:{}", port(base_port, index) + 1))
            .collect();
        let mut processes: Vec<_> = (0..VALIDATORS).map(|_| None).collect();
        for (index, process) in processes.iter_mut().enumerate() {
            *process = Some(run(directory.path(), index, &[]));
        }
        let mut clients = Vec::new();
        for endpoint in &endpoints {
            clients.push(connect([endpoint]).await);
        }
        let client = connect(&endpoints).await;
        let network = Self { client, clients, endpoints, base_port, processes, directory };
        network.wait_height(0, 1).await;
        network
    }

    /// Makes a network that settles on a deployment, and starts it. Each validator that `follows` looks for final
    /// blocks five times a second, the others see nothing of L1.
    pub(crate) async fn start_on(l1: &L1, contract: &str, follows: &[usize]) -> Self {
        let network = Self::start_settling(l1, contract, &[], |index, config| {
            if follows.contains(&index) {
                config
            } else {
                let off = |line: &str| {
                    line.starts_with("endpoints") || line.starts_with("poll_ms") || line == "[l1]"
                };
                config.lines().filter(|line| !off(line)).collect::<Vec<_>>().join("\n")
            }
        });
        network.await
    }

    /// [`Network::start_on`], where all validators follow, with further options of `conclave genesis` and what `edit` makes
    /// of each configuration.
    pub(crate) async fn start_settling(
        l1: &L1,
        contract: &str,
        options: &[&str],
        edit: impl Fn(usize, String) -> String,
    ) -> Self {
        let url = l1.url();
        let options = [&["--l1", &url, "--l1-contract", contract], options].concat();
        let often = |config: String| config.replace("poll_ms = 4000", "poll_ms = 200");
        let network =
            Self::start_edited(&options, |index, config| edit(index, often(config))).await;
        network.client.wait_for_key(PATIENCE).await.expect("the validators make a key");
        network
    }

    /// What a validator says of L1, once it is what `accept` wants to hear.
    pub(crate) async fn wait_l1(
        &self,
        index: usize,
        what: &str,
        accept: impl Fn(&L1Status) -> bool,
    ) -> L1Status {
        let accept = |status: &GetStatusResponse| status.l1.as_ref().is_some_and(&accept);
        let status = self.wait_status(index, what, accept).await;
        status.l1.expect("the network has an L1")
    }

    /// The network's files.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("net")
    }

    /// The whole of a test's files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The genesis file.
    pub(crate) fn genesis_file(&self) -> PathBuf {
        self.root().join("genesis.json")
    }

    /// What is in it.
    pub(crate) fn genesis(&self) -> Genesis {
        let text = std::fs::read(self.genesis_file()).expect("a genesis");
        serde_json::from_slice(&text).expect("a genesis")
    }

    /// A validator's directory.
    pub(crate) fn validator_dir(&self, index: usize) -> PathBuf {
        self.root().join(format!("validator-{index}"))
    }

    /// A validator's data directory.
    pub(crate) fn data_dir(&self, index: usize) -> PathBuf {
        self.validator_dir(index).join("data")
    }

    /// The port that other validators talk to.
    pub(crate) fn p2p_port(&self, index: usize) -> u16 {
        port(self.base_port, index)
    }

    /// Everything a validator printed.
    pub(crate) fn log(&self, index: usize) -> String {
        let log = std::fs::read_to_string(log_file(self.directory.path(), index));
        log.expect("a log reads")
    }

    /// The running process of a validator.
    pub(crate) fn process(&mut self, index: usize) -> &mut Process {
        self.processes[index].as_mut().expect("this validator runs")
    }

    /// Kills a validator without a warning.
    pub(crate) fn kill(&mut self, index: usize) {
        self.processes[index].take().expect("this validator runs").kill();
    }

    /// Starts a validator that does not run.
    pub(crate) fn launch(&mut self, index: usize) {
        self.launch_under(index, &[]);
    }

    /// Starts a validator that does not run, with further options.
    pub(crate) fn launch_with(&mut self, index: usize, options: &[&str]) {
        assert!(self.processes[index].is_none(), "this validator runs already");
        let mut command = node_command(self.directory.path(), index, &[]);
        command.args(options);
        self.processes[index] = Some(start(self.directory.path(), index, &mut command));
    }

    /// Starts, in place of a validator that does not run, one that misbehaves.
    pub(crate) fn launch_byzantine(&mut self, index: usize, behaviour: &str) {
        assert!(self.processes[index].is_none(), "this validator runs already");
        let mut command = Command::new(binary("conclave-byzantine"));
        command.arg("--config").arg(self.validator_dir(index).join("config.toml"));
        command.args(["--behaviour", behaviour]);
        self.processes[index] = Some(start(self.directory.path(), index, &mut command));
    }

    /// Kills all validators at once and starts them again.
    pub(crate) fn restart_all(&mut self) {
        for index in 0..VALIDATORS {
            if self.processes[index].is_some() {
                self.kill(index);
            }
        }
        for index in 0..VALIDATORS {
            self.launch(index);
        }
    }

    /// Starts a validator from a command that ends with the program to run, such as a shell that limits it.
    pub(crate) fn launch_under(&mut self, index: usize, wrapper: &[&str]) {
        assert!(self.processes[index].is_none(), "this validator runs already");
        self.processes[index] = Some(run(self.directory.path(), index, wrapper));
    }

    /// Waits until a validator that was launched has ended by itself.
    pub(crate) async fn ended(&mut self, index: usize) -> std::process::ExitStatus {
        let mut process = self.processes[index].take().expect("this validator was launched");
        process.end(PATIENCE).await
    }

    /// What a validator says of itself; none while it does not answer.
    pub(crate) async fn status(&self, index: usize) -> Option<GetStatusResponse> {
        self.clients[index].node_status().await.ok()
    }

    /// Waits until a validator says what `accept` wants to hear.
    pub(crate) async fn wait_status(
        &self,
        index: usize,
        what: &str,
        accept: impl Fn(&GetStatusResponse) -> bool,
    ) -> GetStatusResponse {
        let what = format!("validator {index}: {what}");
        let accept = &accept;
        until(&what, PATIENCE, async || self.status(index).await.filter(accept)).await
    }

    /// Waits until a validator has decided and revealed `height`.
    pub(crate) async fn wait_height(&self, index: usize, height: u64) {
        let what = format!("height {height} revealed");
        self.wait_status(index, &what, |status| status.revealed_height >= height).await;
    }

    /// The most memory that a validator has held at once, in KiB.
    pub(crate) fn peak_kib(&mut self, index: usize) -> u64 {
        let status = format!("/proc/{}/status", self.process(index).id());
        let status = std::fs::read_to_string(status).expect("a running process has a status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.trim().parse().ok());
        kib.expect("a peak")
    }

    /// A validator's newest decided height.
    pub(crate) async fn height(&self, index: usize) -> u64 {
        self.wait_status(index, "an answer", |_| true).await.decided_height
    }
}

/// Payers that the genesis gave a balance.
pub(crate) fn payers() -> Vec<Payer> {
    DEV_KEYS.iter().map(|key| Payer::from_hex(key).expect("a well-known key")).collect()
}

/// Runs `conclave genesis` for a network in `root`.
pub(crate) fn make(root: &Path, base_port: u16) {
    make_with(root, base_port, &[]);
}

fn make_with(root: &Path, base_port: u16, options: &[&str]) {
    let base_port = base_port.to_string();
    let root = root.to_string_lossy();
    let mut arguments = vec!["genesis", "--out", &root, "--base-port", &base_port, "--json"];
    let rollups = ROLLUPS.map(|id| id.to_string());
    let accounts: Vec<_> =
        payers().iter().map(|payer| format!("{}={BALANCE_GWEI}", payer.address())).collect();
    arguments.extend(rollups.iter().flat_map(|id| ["--rollup", id]));
    arguments.extend(accounts.iter().flat_map(|account| ["--account", account]));
    arguments.extend(options);
    let made = conclave(&arguments);
    assert!(made.status.success(), "{}", complaint(&made));
}

/// A client that is patient enough for a validator that is just being started.
pub(crate) async fn connect<S: Into<String>>(endpoints: impl IntoIterator<Item = S>) -> Client {
    let retry = Retry { rounds: 40, ..Retry::default() };
    let builder = Client::builder().retry(retry);
    let builder = endpoints.into_iter().fold(builder, |builder, url| builder.endpoint(url));
    builder.connect().await.expect("a validator answers")
}

/// The command that runs a validator.
pub(crate) fn node_command(root: &Path, index: usize, wrapper: &[&str]) -> Command {
    let program = binary("conclave");
    let mut command = match wrapper {
        [] => Command::new(program),
        [shell, arguments @ ..] => {
            let mut command = Command::new(shell);
            command.args(arguments).arg(program);
            command
        }
    };
    let config = root.join("net").join(format!("validator-{index}")).join("config.toml");
    command.args(["node", "--config"]).arg(config);
    command
}

fn run(root: &Path, index: usize, wrapper: &[&str]) -> Process {
    start(root, index, &mut node_command(root, index, wrapper))
}

fn start(root: &Path, index: usize, command: &mut Command) -> Process {
    Process::start(&format!("validator-{index}"), command, &log_file(root, index))
}

fn log_file(root: &Path, index: usize) -> PathBuf {
    root.join(format!("validator-{index}.log"))
}

fn port(base: u16, index: usize) -> u16 {
    base + PORTS_EACH * u16::try_from(index).expect("few validators")
}

/// A block of ports that were free a moment ago, below those that the system hands out by itself.
fn free_ports() -> u16 {
    let width = PORTS_EACH * 4;
    let start = 12_000 + u16::try_from(std::process::id() % 400).expect("small") * width;
    let mut bases = (0..400).map(|step| 12_000 + (start - 12_000 + step * width) % (400 * width));
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    bases.find(|base| (*base..base + width).all(free)).expect("a block of free ports")
}
