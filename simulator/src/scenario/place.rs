//! Where in a scenario's text something stands, so that an error about what it means names a line too.

use std::{collections::BTreeSet, fmt};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Where a scenario is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a line of a file, counted from 1.
    Line {
        /// The file.
        file: String,
        /// The line.
        line: usize,
    },
    /// In a value that the command line replaced.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(out, "{file}:{line}"),
            Self::Flag(flag) => write!(out, "--{flag}"),
        }
    }
}

/// The text of a scenario, to look up where its entries are.
pub(super) struct Text<'a> {
    file: &'a str,
    text: &'a str,
    entries: Option<Spanned<DeValue<'a>>>,
    replaced: BTreeSet<&'static str>,
}

impl<'a> Text<'a> {
    /// The text of `file`, with the top-level entries that the command line `replaced`.
    pub(super) fn new(file: &'a str, text: &'a str, replaced: BTreeSet<&'static str>) -> Self {
        let entries = DeTable::parse(text).ok().map(|table| {
            let span = table.span();
            Spanned::new(span, DeValue::Table(table.into_inner()))
        });
        Self { file, text, entries, replaced }
    }

    /// The place of an entry such as `crashes.2.at_ms`; of what should hold it, if it is not there.
    pub(super) fn place(&self, path: &str) -> Place {
        if let Some(flag) = self.replaced.iter().find(|flag| **flag == path) {
            return Place::Flag(flag);
        }
        let mut found = self.entries.as_ref();
        let mut start = 0;
        for step in path.split('.') {
            found = found.and_then(|value| {
                let value = value.get_ref();
                let index = || step.parse().ok().and_then(|at: usize| value.as_array()?.get(at));
                value.as_table().and_then(|table| table.get(step)).or_else(index)
            });
            let Some(value) = found else { break };
            start = value.span().start;
        }
        self.at(start)
    }

    /// The place of a byte.
    pub(super) fn at(&self, byte: usize) -> Place {
        let before = self.text.get(..byte).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        Place::Line { file: self.file.into(), line }
    }
}
