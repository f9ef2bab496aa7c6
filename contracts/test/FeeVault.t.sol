// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Timelocked } from "../src/Timelocked.sol";
import { HistoryProof, IConclaveInbox } from "../src/interfaces/IConclaveInbox.sol";
import { IFeeVault, VaultParameters, Withdrawal } from "../src/interfaces/IFeeVault.sol";
import { BlockCommitment, ValidatorId } from "../src/lib/Types.sol";
import { Network } from "./support/Network.sol";
import { Reentrant } from "./support/Reentrant.sol";
import { vm } from "./utils/Vm.sol";

interface VmFee {
    function fee(uint256 basefee) external;
}

/// Ether in and out of the fee ledger, and what relayers get.
contract FeeVaultTest is Network {
    address private alice = address(0xA11CE);

    function setUp() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        openNetwork();
        vm.deal(address(this), 1e6 ether);
        net.vault.deposit{ value: 10 ether }(alice);
    }

    function leaf(Withdrawal memory w) private pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                uint8(0), "conclave/withdrawal/v1", w.index, w.recipient, w.validator, w.amountGwei
            )
        );
    }

    /// Settles a block with these two withdrawals; the proof of the first.
    function settleWith(Withdrawal memory a, Withdrawal memory b)
        private
        returns (HistoryProof memory proof, bytes32[] memory siblings)
    {
        vm.roll(block.number + 1);
        uint64 height = settledHeight() + 7;
        BlockCommitment memory c = commitmentAt(height);
        c.withdrawalsRoot = keccak256(abi.encodePacked(uint8(1), leaf(a), leaf(b)));
        post(certified(c, everyone()));
        siblings = new bytes32[](1);
        siblings[0] = leaf(b);
        proof = proofOf(c, height);
    }

    function toAlice(uint64 index, uint64 amount) private view returns (Withdrawal memory) {
        return Withdrawal(index, alice, ValidatorId.wrap(0), amount);
    }

    function test_a_withdrawal_is_paid_once() public {
        Withdrawal memory w = toAlice(0, 3 * ETHER);
        (HistoryProof memory proof, bytes32[] memory siblings) = settleWith(w, toAlice(1, 1 * ETHER));
        net.vault.withdraw(w, proof, 0, siblings);
        vm.assertEq(alice.balance, 3 ether, "paid");
        vm.assertTrue(net.vault.isWithdrawn(0), "marked");
        (uint64 deposited,) = net.vault.balances();
        vm.assertEq(deposited, 7 * ETHER, "left");
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.AlreadyWithdrawn.selector, 0));
        net.vault.withdraw(w, proof, 0, siblings);
    }

    function test_the_same_withdrawal_in_two_blocks_is_paid_once() public {
        Withdrawal memory w = toAlice(5, 1 * ETHER);
        (HistoryProof memory proof, bytes32[] memory siblings) = settleWith(w, toAlice(6, 1));
        net.vault.withdraw(w, proof, 0, siblings);
        (proof, siblings) = settleWith(w, toAlice(7, 1));
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.AlreadyWithdrawn.selector, 5));
        net.vault.withdraw(w, proof, 0, siblings);
    }

    function test_no_field_of_a_withdrawal_can_be_changed() public {
        Withdrawal memory w = toAlice(0, 3 * ETHER);
        (HistoryProof memory proof, bytes32[] memory siblings) = settleWith(w, toAlice(1, 1 * ETHER));
        bytes memory no = abi.encodeWithSelector(IFeeVault.NotInRoot.selector, 0);
        w.amountGwei += 1;
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 0, siblings);
        w = toAlice(0, 3 * ETHER);
        w.recipient = address(this);
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 0, siblings);
        w = toAlice(9, 3 * ETHER);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.NotInRoot.selector, 9));
        net.vault.withdraw(w, proof, 0, siblings);
        w = Withdrawal(0, address(0), ValidatorId.wrap(1), 3 * ETHER);
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 0, siblings);
        w = toAlice(0, 3 * ETHER);
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 1, siblings);
        w.validator = ValidatorId.wrap(1);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.BadRecipient.selector, alice, 1));
        net.vault.withdraw(w, proof, 0, siblings);
        w = Withdrawal(0, address(0), ValidatorId.wrap(0), 3 * ETHER);
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 0, siblings);
        // Nor what stands beside it.
        w = toAlice(0, 3 * ETHER);
        siblings[0] ^= bytes32(uint256(1));
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 0, siblings);
        siblings[0] ^= bytes32(uint256(1));
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 0, new bytes32[](0));
        bytes32[] memory longer = new bytes32[](2);
        longer[0] = siblings[0];
        vm.expectRevert(no);
        net.vault.withdraw(w, proof, 0, longer);
        proof.path = new bytes32[](proof.path.length + 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, 7, 7));
        net.vault.withdraw(w, proof, 0, siblings);
        proof = proofOf(proof.commitment, 7);
        proof.path[0] ^= bytes32(uint256(1));
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, 7, 7));
        net.vault.withdraw(w, proof, 0, siblings);
        proof = proofOf(proof.commitment, 7);
        proof.commitment.withdrawalsRoot = "x";
        vm.expectRevert(abi.encodeWithSelector(IConclaveInbox.NotSettled.selector, 7, 7));
        net.vault.withdraw(w, proof, 0, siblings);
    }

    function test_deposits_pay_no_more_than_there_is_and_nothing_of_the_pot() public {
        net.vault.fund{ value: 100 ether }();
        Withdrawal memory w = toAlice(0, 11 * ETHER);
        (HistoryProof memory proof, bytes32[] memory siblings) = settleWith(w, toAlice(1, 1));
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.MoreThanDeposited.selector, 10 * ETHER, 11 * ETHER));
        net.vault.withdraw(w, proof, 0, siblings);
    }

    function test_rewards_reach_stake_and_the_pot() public {
        Withdrawal memory r = Withdrawal(0, address(0), ValidatorId.wrap(2), 2 * ETHER);
        (HistoryProof memory proof, bytes32[] memory siblings) = settleWith(r, toAlice(1, 1));
        net.vault.withdraw(r, proof, 0, siblings);
        (, uint64 bonded,,,,,,,) = net.stake.validatorOf(ValidatorId.wrap(2));
        vm.assertEq(bonded, 10 * ETHER + 2 * ETHER * 95 / 100, "less the commission");
        // Nobody is the pot; whoever has a payment sent to the vault fills it, too.
        Withdrawal memory p = Withdrawal(2, address(0), ValidatorId.wrap(0), 1 * ETHER);
        Withdrawal memory q = Withdrawal(4, address(net.vault), ValidatorId.wrap(0), 2 * ETHER);
        (proof, siblings) = settleWith(p, toAlice(3, 1));
        net.vault.withdraw(p, proof, 0, siblings);
        (proof, siblings) = settleWith(q, toAlice(5, 1));
        net.vault.withdraw(q, proof, 0, siblings);
        (uint64 deposited, uint256 pot) = net.vault.balances();
        vm.assertEq(deposited, 5 * ETHER, "deposits");
        vm.assertEq(pot, 3 ether, "pot");
        vm.assertEq(address(net.vault).balance, 8 ether, "ether");
    }

    function test_dust_and_nameless_deposits_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.NoPayer.selector));
        net.vault.deposit{ value: 1 ether }(address(0));
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.DepositTooSmall.selector, 1e6, 1e6 - 1));
        net.vault.deposit{ value: 0.001 ether - 1 gwei }(alice);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.NotWholeGwei.selector, 1 ether + 1));
        net.vault.deposit{ value: 1 ether + 1 }(alice);
    }

    /// Nor a refund, nor one of them from the other.
    function test_a_withdrawal_cannot_be_entered_twice() public {
        Reentrant looter = new Reentrant();
        relayer = address(looter);
        net.vault.fund{ value: 10 ether }();
        VmFee(address(vm)).fee(20 gwei);
        settle(600);
        Withdrawal memory w = Withdrawal(0, address(looter), ValidatorId.wrap(0), 1 * ETHER);
        (HistoryProof memory proof, bytes32[] memory siblings) = settleWith(w, toAlice(1, 1));
        Reentrant.Call[] memory calls = new Reentrant.Call[](2);
        calls[0].data = abi.encodeCall(IFeeVault.withdraw, (w, proof, 0, siblings));
        calls[1].data = abi.encodeCall(IFeeVault.claimRefunds, ());
        (calls[0].to, calls[1].to) = (address(net.vault), address(net.vault));
        for (uint256 i = 0; i < 2; ++i) {
            looter.run(calls[i], calls);
            looter.assertRefused();
        }
        vm.assertEq(address(looter).balance, 1 ether + 350_000 * 20 gwei, "each once");
    }

    /// What the chain's own code makes of withdrawals, `tests/vectors/withdrawals.py` computes apart from it.
    function test_the_pinned_withdrawals_are_paid_out_of_the_pinned_root() public {
        string memory json = vm.readFile("../tests/vectors/settlement-v1.json");
        vm.deal(address(this), type(uint128).max);
        net.vault.deposit{ value: (uint256(1 << 63) + 123_456_795) * 1 gwei }(alice);
        string memory tree = ".withdrawals.trees[1]";
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(7);
        c.withdrawalsRoot = vm.parseJsonBytes32(json, string.concat(tree, ".root"));
        post(certified(c, everyone()));
        HistoryProof memory proof = proofOf(c, 7);
        for (uint256 i = 0; i < 3; ++i) {
            string memory at = string.concat(tree, ".withdrawals[", vm.toString(i), "]");
            (Withdrawal memory w, bytes32[] memory path) = pinned(json, at);
            vm.assertEq(leaf(w), vm.parseJsonBytes32(json, string.concat(at, ".leaf")), at);
            // A path of padding leads to the root as well, but not from any withdrawal.
            vm.expectRevert(abi.encodeWithSelector(IFeeVault.NotInRoot.selector, w.index));
            net.vault.withdraw(w, proof, 3, path);
            net.vault.withdraw(w, proof, i, path);
        }
        vm.assertEq(
            address(0xB0B0b0B0B0B0B0b0B0B0B0b0b0b0b0B0b0b0B0B0).balance,
            (uint256(1 << 63) + 5) * 1 gwei,
            "paid"
        );
        (uint64 deposited, uint256 pot) = net.vault.balances();
        vm.assertEq(deposited, 10 * ETHER, "what was there before");
        vm.assertEq(pot, 1 gwei, "pot");
    }

    function pinned(string memory json, string memory at)
        private
        pure
        returns (Withdrawal memory w, bytes32[] memory path)
    {
        w.index = uint64(vm.parseJsonUint(json, string.concat(at, ".index")));
        w.recipient = vm.parseJsonAddress(json, string.concat(at, ".recipient"));
        w.validator = ValidatorId.wrap(uint32(vm.parseJsonUint(json, string.concat(at, ".validator"))));
        w.amountGwei = uint64(vm.parseJsonUint(json, string.concat(at, ".amount_gwei")));
        path = vm.parseJsonBytes32Array(json, string.concat(at, ".path"));
    }

    // --- relayers

    function test_relayers_are_refunded_once_an_interval_and_within_bounds() public {
        net.vault.fund{ value: 10 ether }();
        VmFee(address(vm)).fee(20 gwei);
        settle(600);
        uint256 one = 350_000 * 20 gwei;
        vm.assertEq(net.vault.refundsOf(relayer), one, "at the base fee");
        settle(1199);
        vm.assertEq(net.vault.refundsOf(relayer), one, "not for every height");
        VmFee(address(vm)).fee(1_000_000 gwei);
        settle(1200);
        vm.assertEq(net.vault.refundsOf(relayer), one + 350_000 * 100 gwei, "at the highest price");
        vm.prank(relayer);
        net.vault.claimRefunds();
        vm.assertEq(relayer.balance, one + 350_000 * 100 gwei, "claimed");
        vm.prank(relayer);
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.NothingToClaim.selector, relayer));
        net.vault.claimRefunds();
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.NotInbox.selector, address(this)));
        net.vault.refund(address(this), 10_000);
    }

    function test_an_empty_pot_stops_no_commitment() public {
        VmFee(address(vm)).fee(20 gwei);
        settle(600);
        vm.assertEq(net.vault.refundsOf(relayer), 0, "nothing");
        net.vault.fund{ value: 1 gwei }();
        settle(1200);
        vm.assertEq(net.vault.refundsOf(relayer), 1 gwei, "what there is");
    }

    function test_only_the_timelock_sets_parameters_and_only_within_bounds() public {
        VaultParameters memory p = net.vault.vaultParameters();
        vm.expectRevert(abi.encodeWithSelector(Timelocked.NotTimelock.selector, address(this)));
        net.vault.setParameters(p);
        vm.startPrank(address(net.timelock));
        uint64 depositMinGwei = p.depositMinGwei;
        p.depositMinGwei = 0;
        outOfRange(p, "depositMinGwei", 0);
        p.depositMinGwei = ETHER + 1;
        outOfRange(p, "depositMinGwei", ETHER + 1);
        p.depositMinGwei = depositMinGwei;
        p.refundGas = 400_001;
        outOfRange(p, "refundGas", 400_001);
        p.refundGas = 400_000;
        p.refundPriceMaxWei = 1000 gwei + 1;
        outOfRange(p, "refundPriceMaxWei", 1000 gwei + 1);
        p.refundPriceMaxWei = 1000 gwei;
        p.refundIntervalHeights = 0;
        outOfRange(p, "refundIntervalHeights", 0);
        p.refundIntervalHeights = 1;
        net.vault.setParameters(p);
    }

    function outOfRange(VaultParameters memory p, bytes32 name, uint256 found) private {
        vm.expectRevert(abi.encodeWithSelector(IFeeVault.ParameterOutOfRange.selector, name, found));
        net.vault.setParameters(p);
    }
}
