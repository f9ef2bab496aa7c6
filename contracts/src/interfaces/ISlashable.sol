// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { BlockCommitment, Committee, ValidatorId } from "../lib/Types.sol";

/// @title What ConclaveSlasher needs of stake
/// @notice Implemented by ConclaveStake. The slasher judges evidence and decides what it costs; it never
/// holds money. All functions but the views and {lapse} are for the slasher alone.
interface ISlashable {
    /// @notice The committee that serves or served in `epoch`; all zero if no committee took effect for it.
    /// @dev Old tables stay: keys that were rotated away stay answerable for what they signed.
    function committeeOf(uint64 epoch) external view returns (Committee memory);

    /// @notice When the commitment that ended `epoch` settled, as a timestamp; 0 while the epoch runs.
    function endedAt(uint64 epoch) external view returns (uint64);

    /// @notice Takes everything that `validator` has at stake for `epoch`, bonded, delegated or unbonding, into
    /// an escrow under `offence`, and jails it: for ever if `tombstone`.
    /// @dev Must not fail for a validator that has nothing left, has left, or is jailed already: `amount` is
    /// then 0, and the escrow exists all the same. Must not call the validator or the reporter.
    /// @return amount What is now in the escrow.
    function seize(bytes32 offence, ValidatorId validator, uint64 epoch, bool tombstone)
        external
        returns (uint256 amount);

    /// @notice Gives the whole escrow back to those it was taken from, and lifts the jail or tombstone that this
    /// offence alone caused: the accused was acquitted.
    function acquit(bytes32 offence) external;

    /// @notice Ends the escrow: of `penaltyBps` ten-thousandths of it, `rewardBps` ten-thousandths are credited to
    /// `reporter` (to be claimed, not sent) and the rest is burned; what remains of the escrow goes back to
    /// those it was taken from, to unbond like any other stake.
    function resolve(bytes32 offence, uint16 penaltyBps, address reporter, uint16 rewardBps) external;

    /// @notice Treats an offence that the slasher has left open for {SEIZURE_SECONDS_MAX} as acquitted.
    function lapse(bytes32 offence) external;

    /// @notice For so many seconds the escrow of an offence lasts that nobody ends.
    function SEIZURE_SECONDS_MAX() external view returns (uint64);
}

/// @title What ConclaveSlasher needs of settlement
/// @notice Implemented by ConclaveInbox.
interface ISettled {
    /// @notice Reverts unless `commitment` is part of the settled history: either it was posted itself, or it is
    /// entry `commitment.height - 1` of the history root of the commitment posted at height `under`.
    function requireSettled(BlockCommitment calldata commitment, uint64 under, bytes32[] calldata path)
        external
        view;

    /// @notice The root over the sharing of the threshold key that serves in `epoch`: from the commitment that ended
    /// the epoch before, or from the genesis; zero if there is none.
    function dkgResultOf(uint64 epoch) external view returns (bytes32);
}

/// @title Settlement that knows which network it belongs to
interface ISettledNetwork is ISettled {
    /// @notice The network's id; zero before it is open.
    function network() external view returns (bytes32);
}
