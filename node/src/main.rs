//! The `conclave` binary: parses the command line and hands over to one file for each subcommand.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A decentralized shared sequencer for threshold-encrypted bundles.
#[derive(Debug, Parser)]
#[command(name = "conclave", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What each is for stands above its own arguments: a word here would hide all of that from `--help`.
#[derive(Debug, Subcommand)]
enum Command {
    Genesis(cli::genesis::Arguments),
    Node(cli::node::Arguments),
    Devnet(cli::devnet::Arguments),
    Submit(cli::submit::Arguments),
    Status(cli::status::Arguments),
    Verify(cli::verify::Arguments),
    L1(cli::l1::Arguments),
    Stake(cli::stake::Arguments),
    Force(cli::force::Arguments),
    Deposit(cli::force::DepositArguments),
    Withdraw(cli::withdraw::Arguments),
    Prove(cli::prove::Arguments),
    Evidence(cli::evidence::Arguments),
    Secrets(cli::secrets::Arguments),
    Escape(cli::escape::Arguments),
    Bench(cli::bench::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Genesis(arguments) => cli::genesis::run(arguments),
        Command::Node(arguments) => cli::node::run(arguments),
        Command::Devnet(arguments) => cli::devnet::run(arguments),
        Command::Submit(arguments) => cli::submit::run(arguments),
        Command::Status(arguments) => cli::status::run(arguments),
        Command::Verify(arguments) => cli::verify::run(arguments),
        Command::L1(arguments) => cli::l1::run(arguments),
        Command::Stake(arguments) => cli::stake::run(arguments),
        Command::Force(arguments) => cli::force::run(arguments),
        Command::Deposit(arguments) => cli::force::run_deposit(arguments),
        Command::Withdraw(arguments) => cli::withdraw::run(arguments),
        Command::Prove(arguments) => cli::prove::run(arguments),
        Command::Evidence(arguments) => cli::evidence::run(arguments),
        Command::Secrets(arguments) => cli::secrets::run(arguments),
        Command::Escape(arguments) => cli::escape::run(arguments),
        Command::Bench(arguments) => cli::bench::run(arguments),
    };
    cli::exit(result)
}
