//! `conclave devnet attack`: what a network does about validators who misbehave, and what Ethereum shows of it.
//!
//! Some validators are processes of another binary, `conclave-byzantine`, which is honest until it is told. So a story
//! begins with a network in order; then they misbehave, on real sockets, and whatever is told of it comes from public
//! APIs: gRPC of the honest validators, and Ethereum. What should happen and does not is an error.

mod censor;
mod halt;
mod scene;
mod trial;
mod users;
mod withheld;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::ValueEnum;
use conclave_encryption::Suite;
use conclave_types::HeightDelta;
use serde::Serialize;

use super::{
    Interrupted, close,
    error::{DevnetError, at},
    l1::Choice,
    network::Devnet,
    payer,
    screen::{self, Screen},
    setup::{Byzantine, Rig, Setup},
    transactions::DEV_KEYS,
};

use self::{
    scene::{Offender, Scene},
    trial::Misdeed,
};

/// Heights of an epoch: several pass while a story is told.
const EPOCH_HEIGHTS: HeightDelta = HeightDelta::new(40);

/// What settles in a network in order is some eight blocks behind, and the return wants half of this at most. The
/// first settlement has to come within it too, however long a machine takes to make the key.
const ESCAPE_DELAY_BLOCKS: u32 = 32;

/// Let validators of a devnet misbehave, and see what becomes of them.
///
/// The devnet of `conclave devnet` without a load, and with some of its validators replaced by `conclave-byzantine`, a
/// separate program that `conclave` itself has no part of. They are honest at first, and then are told to misbehave. It
/// ends with what Ethereum shows, and with 0 only if everything came as it should within the time; nothing is left
/// behind. The clock of the devnet's own Ethereum is put forward where a verdict takes days, and the story says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  conclave devnet attack equivocate
  conclave devnet attack halt --validators 7
  conclave devnet attack wrong-shares --suite 0x02
  conclave devnet attack equivocate --json | jq .stake")]
pub(crate) struct Arguments {
    /// What they do.
    #[arg(value_enum)]
    attack: Attack,
    /// How many validators; as few as the attack takes misbehave.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=16))]
    validators: u16,
    /// How bundles are sealed: 0x01 (the default) or 0x02, see `conclave genesis --help`.
    #[arg(long, value_name = "NUMBER", value_parser = crate::cli::genesis::parse_suite)]
    suite: Option<Suite>,
    /// Where the network lives; must not hold one. A temporary directory by default.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Seconds within which each thing that should happen has to.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
    /// Print one JSON object on standard output, everything else on standard error.
    #[arg(long)]
    json: bool,
}

/// What validators do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Attack {
    /// One signs two votes for each step: it is convicted, loses stake, and is out of the next committee
    Equivocate,
    /// One shares blocks that nobody has decided: it is convicted, loses stake, and is out of the next committee
    EarlyShare,
    /// One sends wrong decryption shares: it is convicted, loses a little stake, and is out of the next committee
    WrongShares,
    /// One sends no decryption shares: bundles are opened without it, and it loses nothing
    WithholdShares,
    /// One leaves a payer's bundles out of its blocks: others carry them, and L1 forces what it will
    Censor,
    /// More than a third does not vote: the chain halts, rollups may leave; then they return, and all goes on
    Halt,
}

/// What the story came to.
#[derive(Debug, Serialize)]
struct Report {
    attack: Attack,
    /// The validators who misbehaved.
    byzantine: Vec<Offender>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Trial(trial::Report),
    Withheld(withheld::Report),
    Censored(censor::Report),
    Halted(halt::Report),
}

