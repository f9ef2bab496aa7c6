// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Timelocked } from "../src/Timelocked.sol";
import { Candidate } from "../src/interfaces/IConclaveElection.sol";
import { IConclaveStake, Keys, StakeParameters, UnbondingId } from "../src/interfaces/IConclaveStake.sol";
import { IKeyProofs } from "../src/interfaces/IKeyProofs.sol";
import { Bls12381 } from "../src/lib/Bls12381.sol";
import { G1Point, ValidatorId } from "../src/lib/Types.sol";
import { Network } from "./support/Network.sol";
import { Reentrant } from "./support/Reentrant.sol";
import { Secrets } from "./support/Secrets.sol";
import { vm } from "./utils/Vm.sol";

/// Registration, keys, and stake on its way in and out.
contract StakeTest is Network {
    address private alice = address(0xA11CE);
    address private bob = address(0xB0B);

    function setUp() public {
        deployNetwork();
    }

    function expect(bytes memory error) private {
        vm.expectRevert(error);
    }

    // --- registration

    function test_a_validator_registers_with_its_own_stake() public {
        ValidatorId v = register(1, 10 * ETHER);
        (address owner, uint64 bonded,, uint16 commission, bool proven,,,,) = net.stake.validatorOf(v);
        vm.assertEq(owner, operator(1), "operator");
        vm.assertEq(bonded, 10 * ETHER, "bonded");
        vm.assertEq(commission, 500, "commission");
        vm.assertFalse(proven, "the consensus key is not proven yet");
        vm.assertEq(address(net.stake).balance, 10 ether, "balance");
    }

    function test_dust_stake_is_refused() public {
        Keys memory keys = Secrets.keys(1);
        bytes memory proof = possession(1, operator(1));
        uint64 min = 8 * ETHER;
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.StakeTooSmall.selector, min, min - 1));
        net.stake.register{ value: 8 ether - 1 gwei }(keys, proof, 500);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.NotWholeGwei.selector, 8 ether - 1));
        net.stake.register{ value: 8 ether - 1 }(keys, proof, 500);
    }

    function test_a_commission_above_everything_is_refused() public {
        Keys memory keys = Secrets.keys(1);
        bytes memory proof = possession(1, operator(1));
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.CommissionTooHigh.selector, 10_000, 10_001));
        net.stake.register{ value: 8 ether }(keys, proof, 10_001);
    }

    function test_a_proof_of_possession_is_of_no_use_to_another_account() public {
        Keys memory keys = Secrets.keys(1);
        bytes memory stolen = possession(1, operator(1));
        vm.deal(bob, 8 ether);
        vm.prank(bob);
        expect(abi.encodeWithSelector(Bls12381.BadPossession.selector));
        net.stake.register{ value: 8 ether }(keys, stolen, 500);
    }

    function test_a_proof_of_possession_is_of_no_use_on_another_chain() public {
        Keys memory keys = Secrets.keys(1);
        bytes memory elsewhere = possession(1, operator(1));
        vm.chainId(10);
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(Bls12381.BadPossession.selector));
        net.stake.register{ value: 8 ether }(keys, elsewhere, 500);
    }

    function test_a_proof_of_possession_is_of_no_use_at_another_deployment() public {
        Keys memory keys = Secrets.keys(1);
        bytes memory elsewhere = possession(1, operator(1));
        deployNetwork();
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(Bls12381.BadPossession.selector));
        net.stake.register{ value: 8 ether }(keys, elsewhere, 500);
    }

    function test_a_settlement_key_at_infinity_is_refused() public {
        Keys memory keys = Secrets.keys(1);
        bytes memory proof = possession(1, operator(1));
        keys.settlementKey = G1Point(0, 0, 0, 0);
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(Bls12381.KeyIsInfinity.selector));
        net.stake.register{ value: 8 ether }(keys, proof, 500);
    }

    function test_a_proof_at_infinity_is_refused() public {
        Keys memory keys = Secrets.keys(1);
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(Bls12381.SignatureIsInfinity.selector));
        net.stake.register{ value: 8 ether }(keys, new bytes(256), 500);
    }

    function test_a_settlement_key_registers_once() public {
        register(1, 8 * ETHER);
        Keys memory keys = Secrets.keys(1);
        bytes memory proof = possession(1, operator(1));
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.KeyInUse.selector, 1));
        net.stake.register{ value: 8 ether }(keys, proof, 500);
    }

    function test_naming_somebody_elses_consensus_key_takes_nothing_from_it() public {
        // Validator 2 announces the consensus key of validator 1 before it does.
        Keys memory keys = Secrets.keys(2);
        keys.consensusKey = Secrets.keys(1).consensusKey;
        bytes memory proof = possession(2, bob);
        vm.deal(bob, 8 ether);
        vm.prank(bob);
        ValidatorId squatter = net.stake.register{ value: 8 ether }(keys, proof, 500);
        ValidatorId owner = join(1, 8 * ETHER);

        (bytes32 r, bytes32 s) = consensusProof(1, operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.KeyInUse.selector, owner));
        net.stake.proveConsensusKey(squatter, keys, r, s);
    }

    function test_a_consensus_key_is_proven_by_its_owner_for_its_operator() public {
        ValidatorId v = register(1, 8 * ETHER);
        Keys memory keys = Secrets.keys(1);
        (bytes32 r, bytes32 s) = consensusProof(1, bob);
        expect(abi.encodeWithSelector(IKeyProofs.BadConsensusKeyProof.selector, keys.consensusKey));
        net.stake.proveConsensusKey(v, keys, r, s);

        (r, s) = consensusProof(1, operator(1));
        Keys memory others = Secrets.keys(2);
        expect(abi.encodeWithSelector(IConclaveStake.KeysUnknown.selector, v));
        net.stake.proveConsensusKey(v, others, r, s);

        net.stake.proveConsensusKey(v, keys, r, s);
        (,,,, bool proven,,,,) = net.stake.validatorOf(v);
        vm.assertTrue(proven, "proven");
    }

    function test_keys_rotate_and_old_ones_stay_taken() public {
        ValidatorId v = join(1, 8 * ETHER);
        Keys memory keys = Secrets.keys(101);
        bytes memory proof = possession(101, operator(1));
        (bytes32 r, bytes32 s) = consensusProof(101, operator(1));
        vm.prank(bob);
        expect(abi.encodeWithSelector(IConclaveStake.NotOperator.selector, v, bob));
        net.stake.rotateKeys(v, keys, proof, r, s);
        vm.prank(operator(1));
        net.stake.rotateKeys(v, keys, proof, r, s);
        vm.assertEq(net.stake.keysHashOf(v), keccak256(abi.encode(keys)), "keys");

        // Not even its owner can register it for another validator.
        Keys memory old = Secrets.keys(1);
        bytes memory again = possession(1, operator(1));
        vm.deal(operator(1), 8 ether);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.KeyInUse.selector, v));
        net.stake.register{ value: 8 ether }(old, again, 500);
    }

    /// Whoever runs an election names the keys of everyone: one that rotates in every block would outrun it for ever.
    function test_keys_rotate_once_an_epoch() public {
        joinMany(4, 10 * ETHER);
        openNetwork();
        ValidatorId one = ValidatorId.wrap(1);
        bytes32 next = offer();
        rotate(one, 101);
        refuseRotation(one, 102);
        // Back to the first ones is a rotation, too.
        refuseRotation(one, 1);
        rotate(ValidatorId.wrap(2), 103);
        settleEnd(5, next);
        rotate(one, 102);
        refuseRotation(one, 104);
        vm.assertEq(net.stake.keysHashOf(one), keccak256(abi.encode(Secrets.keys(102))), "keys");
    }

    function test_keys_rotate_once_before_the_first_epoch() public {
        joinMany(4, 10 * ETHER);
        ValidatorId one = ValidatorId.wrap(1);
        rotate(one, 101);
        refuseRotation(one, 102);
        Candidate[] memory elected = candidates();
        elected[0].keys = Secrets.keys(101);
        bytes32 first = net.election.snapshotEpoch(elected);
        refuseRotation(one, 102);
        net.inbox.open(NETWORK, first, DKG, lastBlock());
        rotate(one, 102);
    }

    function rotate(ValidatorId validator, uint256 number) private {
        address owner = operator(ValidatorId.unwrap(validator));
        Keys memory keys = Secrets.keys(number);
        bytes memory proof = possession(number, owner);
        (bytes32 r, bytes32 s) = consensusProof(number, owner);
        vm.prank(owner);
        net.stake.rotateKeys(validator, keys, proof, r, s);
    }

    function refuseRotation(ValidatorId validator, uint256 number) private {
        address owner = operator(ValidatorId.unwrap(validator));
        Keys memory keys = Secrets.keys(number);
        bytes memory proof = possession(number, owner);
        (bytes32 r, bytes32 s) = consensusProof(number, owner);
        vm.prank(owner);
        expect(abi.encodeWithSelector(IConclaveStake.RotatedAlready.selector, validator));
        net.stake.rotateKeys(validator, keys, proof, r, s);
    }

    // --- commission and rewards

    function test_commission_rises_a_step_an_interval_and_falls_at_will() public {
        ValidatorId v = register(1, 8 * ETHER);
        vm.startPrank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.CommissionTooHigh.selector, 600, 601));
        net.stake.setCommission(v, 601);
        expect(
            abi.encodeWithSelector(
                IConclaveStake.CommissionRaisedTooEarly.selector, uint64(block.timestamp) + 7 days
            )
        );
        net.stake.setCommission(v, 600);
        vm.warp(block.timestamp + 7 days);
        net.stake.setCommission(v, 600);
        net.stake.setCommission(v, 0);
        expect(
            abi.encodeWithSelector(
                IConclaveStake.CommissionRaisedTooEarly.selector, uint64(block.timestamp) + 7 days
            )
        );
        net.stake.setCommission(v, 100);
        vm.stopPrank();
    }

    function test_rewards_go_to_shares_less_the_commission() public {
        ValidatorId v = register(1, 10 * ETHER);
        delegate(alice, v, 30 * ETHER);
        net.stake.reward{ value: 4 ether }(v);
        vm.assertEq(net.stake.rewardsOf(operator(1)), 4 * ETHER / 20, "five per cent");
        (, uint64 hers) = net.stake.stakeOf(v, alice);
        (, uint64 own) = net.stake.stakeOf(v, operator(1));
        vm.assertEq(hers, 30 * ETHER + 3 * (4 * ETHER - 4 * ETHER / 20) / 4, "three quarters of the rest");
        vm.assertEq(own, 10 * ETHER + (4 * ETHER - 4 * ETHER / 20) / 4, "a quarter of the rest");

        vm.prank(operator(1));
        net.stake.claimRewards();
        vm.assertEq(operator(1).balance, 0.2 ether, "claimed");
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.NothingToClaim.selector, operator(1)));
        net.stake.claimRewards();
    }

    function test_a_price_driven_up_does_not_eat_a_delegation() public {
        ValidatorId v = register(1, 8 * ETHER);
        net.stake.reward{ value: 800 ether }(v);
        delegate(alice, v, 1 * ETHER);
        (, uint64 worth) = net.stake.stakeOf(v, alice);
        vm.assertGe(worth, 1 * ETHER - 1, "worth");
    }

    function test_nothing_is_no_deposit_and_no_reward() public {
        ValidatorId v = register(1, 8 * ETHER);
        bytes memory nothing = abi.encodeWithSelector(IConclaveStake.StakeTooSmall.selector, 1, 0);
        vm.prank(operator(1));
        vm.expectRevert(nothing);
        net.stake.deposit(v);
        expect(nothing);
        net.stake.reward(v);
    }

    // --- leaving

    function test_stake_that_no_committee_counted_on_is_free_at_once() public {
        ValidatorId v = register(1, 8 * ETHER);
        delegate(alice, v, 1 * ETHER);
        (uint128 shares,) = net.stake.stakeOf(v, alice);
        vm.prank(alice);
        UnbondingId id = net.stake.requestUnbond(v, shares);
        net.stake.claim(id);
        vm.assertEq(alice.balance, 1 ether, "back");
        expect(abi.encodeWithSelector(IConclaveStake.UnknownUnbonding.selector, id));
        net.stake.claim(id);
        expect(abi.encodeWithSelector(IConclaveStake.UnknownUnbonding.selector, id));
        net.stake.unbondingOf(id);
    }

    function test_stake_is_free_when_its_last_epoch_ended_and_the_time_passed() public {
        joinMany(4, 10 * ETHER);
        openNetwork();
        ValidatorId v = ValidatorId.wrap(1);
        delegate(alice, v, 1 * ETHER);
        (uint128 shares,) = net.stake.stakeOf(v, alice);
        vm.prank(alice);
        UnbondingId id = net.stake.requestUnbond(v, shares);
        vm.warp(block.timestamp + 365 days);
        expect(abi.encodeWithSelector(IConclaveStake.NotReleased.selector, id, 0));
        net.stake.claim(id);

        settleEnd(10, offer());
        uint64 free = uint64(block.timestamp) + 21 days;
        vm.warp(free - 1);
        expect(abi.encodeWithSelector(IConclaveStake.NotReleased.selector, id, free));
        net.stake.claim(id);
        vm.warp(free);
        net.stake.claim(id);
        vm.assertEq(alice.balance, 1 ether, "back");
    }

    function test_stake_asked_back_after_an_offer_answers_for_the_offered_epoch() public {
        joinMany(4, 10 * ETHER);
        openNetwork();
        bytes32 next = offer();
        ValidatorId v = ValidatorId.wrap(1);
        delegate(alice, v, 1 * ETHER);
        unbondAll(alice, v);
        settleEnd(10, next);
        vm.warp(block.timestamp + 22 days);
        expect(abi.encodeWithSelector(IConclaveStake.NotReleased.selector, 1, 0));
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertEq(net.stake.backingOf(v, 1), 11 * ETHER, "it backs epoch 1");
    }

    function test_an_operator_leaves_whole_or_keeps_the_minimum() public {
        ValidatorId v = register(1, 10 * ETHER);
        (uint128 shares,) = net.stake.stakeOf(v, operator(1));
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.SelfStakeTooSmall.selector, 8 * ETHER, 5 * ETHER));
        net.stake.requestUnbond(v, shares / 2);
        vm.prank(operator(1));
        UnbondingId id = net.stake.exit(v);
        net.stake.claim(id);
        vm.assertEq(operator(1).balance, 10 ether, "back");
        vm.deal(alice, 1 ether);
        vm.prank(alice);
        expect(abi.encodeWithSelector(IConclaveStake.HasExited.selector, v));
        net.stake.delegate{ value: 1 ether }(v);
        vm.prank(operator(1));
        expect(abi.encodeWithSelector(IConclaveStake.HasExited.selector, v));
        net.stake.exit(v);
    }

    function test_nobody_takes_more_than_they_have() public {
        ValidatorId v = register(1, 10 * ETHER);
        delegate(alice, v, 1 * ETHER);
        (uint128 shares,) = net.stake.stakeOf(v, alice);
        vm.prank(alice);
        expect(abi.encodeWithSelector(IConclaveStake.SharesTooFew.selector, shares + 1, shares));
        net.stake.requestUnbond(v, shares + 1);
        vm.prank(alice);
        expect(abi.encodeWithSelector(IConclaveStake.NothingToUnbond.selector));
        net.stake.requestUnbond(v, 0);
        vm.deal(alice, 1 ether);
        vm.prank(alice);
        expect(abi.encodeWithSelector(IConclaveStake.StakeTooSmall.selector, ETHER / 10, ETHER / 10 - 1));
        net.stake.delegate{ value: 0.1 ether - 1 gwei }(v);
        vm.prank(alice);
        expect(abi.encodeWithSelector(IConclaveStake.NotOperator.selector, v, alice));
        net.stake.deposit{ value: 1 ether }(v);
        expect(abi.encodeWithSelector(IConclaveStake.UnknownValidator.selector, 9));
        net.stake.delegate{ value: 1 ether }(ValidatorId.wrap(9));
    }

    function test_requests_beyond_the_pools_wait_with_the_newest() public {
        joinMany(4, 100 * ETHER);
        openNetwork();
        ValidatorId v = ValidatorId.wrap(1);
        delegate(alice, v, 40 * ETHER);
        uint128 part;
        {
            (uint128 shares,) = net.stake.stakeOf(v, alice);
            part = shares / 40;
        }
        for (uint64 i = 1; i <= 40; ++i) {
            vm.prank(alice);
            net.stake.requestUnbond(v, part);
            settleEnd(i * 10, offer());
        }
        (, uint64 unbonding,) = net.stake.totalsOf(v);
        vm.assertEq(unbonding, 40 * ETHER, "all there");
        vm.warp(block.timestamp + 21 days);
        for (uint64 i = 1; i <= 40; ++i) {
            net.stake.claim(UnbondingId.wrap(i));
        }
        vm.assertEq(alice.balance, 40 ether, "all back");
    }

    /// Of stake and of rewards, and from one of them into the other.
    function test_a_claim_cannot_be_entered_twice() public {
        joinMany(1, 10 * ETHER);
        openNetwork();
        Reentrant thief = new Reentrant();
        ValidatorId v = register(2, 10 * ETHER);
        delegate(address(thief), v, ETHER);
        unbondAll(address(thief), v);
        settleEnd(5, offer());
        vm.warp(block.timestamp + 21 days);
        vm.startPrank(address(net.slasher));
        net.stake.seize("offence", ValidatorId.wrap(1), 1, false);
        net.stake.resolve("offence", 10_000, address(thief), 500);
        vm.stopPrank();

        Reentrant.Call[] memory calls = new Reentrant.Call[](2);
        calls[0].data = abi.encodeCall(IConclaveStake.claim, (UnbondingId.wrap(1)));
        calls[1].data = abi.encodeCall(IConclaveStake.claimRewards, ());
        (calls[0].to, calls[1].to) = (address(net.stake), address(net.stake));
        for (uint256 i = 0; i < 2; ++i) {
            thief.run(calls[i], calls);
            thief.assertRefused();
        }
        vm.assertEq(address(thief).balance, 1.5 ether, "what it brought, and a twentieth");
        vm.assertEq(address(net.stake).balance, 10 ether, "the others'");
    }

    // --- who may do what

    function test_only_the_timelock_sets_parameters_and_only_within_bounds() public {
        StakeParameters memory p = net.stake.stakeParameters();
        expect(abi.encodeWithSelector(Timelocked.NotTimelock.selector, address(this)));
        net.stake.setParameters(p);
        vm.startPrank(address(net.timelock));
        uint64[2] memory outside = [uint64(0), 64 * ETHER + 1];
        for (uint256 i = 0; i < 2; ++i) {
            p.selfStakeMinGwei = outside[i];
            outOfRange(p, "selfStakeMinGwei", outside[i]);
        }
        p.selfStakeMinGwei = 64 * ETHER;
        outside[1] = 32 * ETHER + 1;
        uint64 delegationMinGwei = p.delegationMinGwei;
        for (uint256 i = 0; i < 2; ++i) {
            p.delegationMinGwei = outside[i];
            outOfRange(p, "delegationMinGwei", outside[i]);
        }
        p.delegationMinGwei = delegationMinGwei;
        outside[1] = 30 days + 1;
        for (uint256 i = 0; i < 2; ++i) {
            p.jailSeconds = uint32(outside[i]);
            outOfRange(p, "jailSeconds", outside[i]);
        }
        p.jailSeconds = 30 days;
        net.stake.setParameters(p);
        vm.stopPrank();
        vm.assertEq(net.stake.stakeParameters().selfStakeMinGwei, 64 * ETHER, "set");
    }

    function test_no_parameter_keeps_a_validator_with_sixty_four_ether_from_being_elected() public {
        ValidatorId rich = join(1, 60 * ETHER);
        join(2, 63 * ETHER);
        delegate(alice, rich, 4 * ETHER);
        StakeParameters memory p = net.stake.stakeParameters();
        p.selfStakeMinGwei = 64 * ETHER;
        vm.prank(address(net.timelock));
        net.stake.setParameters(p);
        (ValidatorId[] memory members,,) = net.election.electionNow();
        vm.assertEq(members.length, 1, "delegations count");
        vm.assertEq(ValidatorId.unwrap(members[0]), ValidatorId.unwrap(rich), "who has enough");
    }

    function outOfRange(StakeParameters memory p, bytes32 name, uint256 found) private {
        expect(abi.encodeWithSelector(IConclaveStake.ParameterOutOfRange.selector, name, found));
        net.stake.setParameters(p);
    }

    function test_nobody_but_inbox_election_and_slasher_moves_epochs_or_stake() public {
        ValidatorId v = register(1, 10 * ETHER);
        address[4] memory callers = [council, address(net.timelock), operator(1), address(this)];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.startPrank(callers[i]);
            expect(abi.encodeWithSelector(IConclaveStake.NotInbox.selector, callers[i]));
            net.stake.advanceEpoch(0);
            expect(abi.encodeWithSelector(IConclaveStake.NotInbox.selector, callers[i]));
            net.stake.abandon();
            expect(abi.encodeWithSelector(IConclaveStake.NotElection.selector, callers[i]));
            net.stake.noteOffer();
            expect(abi.encodeWithSelector(IConclaveStake.NotSlasher.selector, callers[i]));
            net.stake.seize(bytes32(0), v, 0, true);
            expect(abi.encodeWithSelector(IConclaveStake.NotSlasher.selector, callers[i]));
            net.stake.acquit(bytes32(0));
            expect(abi.encodeWithSelector(IConclaveStake.NotSlasher.selector, callers[i]));
            net.stake.resolve(bytes32(0), 1, alice, 1);
            vm.stopPrank();
        }
    }

    // --- arithmetic

    function testFuzz_nobody_gains_by_coming_and_going(uint64 first, uint64 reward_, uint64 amount) public {
        first = uint64(bound(first, 8 * ETHER, 1e8 * ETHER));
        reward_ = uint64(bound(reward_, 1, 1e8 * ETHER));
        amount = uint64(bound(amount, ETHER / 10, 1e8 * ETHER));
        ValidatorId v = register(1, first);
        vm.deal(address(this), uint256(reward_) * 1 gwei);
        net.stake.reward{ value: uint256(reward_) * 1 gwei }(v);
        delegate(alice, v, amount);
        unbondAll(alice, v);
        net.stake.claim(UnbondingId.wrap(1));
        vm.assertLe(alice.balance, uint256(amount) * 1 gwei, "no more than she brought");
        vm.assertGe(alice.balance, uint256(amount - 2) * 1 gwei, "two gwei less at most");
    }
}
