//! `conclave withdraw`: fee balance back to Ethereum.

use std::process::ExitCode;

use alloy::primitives::Address;
use anyhow::{Context as _, bail};
use conclave_node::l1::{Contracts, Sender, queue, withdrawals};
use conclave_types::{PayerAddress, wire::PaidOut};

use super::{
    chain::{Done, Operation, Session, ether, parse_gwei},
    proofs::{Deadline, Prover},
};

/// Withdraw fee balance: ask for it on L1, and have it paid there once the block that grants it has settled.
///
/// The account that sends the request is the payer whose balance it is taken from. The request is an entry of the
/// queue on L1, which no validator can keep it out of. The block that carries it takes the amount from the balance,
/// or all there is if that is less; with that block settled, --claim brings the proof to the FeeVault contract. Anyone
/// may bring it, and the recipient is paid. What the genesis granted cannot be withdrawn: nobody put ether behind it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave withdraw --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key \\
      --node http://127.0.0.1:26601 --amount 0.05 --claim
  conclave withdraw --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key --all --recipient 0x…
  conclave withdraw --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key anybody.key \\
      --node http://127.0.0.1:26601 --entry 7 --claim --wait-final --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: Operation,
    #[command(flatten)]
    what: What,
    /// Who is to be paid; the sending account if absent.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "entry")]
    recipient: Option<Address>,
    /// A node's gRPC address. With it the balance is looked at before anything is asked for.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// Wait until what was asked for has settled, and have it paid. Without it, come back with --entry.
    #[arg(long, requires = "node")]
    claim: bool,
}

/// How to go on with a request.
const AGAIN: &str = "the same command with --entry ENTRY --claim --node URL in place of the amount";

/// What is withdrawn.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// How much, in ether.
    #[arg(long, value_name = "ETHER", value_parser = parse_gwei)]
    amount: Option<u64>,
    /// All that can be withdrawn when the request is carried.
    #[arg(long)]
    all: bool,
    /// What an earlier request asked for, by its place in the queue.
    #[arg(long, value_name = "ENTRY", requires = "claim")]
    entry: Option<u64>,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(Box::pin(withdraw(arguments)))
}

async fn withdraw(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { on, what, recipient, node, claim: claims } = arguments;
    let session = Session::open(&on).await?;
    let Session { sender, contracts } = &session;
    let prover = match &node {
        Some(url) => Some(Prover::connect(url).await?),
        None => None,
    };
    let mut done = Done::default();
    let entry = match what.entry {
        Some(entry) => entry,
        None => {
            let recipient = recipient.unwrap_or_else(|| sender.address());
            check_balance(prover.as_ref(), sender, what.amount).await?;
            let gwei = what.amount.unwrap_or(u64::MAX);
            let queued = queue::request_withdrawal(sender, contracts, recipient, gwei).await?;
            let block = queued.sent.block();
            done = done
                .sent("requested", queued.sent)
                .effect("payer", sender.address().to_string())
                .effect("recipient", recipient.to_string())
                .effect("l1_block", block);
            queued.index
        }
    };
    done = done.effect("entry", entry);
    let done = match prover.filter(|_| claims) {
        Some(prover) => {
            let mut done = done;
            let claimed = claim(&prover, sender, contracts, entry, &mut done).await;
            if let Err(error) = claimed {
                // What was sent was paid for: it is told whatever became of it.
                let told = session.tell(done.effect("then", AGAIN), &on).await;
                return told.and(Err(error.context(format!("entry {entry} is not paid"))));
            }
            done
        }
        None => done.effect("then", AGAIN),
    };
    session.tell(done, &on).await
}

/// A request for more than there is would be carried for less, or for nothing.
async fn check_balance(
    prover: Option<&Prover>,
    sender: &Sender,
    amount: Option<u64>,
) -> anyhow::Result<()> {
    let Some(prover) = prover else { return Ok(()) };
    let payer = sender.address();
    let found = prover.withdrawable(PayerAddress::new(payer.into_array())).await?;
    let wanted = amount.unwrap_or(1);
    if found < wanted {
        bail!(
            "{payer} can withdraw {}, not {}; what the genesis granted cannot be withdrawn",
            ether(found),
            amount.map_or_else(|| "anything".to_owned(), ether)
        );
    }
    Ok(())
}

/// Waits for the request to be carried and settled, and has it paid.
async fn claim(
    prover: &Prover,
    sender: &Sender,
    contracts: &Contracts,
    entry: u64,
    done: &mut Done,
) -> anyhow::Result<()> {
    let until = Deadline::of(sender.endpoints().patience());
    let outcome = loop {
        if let Some(outcome) = prover.outcome(entry).await? {
            break outcome;
        }
        until.wait().await.with_context(|| {
            format!("no block carries the request yet, or entry {entry} of the queue is none")
        })?;
    };
    let height = outcome.height;
    let Some(paid) = outcome.paid else {
        bail!("there was nothing to withdraw when height {height} carried the request");
    };
    let (index, gwei) = (paid.withdrawal.index, paid.withdrawal.amount.as_u64());
    done.add("height", height.as_u64());
    done.add("withdrawal", index);
    done.add("amount_gwei", gwei);
    if withdrawals::is_paid(sender.endpoints(), contracts, index).await? {
        done.add("paid", "before");
        return Ok(());
    }
    pay(prover, sender, contracts, &paid, done).await?;
    done.add("paid", "now");
    Ok(())
}

/// Waits for a withdrawal to settle, and has it paid.
pub(crate) async fn pay(
    prover: &Prover,
    sender: &Sender,
    contracts: &Contracts,
    paid: &PaidOut,
    done: &mut Done,
) -> anyhow::Result<()> {
    let until = Deadline::of(sender.endpoints().patience());
    loop {
        let proof = prover.settled_proof(sender.endpoints(), contracts, paid).await?;
        match withdrawals::claim(sender, contracts, &proof).await {
            Ok(sent) => {
                done.add_sent("paid", sent);
                return Ok(());
            }
            Err(error) if withdrawals::is_overtaken(&error) => until.wait().await?,
            Err(error) => return Err(error.into()),
        }
    }
}
