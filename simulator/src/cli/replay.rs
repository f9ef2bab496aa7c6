//! `replay`.

use std::{fs::File, io::BufReader, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use conclave_simulator::{Departure, Keys, Replay as Replayed, Verdict, replay};

use super::output::say;

pub(super) const EXAMPLES: &str = "\
Examples:
  conclave-sim replay recordings/1800000000000000.rec --validator-dir net/validator-0
  conclave-sim replay recordings/1800000000000000.rec --validator-dir net/validator-0 --json
  conclave-sim run crash-one --record recordings --record-validator 1
  conclave-sim replay recordings/life-1.rec --validator-dir recordings";

/// Tell the core what a validator was told, and compare what it does.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A recording, of `conclave node --record` or of `run --record`.
    #[arg(value_name = "FILE")]
    recording: PathBuf,
    /// Where the validator's consensus.key and share.key are; a recording holds no keys. A full node has
    /// none.
    #[arg(long, value_name = "DIR")]
    validator_dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) fn execute(&self) -> anyhow::Result<u8> {
        let keys = self.validator_dir.as_deref().map(Keys::read).transpose()?;
        let name = self.recording.display();
        let file = File::open(&self.recording).with_context(|| format!("cannot read {name}"))?;
        let replayed = replay(BufReader::new(file), keys).with_context(|| name.to_string())?;
        if self.json {
            say(serde_json::to_string_pretty(&replayed)?)?;
        } else {
            print(&replayed)?;
        }
        let verdict = if replayed.identical { Verdict::Held } else { Verdict::Nondeterminism };
        Ok(verdict.exit_code())
    }
}

fn print(replayed: &Replayed) -> anyhow::Result<()> {
    let Replayed { network, validator, steps, jobs, decided, revealed, identical, .. } = replayed;
    let who = validator.map_or_else(|| "a full node".into(), |index| format!("validator {index}"));
    say(format!("{who} of {network}"))?;
    say(format!("  {steps} steps and {jobs} jobs"))?;
    say(format!("  decided {} to {}", decided[0], decided[1]))?;
    say(format!("  revealed {} to {}", revealed[0], revealed[1]))?;
    if let Some(end) = replayed.end {
        say(format!("  end of the recording: {end:?}"))?;
    }
    say(format!("  identical: {identical}"))?;
    if let Some(Departure { step, now_us, told, outputs }) = &replayed.difference {
        say(format!("  step {step} at {now_us} us differs: {told}"))?;
        for output in outputs {
            let recorded = output.recorded.as_deref().unwrap_or("nothing");
            say(format!("    {}: recorded {recorded}, found {}", output.kind, output.found))?;
        }
    }
    Ok(())
}
