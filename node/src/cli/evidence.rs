//! `conclave evidence`: what a node saw a validator do wrong, shown to Ethereum.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use conclave_node::{
    l1::evidence::{self, Exhibit, Offence},
    store::RocksStore,
};
use conclave_sequencer::{Store as _, Table, archive};
use conclave_types::{Committee, digest::SigningDomain};
use serde_json::json;

use super::{
    chain::{AccountArguments, ContractArguments, Done, EndpointArguments},
    print,
};

/// Pieces of evidence that are written at once. One for each validator is all that it takes.
const EVIDENCE_MAX: usize = 1_024;

/// Evidence that a validator contradicted itself: take it out of a node's archive, post it to L1.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Export(ExportArguments),
    Submit(SubmitArguments),
}

/// Write each piece of evidence that a node keeps into a file of its own. A node may be running on the directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave evidence export --data-dir net/validator-0/data --genesis net/genesis.json --out evidence")]
struct ExportArguments {
    /// The node's data directory.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The network's genesis.
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Where to write; created if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Post evidence to L1; anyone may. What the offender has at stake is seized at once.
///
/// It is checked here first, as a node would. A report can be copied while it waits to be included: whoever wants the
/// reward for certain announces it before (`ConclaveSlasher.announce`), which this command does not do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave evidence submit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key evidence/7-0.evidence
  conclave evidence submit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key --wait-final --json \\
      evidence/7-0.evidence")]
struct SubmitArguments {
    #[command(flatten)]
    at: EndpointArguments,
    #[command(flatten)]
    of: ContractArguments,
    #[command(flatten)]
    account: AccountArguments,
    /// The evidence, as `conclave evidence export` writes it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Export(arguments) => export(&arguments),
        Command::Submit(arguments) => super::runtime()?.block_on(Box::pin(submit(arguments))),
    }
}

fn export(arguments: &ExportArguments) -> anyhow::Result<ExitCode> {
    let of = ContractArguments::of_genesis(arguments.genesis.clone());
    let genesis = of.read_genesis()?;
    let database = arguments.data_dir.join("db");
    let store = RocksStore::open_read_only(&database, &genesis.network_id())?;
    // From the first key to beyond the last: keys begin with a height.
    let kept = store.scan(Table::Evidence, &[], &[0xff; 9], EVIDENCE_MAX)?;
    let directory = &arguments.out;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let domain = SigningDomain::of(&genesis);
    for (number, (_, bytes)) in kept.iter().enumerate() {
        // Shares that were wrong are kept too; those are judged by other means.
        let Some(offence) = kept_offence(bytes) else { continue };
        let height = offence.height();
        let Some(exhibit) = exhibit(&store, offence)? else { continue };
        let committee = Committee::seated(exhibit.committee.clone())?;
        if !exhibit.offence.convicts(&committee, &domain, exhibit.epoch) {
            continue;
        }
        let path = directory.join(format!("{height}-{number}.evidence"));
        std::fs::write(&path, borsh::to_vec(&exhibit)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        print(json!({
            "file": path,
            "validators": exhibit.offence.accused(),
            "epoch": exhibit.epoch,
            "height": height,
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An offence that a node has kept.
fn kept_offence(bytes: &[u8]) -> Option<Offence> {
    let equivocation = borsh::from_slice(bytes).ok().map(Box::new).map(Offence::Equivocation);
    equivocation
        .or_else(|| borsh::from_slice(bytes).ok().map(Box::new).map(Offence::DoubleAttestation))
}

/// With the committee of its epoch; none if the chain has not come as far as that.
fn exhibit(store: &RocksStore, offence: Offence) -> anyhow::Result<Option<Exhibit>> {
    let Some(block) = archive::block(store, offence.height())? else { return Ok(None) };
    let epoch = block.block.header.epoch;
    let Some(committee) = archive::committee(store, epoch)? else { return Ok(None) };
    let committee = committee.iter().map(|(index, member)| (index, member.clone())).collect();
    Ok(Some(Exhibit { epoch, committee, offence }))
}

async fn submit(arguments: SubmitArguments) -> anyhow::Result<ExitCode> {
    let SubmitArguments { at, of, account, file } = arguments;
    let genesis = of.read_genesis().context("evidence is checked against the network's genesis")?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let evidence = evidence::read(&bytes, &genesis)?;
    let (endpoints, contracts) = of.find(&at, account.patience()).await?;
    let sender = account.sender(endpoints)?;
    let (reports, sent) = evidence::submit(&sender, &contracts, &evidence, &genesis).await?;
    let list = reports.iter().map(|report| {
        json!({
            "offence": report.offence.to_string(),
            "validator": report.validator,
            "seized_gwei": report.seized_gwei,
        })
    });
    let mut done =
        Done::default().sent("reported", sent).effect("reports", list.collect::<Vec<_>>());
    if let [report] = &reports[..] {
        done = done
            .effect("offence", report.offence.to_string())
            .effect("validator", report.validator)
            .effect("seized_gwei", report.seized_gwei);
    }
    done.tell(&sender, &account, at.json).await
}
