//! `list`.

use anyhow::Context as _;
use clap::Args;
use conclave_simulator::{BUILTINS, builtin};
use serde::Serialize;

use super::output::say;

pub(super) const EXAMPLES: &str = "\
Examples:
  conclave-sim list
  conclave-sim list --json
  conclave-sim list crash-storm > my-scenario.toml";

/// List the built-in scenarios, or print one.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Print the TOML of this scenario, to start one's own from.
    #[arg(value_name = "NAME", conflicts_with = "json")]
    name: Option<String>,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    validators: u16,
    heights: u64,
    purpose: String,
}

impl List {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        if let Some(name) = &self.name {
            let found = builtin(name).with_context(|| {
                format!("{name} is no built-in scenario; conclave-sim list names them")
            })?;
            return say(found.text.trim_end()).map(|()| 0);
        }
        let mut lines = Vec::new();
        for builtin in BUILTINS {
            let scenario = builtin.scenario()?;
            let (validators, heights) = (scenario.validators, scenario.heights);
            let purpose = scenario.purpose;
            lines.push(Line { name: builtin.name, validators, heights, purpose });
        }
        if self.json {
            return say(serde_json::to_string_pretty(&lines)?).map(|()| 0);
        }
        for Line { name, validators, purpose, .. } in lines {
            say(format!("{name:<24} n={validators:<3} {purpose}"))?;
        }
        Ok(0)
    }
}
