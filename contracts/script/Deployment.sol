// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibRLP } from "solady/utils/LibRLP.sol";

import { ConclaveElection } from "../src/ConclaveElection.sol";
import { ConclaveInbox } from "../src/ConclaveInbox.sol";
import { ConclaveStake } from "../src/ConclaveStake.sol";
import { ConclaveTimelock } from "../src/ConclaveTimelock.sol";
import { FeeVault } from "../src/FeeVault.sol";
import { ForcedInclusion } from "../src/ForcedInclusion.sol";
import { KeyProofs } from "../src/KeyProofs.sol";
import { RollupRegistry } from "../src/RollupRegistry.sol";
import { ElectionParameters } from "../src/interfaces/IConclaveElection.sol";
import { StakeParameters } from "../src/interfaces/IConclaveStake.sol";
import { VaultParameters } from "../src/interfaces/IFeeVault.sol";
import { ForcedParameters } from "../src/interfaces/IForcedInclusion.sol";

/// What a deployment is made from.
struct DeploymentConfig {
    /// Opens the network, once.
    address launcher;
    /// Who may propose to the timelock, and who may carry out what has waited; zero stands for anyone.
    address[] proposers;
    address[] executors;
    uint64 unbondingSeconds;
    uint64 firstRollup;
    uint64 rollupFeeGwei;
    StakeParameters stake;
    ElectionParameters election;
    ForcedParameters forced;
    VaultParameters vault;
}

/// The contracts of one network.
struct Deployed {
    ConclaveTimelock timelock;
    KeyProofs keyProofs;
    ConclaveElection election;
    ConclaveStake stake;
    ConclaveInbox inbox;
    ForcedInclusion forced;
    FeeVault vault;
    RollupRegistry registry;
    address slasher;
}

/// Deploys the contracts of one network. They name each other and nobody can change that later, so each is told
/// the addresses of those that come after it: an account's creations are at addresses that follow from its nonce.
/// The slasher comes last, from whoever calls this, at the address in `slasher`.
library Deployment {
    error WrongAddress(address expected, address found);

    /// The parameters that `docs/spec/settlement.md` gives reasons for.
    function defaults(address launcher, address council) internal pure returns (DeploymentConfig memory c) {
        c.launcher = launcher;
        (c.proposers, c.executors) = (new address[](1), new address[](1));
        c.proposers[0] = council;
        c.unbondingSeconds = 21 days;
        c.firstRollup = 1;
        c.rollupFeeGwei = 0.05 ether / 1 gwei;
        c.stake = StakeParameters({
            selfStakeMinGwei: 8 ether / 1 gwei, delegationMinGwei: 0.1 ether / 1 gwei, jailSeconds: 1 days
        });
        c.election = ElectionParameters({ committeeSizeMax: 100, replacementMarginBps: 500 });
        c.forced = ForcedParameters({
            entriesMax: 32,
            depositsMax: 32,
            bytesMax: 128 << 10,
            gasMax: 15_000_000,
            entryBytesMax: 64 << 10,
            priceMinWei: 1 gwei / 100,
            escapeDelayBlocks: 7200
        });
        c.vault = VaultParameters({
            depositMinGwei: 0.001 ether / 1 gwei,
            refundGas: 350_000,
            refundPriceMaxWei: 100 gwei,
            refundIntervalHeights: 600
        });
    }

    /// Deploys everything but the slasher. `deployer` is the account whose next creation has number `nonce`.
    function deploy(DeploymentConfig memory c, address deployer, uint256 nonce)
        internal
        returns (Deployed memory d)
    {
        ConclaveStake stake = ConclaveStake(LibRLP.computeAddress(deployer, nonce + 3));
        ConclaveInbox inbox = ConclaveInbox(LibRLP.computeAddress(deployer, nonce + 4));
        ForcedInclusion forced = ForcedInclusion(LibRLP.computeAddress(deployer, nonce + 5));
        FeeVault vault = FeeVault(LibRLP.computeAddress(deployer, nonce + 6));
        RollupRegistry registry = RollupRegistry(LibRLP.computeAddress(deployer, nonce + 7));
        d.slasher = LibRLP.computeAddress(deployer, nonce + 8);

        d.timelock = new ConclaveTimelock(c.proposers, c.executors);
        address timelock = address(d.timelock);
        d.keyProofs = new KeyProofs();
        d.election = new ConclaveElection(timelock, stake, c.election);
        d.stake = new ConclaveStake(
            timelock, address(inbox), d.slasher, d.keyProofs, d.election, c.unbondingSeconds, c.stake
        );
        d.inbox = new ConclaveInbox(c.launcher, stake, forced, vault);
        d.forced = new ForcedInclusion(timelock, inbox, vault, registry, c.forced);
        d.vault = new FeeVault(timelock, inbox, forced, stake, c.vault);
        d.registry = new RollupRegistry(timelock, inbox, vault, c.firstRollup, c.rollupFeeGwei);

        requireAt(address(stake), address(d.stake));
        requireAt(address(inbox), address(d.inbox));
        requireAt(address(forced), address(d.forced));
        requireAt(address(vault), address(d.vault));
        requireAt(address(registry), address(d.registry));
    }

    function requireAt(address expected, address found) private pure {
        if (expected != found) revert WrongAddress(expected, found);
    }
}
