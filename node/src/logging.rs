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

    let filter = filter(&config.level)
        .map_err(|source| LoggingError::Filter { level: config.level.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.json {
        builder.json().flatten_event(true).finish().try_init()?;
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init()?;
    }
    Ok(())
}

/// A plain level is about this program: libraries that narrate every vote or connection say only what is
/// wrong. Whoever writes a filter gets just that.
fn filter(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    const LIBRARIES: &str = "arc_malachitebft_core_consensus=warn,arc_malachitebft_core_driver=warn,\
        arc_malachitebft_core_state_machine=warn,arc_malachitebft_core_votekeeper=warn,\
        libp2p_swarm=warn";
    let plain = level.chars().all(|letter| letter.is_ascii_alphanumeric());
    let quiet = matches!(level, "error" | "off");
    if plain && !quiet { format!("{level},{LIBRARIES}").parse() } else { level.parse() }
}
