//! `conclave evidence`: what a node saw a validator do wrong, shown to Ethereum.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use alloy::primitives::B256;
use anyhow::{Context as _, bail};
use conclave_contracts::ConclaveSlasher;
use conclave_node::{
    l1::{
        Call,
        evidence::{self, Acquittal, Exhibit, Filed, Filing, Offence, SettledProof, Shown},
        proofs::check_settled,
    },
    store::RocksStore,
};
use conclave_sequencer::archive::{self, EvidenceCursor};
use conclave_types::{Genesis, Height, digest::SigningDomain};
use serde_json::json;

use super::{
    chain::{ContractArguments, Done, Operation, Session},
    note, print,
    proofs::Prover,
};

/// Pieces of evidence that are read at a time.
const PAGE: usize = 1_024;

/// Evidence of what a validator did wrong: take it out of a node's archive, post it to L1.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Export(ExportArguments),
    Submit(SubmitArguments),
    Acquit(AcquitArguments),
    Resolve(ResolveArguments),
}

/// Write evidence that a node keeps into files: the first piece of each kind against each validator in each epoch.
/// A node may be running on the directory.
///
/// These are double votes, proposals and attestations, shares that are not what their sender's secret gives, and shares of a
/// block that is not the chain's. What shows L1 what the chain's block is changes with each posting, so for the last of these
/// `evidence submit` asks a node (--node).
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
/// It is checked here first, as a node would. A report can be copied while it waits to be included, so it is
/// announced before, which shows nothing of it, and taken over from whoever copied it. Run it again, from the same
/// account, if it was broken off. Validators with an account on L1 post what they keep by themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave evidence submit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key evidence/7-0.evidence
  conclave evidence submit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key --wait-final --json \\
      evidence/7-0.evidence
  conclave evidence submit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key \\
      --node http://127.0.0.1:26601 evidence/9-1.evidence   # shares of a block that is not the chain's")]
struct SubmitArguments {
    #[command(flatten)]
    on: Operation,
    /// The gRPC address of a node that shows what has settled, which is checked on L1. Shares of a block that is not the
    /// chain's need it. It learns their height before the report is announced: name one that you trust not to be faster.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// The evidence, as `conclave evidence export` writes it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Show that a validator shared a block that was decided, if L1 convicts it of having shared another than the chain's.
///
/// That happens when the chain has forked, which takes more than a third of the voting power, and then who shared the
/// block of its side did what it had to. The node whose directory is named has decided that block: its certificate is the
/// answer, within three days of the report, and all that was seized comes back. Anyone may give it, for anyone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave evidence acquit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key \\
      --data-dir net/validator-0/data --validator 1")]
struct AcquitArguments {
    #[command(flatten)]
    on: Operation,
    /// The data directory of a node that has decided the block. It may be running.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Who is convicted: its number in the stake contract.
    #[arg(long, value_name = "NUMBER")]
    validator: u32,
}

/// Have the verdict spoken on a report, three days after it; anyone may.
///
/// Until then what was seized stands in escrow, and whoever reported it is not rewarded.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave evidence resolve --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key 0x6b1f…")]
struct ResolveArguments {
    #[command(flatten)]
    on: Operation,
    /// The offence, as `evidence submit` and the log of the node that reported it name it.
    #[arg(value_name = "OFFENCE")]
    offence: B256,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Export(arguments) => export(&arguments),
        Command::Submit(arguments) => super::runtime()?.block_on(Box::pin(submit(arguments))),
        Command::Acquit(arguments) => super::runtime()?.block_on(Box::pin(acquit(arguments))),
        Command::Resolve(arguments) => super::runtime()?.block_on(Box::pin(resolve(arguments))),
    }
}

