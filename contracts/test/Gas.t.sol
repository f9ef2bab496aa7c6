// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Candidate } from "../src/interfaces/IConclaveElection.sol";
import { HistoryProof, Posting } from "../src/interfaces/IConclaveInbox.sol";
import { Keys, UnbondingId } from "../src/interfaces/IConclaveStake.sol";
import { RollupId, RollupSettings } from "../src/interfaces/IRollupRegistry.sol";
import { Merkle } from "../src/lib/Merkle.sol";
import { NamespaceTree } from "../src/lib/NamespaceTree.sol";
import { BlockCommitment, ValidatorId } from "../src/lib/Types.sol";
import { Network } from "./support/Network.sol";
import { Secrets } from "./support/Secrets.sol";
import { vm } from "./utils/Vm.sol";

/// What each transaction costs, as a whole: every call of these tests is a transaction of its own, so the figures
/// hold the 21,000, the calldata, and cold storage. They land in `snapshots/`. Such a transaction has no base fee,
/// so a commitment's figure lacks the credit of a refund: one warm slot that changes, 5,000.
/// forge-config: default.isolate = true
contract GasTest is Network {
    string private constant GROUP = "settlement";

    function open(uint256 count) private {
        deployNetwork();
        joinMany(count, 10 * ETHER);
        openNetwork();
        vm.deal(address(this), 1e6 ether);
    }

    function measured(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall(GROUP, name);
    }

    /// A commitment 600 heights after the one before, of a network that has decided 16 million, a third of its
    /// members absent.
    function commitWith(uint256 count) private returns (uint256) {
        return commitAs(count, false, false);
    }

    /// Likewise one that ends an epoch or becomes an anchor, or both, where others have before it: what it writes over
    /// was written.
    function commitAs(uint256 count, bool ends, bool becomesAnchor) private returns (uint256) {
        open(count);
        net.vault.fund{ value: 100 ether }();
        if (ends || becomesAnchor) endEpochsHourly();
        for (uint64 i = 0; i < 40; ++i) {
            vm.roll(block.number + 1);
            net.vault.deposit{ value: 1 ether }(address(this));
            if (i % 8 == 0) settle(16_000_003 + i * 75);
        }
        bytes32 next = ends ? offer() : bytes32(0);
        if (becomesAnchor) vm.warp(block.timestamp + 1 hours);
        vm.roll(block.number + 1);
        uint256 absent = (1 << ((count - 1) / 3)) - 1;
        BlockCommitment memory c = commitmentAt(16_000_003 + 40 * 75);
        if (ends) (c.nextCommittee, c.dkgResult) = (next, DKG);
        Posting memory p = certified(c, everyone() ^ absent);
        vm.prank(relayer);
        net.inbox.commit(p);
        string memory name = string.concat("commit, n = ", vm.toString(count), ", a third absent");
        if (ends) name = string.concat(name, ", ends an epoch");
        if (becomesAnchor) name = string.concat(name, ", becomes an anchor");
        uint256 gas = measured(name);
        vm.assertTrue((net.inbox.anchor().height == c.height) == becomesAnchor, "an anchor");
        vm.assertEq(net.inbox.head().epoch, c.epoch + (ends ? 1 : 0), "the epoch");
        return gas;
    }

    /// Three ends of epochs, each an anchor.
    function endEpochsHourly() private {
        for (uint64 i = 1; i <= 3; ++i) {
            settleEnd(i * 5_000_000, offer());
            vm.assertEq(net.inbox.anchor().height, i * 5_000_000, "an anchor");
            vm.warp(block.timestamp + 1 hours);
        }
    }

    function test_gas_of_commitments() public {
        commitWith(4);
        commitWith(16);
        commitWith(64);
        vm.assertLe(commitWith(100), 320_000, "the bound");
    }

    function test_gas_of_anchors_and_of_ends_of_epochs() public {
        for (uint256 count = 4; count <= 100; count += 96) {
            vm.assertLe(commitAs(count, false, true), 320_000, "the bound");
            commitAs(count, true, false);
            commitAs(count, true, true);
        }
    }

    /// What a backlog costs to settle: one transaction, whatever its length.
    function test_gas_of_backlogs() public {
        for (uint64 heights = 1; heights <= 1000; heights *= 10) {
            open(100);
            net.vault.fund{ value: 100 ether }();
            settle(16_000_003);
            settle(16_000_700);
            vm.roll(block.number + 1);
            Posting memory p = certified(commitmentAt(16_000_700 + heights), everyone() ^ ((1 << 33) - 1));
            net.inbox.commit(p);
            uint256 gas = measured(string.concat("commit, n = 100, heights settled: ", vm.toString(heights)));
            vm.assertLe(gas, 320_000, "the bound");
        }
    }

    function test_gas_of_elections() public {
        open(100);
        Candidate[] memory list = candidates();
        net.election.snapshotEpoch(list);
        vm.assertLe(measured("snapshotEpoch, n = 100"), 16_777_216, "the most that a transaction may use");
        vm.roll(block.number + 1);
        (ValidatorId[] memory members,,) = net.election.electionNow();
        vm.assertEq(members.length, 100, "members");
    }

    /// The dearest posting that there is: what the others write over is new, and it is everything at once.
    function test_gas_of_the_first_posting_of_all() public {
        open(100);
        bytes32 next = offer();
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(100_000_003);
        (c.nextCommittee, c.dkgResult) = (next, DKG);
        Posting memory p = certified(c, everyone() ^ ((1 << 33) - 1));
        net.inbox.commit(p);
        measured("commit, n = 100, a third absent, the first of all, ends an epoch, becomes an anchor");
    }

    function test_gas_of_stake() public {
        open(4);
        Keys memory keys = Secrets.keys(5);
        bytes memory proof = possession(5, operator(5));
        vm.deal(operator(5), 10 ether);
        vm.prank(operator(5));
        ValidatorId v = net.stake.register{ value: 10 ether }(keys, proof, 500);
        vm.assertLe(measured("register"), 400_000, "the bound");
        (bytes32 r, bytes32 s) = consensusProof(5, operator(5));
        net.stake.proveConsensusKey(v, keys, r, s);
        measured("proveConsensusKey");
        net.election.enlist(v, 0);
        measured("enlist");
        net.stake.delegate{ value: 1 ether }(v);
        measured("delegate");
        (uint128 shares,) = net.stake.stakeOf(v, address(this));
        UnbondingId id = net.stake.requestUnbond(v, shares);
        measured("requestUnbond");
        settleEnd(5, offer());
        vm.warp(block.timestamp + 21 days);
        net.stake.claim(id);
        measured("claim");
        net.stake.reward{ value: 1 ether }(v);
        measured("reward");
        vm.prank(address(net.slasher));
        net.stake.seize("offence", v, 1, true);
        measured("seize");
        vm.prank(address(net.slasher));
        net.stake.resolve("offence", 500, address(this), 500);
        measured("resolve");
    }

    function test_gas_of_queue_and_proofs() public {
        open(4);
        RollupId rollup = net.registry.register{ value: 0.05 ether }(RollupSettings(address(1), "x"), 1);
        measured("register a rollup");
        bytes memory transaction = new bytes(120);
        net.forced.enqueue{ value: 1 ether }(rollup, 100_000, transaction);
        vm.roll(block.number + 1);
        net.forced.enqueue{ value: 1 ether }(rollup, 100_000, transaction);
        measured("force a transaction of 120 bytes");
        vm.roll(block.number + 1);
        net.vault.deposit{ value: 1 ether }(address(this));
        measured("deposit");
        vm.roll(block.number + 1);
        net.forced.requestWithdrawal{ value: 1 ether }(ETHER, address(this));
        measured("request a withdrawal");
        BlockCommitment memory c = settle(100_000_000);
        settle(101_000_000);
        HistoryProof memory p = proofOf(c, 101_000_000);
        net.inbox.proveCommitment(p);
        measured("prove a commitment among 101,000,000, the call alone");
    }

    /// A transaction of a batch of 16, of one among 1,024 rollups, at a height that a hundred million have followed. The
    /// call is made by hand: forge measures what only reads as a call and not as a transaction.
    function test_gas_of_a_transaction_proven() public {
        open(4);
        bytes32 hash = keccak256("a transaction");
        bytes32[] memory siblings = siblingsOf("transaction", 4);
        NamespaceTree.Inclusion memory batch;
        batch.leaf = NamespaceTree.Leaf({
            rollup: 4_000_000_000,
            index: 700,
            items: 16,
            transactionBytes: 4096,
            sequence: 60_000_000,
            previousHeight: 999_999,
            transactionRoot: rootFrom(keccak256(abi.encodePacked(uint8(0), hash)), 5, siblings),
            atomicRoot: keccak256("atomic")
        });
        batch.siblings = siblingsOf("rollup", 10);
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(1_000_000);
        c.rollupCount = 1024;
        c.revealRoot = rootFrom(this.digestOf(batch.leaf), 700, batch.siblings);
        c.withdrawalsRoot = keccak256("withdrawn");
        post(certified(c, everyone()));
        settle(101_000_000);
        HistoryProof memory under = proofOf(c, 101_000_000);
        vm.assertEq(under.path.length, 27, "the path to a history of that length");
        bytes memory call = abi.encodeCall(net.inbox.proveTransaction, (under, batch, 5, hash, siblings));
        VmTransaction(address(vm)).cool(address(net.inbox));
        net.inbox.proveTransaction(under, batch, 5, hash, siblings);
        vm.assertLe(measured("prove a transaction, among 1024 rollups, the call alone"), 45_000, "the aim");
        (bool done,) = address(net.inbox).call(call);
        vm.assertTrue(done, "proven");
        measured("prove a transaction, among 1024 rollups");
        vm.snapshotValue(GROUP, "prove a transaction, among 1024 rollups, bytes of calldata", call.length);
        net.inbox.keepReveal(under);
        measured("keep the reveal of a block");
        proveKept(c, batch, hash, siblings);
    }

    /// The same one when the block's reveal has been kept.
    function proveKept(
        BlockCommitment memory c,
        NamespaceTree.Inclusion memory batch,
        bytes32 hash,
        bytes32[] memory siblings
    ) private {
        NamespaceTree.LeanInclusion memory lean;
        NamespaceTree.Leaf memory leaf = batch.leaf;
        lean.place = uint256(c.height) << 192 | uint256(leaf.rollup) << 128 | uint256(c.rollupCount) << 96
            | uint256(leaf.index) << 64 | uint256(leaf.items) << 32 | 5;
        lean.batch =
            uint192(leaf.transactionBytes) << 128 | uint192(leaf.sequence) << 64 | leaf.previousHeight;
        (lean.transactionHash, lean.atomicRoot) = (hash, leaf.atomicRoot);
        lean.siblings = new bytes32[](14);
        for (uint256 i = 0; i < 14; ++i) {
            lean.siblings[i] = i < 4 ? siblings[i] : batch.siblings[i - 4];
        }
        bytes memory call = abi.encodeCall(net.inbox.proveKeptTransaction, (lean));
        (bool done,) = address(net.inbox).call(call);
        vm.assertTrue(done, "proven");
        vm.assertLe(measured("prove a transaction of a kept reveal, among 1024 rollups"), 45_000, "the aim");
        vm.snapshotValue(GROUP, "prove a transaction of a kept reveal, bytes of calldata", call.length);
    }

    function siblingsOf(string memory what, uint256 count) private pure returns (bytes32[] memory list) {
        list = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = keccak256(abi.encode(what, i));
        }
    }

    function rootFrom(bytes32 digest, uint256 index, bytes32[] memory path) private pure returns (bytes32) {
        for (uint256 i = 0; i < path.length; (++i, index >>= 1)) {
            digest = index & 1 == 0 ? Merkle.node(digest, path[i]) : Merkle.node(path[i], digest);
        }
        return digest;
    }

    /// The library takes leaves from calldata only.
    function digestOf(NamespaceTree.Leaf calldata leaf) external pure returns (bytes32) {
        return NamespaceTree.digest(leaf);
    }

    receive() external payable { }
}

