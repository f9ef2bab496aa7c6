// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { Committee, ValidatorId } from "../../src/lib/Types.sol";
import { Network } from "../support/Network.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";

/// Offences, and how each of them ends: a ledger of what was done, in arithmetic of its own. An action that is not
/// possible at the moment does nothing; one that succeeds and should not have is written down in `broken`.
///
/// Some are brought before the stake alone, as a slasher of any rules could do it; the others are votes that were
/// really signed, and cases of the slasher that is deployed.
abstract contract Trials is Network {
    /// That a validator served in an epoch.
    struct Service {
        uint64 epoch;
        uint32 validator;
        uint64 power;
        // What penalties had taken from it when it was elected.
        uint256 takenBefore;
    }

    /// What somebody is accused of.
    struct Charge {
        uint32 validator;
        uint256 since;
        // Whether the slasher has a case of it.
        bool isCase;
        bool isOpen;
    }

    address public constant REPORTER = address(0x4E9);
    uint256 private constant LAPSE = 30 days;

    uint32 public validators;
    Service[] internal services;
    mapping(uint32 validator => uint256) public taken;
    uint256 public owedToReporter;
    /// Charges of a validator that have not ended.
    mapping(uint32 validator => uint256) public openAgainst;
    mapping(bytes32 offence => Charge) private charges;
    bytes32[] private openOffences;
    bytes32[] private closedOffences;
    // Of the slasher.
    bytes32[] private openCases;
    // Those of which the escrow has lapsed, and the case has not.
    bytes32[] private halfLapsed;
    uint256 private offences;
    /// How often each action went through: over a world in which nothing happens an invariant says nothing.
    mapping(bytes32 action => uint256) public done;
    string public broken;

    // --- what is brought before the stake

    function anOffenceIsReported(uint256 validator, uint256 epoch, bool tombstone) external {
        ValidatorId v = pick(validator);
        bytes32 offence = bytes32(++offences);
        uint64 at = uint64(epoch % net.stake.epochCount());
        vm.prank(address(net.slasher));
        try net.stake.seize(offence, v, at, tombstone && epoch % 4 == 0) {
            openOffences.push(offence);
            charged(offence, ValidatorId.unwrap(v), false);
            ++done["seize"];
        } catch { }
    }

    function anOffenceIsResolved(uint256 which, uint16 penaltyBps, uint16 rewardBps, bool guilty) external {
        if (openOffences.length == 0) return;
        bytes32 offence = pull(openOffences, which);
        if (guilty) {
            uint16 penalty = uint16(bound(penaltyBps, 0, 10_000));
            uint16 reward = uint16(bound(rewardBps, 0, 500));
            (uint64 rewardBefore, uint256 balanceBefore) = (net.stake.rewardsOf(REPORTER), balance());
            vm.prank(address(net.slasher));
            net.stake.resolve(offence, penalty, REPORTER, reward);
            convicted(offence, rewardBefore, balanceBefore);
            ++done["resolve"];
        } else {
            uint256 before = balance() + rewarded();
            vm.prank(address(net.slasher));
            net.stake.acquit(offence);
            if (before != balance() + rewarded()) broken = "an acquittal moved ether";
            ended(offence);
            ++done["acquit"];
        }
    }

    /// Whoever likes ends what nobody else has ended.
    function anOffenceLapses(uint256 which) external {
        if (openOffences.length == 0) return;
        bytes32 offence = openOffences[which % openOffences.length];
        if (!escrowLapses(offence)) return;
        pull(openOffences, which);
        ended(offence);
        ++done["lapse"];
    }

    function anOffenceIsTriedAgain(uint256 which) external {
        if (closedOffences.length == 0) return;
        bytes32 offence = closedOffences[which % closedOffences.length];
        vm.startPrank(address(net.slasher));
        try net.stake.resolve(offence, 10_000, REPORTER, 500) {
            broken = "an offence was resolved twice";
        } catch { }
        try net.stake.acquit(offence) {
            broken = "an offence was given back twice";
        } catch { }
        try net.stake.seize(offence, ValidatorId.wrap(charges[offence].validator), 0, true) {
            broken = "an offence was seized twice";
        } catch { }
        vm.stopPrank();
        try net.stake.lapse(offence) {
            broken = "an offence that has ended lapsed";
        } catch { }
        if (charges[offence].isCase) {
            try net.slasher.resolve(offence) {
                broken = "a case was resolved twice";
            } catch { }
            try net.slasher.lapse(offence) {
                broken = "a case that has ended lapsed";
            } catch { }
        }
        ++done["again"];
    }

    // --- what is brought before the slasher

    function aVoterContradictsItself(uint256 which, uint64 height) external {
        if (services.length == 0) return;
        Service memory s = services[which % services.length];
        IConclaveSlasher.Position memory at =
            IConclaveSlasher.Position(s.epoch, seatOf(s.epoch, s.validator), height, 0);
        (bytes32 a, bytes32 b) = (keccak256("block a"), keccak256("block b"));
        if (prevoteOf(at, a) > prevoteOf(at, b)) (a, b) = (b, a);
        (IConclaveSlasher.SignedVote memory first, IConclaveSlasher.SignedVote memory second) =
            (signedBy(s.validator, at, a), signedBy(s.validator, at, b));
        vm.prank(REPORTER);
        try net.slasher.reportVotes(at, SignBytes.PREVOTE, first, second) returns (bytes32 offence) {
            if (charges[offence].validator != 0) broken = "an offence was reported twice";
            openCases.push(offence);
            charged(offence, s.validator, true);
            ++done["report"];
        } catch { }
    }

    function aCaseIsResolved(uint256 which) external {
        if (openCases.length == 0) return;
        bytes32 offence = openCases[which % openCases.length];
        (uint64 rewardBefore, uint256 balanceBefore) = (net.stake.rewardsOf(REPORTER), balance());
        try net.slasher.resolve(offence) {
            if (block.timestamp <= charges[offence].since + 3 days) {
                broken = "a case ended before its answer";
            }
            pull(openCases, which);
            convicted(offence, rewardBefore, balanceBefore);
            ++done["verdict"];
        } catch {
            if (block.timestamp > charges[offence].since + 3 days) broken = "a case has no end";
        }
    }

    /// The slasher's lapse ends both; that of the stake may come before it, and then the case ends by itself.
    function aCaseLapses(uint256 which, bool escrowFirst) external {
        if (openCases.length == 0) return;
        bytes32 offence = openCases[which % openCases.length];
        if (escrowFirst) {
            if (!escrowLapses(offence)) return;
            pull(openCases, which);
            halfLapsed.push(offence);
            // Not yet among the closed: the case is not.
            --openAgainst[charges[offence].validator];
            charges[offence].isOpen = false;
            ++done["half"];
            return;
        }
        uint256 before = balance() + rewarded();
        try net.slasher.lapse(offence) {
            if (block.timestamp < charges[offence].since + LAPSE) broken = "a case lapsed before its time";
            if (before != balance() + rewarded()) broken = "a lapse moved ether";
            pull(openCases, which);
            ended(offence);
            ++done["lapsed"];
        } catch {
            if (block.timestamp >= charges[offence].since + LAPSE) broken = "a case does not lapse";
        }
    }

    /// Its stake is back, so there is nothing to be taken by a verdict.
    function theRestOfACaseLapses(uint256 which) external {
        if (halfLapsed.length == 0) return;
        bytes32 offence = pull(halfLapsed, which);
        try net.slasher.resolve(offence) {
            broken = "what lapsed was slashed";
        } catch { }
        uint256 before = balance() + rewarded();
        net.slasher.lapse(offence);
        if (before != balance() + rewarded()) broken = "a lapse moved ether";
        closedOffences.push(offence);
        ++done["rest"];
    }

    /// Rarely: so long that whatever is open may lapse.
    function aMonthPasses(uint256 luck) external {
        if (luck % 8 != 0) return;
        vm.roll(block.number + LAPSE / 12);
        vm.warp(block.timestamp + LAPSE);
        ++done["month"];
    }

    /// Ends whatever is open by lapse alone, a month from now. For the end of a run.
    function everythingLapses() external {
        vm.warp(block.timestamp + LAPSE);
        while (openOffences.length > 0) {
            bytes32 offence = pull(openOffences, 0);
            net.stake.lapse(offence);
            ended(offence);
        }
        while (openCases.length > 0) {
            bytes32 offence = pull(openCases, 0);
            net.slasher.lapse(offence);
            ended(offence);
        }
        while (halfLapsed.length > 0) {
            net.slasher.lapse(pull(halfLapsed, 0));
        }
    }

    // --- the ledger

    function pick(uint256 validator) internal view returns (ValidatorId) {
        return ValidatorId.wrap(uint32(1 + validator % validators));
    }

    function balance() private view returns (uint256) {
        return address(net.stake).balance;
    }

    function rewarded() private view returns (uint256) {
        return 1 gwei * uint256(net.stake.rewardsOf(REPORTER));
    }

    function charged(bytes32 offence, uint32 validator, bool isCase) private {
        charges[offence] = Charge(validator, block.timestamp, isCase, true);
        ++openAgainst[validator];
    }

    /// It ends once, by whatever.
    function ended(bytes32 offence) private {
        if (!charges[offence].isOpen) broken = "an offence ended twice";
        charges[offence].isOpen = false;
        --openAgainst[charges[offence].validator];
        closedOffences.push(offence);
    }

    function convicted(bytes32 offence, uint64 rewardBefore, uint256 balanceBefore) private {
        uint64 reward = net.stake.rewardsOf(REPORTER) - rewardBefore;
        uint256 burned = (balanceBefore - balance()) / 1 gwei;
        taken[charges[offence].validator] += burned + reward;
        owedToReporter += reward;
        if (uint256(reward) * 19 > burned) broken = "a reporter got more than a twentieth";
        ended(offence);
    }

    /// Whether the escrow of an offence lapses now, as anybody may have it.
    function escrowLapses(bytes32 offence) private returns (bool) {
        uint256 before = balance() + rewarded();
        bool isDue = block.timestamp >= charges[offence].since + LAPSE;
        try net.stake.lapse(offence) {
            if (!isDue) broken = "an escrow lapsed before its time";
            if (before != balance() + rewarded()) broken = "a lapse moved ether";
            return true;
        } catch {
            if (isDue) broken = "an escrow does not lapse";
            return false;
        }
    }

    function pull(bytes32[] storage list, uint256 which) private returns (bytes32 found) {
        uint256 at = which % list.length;
        found = list[at];
        list[at] = list[list.length - 1];
        list.pop();
    }

    function seatOf(uint64 epoch, uint32 validator) private view returns (uint16 seat) {
        Committee memory c = net.stake.committeeOf(epoch);
        while (!(CommitteeTable.member(c, seat).validator == ValidatorId.wrap(validator))) {
            ++seat;
        }
    }

    function prevoteOf(IConclaveSlasher.Position memory at, bytes32 blockId) private view returns (bytes32) {
        return SignBytes.vote(domain(), at.epoch, SignBytes.PREVOTE, at.height, at.round, blockId);
    }

    function signedBy(uint32 validator, IConclaveSlasher.Position memory at, bytes32 blockId)
        private
        view
        returns (IConclaveSlasher.SignedVote memory)
    {
        (bytes32 r, bytes32 s) = Secrets.signConsensus(validator, prevoteOf(at, blockId));
        return IConclaveSlasher.SignedVote(blockId, IConclaveSlasher.Signature(r, s));
    }
}
