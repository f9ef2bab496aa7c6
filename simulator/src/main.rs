//! `conclave-sim`: runs scenarios from seeds, and says whether every promise held.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

/// A run allocates some ten small pieces for each message and frees them at once; the system's allocator
/// takes a fifth of the run for that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::main(&cli::Cli::parse())
}