impl Attack {
    /// What `conclave-byzantine` calls it.
    const fn behaviour(self) -> &'static str {
        match self {
            Self::Equivocate => "equivocate",
            Self::EarlyShare => "early-share",
            Self::WrongShares => "wrong-shares",
            Self::WithholdShares => "withhold-shares",
            Self::Censor => "censor",
            Self::Halt => "halt",
        }
    }

    /// Who misbehaves: the last validators, as many as it takes.
    fn byzantine(self, validators: u16) -> Vec<u16> {
        let count = match self {
            Self::Equivocate
            | Self::EarlyShare
            | Self::WrongShares
            | Self::WithholdShares
            | Self::Censor => 1,
            // The least that leaves no quorum.
            Self::Halt => validators / 3 + 1,
        };
        (validators.saturating_sub(count)..validators).collect()
    }

    fn rig(self, validators: u16) -> Result<Rig, DevnetError> {
        let victim = (self == Self::Censor).then(users::User::address).transpose()?;
        let (behaviour, validators) = (self.behaviour(), self.byzantine(validators));
        Ok(Rig {
            byzantine: Some(Byzantine { behaviour, validators, victim }),
            epoch_heights: matches!(self, Self::Equivocate | Self::EarlyShare | Self::WrongShares)
                .then_some(EPOCH_HEIGHTS),
            escape_delay_blocks: (self == Self::Halt).then_some(ESCAPE_DELAY_BLOCKS),
            ..Rig::default()
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = super::super::runtime()?;
    Ok(runtime.block_on(Box::pin(attack(arguments)))?)
}

async fn attack(arguments: &Arguments) -> Result<ExitCode, DevnetError> {
    let screen = if arguments.json { Screen::error() } else { Screen::output() };
    let mut interrupted = Interrupted::new()?;
    if let Some(path) = arguments.data_dir.as_ref().filter(|path| path.join("network").exists()) {
        let path = path.display();
        let problem = format!("{path} holds a network: an attack begins with a new one");
        return Err(DevnetError::Options(problem));
    }
    let rig = arguments.attack.rig(arguments.validators)?;
    let setup = Setup {
        data_dir: arguments.data_dir.clone(),
        validators: arguments.validators,
        suite: arguments.suite,
        params: None,
        l1: Choice::Embedded,
        payers: DEV_KEYS.iter().map(|key| payer(key)).collect::<Result<_, _>>()?,
        alloc: None,
        rig,
    };
    screen.line(format!(
        "conclave devnet attack {}: starting {} validators and an L1",
        arguments.attack.behaviour(),
        setup.validators,
    ));
    let mut devnet = tokio::select! {
        started = Devnet::start(&setup) => started?,
        () = interrupted.wait() => return Ok(ExitCode::FAILURE),
    };
    let told = tokio::select! {
        told = Box::pin(tell(&mut devnet, arguments, &screen)) => Some(told),
        () = interrupted.wait() => None,
    };
    let stopped = close(devnet, !matches!(told, Some(Ok(_))), &screen).await;
    let Some(report) = told.transpose()? else { return Ok(ExitCode::FAILURE) };
    if arguments.json {
        screen::print_json(&report).map_err(at("standard output"))?;
    }
    Ok(if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn tell(
    devnet: &mut Devnet,
    arguments: &Arguments,
    screen: &Screen,
) -> Result<Report, DevnetError> {
    let attack = arguments.attack;
    let byzantine = attack.byzantine(arguments.validators);
    let patience = Duration::from_secs(arguments.timeout);
    let mut scene = Scene::new(devnet, screen, byzantine, patience);
    let offenders = scene.offenders();
    let outcome = match attack {
        Attack::Equivocate => {
            let misdeed = Misdeed { what: "signs two votes for each step", tombstones: true };
            Outcome::Trial(trial::tell(&mut scene, misdeed).await?)
        }
        Attack::EarlyShare => {
            let misdeed =
                Misdeed { what: "shares blocks that nobody has decided", tombstones: true };
            Outcome::Trial(trial::tell(&mut scene, misdeed).await?)
        }
        Attack::WrongShares => {
            let misdeed = Misdeed { what: "sends shares that open nothing", tombstones: false };
            Outcome::Trial(trial::tell(&mut scene, misdeed).await?)
        }
        Attack::WithholdShares => Outcome::Withheld(withheld::tell(&mut scene).await?),
        Attack::Censor => Outcome::Censored(censor::tell(&mut scene).await?),
        Attack::Halt => Outcome::Halted(halt::tell(&mut scene).await?),
    };
    Ok(Report { attack, byzantine: offenders, outcome })
}
