//! The command line.

mod bench;
mod calibrate;
mod curve;
mod list;
mod output;
mod replay;
mod run;
mod supervise;
mod sweep;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use conclave_simulator::{Replaced, Scenario, builtin};

const EXAMPLES: &str = "\
Examples:
  conclave-sim list
  conclave-sim run happy-4
  conclave-sim run crash-storm --seed 7 --twice --json
  conclave-sim run my-scenario.toml --validators 7 --heights 100 --report reports
  conclave-sim sweep equivocator --seeds 0..1000
  conclave-sim bench --validators 4,16,31
  conclave-sim replay recordings/1800000000000000.rec --validator-dir net/validator-0";

const EXIT_CODES: &str = "\
Exit codes:
  0 every promise held   2 bad input, or the fault did not happen   10 safety   11 liveness
  12 an honest validator stopped, or the code panicked   13 nondeterminism
  14 out of time or memory, nothing decided";

/// The exit code of a scenario that cannot be run.
const BAD_SCENARIO: u8 = 2;

/// Runs the shipped protocol core of every validator on virtual time, from one seed.
#[derive(Debug, Parser)]
#[command(name = "conclave-sim", version, after_help = help(EXAMPLES))]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario from one seed.
    #[command(after_help = help(run::EXAMPLES))]
    Run(run::Run),
    /// Run one scenario, or all of them, from many seeds; stop at the first failure and shrink it.
    #[command(after_help = help(sweep::EXAMPLES))]
    Sweep(sweep::Sweep),
    /// List the built-in scenarios, or print one.
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// Tell the core what a validator was told, and compare what it does.
    #[command(after_help = help(replay::EXAMPLES))]
    Replay(replay::Replay),
    /// Measure how fast the simulator is on this machine, and throughput against latency.
    #[command(after_help = help(bench::EXAMPLES))]
    Bench(bench::Bench),
    /// Fit the simulated machine to a measured devnet, and compare what it then predicts.
    #[command(after_help = help(calibrate::EXAMPLES))]
    Calibrate(calibrate::Calibrate),
}

fn help(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_CODES}")
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
        let replaced = Replaced { validators: self.validators, heights: self.heights };
        if let Some(builtin) = builtin(&self.scenario) {
            let file = format!("{}.toml", builtin.name);
            return Ok(Scenario::parse_with(&file, builtin.text, replaced)?);
        }
        let bytes = std::fs::read(&self.scenario).with_context(|| {
            format!(
                "{} is no built-in scenario and no readable file; conclave-sim list names those",
                self.scenario
            )
        })?;
        let text = as_text(&self.scenario, bytes)?;
        Ok(Scenario::parse_with(&self.scenario, &text, replaced)?)
    }

    /// What files about it are called.
    fn stem(&self) -> String {
        let stem = Path::new(&self.scenario).file_stem();
        stem.map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy().into_owned())
    }

    /// The command that plays a seed again.
    fn command(&self, seed: u64) -> String {
        format!("{} --seed {seed}", self.words("run"))
    }

    fn words(&self, subcommand: &str) -> String {
        let mut command = format!("conclave-sim {subcommand} {}", self.scenario);
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

/// The text of a file; if it is none, where that begins.
fn as_text(file: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let (valid, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let (before, after) = bytes.split_at_checked(valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        let found = after.first().copied().unwrap_or_default();
        anyhow::anyhow!(
            "{file}:{line}: expected text in UTF-8, found byte 0x{found:02x}; save it as UTF-8"
        )
    })
}

/// Runs the command line.
pub(crate) fn main(cli: &Cli) -> ExitCode {
    let result = match &cli.command {
        Command::Run(run) => run.execute(),
        Command::Sweep(sweep) => sweep.execute(),
        Command::List(list) => list.execute(),
        Command::Replay(replay) => replay.execute(),
        Command::Bench(bench) => bench.execute(),
        Command::Calibrate(calibrate) => calibrate.execute(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let written = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(if written.is_ok() { BAD_SCENARIO } else { 1 })
        }
    }
}
