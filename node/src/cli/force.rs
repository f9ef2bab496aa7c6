//! `conclave force` and `conclave deposit`: the queue on Ethereum that nobody can keep an entry out of.

use std::process::ExitCode;

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{Address, Bytes},
};
use conclave_node::l1::queue;

use super::chain::{Done, Operation, Session, parse_gwei};

/// Force a transaction into a rollup through L1, past the validators.
///
/// It takes its place in a queue on L1. Every block whose L1 origin covers that place must carry it, in order, before
/// anything else; L1 settles no block that does not. The fee is for the gas that the rollup may spend on it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave force --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key --rollup 901 0x02f86b…
  conclave force --l1 http://127.0.0.1:8545 --contract 0x… --account-key me.key --rollup 901 --wait-final --json \\
      $(cast mktx --rpc-url http://127.0.0.1:8546 --private-key … 0x… --value 1ether)")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: Operation,
    /// The rollup, as it is registered on L1.
    #[arg(long, value_name = "ID")]
    rollup: u64,
    /// Gas that the rollup may spend on it; what an Ethereum transaction says itself, if absent.
    #[arg(long, value_name = "GAS")]
    gas: Option<u64>,
    /// The raw signed transaction, in hexadecimal.
    #[arg(value_name = "TX")]
    transaction: Bytes,
}

/// Deposit ether for a payer's fee balance.
///
/// The ether stays in the FeeVault contract; the deposit is an entry of the queue on L1, like a forced transaction.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave deposit --l1 http://127.0.0.1:8545 --genesis net/genesis.json --account-key me.key --amount 0.1
  conclave deposit --l1 http://127.0.0.1:8545 --contract 0x… --account-key me.key --amount 2 --payer 0x… --wait-final")]
pub(crate) struct DepositArguments {
    #[command(flatten)]
    on: Operation,
    /// How much, in ether.
    #[arg(long, value_name = "ETHER", value_parser = parse_gwei)]
    amount: u64,
    /// Whose fee balance it is for; the sending account's if absent.
    #[arg(long, value_name = "ADDRESS")]
    payer: Option<Address>,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(Box::pin(force(arguments)))
}

pub(crate) fn run_deposit(arguments: DepositArguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(Box::pin(deposit(arguments)))
}

async fn force(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { on, rollup, gas, transaction } = arguments;
    let gas = gas.unwrap_or_else(|| gas_of(&transaction));
    let session = Session::open(&on).await?;
    let Session { sender, contracts } = &session;
    let queued = queue::force(sender, contracts, rollup, &transaction, gas).await?;
    let block = queued.sent.block();
    let done = Done::default()
        .sent("forced", queued.sent)
        .effect("entry", queued.index)
        .effect("rollup", rollup)
        .effect("gas", gas)
        .effect("l1_block", block);
    session.tell(done, &on).await
}

/// The gas that a transaction asks for, if it is one of Ethereum's, but not less than the queue takes.
fn gas_of(transaction: &[u8]) -> u64 {
    let decoded = TxEnvelope::decode_2718_exact(transaction).ok();
    let asked = decoded.map_or(0, |transaction| transaction.gas_limit());
    asked.max(queue::gas_floor(transaction))
}

async fn deposit(arguments: DepositArguments) -> anyhow::Result<ExitCode> {
    let DepositArguments { on, amount, payer } = arguments;
    let session = Session::open(&on).await?;
    let Session { sender, contracts } = &session;
    let payer = payer.unwrap_or_else(|| sender.address());
    let queued = queue::deposit(sender, contracts, payer, amount).await?;
    let block = queued.sent.block();
    let done = Done::default()
        .sent("deposited", queued.sent)
        .effect("entry", queued.index)
        .effect("payer", payer.to_string())
        .effect("amount_gwei", amount)
        .effect("l1_block", block);
    session.tell(done, &on).await
}
