//! Rust for what the artifacts declare. A module for each contract, since the Solidity libraries whose types a
//! contract mentions are declared beside it, and other contracts mention the same.

#![expect(missing_docs, reason = "generated: the interfaces in Solidity hold the documentation")]
#![expect(clippy::too_many_arguments, reason = "generated: a function takes what its call takes")]

/// Declares the bindings of contracts. What stands after `lending` are types of a contract that the
/// libraries beside it mention in turn.
macro_rules! bindings {
    ($($module:ident: $contract:ident = $path:literal $(lending $($lent:ident),+)?;)*) => {$(
        pub mod $module {
            $(use $contract::{$($lent),+};)?
            alloy::sol!(
                #[sol(rpc, all_derives)]
                $contract,
                $path
            );
        }
        pub use $module::$contract;
    )*};
}

bindings! {
    timelock: ConclaveTimelock = "artifacts/ConclaveTimelock.json";
    key_proofs: KeyProofs = "artifacts/KeyProofs.json";
    election: ConclaveElection = "artifacts/ConclaveElection.json";
    stake: ConclaveStake = "artifacts/ConclaveStake.json";
    inbox: ConclaveInbox = "artifacts/ConclaveInbox.json";
    forced: ForcedInclusion = "artifacts/ForcedInclusion.json";
    vault: FeeVault = "artifacts/FeeVault.json";
    registry: RollupRegistry = "artifacts/RollupRegistry.json";
    slasher: ConclaveSlasher = "artifacts/ConclaveSlasher.json" lending BlockCommitment, G1Point;
}