interface VmTransaction {
    function fee(uint256 basefee) external;
    function cool(address target) external;
}

/// What the credit of a refund adds to a posting, which {GasTest} cannot show: its transactions have no base fee.
contract RefundGasTest is Network {
    function setUp() public {
        deployNetwork();
        joinMany(4, 10 * ETHER);
        openNetwork();
        vm.deal(address(this), 10 ether);
        net.vault.fund{ value: 10 ether }();
        VmTransaction(address(vm)).fee(20 gwei);
        settle(600);
    }

    function test_gas_of_the_credit_of_a_refund() public {
        credit(relayer, "credit of a refund, besides");
        credit(address(0x4E2), "credit of a refund to who has none, besides");
    }

    function credit(address to, string memory name) private {
        vm.snapshotValue("settlement", name, refundAt(to, 20 gwei) - refundAt(to, 0));
    }

    /// With storage that nobody has touched before.
    function refundAt(address to, uint256 baseFee) private returns (uint256 used) {
        uint256 before = vm.snapshotState();
        uint256 held = net.vault.refundsOf(to);
        VmTransaction(address(vm)).fee(baseFee);
        VmTransaction(address(vm)).cool(address(net.vault));
        vm.prank(address(net.inbox));
        used = gasleft();
        net.vault.refund(to, 1200);
        used -= gasleft();
        vm.assertEq(net.vault.refundsOf(to), held + 350_000 * baseFee, "credited");
        vm.revertToState(before);
    }
}