fn export(arguments: &ExportArguments) -> anyhow::Result<ExitCode> {
    let of = ContractArguments::of_genesis(arguments.genesis.clone());
    let genesis = of.read_genesis()?;
    let database = arguments.data_dir.join("db");
    let store = RocksStore::open_read_only(&database, &genesis.network_id())?;
    let directory = &arguments.out;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let domain = SigningDomain::of(&genesis);
    let (mut from, mut told, mut number) =
        (EvidenceCursor::at(Height::ZERO), BTreeSet::new(), 0_u64);
    loop {
        let (kept, next) = archive::evidence(&store, &from, PAGE)?;
        if kept.is_empty() {
            break;
        }
        from = next;
        for kept in kept {
            let Shown::Exhibit(exhibit) = Exhibit::of(&store, &domain, kept)? else { continue };
            let accused = exhibit.offence.accused();
            let kind = match &exhibit.offence {
                Offence::Equivocation(_) => 0,
                Offence::DoubleAttestation(_) => 1,
                Offence::WrongShare(_) => 2,
                Offence::PrematureShare(_) => 3,
            };
            let case = (exhibit.epoch, kind, accused.clone());
            if told.contains(&case) || !exhibit.convicts(&domain) {
                continue;
            }
            told.insert(case);
            let height = exhibit.offence.height();
            let path = directory.join(format!("{height}-{number}.evidence"));
            number = number.saturating_add(1);
            std::fs::write(&path, evidence::file(&exhibit))
                .with_context(|| format!("cannot write {}", path.display()))?;
            print(json!({
                "file": path,
                "validators": accused,
                "epoch": exhibit.epoch,
                "height": height,
            }))?;
        }
    }
    if number == 0 {
        note("this node keeps no evidence that can be taken elsewhere".to_owned())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn acquit(arguments: AcquitArguments) -> anyhow::Result<ExitCode> {
    let AcquitArguments { on, data_dir, validator } = arguments;
    let genesis = on.of.read_genesis().context("the directory is of the genesis's network")?;
    let store = RocksStore::open_read_only(&data_dir.join("db"), &genesis.network_id())?;
    let session = Session::open(&on).await?;
    let Session { sender, contracts } = &session;
    let records = evidence::convictions(sender.endpoints(), contracts, validator).await?;
    let (mut done, mut refusal, mut shown) = (Done::default(), None, Vec::new());
    for record in records.iter().filter(|record| record.is_premature_share()) {
        let shared = evidence::shared_block(sender.endpoints(), contracts, record.offence).await?;
        let Some(acquittal) = Acquittal::of(&store, record, shared)? else { continue };
        match acquittal.show(sender, contracts, record).await {
            Ok(all) => {
                for sent in all {
                    done.add_sent("shown", sent);
                }
                shown.push(record.offence.to_string());
            }
            Err(error) => refusal = Some((record.offence, error)),
        }
    }
    match refusal {
        _ if !shown.is_empty() => {}
        Some((offence, error)) => {
            return Err(error)
                .context(format!("this node's certificate does not acquit of {offence}"));
        }
        None => bail!(
            "validator {validator} is convicted of no premature share of a block that this node has decided"
        ),
    }
    done.add("offences", shown);
    session.tell(done, &on).await
}

async fn resolve(arguments: ResolveArguments) -> anyhow::Result<ExitCode> {
    let ResolveArguments { on, offence } = arguments;
    let session = Session::open(&on).await?;
    let Session { sender, contracts } = &session;
    let call = ConclaveSlasher::resolveCall { offence };
    let sent = sender.send(Call::new(contracts.slasher, &call)).await?;
    let done = Done::default().sent("resolved", sent).effect("offence", offence.to_string());
    session.tell(done, &on).await
}

async fn submit(arguments: SubmitArguments) -> anyhow::Result<ExitCode> {
    let SubmitArguments { on, node, file } = arguments;
    let genesis =
        on.of.read_genesis().context("evidence is checked against the network's genesis")?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let evidence = evidence::read(&bytes, &genesis)?;
    let session = Session::open(&on).await?;
    let evidence = settled(evidence, node.as_deref(), &genesis, &session).await?;
    let mut filing = Filing::new(&session.sender, &session.contracts);
    let filed = filing.file(&evidence, &genesis).await?;
    let mut done = Done::default();
    for (what, sent) in filing.into_sent() {
        done = done.sent(what, sent);
    }
    let done = match filed {
        Filed::Convicted(convictions) => {
            let list = convictions.iter().map(|conviction| {
                json!({
                    "offence": conviction.offence.to_string(),
                    "validator": conviction.validator,
                    "seized_gwei": conviction.seized_gwei,
                })
            });
            let done = done.effect("reports", list.collect::<Vec<_>>());
            match &convictions[..] {
                [conviction] => done
                    .effect("offence", conviction.offence.to_string())
                    .effect("validator", conviction.validator)
                    .effect("seized_gwei", conviction.seized_gwei),
                _ => done,
            }
        }
        Filed::TakenOver(offences) => {
            let list: Vec<_> = offences.iter().map(ToString::to_string).collect();
            done.effect("taken_over", list)
        }
    };
    session.tell(done, &on).await
}

/// Evidence with what shows L1 which block is the chain's, if it takes that and does not have it.
async fn settled(
    mut evidence: Exhibit,
    node: Option<&str>,
    genesis: &Genesis,
    session: &Session,
) -> anyhow::Result<Exhibit> {
    let Offence::PrematureShare(share) = &mut evidence.offence else { return Ok(evidence) };
    let Some(node) = node else {
        if share.settled.is_some() {
            return Ok(evidence);
        }
        bail!(
            "these are shares of a block that is not the chain's; what shows L1 which block is changes with each posting: \
             name a node that has it, with --node URL"
        );
    };
    let (endpoints, contracts) = (session.sender.endpoints(), &session.contracts);
    let height = share.shares.height;
    let prover = Prover::connect(node).await?;
    let shown = prover.settled_commitment(endpoints, contracts, height).await?;
    if shown.commitment.block == share.shares.block {
        bail!(
            "node {node} says that the block which was shared at height {height} is the chain's, and then that is no \
             offence; ask another if you know better"
        );
    }
    // Before anything is announced, and paid for.
    let on_l1 = check_settled(endpoints, contracts, &shown).await;
    on_l1.with_context(|| format!("what node {node} shows does not hold on L1; ask another"))?;
    share.commitment = shown.commitment;
    share.settled = Some(SettledProof { under: shown.under, path: shown.path });
    if !evidence.convicts(&SigningDomain::of(genesis)) {
        bail!("with what node {node} shows, these shares convict nobody; ask another");
    }
    Ok(evidence)
}
