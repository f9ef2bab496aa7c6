//! The command line.

mod bench;
mod list;
mod run;
mod sweep;

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use conclave_simulator::{Scenario, builtin};

const EXAMPLES: &str = "\
Examples:
  conclave-sim list
  conclave-sim run happy-4
  conclave-sim run crash-storm --seed 7 --twice --json
  conclave-sim run my-scenario.toml --validators 7 --heights 100
  conclave-sim sweep equivocator --seeds 0..1000
  conclave-sim bench --validators 4,16,31

Exit codes:
  0 every promise held   2 bad scenario, or its fault did not happen   10 safety   11 liveness
  12 an honest validator stopped   13 nondeterminism";

/// The exit code of a scenario that cannot be run.
const BAD_SCENARIO: u8 = 2;

/// Runs the shipped protocol core of every validator on virtual time, from one seed.
#[derive(Debug, Parser)]
#[command(name = "conclave-sim", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario from one seed.
    #[command(after_help = EXAMPLES)]
    Run(run::Run),
    /// Run one scenario, or all of them, from many seeds; stop at the first failure.
    #[command(after_help = EXAMPLES)]
    Sweep(sweep::Sweep),
    /// List the built-in scenarios.
    List,
    /// Measure how fast the simulator is on this machine.
    Bench(bench::Bench),
}

/// Which scenario, and what to replace in it.
#[derive(Clone, Debug, Args)]
struct Chosen {
    /// A built-in scenario (see `list`), or a TOML file.
    #[arg(value_name = "NAME|FILE.toml")]
    scenario: String,
    /// Run with this many validators instead.
    #[arg(long, value_name = "N")]
    validators: Option<u16>,
    /// Run for this many heights instead.
    #[arg(long, value_name = "N")]
    heights: Option<u64>,
}

impl Chosen {
    fn load(&self) -> anyhow::Result<Scenario> {
        let mut scenario = match builtin(&self.scenario) {
            Some(builtin) => builtin.scenario()?,
            None => {
                let text = std::fs::read_to_string(&self.scenario).with_context(|| {
                    format!("{} is no built-in scenario and no readable file", self.scenario)
                })?;
                Scenario::parse(&self.scenario, &text)?
            }
        };
        scenario.validators = self.validators.unwrap_or(scenario.validators);
        scenario.heights = self.heights.unwrap_or(scenario.heights);
        Ok(scenario.checked(&self.scenario)?)
    }

    /// The command that plays a seed again.
    fn command(&self, seed: u64) -> String {
        let mut command = format!("conclave-sim run {} --seed {seed}", self.scenario);
        for (flag, value) in
            [("validators", self.validators.map(u64::from)), ("heights", self.heights)]
        {
            if let Some(value) = value {
                command.push_str(&format!(" --{flag} {value}"));
            }
        }
        command
    }
}

/// Runs the command line.
pub(crate) fn main(cli: &Cli) -> ExitCode {
    let result = match &cli.command {
        Command::Run(run) => run.execute(),
        Command::Sweep(sweep) => sweep.execute(),
        Command::List => list::execute(),
        Command::Bench(bench) => bench.execute(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let written = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(if written.is_ok() { BAD_SCENARIO } else { 1 })
        }
    }
}

fn say(line: impl Display) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("standard output is closed")
}
