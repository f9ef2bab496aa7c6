//! `conclave verify`: re-derives an archive offline.
//!
//! Three answers, never confused: valid; not valid, with the height; not judged, because the archive cannot be
//! read. While a node runs on the directory, what looks wrong may be a write that is only half seen, so it is
//! not judged either.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use conclave_node::{
    errors,
    node::read_genesis,
    store::{RocksStore, StoreError},
};
use conclave_sequencer::{
    BatchSeed,
    archive::{self, ArchiveError},
    audit::{AuditError, Auditor},
};
use conclave_types::Height;
use indicatif::{ProgressBar, ProgressStyle};
use rand_core::{OsRng, RngCore as _};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};
use serde_json::json;

use super::{note, print};

/// Nothing could be found out.
const NOT_JUDGED: u8 = 2;

/// Re-derive a node's archive offline: certificates, validity, ledger, openings, order, batches, digests.
///
/// Heights below FROM are replayed for their effects only. The database is opened for reading. A node may run
/// on it meanwhile; then what looks wrong is told, but judged only once the node is stopped, or on a copy.
///
/// Exits with 0 if everything is as it must be, with 1 if something is not and names the first bad height, and
/// with 2 if that cannot be found out.
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

/// What stands against an archive at a height.
struct Fault {
    height: Height,
    what: String,
    /// It could not be read, which says nothing about it.
    unread: bool,
}

/// What was found before the end or the first fault.
struct Findings {
    checked: u64,
    bundles: u64,
    last: Height,
    revealed: Height,
    digest: String,
    fault: Option<Fault>,
    /// The node that ran on the directory.
    used_by: Option<Pid>,
}

impl Findings {
    /// Whether the archive is valid; none if nobody can say.
    fn verdict(&self) -> Option<bool> {
        match &self.fault {
            None => Some(true),
            Some(fault) if fault.unread || self.used_by.is_some() => None,
            Some(_) => Some(false),
        }
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match judge(arguments) {
        Ok(Some(true)) => Ok(ExitCode::SUCCESS),
        Ok(Some(false)) => Ok(ExitCode::FAILURE),
        Ok(None) => Ok(ExitCode::from(NOT_JUDGED)),
        Err(error) => {
            note(format!("error: not judged: {}", errors::chain(&*error)))?;
            Ok(ExitCode::from(NOT_JUDGED))
        }
    }
}

fn judge(arguments: Arguments) -> anyhow::Result<Option<bool>> {
    let path = match arguments.genesis {
        Some(path) => path,
        None => find_genesis(&arguments.data_dir)?,
    };
    let genesis = Arc::new(read_genesis(&path)?);
    let database = arguments.data_dir.join("db");
    let used_by = used_by(&database)?;
    if let Some(pid) = used_by {
        note(format!(
            "process {pid} is running on {}: what it writes meanwhile is left out",
            database.display()
        ))?;
    }
    let store = RocksStore::open_read_only(&database, &genesis.network_id())?;
    let tip = archive::tip(&store)?.context("the archive holds no block yet")?;
    let from = Height::new(arguments.from.max(1));
    anyhow::ensure!(
        from <= tip.decided,
        "--from {from} is above the newest decided height {}",
        tip.decided
    );
    let mut seed = [0; 32];
    OsRng.fill_bytes(&mut seed);
    let auditor = Auditor::new(genesis, from, BatchSeed::new(seed))?;
    let quiet = arguments.json || !io::stderr().is_terminal();
    let mut findings = audit(auditor, &store, from, &tip, &progress(tip.decided, quiet)?);
    // It may also have been started meanwhile.
    findings.used_by = used_by.or(self::used_by(&database)?);
    report(&findings, from, arguments.json)?;
    Ok(findings.verdict())
}

/// The process that has the database open for writing. Its lock says so, and nothing is locked to find out.
fn used_by(database: &Path) -> anyhow::Result<Option<Pid>> {
    let path = database.join("LOCK");
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        // Opening the database says better what is not there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    let holder = fcntl_getlk(&lock, &Flock::from(FlockType::ReadLock))
        .with_context(|| format!("cannot ask who holds {}", path.display()))?;
    Ok(holder.and_then(|holder| holder.pid))
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
        used_by: None,
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
                } else if height <= tip.revealed {
                    let what = "the reveal is missing although the tip counts it".to_owned();
                    findings.fault = Some(Fault { height, what, unread: false });
                    break;
                }
            }
            Err(error) => {
                findings.fault = Some(fault(height, &error));
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if findings.fault.is_none()
        && let Err(error) = auditor.check_state(store, tip)
    {
        findings.fault = Some(fault(tip.decided, &error));
    }
    findings
}

fn fault(height: Height, error: &AuditError<StoreError>) -> Fault {
    let unread = matches!(error, AuditError::Archive(ArchiveError::Store(_)));
    Fault { height, what: errors::chain(error), unread }
}

fn report(findings: &Findings, from: Height, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let fault = findings.fault.as_ref();
        let fault = fault.map(|at| json!({ "height": at.height.as_u64(), "error": at.what }));
        return print(json!({
            "valid": findings.verdict(),
            "from": from.as_u64(),
            "decided_height": findings.last.as_u64(),
            "revealed_height": findings.revealed.as_u64(),
            "heights_checked": findings.checked,
            "bundles_checked": findings.bundles,
            "chain_digest": findings.digest,
            "fault": fault,
            "used_by": findings.used_by.map(Pid::as_raw_nonzero),
        }));
    }
    match &findings.fault {
        None => print(format_args!(
            "valid: {} heights and {} bundles from height {from} to {}, revealed to {}\nchain digest {}",
            findings.checked, findings.bundles, findings.last, findings.revealed, findings.digest
        )),
        Some(Fault { height, what, unread: true }) => print(format_args!(
            "NOT JUDGED: height {height} cannot be read: {what}{}",
            remedy(findings.used_by)
        )),
        Some(Fault { height, what, .. }) if findings.used_by.is_some() => print(format_args!(
            "NOT JUDGED: height {height} does not look right: {what}{}",
            remedy(findings.used_by)
        )),
        Some(Fault { height, what, .. }) => {
            print(format_args!("NOT VALID at height {height}: {what}"))
        }
    }
}

fn remedy(used_by: Option<Pid>) -> String {
    used_by.map_or_else(String::new, |pid| {
        format!("\nprocess {pid} is running on this directory: stop it, or verify a copy")
    })
}
