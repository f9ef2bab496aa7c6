// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { BlockCommitment, ValidatorId } from "../../src/lib/Types.sol";
import { Network } from "../support/Network.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";

/// Shares of really sealed bundles, given away before their block was the chain's, before the contracts that are deployed: the
/// blocks, their ids and the roots over the shares are those of `tests/vectors/settlement-v1.json`, under both suites.
contract SealedTest is Network {
    uint64 private constant EPOCH = 3;
    uint16 private constant MEMBER = 5;
    uint256 private constant SHARINGS = 3;

    string private json;
    bytes32 private shared;
    bytes32 private root;
    uint64 private height;

    function networkId() internal view override returns (bytes32) {
        return vm.parseJsonBytes32(json, ".sealed_shares[0].network");
    }

    function setUp() public {
        json = vm.readFile("../tests/vectors/settlement-v1.json");
        deployNetwork();
        joinMany(7, 32 * ETHER);
        openNetwork();
        for (uint64 i = 1; i <= EPOCH; ++i) {
            settleEnd(i * 100, offer());
        }
        vm.assertEq(net.inbox.head().epoch, EPOCH, "the epoch of the block");
    }

    function use(uint256 row) private {
        string memory at = string.concat(".sealed_shares[", vm.toString(row), "]");
        vm.assertEq(vm.parseJsonBytes32(json, string.concat(at, ".network")), networkId(), "one network");
        vm.assertEq(vm.parseJsonUint(json, string.concat(at, ".header.epoch")), EPOCH, "its epoch");
        height = uint64(vm.parseJsonUint(json, string.concat(at, ".header.height")));
        shared = vm.parseJsonBytes32(json, string.concat(at, ".header.id"));
        root = vm.parseJsonBytes32(json, string.concat(at, ".share_root"));
    }

    function test_shares_of_a_sealed_block_that_another_one_was_settled_for_convict() public {
        uint256 fresh = vm.snapshotState();
        for (uint256 row = 0; row < SHARINGS; ++row) {
            use(row);
            (bytes32 id, uint64 escrow) = accuse();
            vm.assertEq(escrow, 32 * ETHER, "seized");
            vm.assertEq(net.slasher.sharedBlockOf(id).blockId, shared, "of the block");
            vm.warp(block.timestamp + 3 days + 1);
            net.slasher.resolve(id);
            (,,, uint64 left) = stakeOfMember();
            // Three times a seventh of the power, as an equivocation.
            vm.assertEq(left, 32 * ETHER - 32 * ETHER * 4285 / 10_000, "slashed");
            vm.revertToState(fresh);
        }
    }

    function test_shares_of_the_sealed_block_that_settled_convict_nobody() public {
        use(0);
        vm.roll(block.number + 1);
        BlockCommitment memory c = commitmentAt(height);
        c.blockId = shared;
        post(certified(c, everyone()));
        bytes32[] memory path = history.inclusion(height - 1, height);
        IConclaveSlasher.SignedShares memory shares = signedShares();
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        net.slasher.reportPrematureShare(shares, c, height, path);
    }

    function test_the_decision_of_the_sealed_block_gives_everything_back() public {
        use(2);
        (bytes32 id,) = accuse();
        IConclaveSlasher.SignedPrecommit[] memory precommits = new IConclaveSlasher.SignedPrecommit[](5);
        bytes32 message = SignBytes.vote(domain(), EPOCH, SignBytes.PRECOMMIT, height, 2, shared);
        for (uint16 i = 0; i < 5; ++i) {
            precommits[i] = IConclaveSlasher.SignedPrecommit(i, signed(i, message));
        }
        net.slasher.supportAcquittal(id, 2, precommits);
        vm.assertTrue(net.slasher.caseOf(id).state == IConclaveSlasher.State.Acquitted, "acquitted");
        (, uint64 bonded,, uint64 left) = stakeOfMember();
        vm.assertEq(bonded, 32 * ETHER, "given back");
        vm.assertEq(left, 32 * ETHER, "and nothing else");
    }

    function accuse() private returns (bytes32 id, uint64 escrow) {
        BlockCommitment memory c = settle(height);
        bytes32[] memory path = history.inclusion(height - 1, height);
        id = net.slasher.reportPrematureShare(signedShares(), c, height, path);
        (,, escrow,) = stakeOfMember();
    }

    function stakeOfMember()
        private
        view
        returns (ValidatorId validator, uint64 bonded, uint64 escrow, uint64 all)
    {
        validator = CommitteeTable.member(committee(), MEMBER).validator;
        uint64 unbonding;
        (bonded, unbonding, escrow) = net.stake.totalsOf(validator);
        all = bonded + unbonding + escrow;
    }

    function signedShares() private view returns (IConclaveSlasher.SignedShares memory) {
        bytes32 message = SignBytes.shares(domain(), EPOCH, height, shared, root);
        return IConclaveSlasher.SignedShares(EPOCH, MEMBER, height, shared, root, signed(MEMBER, message));
    }

    function signed(uint16 member, bytes32 message) private view returns (IConclaveSlasher.Signature memory) {
        ValidatorId validator = CommitteeTable.member(committee(), member).validator;
        (bytes32 r, bytes32 s) = Secrets.signConsensus(ValidatorId.unwrap(validator), message);
        return IConclaveSlasher.Signature(r, s);
    }
}
