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

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a network: keys, genesis, one directory for each validator.
    Genesis(cli::genesis::Arguments),
    /// Run a validator or a full node.
    Node(cli::node::Arguments),
    /// Start a whole network on this machine: validators, two EVM rollups, users.
    Devnet(cli::devnet::Arguments),
    /// Seal raw transactions and submit them as one bundle.
    Submit(cli::submit::Arguments),
    /// Ask a node where it stands.
    Status(cli::status::Arguments),
    /// Re-derive a node's archive offline.
    Verify(cli::verify::Arguments),
    /// Measure sealed bundles per second, latency, CPU, memory and bytes on the wire.
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
        Command::Bench(arguments) => cli::bench::run(arguments),
    };
    cli::exit(result)
}
