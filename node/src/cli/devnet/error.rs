//! What can go wrong with a network on one machine.

use std::{path::PathBuf, time::Duration};

use conclave_client::ClientError;

/// Why a devnet, or what was promised of it, failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevnetError {
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another devnet runs in the directory.
    #[error("another devnet is running in {path}; stop it, or choose another --data-dir")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A program is not where it should be.
    #[error("{path} is not there; build it beside this program: make build")]
    MissingProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A process ended by itself.
    #[error("{name} ended by itself ({status}); its last words, from {log}:\n{tail}")]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// Something that a process writes cannot be read.
    #[error("{path} holds something unexpected: {found:?}")]
    BadAddress {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {patience:?}; logs are in {logs}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        patience: Duration,
        /// Where to look.
        logs: PathBuf,
    },
    /// The data directory is of another shape.
    #[error(
        "{path} holds a network of {found} validators; run with --validators {found}, or choose \
         another --data-dir"
    )]
    OtherShape {
        /// The directory.
        path: PathBuf,
        /// Its validators.
        found: usize,
    },
    /// The network in the data directory seals otherwise.
    #[error(
        "{path} holds a network of suite {found}; run with --suite {found}, or choose another --data-dir"
    )]
    OtherSuite {
        /// The directory.
        path: PathBuf,
        /// Its suite.
        found: u8,
    },
    /// The data directory holds a network with other parameters.
    #[error(
        "{path} holds a network with other parameters, which stay for as long as it lives; run without --params \
         and --suite, or choose another --data-dir"
    )]
    OtherParams {
        /// The directory.
        path: PathBuf,
    },
    /// The genesis in the data directory is not readable.
    #[error("{path} is no genesis; choose another --data-dir")]
    BadGenesis {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No network could be made.
    #[error("cannot make a network")]
    Make(#[from] conclave_node::genesis::MakeError),
    /// A validator did not do what was asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A rollup did not do what was asked.
    #[error("rollup {rollup}: {what} failed")]
    Rpc {
        /// The rollup.
        rollup: u64,
        /// The call.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<alloy::transports::TransportError>,
    },
    /// Ethereum did not do what was asked.
    #[error(transparent)]
    L1(#[from] conclave_node::l1::L1Error),
    /// Its newest final block is none to begin at.
    #[error(transparent)]
    Origin(#[from] conclave_node::l1::origin::OriginError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] conclave_node::keys::KeyFileError),
    /// The network in the directory settles elsewhere, or nowhere.
    #[error(
        "the network in {path} was made {found}; run with the same options, or choose another --data-dir"
    )]
    OtherL1 {
        /// The directory.
        path: PathBuf,
        /// How.
        found: &'static str,
    },
    /// A transaction cannot be signed.
    #[error("cannot sign a transaction")]
    Sign(#[from] alloy::signers::Error),
    /// Something promised did not hold.
    #[error("a promise does not hold: {0}")]
    Broken(String),
    /// The options cannot be met.
    #[error("{0}")]
    Options(String),
}

/// Names the file in an error.
pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> DevnetError {
    let path = path.into();
    move |source| DevnetError::Io { path, source }
}
