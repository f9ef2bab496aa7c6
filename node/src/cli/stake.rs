//! `conclave stake`: what an operator and its delegators do with stake on Ethereum.

mod arguments;
mod earned;

use std::process::ExitCode;

use anyhow::Context as _;
use conclave_contracts::{ConclaveStake, FeeVault, registration::ValidatorSecrets};
use conclave_node::{
    keys,
    l1::{
        Call, Patience,
        stake::{self, Part, Terms},
    },
};
use conclave_types::{ConsensusKey, Payee};

pub(crate) use self::arguments::Arguments;
use self::arguments::{Command, KeyArguments, RegisterArguments, StatusArguments};
use super::{
    chain::{Done, Operation, Session, tell},
    print,
};

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    match arguments.command {
        Command::NewKey(arguments) => {
            keys::write_settlement_key(&arguments.out, &keys::new_settlement_key())?;
            print(arguments.out.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status(arguments) => runtime.block_on(Box::pin(status(arguments))),
        Command::Register(arguments) => runtime.block_on(Box::pin(register(*arguments))),
        Command::Rotate(arguments) => runtime.block_on(Box::pin(async {
            let arguments = *arguments;
            let secrets = secrets(&arguments.keys)?;
            let session = Session::open(&arguments.on).await?;
            let validator = arguments.validator;
            let sent =
                stake::rotate(&session.sender, &session.contracts, validator, &secrets).await?;
            let done = Done::default().sent("rotated", sent).effect("validator", validator);
            let note = "the new keys count from the next election, and cannot be replaced in this epoch; the old ones \
                        stay answerable";
            session.tell(done.effect("note", note), &arguments.on).await
        })),
        Command::Deposit(arguments) => {
            let call = ConclaveStake::depositCall { validator: arguments.validator };
            runtime.block_on(Box::pin(bond(
                arguments.validator,
                arguments.amount,
                &call,
                &arguments.on,
            )))
        }
        Command::Delegate(arguments) => {
            let call = ConclaveStake::delegateCall { validator: arguments.validator };
            runtime.block_on(Box::pin(bond(
                arguments.validator,
                arguments.amount,
                &call,
                &arguments.on,
            )))
        }
        Command::Unbond(arguments) => runtime.block_on(Box::pin(async {
            let part = arguments.amount.map_or(Part::All, Part::Gwei);
            let session = Session::open(&arguments.on).await?;
            let asked =
                stake::unbond(&session.sender, &session.contracts, arguments.validator, part);
            let done = asked_back(asked.await?);
            session.tell(done, &arguments.on).await
        })),
        Command::Exit(arguments) => runtime.block_on(Box::pin(async {
            let session = Session::open(&arguments.on).await?;
            let asked = stake::exit(&session.sender, &session.contracts, arguments.validator);
            let done = asked_back(asked.await?).effect("exited", true);
            session.tell(done, &arguments.on).await
        })),
        Command::Claim(arguments) => runtime.block_on(Box::pin(claim(arguments))),
        Command::Unjail(arguments) => runtime.block_on(Box::pin(async {
            let session = Session::open(&arguments.on).await?;
            let call = ConclaveStake::unjailCall { validator: arguments.validator };
            let sent = session.sender.send(Call::new(session.contracts.stake, &call)).await?;
            let done = Done::default().sent("unjailed", sent);
            session.tell(done.effect("validator", arguments.validator), &arguments.on).await
        })),
    }
}

async fn register(arguments: RegisterArguments) -> anyhow::Result<ExitCode> {
    let secrets = secrets(&arguments.keys)?;
    let session = Session::open(&arguments.on).await?;
    let Session { sender, contracts } = &session;
    let mut done = Done::default();
    let validator = match arguments.resume {
        Some(validator) => validator,
        None => {
            let terms =
                Terms { stake_gwei: arguments.stake, commission_bps: arguments.commission_bps };
            let (validator, sent) = stake::register(sender, contracts, &secrets, terms).await?;
            done = done.sent("registered", sent);
            validator
        }
    };
    // From here on the validator exists: whatever fails, the number must be told.
    let rest = async {
        let standing = stake::standing(sender.endpoints(), contracts, validator).await?;
        if !standing.proven {
            done = done.sent("proved", stake::prove(sender, contracts, validator, &secrets).await?);
        }
        if !standing.enlisted {
            done = done.sent("enlisted", stake::enlist(sender, contracts, validator).await?);
        }
        let standing = stake::standing(sender.endpoints(), contracts, validator).await?;
        anyhow::Ok(done.effect("validator", validator).effect("bonded_gwei", standing.bonded_gwei))
    };
    let done = rest.await.with_context(|| {
        format!(
            "validator {validator} is registered but cannot be elected yet; go on with --resume {validator}"
        )
    })?;
    session.tell(done, &arguments.on).await
}

async fn bond<C: alloy::sol_types::SolCall>(
    validator: u32,
    gwei: u64,
    call: &C,
    on: &Operation,
) -> anyhow::Result<ExitCode> {
    let session = Session::open(on).await?;
    let call = Call::new(session.contracts.stake, call).with_gwei(gwei);
    let sent = session.sender.send(call).await?;
    let bonded = sent.event::<ConclaveStake::Bonded>()?;
    let done = Done::default()
        .sent("bonded", sent)
        .effect("validator", validator)
        .effect("owner", bonded.owner.to_string())
        .effect("amount_gwei", bonded.amountGwei)
        .effect("shares", bonded.shares.to_string());
    session.tell(done, on).await
}

fn asked_back(unbonding: stake::Unbonding) -> Done {
    Done::default()
        .sent("asked", unbonding.sent)
        .effect("unbonding", unbonding.id)
        .effect("amount_gwei", unbonding.amount_gwei)
        .effect("then", format!("conclave stake claim --unbonding {}", unbonding.id))
}

async fn claim(arguments: arguments::ClaimArguments) -> anyhow::Result<ExitCode> {
    let session = Session::open(&arguments.on).await?;
    let Session { sender, contracts } = &session;
    let payee = arguments.what.earned.map(Payee::Stake);
    if let Some(payee) = payee.or(arguments.what.pot.then_some(Payee::Pot)) {
        let mut done = Done::default();
        let brought = earned::bring(sender, contracts, &arguments.node, payee, &mut done).await;
        // What was sent was paid for: it is told whatever became of the rest.
        let told = session.tell(done, &arguments.on).await?;
        return brought.map(|()| told);
    }
    let done = match (arguments.what.unbonding, arguments.what.rewards) {
        (Some(id), _) => {
            let call = ConclaveStake::claimCall { id };
            let sent = sender.send(Call::new(contracts.stake, &call)).await?;
            let claimed = sent.event::<ConclaveStake::Claimed>()?;
            let done = Done::default().sent("claimed", sent).effect("unbonding", id);
            done.effect("owner", claimed.owner.to_string())
                .effect("amount_gwei", claimed.amountGwei)
        }
        (None, true) => {
            let call = ConclaveStake::claimRewardsCall {};
            let sent = sender.send(Call::new(contracts.stake, &call)).await?;
            let claimed = sent.event::<ConclaveStake::RewardsClaimed>()?;
            let done = Done::default().sent("claimed", sent);
            done.effect("owner", claimed.owner.to_string())
                .effect("amount_gwei", claimed.amountGwei)
        }
        (None, false) => {
            let sent =
                sender.send(Call::new(contracts.vault, &FeeVault::claimRefundsCall {})).await?;
            let claimed = sent.event::<FeeVault::RefundClaimed>()?;
            let done = Done::default().sent("claimed", sent);
            done.effect("relayer", claimed.relayer.to_string())
                .effect("amount_wei", claimed.amountWei.to_string())
        }
    };
    session.tell(done, &arguments.on).await
}

async fn status(arguments: StatusArguments) -> anyhow::Result<ExitCode> {
    let StatusArguments { at, of, validator } = arguments;
    let (endpoints, contracts) = of.find(&at, Patience::default()).await?;
    let standing = stake::standing(&endpoints, &contracts, validator).await?;
    let standing = serde_json::to_value(standing)?;
    if at.json {
        print(standing)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (what, value) in standing.as_object().into_iter().flatten() {
        tell(what, value)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys of a validator, from its directory or from where each is.
fn secrets(files: &KeyArguments) -> anyhow::Result<ValidatorSecrets> {
    let file = |named: &Option<std::path::PathBuf>, name: &str| {
        let beside = || files.keys.as_ref().map(|directory| directory.join(name));
        named.clone().or_else(beside).with_context(|| {
            format!("which keys? Give --keys DIR, or --{}-key FILE", name.trim_end_matches(".key"))
        })
    };
    let settlement = file(&files.settlement_key, "settlement.key")?;
    let network = keys::read_network_key(&file(&files.network_key, "network.key")?)?;
    let network = network.public().try_into_ed25519().context("the network key is ed25519")?;
    Ok(ValidatorSecrets {
        consensus: keys::read_signing_key(&file(&files.consensus_key, "consensus.key")?)?,
        settlement: keys::read_settlement_key(&settlement).context(
            "the settlement key signs commitments for L1; make one with `conclave stake new-key`",
        )?,
        network: ConsensusKey::new(network.to_bytes()),
    })
}
