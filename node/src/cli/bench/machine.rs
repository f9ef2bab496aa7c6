//! What it costs: CPU and memory of each process as the kernel counts them, bytes between validators
//! as they count them themselves; and on what machine.

use std::path::Path;

use serde::Serialize;

use super::super::devnet::{error::DevnetError, network::Devnet};

/// The machine, so that figures mean something.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
}

impl Machine {
    /// Reads what the kernel says; what it does not say is left empty.
    pub(super) fn read() -> Self {
        let cpuinfo = text("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.and_then(|rest| rest.split_once(':')).map_or("", |(_, name)| name.trim());
        Self {
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: kib(&text("/proc/meminfo"), "MemTotal:") / 1_024,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// One process.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProcessUsage {
    pub(super) name: String,
    /// User and system time.
    pub(super) cpu_ms: u64,
    /// Largest resident set since it started.
    pub(super) peak_rss_mib: u64,
}

/// Bytes between validators.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Wire {
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
}

/// What everything has used so far.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    pub(super) processes: Vec<ProcessUsage>,
    pub(super) wire: Wire,
}

impl Usage {
    /// Reads all counters.
    pub(super) async fn read(devnet: &Devnet) -> Result<Self, DevnetError> {
        let children = devnet.processes.iter().map(|process| read(process.name(), process.pid()));
        let mut processes: Vec<_> = children.collect();
        processes.push(read("load", std::process::id()));
        let mut wire = Wire::default();
        for validator in &devnet.validators {
            for peer in validator.client.node_status().await?.peers {
                wire.sent_bytes = wire.sent_bytes.saturating_add(peer.bytes_sent);
                wire.received_bytes = wire.received_bytes.saturating_add(peer.bytes_received);
            }
        }
        Ok(Self { processes, wire })
    }

    /// What was used since `before`; peaks stay peaks.
    pub(super) fn since(mut self, before: &Self) -> Self {
        for (process, before) in self.processes.iter_mut().zip(&before.processes) {
            process.cpu_ms = process.cpu_ms.saturating_sub(before.cpu_ms);
        }
        self.wire.sent_bytes = self.wire.sent_bytes.saturating_sub(before.wire.sent_bytes);
        self.wire.received_bytes =
            self.wire.received_bytes.saturating_sub(before.wire.received_bytes);
        self
    }
}

fn read(name: &str, pid: u32) -> ProcessUsage {
    let stat = text(format!("/proc/{pid}/stat"));
    let ticks = cpu_ticks(&stat);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    ProcessUsage {
        name: name.to_owned(),
        cpu_ms: ticks.saturating_mul(1_000) / per_second,
        peak_rss_mib: kib(&text(format!("/proc/{pid}/status")), "VmHWM:") / 1_024,
    }
}

/// User and system ticks of `/proc/PID/stat`: fields 14 and 15, counted behind the name, which may
/// hold blanks and parentheses itself.
fn cpu_ticks(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_blanks() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100";
        assert_eq!(cpu_ticks(stat), 300);
        assert_eq!(cpu_ticks("garbage"), 0);
    }

    #[test]
    fn a_field_of_a_status_file_is_read_in_kib() {
        assert_eq!(kib("VmPeak:\t 9 kB\nVmHWM:\t  20480 kB\n", "VmHWM:"), 20_480);
        assert_eq!(kib("", "VmHWM:"), 0);
    }
}
