//! What goes to standard output and into files.

use std::{
    fmt::Display,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use conclave_simulator::{MarketFigures, market_table};

/// Prints a line.
pub(super) fn say(line: impl Display) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("standard output is closed")
}

/// Makes a directory for what is written later, if one is wanted: it is told before a long run that there can be none.
pub(super) fn make(directory: Option<&PathBuf>) -> anyhow::Result<()> {
    let Some(directory) = directory else { return Ok(()) };
    fs::create_dir_all(directory)
        .with_context(|| format!("{} is no directory", directory.display()))
}

/// The exit code of what has been said already, though a page about it is lost: a failure keeps its own.
pub(super) fn code_despite(lost: anyhow::Error, code: u8) -> anyhow::Result<u8> {
    if code == 0 {
        return Err(lost);
    }
    writeln!(io::stderr(), "error: {lost:#}").context("standard error is closed")?;
    Ok(code)
}

/// Writes a file into a directory, which is made if it is missing.
pub(super) fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    make(Some(&directory.to_owned()))?;
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// Prints what the searcher earned in some runs.
pub(super) fn market(runs: &[MarketFigures]) -> anyhow::Result<()> {
    let table = market_table(runs);
    say(format!("  {}", table.caption))?;
    let [plaintext, sealed] = table.columns;
    say(format!("  {:<44} {plaintext:>22} {sealed:>22}", ""))?;
    for (row, [plaintext, sealed]) in &table.rows {
        say(format!("  {row:<44} {plaintext:>22} {sealed:>22}"))?;
    }
    Ok(())
}
