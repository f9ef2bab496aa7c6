// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Deployed } from "../../script/Deployment.sol";
import { Head } from "../../src/interfaces/IConclaveInbox.sol";
import { ValidatorId } from "../../src/lib/Types.sol";
import { TestBase, vm } from "../utils/Vm.sol";
import { Trials } from "./Trials.sol";
import { World } from "./World.sol";

/// What holds whatever anybody does, in any order.
contract InvariantsTest is TestBase {
    World private world;
    Deployed private net;

    function setUp() public {
        world = new World();
        net = world.deployed();
        targetContract(address(world));
        bytes4[] memory actions = new bytes4[](26);
        actions[0] = World.aValidatorJoins.selector;
        actions[1] = World.aDelegatorComes.selector;
        actions[2] = World.aDelegatorLeaves.selector;
        actions[3] = World.anOperatorExits.selector;
        actions[4] = World.somebodyClaims.selector;
        actions[5] = World.aRewardArrives.selector;
        actions[6] = World.anOperatorReturns.selector;
        actions[7] = Trials.anOffenceIsReported.selector;
        actions[8] = Trials.anOffenceIsResolved.selector;
        actions[9] = Trials.anOffenceIsTriedAgain.selector;
        actions[10] = World.anElectionIsHeld.selector;
        actions[11] = World.anEpochEnds.selector;
        actions[12] = World.aCommitmentSettles.selector;
        actions[13] = World.aQuorumTurnsOnItsPast.selector;
        actions[14] = World.aTransactionIsForced.selector;
        actions[15] = World.aDepositArrives.selector;
        actions[16] = World.timePasses.selector;
        actions[17] = World.somebodyAnnouncesTheReturn.selector;
        actions[18] = World.aWithdrawalIsAskedFor.selector;
        actions[19] = World.aCrowdLeaves.selector;
        actions[20] = Trials.anOffenceLapses.selector;
        actions[21] = Trials.aVoterContradictsItself.selector;
        actions[22] = Trials.aCaseIsResolved.selector;
        actions[23] = Trials.aCaseLapses.selector;
        actions[24] = Trials.theRestOfACaseLapses.selector;
        actions[25] = Trials.aMonthPasses.selector;
        targetSelector(FuzzSelector(address(world), actions));
    }

    /// All of them in one campaign: the actions cost more than the checks.
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_all_promises_hold() public view {
        nothing_that_must_not_happen_happened();
        stake_is_what_is_bonded_unbonding_in_escrow_and_owed();
        stake_that_voted_is_slashable_for_its_whole_window();
        stake_is_in_escrow_exactly_while_its_validator_stands_accused();
        evidence_is_paid_once();
        one_history_is_certified_and_it_carries_the_queue();
        the_vault_is_deposits_pot_and_credits_and_nobody_else_holds_ether();
    }

    function nothing_that_must_not_happen_happened() private view {
        vm.assertEq(bytes(world.broken()), bytes(""), world.broken());
    }

    function stake_is_what_is_bonded_unbonding_in_escrow_and_owed() private view {
        uint256 sum = uint256(net.stake.rewardsOf(world.REPORTER()));
        for (uint32 v = 1; v <= world.validators(); ++v) {
            (uint64 bonded, uint64 unbonding, uint64 escrow) = net.stake.totalsOf(ValidatorId.wrap(v));
            (address operator,,,,,,,,) = net.stake.validatorOf(ValidatorId.wrap(v));
            sum += uint256(bonded) + unbonding + escrow + net.stake.rewardsOf(operator);
        }
        vm.assertEq(address(net.stake).balance, sum * 1 gwei, "stake");
    }

    function stake_that_voted_is_slashable_for_its_whole_window() private view {
        for (uint256 i = 0; i < world.serviceCount(); ++i) {
            World.Service memory s = world.serviceAt(i);
            uint64 ended = net.stake.endedAt(s.epoch);
            if (ended != 0 && block.timestamp >= ended + 21 days) continue;
            uint64 backing = net.stake.backingOf(ValidatorId.wrap(s.validator), s.epoch);
            uint256 penalties = world.taken(s.validator) - s.takenBefore;
            vm.assertGe(backing + penalties, s.power, "what served is there, or was taken");
        }
    }

    function stake_is_in_escrow_exactly_while_its_validator_stands_accused() private view {
        for (uint32 v = 1; v <= world.validators(); ++v) {
            (,,,,,, bool isAccused,,) = net.stake.validatorOf(ValidatorId.wrap(v));
            vm.assertTrue(isAccused == (world.openAgainst(v) > 0), "accused while something is open");
            (uint64 bonded,, uint64 escrow) = net.stake.totalsOf(ValidatorId.wrap(v));
            vm.assertTrue(isAccused ? bonded == 0 : escrow == 0, "in escrow while it is");
        }
    }

    /// Whatever a run has left open ends without the slasher's or anybody's good will, and then nothing is in escrow.
    function afterInvariant() public {
        world.everythingLapses();
        invariant_all_promises_hold();
        for (uint32 v = 1; v <= world.validators(); ++v) {
            (,, uint64 escrow) = net.stake.totalsOf(ValidatorId.wrap(v));
            vm.assertEq(escrow, 0, "nothing stays in escrow");
        }
    }

    function evidence_is_paid_once() private view {
        vm.assertEq(net.stake.rewardsOf(world.REPORTER()), world.owedToReporter(), "reporter");
    }

    function one_history_is_certified_and_it_carries_the_queue() private view {
        Head memory head = net.inbox.head();
        vm.assertEq(head.cursor, world.entriesUpTo(head.origin), "whole up to the origin");
        if (head.height > 0) {
            vm.assertEq(net.inbox.rootAt(head.height), world.tree().root(head.height), "history");
        }
    }

    function the_vault_is_deposits_pot_and_credits_and_nobody_else_holds_ether() private view {
        (uint64 deposited, uint256 pot) = net.vault.balances();
        uint256 credited = net.vault.refundsOf(world.RELAYER());
        vm.assertEq(address(net.vault).balance, uint256(deposited) * 1 gwei + pot + credited, "vault");
        uint256 others = address(net.inbox).balance + address(net.forced).balance
            + address(net.registry).balance + address(net.election).balance;
        vm.assertEq(others, 0, "others");
    }

    /// The world does turn: each action goes through, so the invariants are about something.
    function test_every_action_goes_through() public {
        vm.pauseGasMetering();
        uint256 seed = 7;
        for (uint256 i = 0; i < 600; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            act(seed % 19, seed >> 8);
            if (i % 50 == 0) world.aWithdrawalIsAskedFor(uint64(seed));
        }
        string[24] memory names = [
            "join",
            "delegate",
            "unbond",
            "exit",
            "claim",
            "reward",
            "unjail",
            "seize",
            "resolve",
            "acquit",
            "again",
            "offer",
            "exclude",
            "epoch",
            "settle",
            "turn",
            "force",
            "deposit",
            "request",
            "time",
            "return",
            "crowd",
            "held",
            "stay"
        ];
        for (uint256 i = 0; i < names.length; ++i) {
            vm.assertGe(world.done(bytes32(bytes(names[i]))), 1, names[i]);
        }
        invariant_all_promises_hold();
    }

    /// And so does each end of an offence: these are rarer, and what leads to them is for ever for who is convicted.
    function test_every_end_of_an_offence_goes_through() public {
        vm.pauseGasMetering();
        uint256 seed = 1;
        for (uint256 i = 0; i < 500; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            tryAct(seed % 12, seed >> 8);
        }
        string[12] memory names = [
            "seize",
            "resolve",
            "acquit",
            "lapse",
            "report",
            "verdict",
            "half",
            "lapsed",
            "rest",
            "again",
            "epoch",
            "month"
        ];
        for (uint256 i = 0; i < names.length; ++i) {
            vm.assertGe(world.done(bytes32(bytes(names[i]))), 1, names[i]);
        }
        afterInvariant();
    }

    function tryAct(uint256 action, uint256 s) private {
        if (action == 0) world.aValidatorJoins(uint64(s));
        else if (action == 1) world.timePasses(uint32(s));
        else if (action == 2) world.anElectionIsHeld(s);
        else if (action == 3) world.anEpochEnds(uint64(s), s >> 64);
        else if (action == 4) world.anOffenceIsReported(s, s >> 8, s >> 16 & 1 == 1);
        else if (action == 5) world.anOffenceIsResolved(s, uint16(s >> 8), uint16(s >> 24), s >> 40 & 1 == 1);
        else if (action == 6) world.anOffenceLapses(s);
        else if (action == 7) world.aVoterContradictsItself(s, uint64(s >> 64));
        else if (action == 8) world.aCaseIsResolved(s);
        else if (action == 9) world.aCaseLapses(s, s >> 64 & 1 == 1);
        else if (action == 10) world.theRestOfACaseLapses(s);
        else if (s & 1 == 0) world.aMonthPasses(s >> 8 << 3);
        else world.anOffenceIsTriedAgain(s);
    }

    function act(uint256 action, uint256 s) private {
        if (action == 0) world.aValidatorJoins(uint64(s));
        else if (action == 1) world.aDelegatorComes(s, s >> 8, uint64(s >> 16));
        else if (action == 2) world.aDelegatorLeaves(s, s >> 8, s >> 16);
        else if (action == 3) world.anOperatorExits(s, s >> 8);
        else if (action == 4) world.somebodyClaims(s);
        else if (action == 5) world.aRewardArrives(s, uint64(s >> 8));
        else if (action == 6) world.anOperatorReturns(s);
        else if (action == 7) world.anOffenceIsReported(s, s >> 8, s >> 16 & 1 == 1);
        else if (action == 8) world.anOffenceIsResolved(s, uint16(s >> 8), uint16(s >> 24), s >> 40 & 1 == 1);
        else if (action == 9) world.anOffenceIsTriedAgain(s);
        else if (action == 10) world.anElectionIsHeld(s);
        else if (action == 11) world.anEpochEnds(uint64(s), s >> 64);
        else if (action == 12) world.aCommitmentSettles(uint64(s));
        else if (action == 13) world.aQuorumTurnsOnItsPast(uint64(s), s >> 64 & 1 == 1);
        else if (action == 14) world.aTransactionIsForced(uint64(s));
        else if (action == 15) world.aDepositArrives(uint64(s));
        else if (action == 16) world.timePasses(uint32(s));
        else if (action == 17) world.somebodyAnnouncesTheReturn();
        else world.aCrowdLeaves(s);
    }
}
