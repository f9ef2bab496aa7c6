//! `list`: what comes with the binary, scenarios and adversaries.

use anyhow::Context as _;
use clap::Args;
use conclave_simulator::{BUILTINS, Behaviour, builtin};
use serde::Serialize;

use super::output::say;

pub(super) const EXAMPLES: &str = "\
Examples:
  conclave-sim list
  conclave-sim list --json
  conclave-sim list --adversaries
  conclave-sim list crash-storm > my-scenario.toml";

/// List the built-in scenarios or the adversaries, or print a scenario.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Print the TOML of this scenario, to start one's own from.
    #[arg(value_name = "NAME", conflicts_with_all = ["json", "adversaries"])]
    name: Option<String>,
    /// List how validators can misbehave, and the scenarios in which they do.
    #[arg(long)]
    adversaries: bool,
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

/// How a validator can misbehave.
#[derive(Serialize)]
struct Adversary {
    name: &'static str,
    does: &'static str,
    scenarios: Vec<&'static str>,
}

impl List {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        if let Some(name) = &self.name {
            let found = builtin(name).with_context(|| {
                format!("{name} is no built-in scenario; conclave-sim list names them")
            })?;
            return say(found.text.trim_end()).map(|()| 0);
        }
        if self.adversaries {
            return self.list_adversaries();
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

    fn list_adversaries(&self) -> anyhow::Result<u8> {
        let mut adversaries: Vec<Adversary> = Behaviour::ALL
            .iter()
            .map(|b| Adversary { name: b.name(), does: b.does(), scenarios: Vec::new() })
            .collect();
        for builtin in BUILTINS {
            let scenario = builtin.scenario()?;
            for (adversary, behaviour) in adversaries.iter_mut().zip(Behaviour::ALL) {
                if scenario.byzantine.iter().any(|liar| liar.behaviours.contains(behaviour)) {
                    adversary.scenarios.push(builtin.name);
                }
            }
        }
        if self.json {
            return say(serde_json::to_string_pretty(&adversaries)?).map(|()| 0);
        }
        for Adversary { name, does, scenarios } in adversaries {
            say(format!("{name:<20} {does} ({})", scenarios.join(", ")))?;
        }
        Ok(0)
    }
}
