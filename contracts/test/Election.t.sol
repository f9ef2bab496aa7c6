// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { ConclaveElection } from "../src/ConclaveElection.sol";
import { Timelocked } from "../src/Timelocked.sol";
import { Candidate, ElectionParameters, IConclaveElection } from "../src/interfaces/IConclaveElection.sol";
import { IConclaveStake, Standing, UnbondingId } from "../src/interfaces/IConclaveStake.sol";
import { CommitteeTable } from "../src/lib/CommitteeTable.sol";
import { Committee, Member, ValidatorId } from "../src/lib/Types.sol";
import { Election } from "../src/stake/Election.sol";
import { Network } from "./support/Network.sol";
import { Secrets } from "./support/Secrets.sol";
import { Vm, vm } from "./utils/Vm.sol";

/// Who is elected, and how much a committee may change.
contract ElectionTest is Network {
    address private alice = address(0xA11CE);

    function setUp() public {
        deployNetwork();
    }

    function power(ValidatorId v) private view returns (uint64) {
        (ValidatorId[] memory members, uint64[] memory powers,) = net.election.electionNow();
        for (uint256 i = 0; i < members.length; ++i) {
            if (members[i] == v) return powers[i];
        }
        return 0;
    }

    function id(uint32 number) private pure returns (ValidatorId) {
        return ValidatorId.wrap(number);
    }

    function jailedUntil(uint32 number) private view returns (uint64 until) {
        (,,,,,,,, until) = net.stake.validatorOf(id(number));
    }

    function expectNotOffered(uint64 epoch, bytes32 hash) private {
        vm.prank(address(net.inbox));
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.NotOffered.selector, epoch, hash));
        net.stake.advanceEpoch(hash);
    }

    /// What the newest event says of an offer, of those since this was asked before.
    function isReduced() private returns (bool reduced) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        vm.assertEq(last.topics[0], IConclaveElection.CommitteeOffered.selector, "an offer");
        (,, reduced) = abi.decode(last.data, (Committee, bool, bool));
    }

    function setElection(uint16 sizeMax, uint16 marginBps) private {
        vm.prank(address(net.timelock));
        net.election.setParameters(ElectionParameters(sizeMax, marginBps));
    }

    // --- offers

    function test_an_offer_is_the_stake_of_the_moment_in_a_table() public {
        joinMany(3, 10 * ETHER);
        delegate(alice, id(2), 5 * ETHER);
        openNetwork();
        Committee memory c = committee();
        vm.assertEq(c.count, 3, "members");
        vm.assertEq(c.totalPower, 35 * ETHER, "power");
        Member memory m = CommitteeTable.member(c, 1);
        vm.assertEq(ValidatorId.unwrap(m.validator), 2, "second");
        vm.assertEq(m.power, 15 * ETHER, "with the delegation");
        vm.assertEq(m.consensusKey, Secrets.keys(2).consensusKey, "key");
    }

    function test_who_has_not_proven_its_key_is_not_elected() public {
        joinMany(1, 10 * ETHER);
        ValidatorId v = register(2, 10 * ETHER);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.NotEligible.selector, v));
        net.election.enlist(v, 0);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.AlreadyEnlisted.selector, 1));
        net.election.enlist(id(1), 0);
    }

    function test_an_election_of_nobody_offers_nothing() public {
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.NoCandidates.selector));
        net.election.snapshotEpoch(new Candidate[](0));
    }

    function test_keys_that_are_not_the_validators_are_refused() public {
        joinMany(2, 10 * ETHER);
        Candidate[] memory list = candidates();
        list[1].keys.networkKey = 0;
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.KeysUnknown.selector, 2));
        net.election.snapshotEpoch(list);
        Candidate[] memory short = new Candidate[](1);
        short[0] = candidates()[0];
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.KeysUnknown.selector, 2));
        net.election.snapshotEpoch(short);
    }

    function test_the_same_committee_is_offered_once_an_epoch() public {
        joinMany(2, 10 * ETHER);
        bytes32 hash = offer();
        Candidate[] memory list = candidates();
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.AlreadyOffered.selector, 0, hash));
        net.election.snapshotEpoch(list);
    }

    function test_a_stale_offer_does_not_take_effect() public {
        joinMany(4, 10 * ETHER);
        bytes32 stale = offer();
        delegate(alice, id(1), ETHER);
        openNetwork();
        expectNotOffered(1, stale);
        bytes32 next = offer();
        settleEnd(5, next);
        expectNotOffered(2, next);
    }

    // --- epoch 1

    function test_the_first_committee_serves_in_epoch_1_although_its_stake_has_moved() public {
        joinMany(4, 10 * ETHER);
        bytes32 first = offer();
        net.inbox.open(NETWORK, first, DKG, lastBlock());
        vm.prank(operator(1));
        net.stake.exit(id(1));
        vm.assertEq(power(id(1)), 0, "an election would let it go");

        settleEnd(5, first);
        vm.assertEq(committee().table, net.stake.committeeOf(0).table, "the same serve");
        vm.assertEq(net.stake.backingOf(id(1), 1), 10 * ETHER, "with what was counted");
        vm.warp(block.timestamp + 22 days);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.NotReleased.selector, 1, 0));
        net.stake.claim(UnbondingId.wrap(1));

        expectNotOffered(2, first);
        settleEnd(6, offer());
        vm.assertEq(net.stake.backingOf(id(1), 2), 0, "gone with epoch 1");
        vm.warp(block.timestamp + 21 days);
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertEq(operator(1).balance, 10 ether, "back");
    }

    function test_stake_that_leaves_before_the_opening_backs_epoch_1_too() public {
        joinMany(4, 10 * ETHER);
        bytes32 first = offer();
        vm.prank(operator(1));
        net.stake.exit(id(1));
        net.inbox.open(NETWORK, first, DKG, lastBlock());
        settleEnd(5, first);
        vm.assertEq(net.stake.backingOf(id(1), 1), 10 * ETHER, "with what was counted");
    }

    function test_who_was_left_out_of_the_first_committee_is_not_jailed_twice() public {
        joinMany(4, 10 * ETHER);
        bytes32 part = net.election.offerWithout(offer(), 1 << 2);
        net.inbox.open(NETWORK, part, DKG, lastBlock());
        vm.warp(block.timestamp + 1 days);
        vm.prank(operator(3));
        net.stake.unjail(id(3));
        settleEnd(5, part);
        vm.assertEq(committee().count, 3, "three serve on");
        vm.assertEq(jailedUntil(3), 0, "not in jail");
    }

    function test_nobody_is_jailed_for_not_being_in_the_first_committee() public {
        joinMany(3, 10 * ETHER);
        bytes32 first = offer();
        net.inbox.open(NETWORK, first, DKG, lastBlock());
        join(4, 10 * ETHER);
        vm.assertTrue(net.election.offerWithout(offer(), 1 << 3) == first, "the same rows");
        settleEnd(5, first);
        vm.assertEq(jailedUntil(4), 0, "not in jail");
    }

    function test_the_first_committee_is_not_reduced_for_epoch_1_unless_it_is_elected() public {
        joinMany(4, 10 * ETHER);
        bytes32 first = offer();
        net.inbox.open(NETWORK, first, DKG, lastBlock());
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.NotOffered.selector, 1, first));
        net.election.offerWithout(first, 1);
        vm.assertTrue(offer() == first, "elected once more");
        bytes32 part = net.election.offerWithout(first, 1);
        settleEnd(5, part);
        vm.assertEq(jailedUntil(1), uint64(block.timestamp) + 1 days, "jailed, as of any other offer");
    }

    // --- exclusion

    function test_absent_members_are_left_out_and_jailed() public {
        joinMany(4, 10 * ETHER);
        bytes32 whole = offer();
        bytes32 part = net.election.offerWithout(whole, 1 << 2);
        net.inbox.open(NETWORK, part, DKG, lastBlock());
        vm.assertEq(committee().count, 3, "three serve");
        uint64 until = jailedUntil(3);
        vm.assertEq(until, uint64(block.timestamp) + 1 days, "jailed");
        vm.assertEq(power(id(3)), 0, "not elected from jail");

        vm.prank(operator(3));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.IsJailed.selector, 3, until));
        net.stake.unjail(id(3));
        vm.warp(until);
        vm.prank(operator(3));
        net.stake.unjail(id(3));
        vm.assertEq(power(id(3)), 10 * ETHER, "a quarter may come back at once");
        vm.prank(operator(3));
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.NotJailed.selector, 3));
        net.stake.unjail(id(3));
    }

    function test_no_more_than_a_third_is_left_out_and_only_once() public {
        joinMany(6, 10 * ETHER);
        bytes32 whole = offer();
        vm.expectRevert(
            abi.encodeWithSelector(IConclaveElection.ExcludedTooMuch.selector, 20 * ETHER, 30 * ETHER)
        );
        net.election.offerWithout(whole, 7);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.ExcludedUnknown.selector, 1 << 6, 6));
        net.election.offerWithout(whole, 1 << 6);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.ExcludedUnknown.selector, 0, 6));
        net.election.offerWithout(whole, 0);
        bytes32 part = net.election.offerWithout(whole, 3);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.AlreadyReduced.selector, part));
        net.election.offerWithout(part, 1);
    }

    // --- change from one committee to the next

    function test_a_newcomer_with_most_of_the_stake_comes_in_by_a_third() public {
        joinMany(3, 10 * ETHER);
        openNetwork();
        join(4, 1000 * ETHER);
        vm.assertEq(power(id(4)), 10 * ETHER, "a third of thirty");
        settleEnd(5, offer());
        vm.assertEq(power(id(4)), 10 * ETHER + 40 * ETHER / 3, "a third of forty more");
    }

    function test_leavers_beyond_a_third_serve_on_and_answer_for_it() public {
        joinMany(4, 10 * ETHER);
        openNetwork();
        for (uint256 n = 1; n <= 3; ++n) {
            vm.prank(operator(n));
            net.stake.exit(id(uint32(n)));
        }
        uint64 left = 10 * ETHER - uint64(uint256(10 * ETHER) * (40 * ETHER / 3) / (30 * ETHER));
        (,, bool held) = net.election.electionNow();
        vm.assertTrue(held, "held");
        vm.assertEq(power(id(1)), left, "each keeps the same part");
        settleEnd(5, offer());
        vm.warp(block.timestamp + 22 days);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.NotReleased.selector, 1, 0));
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertEq(net.stake.backingOf(id(1), 1), 10 * ETHER, "it backs what it serves with");

        // 26.7 of power are left; 10 more may not go at once, 8.9 may.
        settleEnd(6, offer());
        settleEnd(7, offer());
        settleEnd(8, offer());
        vm.assertEq(power(id(1)), 0, "gone at last");
        settleEnd(9, offer());
        vm.warp(block.timestamp + 21 days);
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertEq(operator(1).balance, 10 ether, "back");
    }

    /// With nobody to take their place they are never let go, only made small: it ends with the network's silence.
    function test_a_network_that_all_leave_holds_them_until_it_is_abandoned() public {
        joinMany(4, 10 * ETHER);
        openNetwork();
        for (uint256 n = 1; n <= 4; ++n) {
            vm.prank(operator(n));
            net.stake.exit(id(uint32(n)));
        }
        uint64 height = 5;
        for (; power(id(1)) > 2; ++height) {
            settleEnd(height, offer());
        }
        for (uint256 i = 0; i < 3; ++i) {
            settleEnd(height++, offer());
            vm.assertEq(power(id(1)), 2, "a third of eight is less than one of each");
        }
        vm.warp(block.timestamp + 180 days);
        vm.expectRevert(abi.encodeWithSelector(IConclaveStake.NotReleased.selector, 1, 0));
        net.stake.claim(UnbondingId.wrap(1));
        net.inbox.abandon();
        vm.warp(block.timestamp + 21 days);
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertEq(operator(1).balance, 10 ether, "back");
    }

    function test_an_accused_member_goes_at_once() public {
        joinMany(4, 10 * ETHER);
        openNetwork();
        vm.prank(address(net.slasher));
        net.stake.seize("offence", id(1), 0, true);
        vm.assertEq(power(id(1)), 0, "out");
        (,, bool held) = net.election.electionNow();
        vm.assertFalse(held, "nobody is held");
    }

    function test_an_equal_does_not_replace_a_member_but_a_margin_does() public {
        setElection(4, 1000);
        joinMany(4, 10 * ETHER);
        openNetwork();
        join(5, 11 * ETHER);
        vm.assertEq(power(id(5)), 0, "ten per cent more is not enough");
        delegate(alice, id(5), ETHER / 10);
        vm.assertEq(power(id(5)), 11 * ETHER + ETHER / 10, "it is now");
        vm.assertEq(power(id(4)), 0, "the last of the equals goes");
    }

    /// Two elections that differ in one member are the same without it.
    function test_nobody_is_jailed_for_the_absence_of_another() public {
        setElection(4, 0);
        joinMany(3, 20 * ETHER);
        join(4, 11 * ETHER);
        join(5, 10 * ETHER);
        vm.recordLogs();
        bytes32 part = net.election.offerWithout(offer(), 8);
        vm.assertTrue(isReduced(), "somebody left it out");
        delegate(alice, id(5), 5 * ETHER);
        bytes32 whole = offer();
        // The fifth is absent. Who was elected before it, and left out by somebody, has done nothing.
        vm.assertTrue(net.election.offerWithout(whole, 8) == part, "the same rows");
        vm.assertTrue(isReduced(), "neither was an election");
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.AlreadyOffered.selector, 0, part));
        net.election.offerWithout(whole, 8);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.AlreadyReduced.selector, part));
        net.election.offerWithout(part, 1);
        net.inbox.open(NETWORK, part, DKG, lastBlock());
        vm.assertEq(committee().count, 3, "three are left");
        vm.assertEq(jailedUntil(4), 0, "not in jail");
    }

    function test_who_is_elected_as_a_whole_is_no_remainder() public {
        setElection(4, 0);
        join(1, 20 * ETHER);
        join(2, 20 * ETHER);
        join(3, 11 * ETHER);
        vm.recordLogs();
        bytes32 part = net.election.offerWithout(offer(), 4);
        vm.assertTrue(isReduced(), "somebody left it out");
        vm.prank(operator(3));
        net.stake.exit(id(3));
        vm.assertTrue(offer() == part, "the same rows");
        vm.assertFalse(isReduced(), "an election gives it");
        Candidate[] memory again = candidates();
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.AlreadyOffered.selector, 0, part));
        net.election.snapshotEpoch(again);
        (,, ValidatorId[] memory absent) = net.election.offered(0, part);
        vm.assertEq(absent.length, 0, "nobody was left out");
    }

    // --- the list

    function test_a_full_list_takes_the_better_staked() public {
        StandInStake stake = new StandInStake();
        ConclaveElection election =
            new ConclaveElection(council, IConclaveStake(address(stake)), ElectionParameters(100, 1000));
        for (uint32 n = 1; n <= 256; ++n) {
            stake.set(n, 100, true);
            election.enlist(id(n), 0);
        }
        stake.set(300, 110, true);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.CannotDisplace.selector, 110, 110));
        election.enlist(id(300), 7);
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.NoSuchPlace.selector, 256));
        election.enlist(id(300), 256);
        stake.set(300, 111, true);
        election.enlist(id(300), 7);
        vm.assertTrue(election.enlistedValidators()[7] == id(300), "in its place");
        // Whoever cannot be elected holds no place.
        stake.set(2, 1000, false);
        stake.set(8, 1, true);
        election.enlist(id(8), 1);
        vm.assertTrue(election.enlistedValidators()[1] == id(8), "in its place");
    }

    function test_only_the_timelock_sets_parameters_and_only_within_bounds() public {
        ElectionParameters memory p = net.election.electionParameters();
        vm.expectRevert(abi.encodeWithSelector(Timelocked.NotTimelock.selector, address(this)));
        net.election.setParameters(p);
        vm.startPrank(address(net.timelock));
        p.committeeSizeMax = 129;
        outOfRange(p, "committeeSizeMax", 129);
        for (uint16 size = 0; size < 4; ++size) {
            p.committeeSizeMax = size;
            outOfRange(p, "committeeSizeMax", size);
        }
        p.committeeSizeMax = 4;
        net.election.setParameters(p);
        p.committeeSizeMax = 128;
        p.replacementMarginBps = 5001;
        outOfRange(p, "replacementMarginBps", 5001);
        p.replacementMarginBps = 5000;
        net.election.setParameters(p);
    }

    function test_it_is_known_since_when_there_can_be_keys() public {
        uint64 since = net.election.DEPLOYED_AT();
        vm.assertEq(since, block.number, "the block of the deployment");
        vm.roll(block.number + 7);
        vm.assertEq(net.election.DEPLOYED_AT(), since, "for ever");
    }

    function outOfRange(ElectionParameters memory p, bytes32 name, uint256 found) private {
        vm.expectRevert(abi.encodeWithSelector(IConclaveElection.ParameterOutOfRange.selector, name, found));
        net.election.setParameters(p);
    }

    // --- the rule itself

    /// The bounds in arithmetic of their own, over any stakes and powers.
    function testFuzz_change_and_size_are_bounded(uint256 seed, uint8 count, uint8 sizeMax, uint16 marginBps)
        public
        pure
    {
        uint256 n = 1 + uint256(count) % 60;
        uint256 size = 1 + uint256(sizeMax) % 40;
        Election.Contender[] memory all = new Election.Contender[](n);
        uint256 total = 0;
        uint256 seats = 0;
        for (uint256 i = 0; i < n; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            bool seated = seed & 3 != 0 && seats < size;
            bool out = seed >> 2 & 15 == 0;
            all[i] = Election.Contender({
                validator: uint32(i + 1),
                stake: uint64(seed >> 64 & (1 << 40) - 1),
                power: seated ? uint64(1 + (seed >> 128 & (1 << 40) - 1)) : 0,
                eligible: !out && seed >> 6 & 7 != 0,
                forcedOut: out
            });
            if (seated) ++seats;
            total += all[i].power;
        }
        (uint64[] memory powers, bool held) = Election.elect(all, size, marginBps % 5001);
        uint256 came = 0;
        uint256 went = 0;
        uint256 members = 0;
        for (uint256 i = 0; i < n; ++i) {
            if (powers[i] > 0) ++members;
            if (powers[i] > all[i].power) came += powers[i] - all[i].power;
            else if (!all[i].forcedOut) went += all[i].power - powers[i];
            if (all[i].forcedOut) vm.assertEq(powers[i], 0, "out at once");
            // Nobody serves with more than stake that is bonded, or that was counted and is held.
            uint256 most = all[i].eligible ? all[i].stake : 0;
            if (held && all[i].power > most) most = all[i].power;
            vm.assertLe(powers[i], most, "backed");
        }
        vm.assertLe(members, size, "size");
        vm.assertLe(went, total / 3, "no more than a third goes");
        if (total > 0) vm.assertLe(came, total / 3, "no more than a third comes");
    }
}

/// Stake as the list of an election needs it.
contract StandInStake {
    mapping(uint32 => Standing) private standings;

    function set(uint32 validator, uint64 stake, bool eligible) external {
        standings[validator] = Standing(stake, eligible, false);
    }

    function standingsOf(ValidatorId[] calldata ids) external view returns (Standing[] memory found) {
        found = new Standing[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            found[i] = standings[ValidatorId.unwrap(ids[i])];
        }
    }
}
