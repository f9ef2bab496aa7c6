//! Subcommands: data goes to standard output, everything else to standard error.

pub(crate) mod bench;
pub(crate) mod chain;
pub(crate) mod devnet;
pub(crate) mod escape;
pub(crate) mod evidence;
pub(crate) mod force;
pub(crate) mod genesis;
pub(crate) mod l1;
pub(crate) mod node;
pub(crate) mod params;
pub(crate) mod proofs;
pub(crate) mod prove;
pub(crate) mod secrets;
pub(crate) mod stake;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod verify;
pub(crate) mod withdraw;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;

/// Writes one line to standard output.
pub(crate) fn print(line: impl std::fmt::Display) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        // Whoever reads has seen enough, as with `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Writes one line to standard error.
pub(crate) fn note(line: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(io::stderr().lock(), "{line}").context("cannot write to standard error")
}

/// A runtime for a subcommand that talks to others.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// The exit code of a subcommand; an error is told with all its causes.
pub(crate) fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            // With standard error gone there is nobody to tell; the code still says it.
            let told = note(format!("error: {}", conclave_node::errors::chain(&*error)));
            if told.is_err() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
