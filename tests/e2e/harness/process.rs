//! A child process with its output in a file. It dies with its handle.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use super::wait::until;

/// A binary of the workspace, as `make test` builds it beside this test.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let directory = test.ancestors().find(|path| path.join(name).is_file());
    directory.map(|path| path.join(name)).unwrap_or_else(|| {
        panic!("{name} is not beside {}: run `make build` first", test.display())
    })
}

/// Runs a subcommand of `conclave` to its end.
pub(crate) fn conclave(arguments: &[&str]) -> Output {
    Command::new(binary("conclave")).args(arguments).output().expect("conclave runs")
}

/// Standard error of a finished process, for assertions.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running child.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; both of its outputs go to `log`, behind what is there already.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log opens");
        let twin = file.try_clone().expect("a handle clones");
        let child = command.stdin(Stdio::null()).stdout(twin).stderr(file).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// SIGKILL: what a power cut looks like to everybody else.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child is reaped");
    }

    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("kill runs").success(), "{} takes SIG{signal}", self.name);
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self, patience: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        until(&what, patience, async || self.ended()).await
    }

    /// Everything it printed so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log reads")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        if self.ended().is_none() {
            self.kill();
        }
        if std::thread::panicking() {
            let log = self.output();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n  ");
            eprintln!("{}, last lines:\n  {tail}", self.name);
        }
    }
}
