//! What a contract says when it refuses: the name of its error with its arguments, and what can be done.

use alloy::sol_types::{Panic, Revert, SolError as _, SolInterface};
use conclave_contracts::{
    ConclaveElection::ConclaveElectionErrors, ConclaveInbox::ConclaveInboxErrors,
    ConclaveSlasher::ConclaveSlasherErrors, ConclaveStake::ConclaveStakeErrors,
    FeeVault::FeeVaultErrors, ForcedInclusion::ForcedInclusionErrors, KeyProofs::KeyProofsErrors,
    RollupRegistry::RollupRegistryErrors,
};

use super::L1Error;

/// What to do about a refusal, by the name of the error.
const REMEDIES: [(&str, &str); 30] = [
    ("NotOperator", "use the account that registered the validator"),
    ("UnknownValidator", "check the validator's number with `conclave stake status`"),
    ("StakeTooSmall", "send at least the expected amount, in gwei"),
    ("SelfStakeTooSmall", "leave at least the expected gwei, or exit"),
    ("NotWholeGwei", "give an amount with at most nine decimals"),
    ("CommissionTooHigh", "choose a lower commission"),
    ("KeyInUse", "keys are never used twice: make new ones"),
    ("BadConsensusKeyProof", "check that the key file is the one that was registered"),
    ("BadPossession", "check that the key file is the one that is registered"),
    ("KeysUnknown", "give the keys that the validator is registered with"),
    ("RotatedAlready", "keys rotate once an epoch: rotate again in the next one"),
    ("HasExited", "an exit is for good: register a new validator"),
    ("StakeSeized", "wait until the accusation is resolved"),
    ("IsJailed", "wait until that time, then unjail"),
    ("NotJailed", "there is nothing to do"),
    ("IsTombstoned", "this validator never serves again: exit, and register another with new keys"),
    ("NotReleased", "claim again once it is released; 0 means that its last epoch runs on"),
    ("UnknownUnbonding", "check the number; it may have been claimed already"),
    ("AlreadyEnlisted", "there is nothing to do"),
    (
        "NotEligible",
        "it needs a proven key and enough stake, and must be neither jailed nor accused",
    ),
    ("UnknownRollup", "check --rollup; the rollup must be registered on L1"),
    ("IsClosed", "this rollup has ended"),
    ("BlockIsFull", "wait for the next L1 block"),
    ("EscapeNotDue", "something has settled, or it is latched: look with `conclave escape status`"),
    ("EscapeNotActive", "rollups are not away: there is nothing to do"),
    ("StillBehind", "wait until something newer has settled"),
    ("NoCommittee", "the network is not open on L1, or the epoch never began"),
    ("NotPosted", "more has settled since the proof was made: make it anew"),
    ("AlreadyWithdrawn", "it was paid: there is nothing to do"),
    ("AlreadyReported", "the offence is known: there is nothing to do"),
];

/// An error of an endpoint, or the refusal of a contract that it carries.
pub(super) fn named(error: L1Error) -> L1Error {
    let L1Error::Refused { source, .. } = &error else { return error };
    let data = source.as_error_resp().and_then(|payload| payload.as_revert_data());
    data.map_or(error, |data| L1Error::Reverted(explain(&data)))
}

/// The words for what a contract reverted with.
pub(super) fn explain(data: &[u8]) -> String {
    if data.is_empty() {
        return "it gave no reason (a contract that is not there, or out of gas)".to_owned();
    }
    if let Ok(revert) = Revert::abi_decode(data) {
        return revert.reason;
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        return panic.to_string();
    }
    let known = [
        error::<ConclaveStakeErrors>(data),
        error::<KeyProofsErrors>(data),
        error::<ConclaveElectionErrors>(data),
        error::<ForcedInclusionErrors>(data),
        error::<FeeVaultErrors>(data),
        error::<RollupRegistryErrors>(data),
        error::<ConclaveSlasherErrors>(data),
        error::<ConclaveInboxErrors>(data),
    ];
    let Some(said) = known.into_iter().flatten().next() else {
        return format!("an error unknown to this version, 0x{}", hex::encode(data));
    };
    let name = said.split([' ', '{', '(']).next().unwrap_or_default();
    match REMEDIES.iter().find(|(known, _)| *known == name) {
        Some((_, remedy)) => format!("{said}: {remedy}"),
        None => said,
    }
}

/// The error as its declaration names it; the enum around it says nothing more.
fn error<E: SolInterface + std::fmt::Debug>(data: &[u8]) -> Option<String> {
    let shown = format!("{:?}", E::abi_decode(data).ok()?);
    let (_, inner) = shown.split_once('(')?;
    Some(inner.strip_suffix(')')?.to_owned())
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, hex};
    use conclave_contracts::{ConclaveStake, ForcedInclusion};

    use super::*;

    #[test]
    fn an_error_is_quoted_by_its_name_with_its_arguments_and_a_remedy() {
        let refused = ConclaveStake::StakeTooSmall { expected: 8, found: 1 }.abi_encode();
        let said = explain(&refused);
        assert_eq!(
            said,
            "StakeTooSmall { expected: 8, found: 1 }: send at least the expected amount, in gwei"
        );
        let refused = ConclaveStake::RotatedAlready { validator: 4 }.abi_encode();
        assert_eq!(
            explain(&refused),
            "RotatedAlready { validator: 4 }: keys rotate once an epoch: rotate again in the next one"
        );
        let refused = ForcedInclusion::BlockIsFull { number: 7 }.abi_encode();
        assert_eq!(explain(&refused), "BlockIsFull { number: 7 }: wait for the next L1 block");
        let refused = ConclaveStake::NothingToClaim { owner: Address::ZERO }.abi_encode();
        assert_eq!(
            explain(&refused),
            "NothingToClaim { owner: 0x0000000000000000000000000000000000000000 }"
        );
    }

    #[test]
    fn what_is_no_error_of_ours_is_shown_as_it_is() {
        assert!(explain(&[]).contains("no reason"));
        assert_eq!(explain(&Revert::from("too late").abi_encode()), "too late");
        let strange = hex!("deadbeef01");
        assert_eq!(explain(&strange), "an error unknown to this version, 0xdeadbeef01");
    }

    #[test]
    fn every_remedy_is_for_an_error_that_exists() {
        let artifacts = [
            "ConclaveStake",
            "ConclaveElection",
            "ForcedInclusion",
            "FeeVault",
            "RollupRegistry",
            "ConclaveSlasher",
            "KeyProofs",
            "ConclaveInbox",
        ];
        let declared: String = artifacts
            .iter()
            .map(|contract| {
                let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts");
                std::fs::read_to_string(format!("{directory}/{contract}.json")).unwrap()
            })
            .collect();
        for (name, _) in REMEDIES {
            let declaration = format!(r#""type":"error","name":"{name}""#);
            assert!(declared.contains(&declaration), "{name} is no error of any contract");
        }
    }
}
