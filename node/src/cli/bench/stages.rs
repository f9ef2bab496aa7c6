//! Where the time goes: what validators say of themselves at `/metrics`, summed over all of them.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::super::devnet::{
    error::{DevnetError, at},
    network::Devnet,
};

/// No validator's metrics are longer.
const PAGE_BYTES_MAX: u64 = 4 << 20;

/// One kind of work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Stage {
    /// How often it was done.
    pub(super) count: u64,
    /// Wall-clock time in it, all validators together.
    pub(super) total_us: u64,
}

/// Work by kind: jobs on the thread pool (`verify`, `share`, `combine`, `open`), and commits to the disk.
pub(super) type Stages = BTreeMap<String, Stage>;

/// What all validators have done so far.
pub(super) async fn read(devnet: &Devnet) -> Result<Stages, DevnetError> {
    let mut stages = Stages::new();
    for validator in &devnet.validators {
        let page = fetch(&validator.metrics).await.map_err(at("a validator's metrics"))?;
        add(&mut stages, &page);
    }
    Ok(stages)
}

/// What was done since `before`.
pub(super) fn since(mut now: Stages, before: &Stages) -> Stages {
    for (kind, stage) in &mut now {
        let earlier = before.get(kind).cloned().unwrap_or_default();
        stage.count = stage.count.saturating_sub(earlier.count);
        stage.total_us = stage.total_us.saturating_sub(earlier.total_us);
    }
    now
}

async fn fetch(url: &str) -> std::io::Result<String> {
    let address = url.trim_start_matches("http://").trim_end_matches("/metrics");
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut page = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut page).await?;
    Ok(page)
}

fn add(stages: &mut Stages, page: &str) {
    for line in page.lines() {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let Some((kind, is_count)) = kind_of(name) else { continue };
        let stage = stages.entry(kind.to_owned()).or_default();
        if is_count {
            stage.count = stage.count.saturating_add(value.parse().unwrap_or(0));
        } else {
            stage.total_us = stage.total_us.saturating_add(micros(value));
        }
    }
}

/// The kind of work that a sample is about, and whether it counts rather than times.
fn kind_of(name: &str) -> Option<(&str, bool)> {
    let labels = name.split_once('{').map_or("", |(_, labels)| labels);
    let bare = name.split_once('{').map_or(name, |(bare, _)| bare);
    let (family, is_count) = match (bare.strip_suffix("_sum"), bare.strip_suffix("_count")) {
        (Some(family), _) => (family, false),
        (None, Some(family)) => (family, true),
        (None, None) => return None,
    };
    if family.ends_with("persist_seconds") {
        return Some(("persist", is_count));
    }
    let kind = labels.strip_prefix("kind=\"")?.split_once('"')?.0;
    family.ends_with("job_seconds").then_some((kind, is_count))
}

/// Seconds as text, in whole microseconds.
fn micros(seconds: &str) -> u64 {
    let time = seconds.parse().ok().and_then(|s| std::time::Duration::try_from_secs_f64(s).ok());
    time.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_summed_by_kind_over_pages() {
        let page = "conclave_job_seconds_sum{kind=\"verify\"} 0.5\n\
                    conclave_job_seconds_count{kind=\"verify\"} 3\n\
                    conclave_persist_seconds_sum 0.25\n\
                    conclave_persist_seconds_count 7\n\
                    conclave_latency_seconds_sum{level=\"ordered\"} 9\n";
        let mut stages = Stages::new();
        add(&mut stages, page);
        add(&mut stages, page);
        let stage = |count, total_us| Stage { count, total_us };
        let expected = [("persist", stage(14, 500_000)), ("verify", stage(6, 1_000_000))];
        assert_eq!(stages, expected.map(|(kind, stage)| (kind.to_owned(), stage)).into());
        let none = since(stages.clone(), &stages);
        assert_eq!(none["verify"], stage(0, 0));
    }
}
