//! `conclave-sim`: runs scenarios from seeds, and says whether every promise held.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::main(&cli::Cli::parse())
}
