//! Logs go to standard error, as text or one JSON object a line; standard output is for data.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, util::TryInitError};

use crate::config::LogConfig;

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("log.level = {level:?} is no filter; write it like info or conclave_node=debug,info")]
    Filter {
        /// What was given.
        level: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logging was set up before.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

/// Sets up logging for the process.
///
/// # Errors
///
/// If the filter is not one or logging was set up before.
pub fn start(config: &LogConfig) -> Result<(), LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt as _;

    let filter: EnvFilter = config
        .level
        .parse()
        .map_err(|source| LoggingError::Filter { level: config.level.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.json {
        builder.json().flatten_event(true).finish().try_init()?;
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init()?;
    }
    Ok(())
}
