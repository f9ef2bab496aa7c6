//! `conclave verify`: re-derives an archive offline.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use conclave_node::{errors, node::read_genesis, store::RocksStore};
use conclave_sequencer::{archive, audit::Auditor};
use conclave_types::Height;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::print;

/// Re-derive a node's archive offline: certificates, validity, ledger, openings, order, batches, digests.
///
/// The database is opened for reading, so the node may be running. Heights below FROM are replayed for their
/// effects only. Exits with 1 and names the first bad height if anything is not as it must be.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave verify --data-dir net/validator-0/data --genesis net/genesis.json
  conclave verify --data-dir net/validator-0/data --genesis net/genesis.json --from 1000 --json")]
pub(crate) struct Arguments {
    /// The node's data_dir.
    #[arg(long)]
    data_dir: PathBuf,
    /// The network's genesis; looked for beside and above data_dir if absent.
    #[arg(long)]
    genesis: Option<PathBuf>,
    /// The first height that is checked in full.
    #[arg(long, default_value_t = 1, value_name = "HEIGHT")]
    from: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found before the end or the first fault.
struct Findings {
    checked: u64,
    bundles: u64,
    last: Height,
    revealed: Height,
    digest: String,
    fault: Option<(Height, String)>,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let path = match arguments.genesis {
        Some(path) => path,
        None => find_genesis(&arguments.data_dir)?,
    };
    let genesis = Arc::new(read_genesis(&path)?);
    let store = RocksStore::open_read_only(&arguments.data_dir.join("db"), &genesis.network_id())?;
    let tip = archive::tip(&store)?.context("the archive holds no block yet")?;
    let from = Height::new(arguments.from.max(1));
    anyhow::ensure!(
        from <= tip.decided,
        "--from {from} is above the newest decided height {}",
        tip.decided
    );
    let auditor = Auditor::new(genesis, from)?;
    let quiet = arguments.json || !std::io::stderr().is_terminal();
    let findings = audit(auditor, &store, from, &tip, &progress(tip.decided, quiet)?);
    report(&findings, from, arguments.json)?;
    Ok(if findings.fault.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find_genesis(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let data_dir = std::fs::canonicalize(data_dir)
        .with_context(|| format!("cannot find {}", data_dir.display()))?;
    data_dir
        .ancestors()
        .take(3)
        .map(|directory| directory.join("genesis.json"))
        .find(|path| path.is_file())
        .context("no genesis.json near data_dir; name it with --genesis")
}

fn progress(decided: Height, quiet: bool) -> anyhow::Result<ProgressBar> {
    if quiet {
        return Ok(ProgressBar::hidden());
    }
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} heights  {per_sec}  {eta} left")?;
    Ok(ProgressBar::new(decided.as_u64()).with_style(style))
}

fn audit(
    mut auditor: Auditor,
    store: &RocksStore,
    from: Height,
    tip: &archive::Tip,
    bar: &ProgressBar,
) -> Findings {
    let mut findings = Findings {
        checked: 0,
        bundles: 0,
        last: Height::ZERO,
        revealed: Height::ZERO,
        digest: String::new(),
        fault: None,
    };
    while auditor.next() <= tip.decided {
        let height = auditor.next();
        match auditor.advance(store) {
            Ok(audited) => {
                findings.last = height;
                if height >= from {
                    findings.checked = findings.checked.saturating_add(1);
                    findings.bundles = findings.bundles.saturating_add(audited.bundle_count as u64);
                }
                if audited.revealed {
                    findings.revealed = height;
                    findings.digest = audited.digest.to_string();
                }
            }
            Err(error) => {
                findings.fault = Some((height, errors::chain(&error)));
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if findings.fault.is_none() {
        findings.fault = check_tip(&findings, tip);
    }
    findings
}

/// The tip is what a restarted node believes first, so it must be what the blocks lead to.
fn check_tip(findings: &Findings, tip: &archive::Tip) -> Option<(Height, String)> {
    if findings.revealed < tip.revealed {
        let missing = findings.revealed.next();
        return Some((missing, "the reveal is missing although the tip counts it".to_owned()));
    }
    let differs =
        findings.revealed == tip.revealed && findings.digest != tip.reveal_digest.to_string();
    (differs && tip.revealed > Height::ZERO)
        .then(|| (tip.revealed, "the tip names another chain digest".to_owned()))
}

fn report(findings: &Findings, from: Height, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let fault = findings
            .fault
            .as_ref()
            .map(|(height, what)| json!({ "height": height.as_u64(), "error": what }));
        return print(json!({
            "valid": findings.fault.is_none(),
            "from": from.as_u64(),
            "decided_height": findings.last.as_u64(),
            "revealed_height": findings.revealed.as_u64(),
            "heights_checked": findings.checked,
            "bundles_checked": findings.bundles,
            "chain_digest": findings.digest,
            "fault": fault,
        }));
    }
    match &findings.fault {
        None => print(format_args!(
            "valid: {} heights and {} bundles from height {from} to {}, revealed to {}\nchain digest {}",
            findings.checked, findings.bundles, findings.last, findings.revealed, findings.digest
        )),
        Some((height, what)) => print(format_args!("NOT VALID at height {height}: {what}")),
    }
}
