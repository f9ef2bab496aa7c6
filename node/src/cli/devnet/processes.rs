//! Child processes that do not outlive their parent, whatever happens to it.
//!
//! Each child is in a process group of its own, so that Ctrl-C reaches this process alone and it can
//! stop them in order: first it asks (SIGTERM), then it insists (SIGKILL). A child that is dropped is
//! killed. A parent that is killed itself closes the pipe to each child's standard input, which
//! `--exit-with-parent` makes them notice.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::error::{DevnetError, at};

/// A process that was asked to stop has this long before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How much of a log an error repeats.
const TAIL_LINES: usize = 12;

/// A supervised process.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints goes to `logs/name.log`.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        logs: &Path,
    ) -> Result<Self, DevnetError> {
        let log = logs.join(format!("{name}.log"));
        let (out, err) = open_log(&log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(at(program))?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { name: name.to_owned(), child, pid, log })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal.
    pub(crate) fn tell(&self, signal: Signal) -> Result<(), DevnetError> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Err(DevnetError::Options(format!("{} has no process id", self.name)));
        };
        kill_process(pid, signal).map_err(|error| at(&self.log)(error.into()))
    }

    /// Whether its log has these words.
    pub(crate) fn has_logged(&self, words: &str) -> bool {
        std::fs::read_to_string(&self.log).is_ok_and(|log| log.contains(words))
    }

    /// An error if it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), DevnetError> {
        let Some(status) = self.child.try_wait().map_err(at(&self.log))? else { return Ok(()) };
        Err(DevnetError::Ended {
            name: self.name.clone(),
            status: status.to_string(),
            log: self.log.clone(),
            tail: tail(&self.log),
        })
    }

    fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // It may have ended already; then there is nobody to ask.
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
            tracing::debug!(name = self.name, %error, "cannot be asked to stop");
        }
    }
}

/// Stops all of them: asks everyone, waits, kills who is left. Says who had to be killed.
pub(crate) async fn stop(mut processes: Vec<Process>) -> Vec<String> {
    for process in &mut processes {
        process.ask_to_stop();
    }
    let mut killed = Vec::new();
    for process in &mut processes {
        let ended = tokio::time::timeout(STOP_PATIENCE, process.child.wait()).await;
        if ended.is_err() {
            killed.push(process.name.clone());
            if let Err(error) = process.child.kill().await {
                tracing::warn!(name = process.name, %error, "cannot be killed");
            }
        }
    }
    killed
}

fn open_log(path: &Path) -> Result<(File, File), DevnetError> {
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(at(path))?;
    let second = file.try_clone().map_err(at(path))?;
    Ok((file, second))
}

fn tail(path: &Path) -> String {
    let Ok(text) = std::fs::read_to_string(path) else { return String::new() };
    let lines: Vec<_> = text.lines().rev().take(TAIL_LINES).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
