// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ISettledNetwork, ISlashable } from "../../src/interfaces/ISlashable.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { BlockCommitment, Committee, Member, ValidatorId } from "../../src/lib/Types.sol";

/// Stake and settlement as far as the slasher sees them: committees that a test puts in, and a record of what
/// was asked. Everyone has one ether at stake.
contract StakeDouble is ISlashable, ISettledNetwork {
    error NotSettled(uint64 height);
    error Lapsed(bytes32 offence);

    struct Seizure {
        ValidatorId validator;
        uint64 epoch;
        bool tombstone;
        bool acquitted;
        uint16 penaltyBps;
        address reporter;
        uint16 rewardBps;
    }

    bytes32 public network = keccak256("a network");
    mapping(uint64 epoch => Committee) private committees;
    mapping(uint64 epoch => uint64) public endedAt;
    mapping(uint64 epoch => bytes32) public dkgResultOf;
    mapping(bytes32 offence => Seizure) private seizures;
    mapping(uint64 height => bytes32) private settled;
    mapping(bytes32 offence => bool) public hasLapsed;
    uint256 public seizureCount;
    uint64 public constant SEIZURE_SECONDS_MAX = 30 days;

    function appoint(uint64 epoch, Member[] memory members) external {
        (committees[epoch],) = CommitteeTable.write(members);
    }

    function end(uint64 epoch, uint64 at) external {
        endedAt[epoch] = at;
    }

    function share(uint64 epoch, bytes32 root) external {
        dkgResultOf[epoch] = root;
    }

    function settle(BlockCommitment memory commitment) external {
        settled[commitment.height] = keccak256(abi.encode(commitment));
    }

    function committeeOf(uint64 epoch) external view returns (Committee memory) {
        return committees[epoch];
    }

    function seizureOf(bytes32 offence) external view returns (Seizure memory) {
        return seizures[offence];
    }

    function requireSettled(BlockCommitment calldata commitment, uint64, bytes32[] calldata) external view {
        if (settled[commitment.height] != keccak256(abi.encode(commitment))) {
            revert NotSettled(commitment.height);
        }
    }

    function seize(bytes32 offence, ValidatorId validator, uint64 epoch, bool tombstone)
        external
        returns (uint256)
    {
        seizures[offence] = Seizure(validator, epoch, tombstone, false, 0, address(0), 0);
        ++seizureCount;
        return 1 ether;
    }

    function acquit(bytes32 offence) external {
        seizures[offence].acquitted = true;
    }

    function lapse(bytes32 offence) external {
        if (hasLapsed[offence]) revert Lapsed(offence);
        hasLapsed[offence] = true;
    }

    function resolve(bytes32 offence, uint16 penaltyBps, address reporter, uint16 rewardBps) external {
        Seizure storage seizure = seizures[offence];
        (seizure.penaltyBps, seizure.reporter, seizure.rewardBps) = (penaltyBps, reporter, rewardBps);
    }
}
