// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { HistoryProof } from "../src/interfaces/IConclaveInbox.sol";
import { IConclaveSlasher } from "../src/interfaces/IConclaveSlasher.sol";
import { IConclaveStake, UnbondingId } from "../src/interfaces/IConclaveStake.sol";
import { IFeeVault, Withdrawal } from "../src/interfaces/IFeeVault.sol";
import { IForcedInclusion } from "../src/interfaces/IForcedInclusion.sol";
import { SignBytes } from "../src/lib/SignBytes.sol";
import { BlockCommitment, ValidatorId } from "../src/lib/Types.sol";
import { Network } from "./support/Network.sol";
import { Secrets } from "./support/Secrets.sol";
import { vm } from "./utils/Vm.sol";

/// An account that several contracts owe something, and that asks all of them for it whenever one pays.
contract Wanderer {
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    Call[] private calls;
    bool private wanders;
    uint256 public payments;
    /// What it has got from one contract while another one paid.
    uint256 public nested;

    function learn(Call[] calldata known) external {
        for (uint256 i = 0; i < known.length; ++i) {
            calls.push(known[i]);
        }
    }

    /// Makes each call twice, `first` before all others; and all of them while it is being paid, if it wanders.
    function run(uint256 first, bool wander) external {
        wanders = wander;
        for (uint256 i = 0; i < 2 * calls.length; ++i) {
            make((first + i) % calls.length);
        }
        wanders = false;
    }

    receive() external payable {
        ++payments;
        for (uint256 i = 0; wanders && i < calls.length; ++i) {
            if (make(i)) ++nested;
        }
    }

    function make(uint256 index) private returns (bool ok) {
        Call memory call = calls[index];
        (ok,) = call.to.call{ value: call.value }(call.data);
    }
}

interface VmBaseFee {
    function fee(uint256 basefee) external;
}

/// Guards are one contract's each: from a payment of one the others can be entered. Whoever does that gets what it would
/// have got one after the other, and takes nothing from anybody.
contract ReentrancyTest is Network {
    Wanderer private wanderer;
    Wanderer.Call[] private calls;
    ValidatorId private validator = ValidatorId.wrap(1);

    /// It is owed stake, a refund, a withdrawal, and for a report half of what it will have been resolved to.
    function setUp() public {
        deployNetwork();
        joinMany(4, 32 * ETHER);
        openNetwork();
        wanderer = new Wanderer();
        delegate(address(wanderer), validator, ETHER);
        unbondAll(address(wanderer), validator);
        settleEnd(5, offer());
        vm.warp(block.timestamp + 21 days);
        vm.deal(address(this), 30 ether);
        net.vault.fund{ value: 10 ether }();
        net.vault.deposit{ value: 10 ether }(address(this));
        VmBaseFee(address(vm)).fee(20 gwei);
        relayer = address(wanderer);
        ask(address(net.stake), abi.encodeCall(IConclaveStake.claim, (UnbondingId.wrap(1))));
        ask(address(net.vault), abi.encodeCall(IFeeVault.claimRefunds, ()));
        ask(address(net.vault), withdrawal());
        ask(address(net.slasher), abi.encodeCall(IConclaveSlasher.resolve, (reported())));
        ask(address(net.stake), abi.encodeCall(IConclaveStake.claimRewards, ()));
        ask(address(net.forced), abi.encodeCall(IForcedInclusion.requestWithdrawal, (1, address(wanderer))));
        // Which pays the price of a place, and has the rest sent back.
        calls[5].value = 0.001 ether;
        vm.warp(block.timestamp + 3 days + 1);
        vm.deal(address(wanderer), 1 ether);
        wanderer.learn(calls);
    }

    function test_what_several_contracts_owe_is_paid_once_in_whatever_order() public {
        uint256 fresh = vm.snapshotState();
        wanderer.run(0, false);
        uint256[4] memory expected = balances();
        vm.assertGe(wanderer.payments(), 4, "stake, refund, withdrawal and reward");
        vm.assertGe(expected[0], 3 ether, "it was paid");
        for (uint256 first = 0; first < calls.length; ++first) {
            vm.revertToState(fresh);
            wanderer.run(first, true);
            uint256[4] memory found = balances();
            for (uint256 i = 1; i < 3; ++i) {
                vm.assertEq(found[i], expected[i], "stake, vault");
            }
            vm.assertEq(found[0] + found[3], expected[0] + expected[3], "itself, less what it queued");
            vm.assertGe(wanderer.nested(), 4, "out of the payments of others");
            solvent();
        }
    }

    /// What is left covers all that is owed to others.
    function solvent() private view {
        (uint64 deposited, uint256 held) = net.vault.balances();
        vm.assertGe(address(net.vault).balance, uint256(deposited) * 1 gwei + held, "the vault");
        uint256 owed = 0;
        for (uint32 v = 1; v <= 4; ++v) {
            (uint64 bonded, uint64 unbonding, uint64 escrow) = net.stake.totalsOf(ValidatorId.wrap(v));
            owed += uint256(bonded + unbonding + escrow) * 1 gwei;
        }
        vm.assertGe(address(net.stake).balance, owed, "stake");
    }

    function balances() private view returns (uint256[4] memory) {
        return
            [address(wanderer).balance, address(net.stake).balance, address(net.vault).balance - pot(), pot()];
    }

    function pot() private view returns (uint256 held) {
        (, held) = net.vault.balances();
    }

    function ask(address to, bytes memory data) private {
        calls.push(Wanderer.Call(to, 0, data));
    }

    /// Settles a block that pays it, as the relayer to be refunded.
    function withdrawal() private returns (bytes memory) {
        Withdrawal memory w = Withdrawal(0, address(wanderer), ValidatorId.wrap(0), ETHER);
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(700);
        c.withdrawalsRoot = keccak256(
            abi.encodePacked(
                uint8(0),
                "conclave/withdrawal/v1",
                w.index,
                w.recipient,
                ValidatorId.unwrap(w.validator),
                w.amountGwei
            )
        );
        post(certified(c, everyone()));
        HistoryProof memory proof = proofOf(c, 700);
        return abi.encodeCall(IFeeVault.withdraw, (w, proof, 0, new bytes32[](0)));
    }

    /// Two precommits of member 2, which it reports.
    function reported() private returns (bytes32) {
        IConclaveSlasher.Position memory at = IConclaveSlasher.Position(1, 2, 9, 1);
        (bytes32 a, bytes32 b) = (keccak256("a"), keccak256("b"));
        bytes32 left = SignBytes.vote(domain(), 1, 1, 9, 1, a);
        bytes32 right = SignBytes.vote(domain(), 1, 1, 9, 1, b);
        if (left > right) (a, b, left, right) = (b, a, right, left);
        IConclaveSlasher.SignedVote memory first = IConclaveSlasher.SignedVote(a, signed(left));
        IConclaveSlasher.SignedVote memory second = IConclaveSlasher.SignedVote(b, signed(right));
        vm.prank(address(wanderer));
        return net.slasher.reportVotes(at, 1, first, second);
    }

    function signed(bytes32 message) private pure returns (IConclaveSlasher.Signature memory) {
        (bytes32 r, bytes32 s) = Secrets.signConsensus(3, message);
        return IConclaveSlasher.Signature(r, s);
    }
}
