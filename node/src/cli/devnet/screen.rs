//! Where a devnet talks to people: standard output when it is a person's terminal that asked, standard
//! error when a program reads the output.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
};

use alloy::primitives::hex;

/// A place to print lines to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    is_error: bool,
    is_terminal: bool,
}

impl Screen {
    /// For people.
    pub(crate) fn output() -> Self {
        Self { is_error: false, is_terminal: std::io::stdout().is_terminal() }
    }

    /// Beside output for programs.
    pub(crate) fn error() -> Self {
        Self { is_error: true, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Prints a line.
    pub(crate) fn line(&self, text: impl Display) {
        let printed = if self.is_error {
            writeln!(std::io::stderr().lock(), "{text}")
        } else {
            writeln!(std::io::stdout().lock(), "{text}")
        };
        // Nobody listens any more, such as after `| head`: the work goes on without a word.
        drop(printed);
    }

    /// Prints a heading, with a blank line before it.
    pub(crate) fn heading(&self, text: impl Display) {
        self.line("");
        if self.is_terminal { self.line(format!("\x1b[1m{text}\x1b[0m")) } else { self.line(text) }
    }

    /// Prints what happened, under a short word for it.
    pub(crate) fn step(&self, word: &str, text: impl Display) {
        if self.is_terminal {
            self.line(format!("   \x1b[36m{word:<11}\x1b[0m {text}"));
        } else {
            self.line(format!("   {word:<11} {text}"));
        }
    }

    /// Whether lines can be overwritten.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Overwrites the last line.
    pub(crate) fn again(&self, text: impl Display) {
        if self.is_terminal {
            let mut out = std::io::stdout().lock();
            drop(write!(out, "\r\x1b[2K{text}").and_then(|()| out.flush()));
        } else {
            self.line(text);
        }
    }
}

/// The first bytes of something long, as hexadecimal.
pub(crate) fn head(bytes: &[u8], count: usize) -> String {
    let shown = hex::encode(bytes.get(..count).unwrap_or(bytes));
    if bytes.len() > count { format!("{shown}…") } else { shown }
}

/// The JSON result of a command, alone on standard output.
///
/// # Errors
///
/// If standard output is closed.
pub(crate) fn print_json(value: &impl serde::Serialize) -> std::io::Result<()> {
    let text = serde_json::to_string(value)?;
    writeln!(std::io::stdout().lock(), "{text}")
}
