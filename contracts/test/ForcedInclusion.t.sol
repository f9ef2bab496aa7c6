// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Timelocked } from "../src/Timelocked.sol";
import { Escape, ForcedParameters, IForcedInclusion } from "../src/interfaces/IForcedInclusion.sol";
import { IRollupRegistry, RollupId, RollupSettings } from "../src/interfaces/IRollupRegistry.sol";
import { Network } from "./support/Network.sol";
import { Reentrant } from "./support/Reentrant.sol";
import { vm } from "./utils/Vm.sol";

/// The queue, its price, and the way out.
contract ForcedInclusionTest is Network {
    RollupId private rollup;
    bytes private constant TRANSACTION = hex"02f86b";
    uint64 private constant GAS = 100_000;
    uint64 private delay;

    function setUp() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        openNetwork();
        rollup = net.registry.register{ value: 0.05 ether }(RollupSettings(address(0), 0), 1);
        delay = net.forced.forcedParameters().escapeDelayBlocks;
        vm.deal(address(this), 1e9 ether);
    }

    receive() external payable { }

    function force(uint64 gasLimit) private returns (uint64) {
        return
            net.forced.enqueue{ value: uint256(gasLimit) * net.forced.price() }(rollup, gasLimit, TRANSACTION);
    }

    function set(ForcedParameters memory p) private {
        vm.prank(address(net.timelock));
        net.forced.setParameters(p);
    }

    // --- the queue

    function test_entries_are_counted_by_block_and_chained() public {
        uint64 at = uint64(block.number);
        vm.assertEq(force(GAS), 0, "first");
        net.vault.deposit{ value: 1 ether }(relayer);
        vm.roll(at + 5);
        vm.assertEq(force(GAS), 2, "third");
        vm.assertEq(net.forced.entriesUpTo(at - 1), 0, "before");
        vm.assertEq(net.forced.entriesUpTo(at), 2, "in the first block");
        vm.assertEq(net.forced.entriesUpTo(at + 4), 2, "between");
        vm.assertEq(net.forced.entriesUpTo(at + 5), 3, "in the last");

        bytes32 hash = keccak256(TRANSACTION);
        bytes32 first = keccak256(abi.encodePacked("conclave/forced/v1", uint64(0), at, rollup, GAS, hash));
        bytes32 second = keccak256(
            abi.encodePacked("conclave/deposit/v1", uint64(1), at, relayer, uint64(1 ether / 1 gwei))
        );
        bytes32 third =
            keccak256(abi.encodePacked("conclave/forced/v1", uint64(2), at + 5, rollup, GAS, hash));
        bytes32 expected = keccak256(abi.encodePacked(bytes32(0), first));
        expected = keccak256(abi.encodePacked(expected, second));
        expected = keccak256(abi.encodePacked(expected, third));
        (uint64 count, bytes32 running) = net.forced.queue();
        vm.assertEq(count, 3, "count");
        vm.assertEq(running, expected, "running hash");
    }

    function test_what_exceeds_the_fee_comes_back_and_the_fee_goes_to_the_pot() public {
        uint256 fee = uint256(GAS) * net.forced.price();
        (, uint256 pot) = net.vault.balances();
        uint256 before = address(this).balance;
        net.forced.enqueue{ value: 1 ether }(rollup, GAS, TRANSACTION);
        vm.assertEq(before - address(this).balance, fee, "paid");
        (, uint256 after_) = net.vault.balances();
        vm.assertEq(after_ - pot, fee, "pot");
        vm.assertEq(address(net.forced).balance, 0, "it holds nothing");
    }

    function test_malformed_and_unpaid_entries_are_refused() public {
        uint256 fee = uint256(GAS) * net.forced.price();
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.FeeTooLow.selector, fee, fee - 1));
        net.forced.enqueue{ value: fee - 1 }(rollup, GAS, TRANSACTION);
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.FeeTooLow.selector, fee, 0));
        net.forced.enqueue(rollup, GAS, TRANSACTION);
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.EmptyTransaction.selector));
        net.forced.enqueue{ value: fee }(rollup, GAS, "");
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.GasTooLow.selector, 21_048, 21_047));
        net.forced.enqueue{ value: fee }(rollup, 21_047, TRANSACTION);
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.GasTooLow.selector, 21_048, 0));
        net.forced.enqueue{ value: fee }(rollup, 0, TRANSACTION);
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.EntryTooLarge.selector, 65_536, 65_537));
        net.forced.enqueue{ value: fee }(rollup, GAS, new bytes(65_537));
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.UnknownRollup.selector, 77));
        net.forced.enqueue{ value: fee }(RollupId.wrap(77), GAS, TRANSACTION);
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.NotVault.selector, address(this)));
        net.forced.enqueueDeposit(address(this), 1);
    }

    function test_a_block_takes_no_more_than_its_caps() public {
        for (uint256 i = 0; i < 32; ++i) {
            force(GAS);
        }
        bytes memory full =
            abi.encodeWithSelector(IForcedInclusion.BlockIsFull.selector, uint64(block.number));
        uint256 fee = uint256(GAS) * net.forced.price();
        vm.expectRevert(full);
        net.forced.enqueue{ value: fee }(rollup, GAS, TRANSACTION);
        // Deposits have places of their own, so neither crowds out the other.
        for (uint256 i = 0; i < 32; ++i) {
            net.vault.deposit{ value: 0.001 ether }(relayer);
        }
        vm.expectRevert(full);
        net.vault.deposit{ value: 0.001 ether }(relayer);
        vm.roll(block.number + 1);
        force(15_000_000);
        fee = uint256(GAS) * net.forced.price();
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.BlockIsFull.selector, uint64(block.number)));
        net.forced.enqueue{ value: fee }(rollup, GAS, TRANSACTION);
        vm.roll(block.number + 1);
        uint64 gasLimit = 21_000 + 16 * 65_536;
        uint256 price = net.forced.price();
        fee = GAS * price;
        net.forced.enqueue{ value: gasLimit * price }(rollup, gasLimit, new bytes(65_536));
        net.forced.enqueue{ value: gasLimit * price }(rollup, gasLimit, new bytes(65_536));
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.BlockIsFull.selector, uint64(block.number)));
        net.forced.enqueue{ value: fee }(rollup, GAS, TRANSACTION);
    }

    // --- requests to withdraw

    function test_a_request_is_its_senders_and_hashed_as_the_chain_hashes_it() public {
        string memory json = vm.readFile("../tests/vectors/settlement-v1.json");
        address payer = vm.parseJsonAddress(json, ".withdrawals.requests[0].payer");
        vm.deal(payer, 1 ether);
        vm.roll(vm.parseJsonUint(json, ".withdrawals.requests[0].l1_block"));
        uint256 fee = 21_000 * uint256(net.forced.price());
        (, uint256 pot) = net.vault.balances();
        vm.prank(payer);
        vm.assertEq(net.forced.requestWithdrawal{ value: 1 ether }(1, payer), 0, "its place");
        (uint64 count, bytes32 running) = net.forced.queue();
        vm.assertEq(count, 1, "an entry like others");
        vm.assertEq(net.forced.entriesUpTo(uint64(block.number)), 1, "which settling waits for");
        bytes32 entry = vm.parseJsonBytes32(json, ".withdrawals.requests[0].hash");
        vm.assertEq(running, keccak256(abi.encodePacked(bytes32(0), entry)), "running hash");
        vm.assertEq(payer.balance, 1 ether - fee, "what exceeds the fee comes back");
        (, uint256 after_) = net.vault.balances();
        vm.assertEq(after_ - pot, fee, "the fee goes to the pot");
    }

    function test_empty_nameless_and_unpaid_requests_are_refused() public {
        uint256 fee = 21_000 * uint256(net.forced.price());
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.NothingRequested.selector));
        net.forced.requestWithdrawal{ value: fee }(0, relayer);
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.NoRecipient.selector));
        net.forced.requestWithdrawal{ value: fee }(1, address(0));
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.FeeTooLow.selector, fee, fee - 1));
        net.forced.requestWithdrawal{ value: fee - 1 }(1, relayer);
    }

    function test_requests_take_the_places_of_transactions_and_raise_their_price() public {
        uint64 start = net.forced.price();
        for (uint256 i = 0; i < 60; ++i) {
            vm.roll(block.number + 1);
            uint256 fee = 21_000 * uint256(net.forced.price());
            for (uint256 entry = 0; entry < 32; ++entry) {
                net.forced.requestWithdrawal{ value: fee }(1, relayer);
            }
            vm.expectRevert(
                abi.encodeWithSelector(IForcedInclusion.BlockIsFull.selector, uint64(block.number))
            );
            net.forced.requestWithdrawal{ value: fee }(1, relayer);
            net.vault.deposit{ value: 0.001 ether }(relayer);
        }
        vm.assertGe(net.forced.price(), start * 1000, "sixty full blocks");
    }

    // --- what filling costs

    function test_filling_the_queue_gets_dearer_and_idle_blocks_forget_it() public {
        uint64 start = net.forced.price();
        for (uint256 i = 0; i < 60; ++i) {
            vm.roll(block.number + 1);
            force(15_000_000);
        }
        vm.assertGe(net.forced.price(), start * 1000, "sixty full blocks");
        vm.roll(block.number + 200);
        vm.assertEq(net.forced.price(), start, "and back");
    }

    function test_filling_the_places_or_the_bytes_gets_dearer_too() public {
        uint64 start = net.forced.price();
        for (uint256 i = 0; i < 60; ++i) {
            vm.roll(block.number + 1);
            for (uint256 entry = 0; entry < 32; ++entry) {
                force(GAS);
            }
        }
        vm.assertGe(net.forced.price(), start * 1000, "sixty blocks of the smallest entries");
        vm.roll(block.number + 200);
        uint64 gasLimit = 21_000 + 16 * 65_536;
        for (uint256 i = 0; i < 60; ++i) {
            vm.roll(block.number + 1);
            uint256 fee = uint256(gasLimit) * net.forced.price();
            net.forced.enqueue{ value: fee }(rollup, gasLimit, new bytes(65_536));
            net.forced.enqueue{ value: fee }(rollup, gasLimit, new bytes(65_536));
        }
        vm.assertGe(net.forced.price(), start * 1000, "sixty blocks of the largest entries");
    }

    function test_a_closing_rollup_takes_entries_until_its_last_height_has_settled() public {
        net.registry.close(rollup, 10_000);
        force(GAS);
        settle(9999);
        force(GAS);
        settle(10_000);
        uint256 fee = uint256(GAS) * net.forced.price();
        vm.expectRevert(abi.encodeWithSelector(IRollupRegistry.IsClosed.selector, rollup, 10_000));
        net.forced.enqueue{ value: fee }(rollup, GAS, TRANSACTION);
    }

    /// Neither that of a transaction nor that of a request, for either.
    function test_a_refund_cannot_be_used_to_enter_again() public {
        Reentrant greedy = new Reentrant();
        vm.deal(address(greedy), 10 ether);
        Reentrant.Call[] memory calls = new Reentrant.Call[](2);
        calls[0].data = abi.encodeCall(IForcedInclusion.enqueue, (rollup, GAS, TRANSACTION));
        calls[1].data = abi.encodeCall(IForcedInclusion.requestWithdrawal, (1, address(greedy)));
        for (uint256 i = 0; i < 2; ++i) {
            (calls[i].to, calls[i].value) = (address(net.forced), 1 ether);
        }
        for (uint256 i = 0; i < 2; ++i) {
            greedy.run(calls[i], calls);
            greedy.assertRefused();
        }
        (uint64 count,) = net.forced.queue();
        vm.assertEq(count, 2, "one entry of each");
    }

    /// Whatever the price was, it stays within the bounds of the rule.
    function testFuzz_the_price_moves_by_an_eighth_at_most(uint64 used, uint8 idle) public {
        for (uint256 i = 0; i < 5; ++i) {
            vm.roll(block.number + 1);
            force(15_000_000);
        }
        vm.roll(block.number + 1);
        uint64 before = net.forced.price();
        used = uint64(bound(used, 21_048, 15_000_000));
        force(used);
        vm.roll(block.number + 1);
        uint64 then_ = net.forced.price();
        vm.assertLe(then_, before + before / 8 + 1, "up");
        vm.assertGe(then_, before - before / 8 - 1, "down");
        vm.roll(block.number + idle);
        vm.assertLe(net.forced.price(), then_, "idle blocks only lower it");
        vm.assertGe(net.forced.price(), net.forced.forcedParameters().priceMinWei, "never below its least");
    }

    // --- escape and return

    function test_escape_is_active_when_the_settled_origin_is_too_far_behind() public {
        settle(5);
        uint64 origin = net.inbox.head().origin;
        vm.roll(origin + delay);
        vm.assertFalse(net.forced.escapeActive(), "not yet");
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.EscapeNotDue.selector));
        net.forced.latch();
        vm.roll(origin + delay + 1);
        vm.assertTrue(net.forced.escapeActive(), "without anybody's doing");
        vm.roll(block.number + 50);
        net.forced.latch();
        Escape memory e = net.forced.escapeAt(0);
        vm.assertEq(e.latchedAt, origin + delay + 1, "since it was due");
        vm.assertEq(e.height, 5, "what was settled");
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.EscapeNotDue.selector));
        net.forced.latch();
    }

    function test_a_late_commitment_latches_first_and_ends_nothing() public {
        settle(5);
        uint64 origin = net.inbox.head().origin;
        vm.roll(origin + delay + 100);
        force(GAS);
        settle(9);
        vm.assertTrue(net.forced.escapeActive(), "still away");
        Escape memory e = net.forced.escapeAt(0);
        vm.assertEq(e.latchedAt, origin + delay + 1, "block");
        vm.assertEq(e.height, 5, "the last before it was due");

        vm.roll(block.number + 10);
        force(GAS);
        net.forced.resume();
        vm.assertFalse(net.forced.escapeActive(), "back");
        e = net.forced.escapeAt(0);
        vm.assertEq(e.resumedAt, block.number, "announced");
        vm.assertEq(e.resumePoint, 2, "both entries belong to the time away");
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.EscapeNotActive.selector));
        net.forced.resume();
    }

    function test_there_is_no_return_before_the_backlog_is_settled() public {
        vm.roll(block.number + delay + 10);
        net.forced.latch();
        uint64 origin = net.inbox.head().origin;
        vm.expectRevert(
            abi.encodeWithSelector(IForcedInclusion.StillBehind.selector, origin, uint64(block.number))
        );
        net.forced.resume();
        settle(5);
        vm.roll(block.number + delay / 2);
        origin = net.inbox.head().origin;
        vm.expectRevert(
            abi.encodeWithSelector(IForcedInclusion.StillBehind.selector, origin, uint64(block.number))
        );
        net.forced.resume();
        settle(6);
        net.forced.resume();
        vm.assertEq(net.forced.escapeCount(), 1, "one time");
    }

    function test_no_parameter_undoes_or_backdates_an_escape() public {
        ForcedParameters memory p = net.forced.forcedParameters();
        vm.roll(block.number + delay + 10);
        p.escapeDelayBlocks = 50_400;
        set(p);
        vm.assertTrue(net.forced.escapeActive(), "what was due stays due");
        settle(5);
        net.forced.resume();
        vm.roll(block.number + 1000);
        p.escapeDelayBlocks = 16;
        set(p);
        net.forced.latch();
        vm.assertEq(net.forced.escapeAt(1).latchedAt, block.number, "not before the change");
    }

    function test_only_the_timelock_sets_parameters_and_never_shuts_the_queue() public {
        ForcedParameters memory p = net.forced.forcedParameters();
        vm.expectRevert(abi.encodeWithSelector(Timelocked.NotTimelock.selector, address(this)));
        net.forced.setParameters(p);
        bytes memory clean = abi.encode(p);
        p.entriesMax = 0;
        outOfRange(p, "entriesMax", 0);
        p = abi.decode(clean, (ForcedParameters));
        p.depositsMax = 0;
        outOfRange(p, "depositsMax", 0);
        p = abi.decode(clean, (ForcedParameters));
        p.priceMinWei = 0;
        outOfRange(p, "priceMinWei", 0);
        p.priceMinWei = 100 gwei + 1;
        outOfRange(p, "priceMinWei", 100 gwei + 1);
        p = abi.decode(clean, (ForcedParameters));
        p.entryBytesMax = 4095;
        outOfRange(p, "entryBytesMax", 4095);
        p = abi.decode(clean, (ForcedParameters));
        p.gasMax = 1_000_000;
        outOfRange(p, "gasMax", 1_000_000);
        // Enough for the least of entries, and not for a block.
        (p.gasMax, p.entryBytesMax) = (999_999, 4096);
        outOfRange(p, "gasMax", 999_999);
        p = abi.decode(clean, (ForcedParameters));
        p.escapeDelayBlocks = 50_401;
        outOfRange(p, "escapeDelayBlocks", 50_401);
        p.escapeDelayBlocks = 15;
        outOfRange(p, "escapeDelayBlocks", 15);
        p = abi.decode(clean, (ForcedParameters));
        p.bytesMax = (1 << 20) + 1;
        outOfRange(p, "bytesMax", p.bytesMax);
    }

    function outOfRange(ForcedParameters memory p, bytes32 name, uint256 found) private {
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.ParameterOutOfRange.selector, name, found));
        set(p);
    }

    function test_only_the_inbox_asks_before_settling() public {
        vm.expectRevert(abi.encodeWithSelector(IForcedInclusion.NotInbox.selector, address(this)));
        net.forced.beforeSettling(1, 1);
    }
}
