// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { LibRLP } from "solady/utils/LibRLP.sol";

import { ConclaveElection } from "../src/ConclaveElection.sol";
import { ConclaveInbox } from "../src/ConclaveInbox.sol";
import { ConclaveSlasher } from "../src/ConclaveSlasher.sol";
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
    ConclaveSlasher slasher;
}

/// Deploys the contracts of one network. They name each other and nobody can change that later, so each is told
/// the addresses of those that come after it: an account's creations are at addresses that follow from its nonce.
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

    /// Deploys them. `deployer` is the account whose next creation has number `nonce`.
    function deploy(DeploymentConfig memory c, address deployer, uint256 nonce)
        internal
        returns (Deployed memory d)
    {
        d = predict(deployer, nonce);
        address timelock = address(d.timelock);
        requireAt(timelock, address(new ConclaveTimelock(c.proposers, c.executors)));
        requireAt(address(d.keyProofs), address(new KeyProofs()));
        requireAt(address(d.election), address(new ConclaveElection(timelock, d.stake, c.election)));
        requireAt(
            address(d.stake),
            address(
                new ConclaveStake(
                    timelock,
                    address(d.inbox),
                    address(d.slasher),
                    d.keyProofs,
                    d.election,
                    c.unbondingSeconds,
                    c.stake
                )
            )
        );
        requireAt(address(d.inbox), address(new ConclaveInbox(c.launcher, d.stake, d.forced, d.vault)));
        requireAt(
            address(d.forced), address(new ForcedInclusion(timelock, d.inbox, d.vault, d.registry, c.forced))
        );
        requireAt(address(d.vault), address(new FeeVault(timelock, d.inbox, d.forced, d.stake, c.vault)));
        requireAt(
            address(d.registry),
            address(new RollupRegistry(timelock, d.inbox, d.vault, c.firstRollup, c.rollupFeeGwei))
        );
        requireAt(address(d.slasher), address(new ConclaveSlasher(d.stake, d.inbox)));
    }

    /// Where they will be.
    function predict(address deployer, uint256 nonce) internal pure returns (Deployed memory) {
        return Deployed({
            timelock: ConclaveTimelock(payable(LibRLP.computeAddress(deployer, nonce))),
            keyProofs: KeyProofs(LibRLP.computeAddress(deployer, nonce + 1)),
            election: ConclaveElection(LibRLP.computeAddress(deployer, nonce + 2)),
            stake: ConclaveStake(LibRLP.computeAddress(deployer, nonce + 3)),
            inbox: ConclaveInbox(LibRLP.computeAddress(deployer, nonce + 4)),
            forced: ForcedInclusion(LibRLP.computeAddress(deployer, nonce + 5)),
            vault: FeeVault(LibRLP.computeAddress(deployer, nonce + 6)),
            registry: RollupRegistry(LibRLP.computeAddress(deployer, nonce + 7)),
            slasher: ConclaveSlasher(LibRLP.computeAddress(deployer, nonce + 8))
        });
    }

    function requireAt(address expected, address found) private pure {
        if (expected != found) revert WrongAddress(expected, found);
    }
}
