// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { BlockCommitment, SigningDomain, ValidatorId } from "../../src/lib/Types.sol";
import { HistoryTree } from "../support/HistoryTree.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";
import { SlasherFixture } from "./Slasher.t.sol";

/// Two histories that are one up to a height, and what members have attested of either. A certificate covers every
/// height below its own, so who attests even heights of one and odd heights of the other has signed both, and no height
/// twice.
abstract contract HistoriesFixture is SlasherFixture {
    /// The last height that both have in common: deep enough for a path of a long-lived chain.
    uint64 internal constant FORK = 16_000_000;
    /// Heights that are there behind it, on either side.
    uint64 internal constant HEIGHTS = 12;
    uint256 internal constant BIT = 1 << MEMBER;

    HistoryTree[2] private trees;
    mapping(uint256 side => mapping(uint64 height => BlockCommitment)) private commitments;

    function setUp() public virtual override {
        super.setUp();
        for (uint256 side = 0; side < 2; ++side) {
            trees[side] = new HistoryTree();
            for (uint64 height = FORK; height <= FORK + HEIGHTS; ++height) {
                string memory name = side == 0 || height == FORK ? "one" : "other";
                BlockCommitment storage c = commitments[side][height];
                (c.epoch, c.height, c.blockId) = (EPOCH, height, keccak256(abi.encode(name, height)));
                c.historyRoot = trees[side].root(height - 1);
                trees[side].put(height - 1, SignBytes.commitment(domain(), c));
            }
        }
    }

    function commitment(uint256 side, uint64 height) internal view returns (BlockCommitment memory) {
        return commitments[side][height];
    }

    /// The chain's commitment as `signers` attest it.
    function attested(uint256 side, uint64 height, uint256 signers)
        internal
        view
        returns (IConclaveSlasher.SignedCommitment memory)
    {
        return signedBy(commitment(side, height), signers);
    }

    function signedBy(BlockCommitment memory c, uint256 signers)
        internal
        view
        returns (IConclaveSlasher.SignedCommitment memory)
    {
        return signedIn(domain(), c, signers);
    }

    function signedIn(SigningDomain memory where, BlockCommitment memory c, uint256 signers)
        internal
        view
        returns (IConclaveSlasher.SignedCommitment memory)
    {
        uint256 secret = 0;
        for (uint256 i = 0; i < COUNT; ++i) {
            if (signers >> i & 1 == 1) secret = addmod(secret, Secrets.settlement(i + 1), Bls12381.ORDER);
        }
        return
            IConclaveSlasher.SignedCommitment(
                c, signers, Secrets.sign(secret, SignBytes.commitment(where, c))
            );
    }

    /// What the history under the commitment at `under` holds at `height`.
    function held(uint256 side, uint64 height, uint64 under)
        internal
        view
        returns (IConclaveSlasher.HistoryEntry memory)
    {
        bytes32 digest = SignBytes.commitment(domain(), commitment(side, height));
        return IConclaveSlasher.HistoryEntry(digest, trees[side].inclusion(height - 1, under - 1));
    }

    function offenceAt(uint32 validator, uint64 height) internal view returns (bytes32) {
        return slasher.offenceOf(
            ValidatorId.wrap(validator), EPOCH, IConclaveSlasher.Offence.DoubleAttestation, height, 0
        );
    }

    function notInHistory(uint64 height, uint64 under) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IConclaveSlasher.NotInHistory.selector, height, under);
    }
}

contract HistoriesTest is HistoriesFixture {
    uint64 private constant LOW = FORK + 4;
    uint64 private constant HIGH = FORK + 5;

    function test_one_height_of_one_history_and_a_later_one_of_another_convict() public {
        IConclaveSlasher.SignedCommitment memory a = attested(0, LOW, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(1, HIGH, BIT);
        IConclaveSlasher.HistoryEntry memory other = held(1, LOW, HIGH);
        slasher.reportAttestations(a, b, other, BIT);
        vm.snapshotGasLastCall("evidence", "two attestations of two heights, at height 16 million");
        bytes32 id = offenceAt(MEMBER + 1, LOW);
        vm.assertEq(ValidatorId.unwrap(stake.seizureOf(id).validator), MEMBER + 1, "who");
        vm.assertTrue(stake.seizureOf(id).tombstone, "for ever");
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportAttestations(a, b, other, BIT);
        // What it has attested at the lower height contradicts more of the other history. That is no further offence.
        a = attested(0, LOW, BIT);
        b = attested(1, HIGH + 1, BIT);
        other = held(1, LOW, HIGH + 1);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportAttestations(a, b, other, BIT);
        // Nor is a second commitment at that height.
        (IConclaveSlasher.SignedCommitment memory x, IConclaveSlasher.SignedCommitment memory y) =
            (attested(0, LOW, BIT), attested(1, LOW, BIT));
        if (SignBytes.commitment(domain(), x.commitment) > SignBytes.commitment(domain(), y.commitment)) {
            (x, y) = (y, x);
        }
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id));
        slasher.reportAttestations(x, y, nothing(), BIT);
        vm.assertEq(stake.seizureCount(), 1, "seized once");
    }

    /// Five of seven certify even heights of one and odd heights of the other; members 2, 3 and 4 are in both.
    function test_certificates_of_alternating_heights_convict_all_in_both_and_cost_them_everything() public {
        IConclaveSlasher.SignedCommitment memory even = attested(0, FORK + 2, 0x1f);
        IConclaveSlasher.SignedCommitment memory odd = attested(1, FORK + 3, 0x7c);
        IConclaveSlasher.HistoryEntry memory other = held(1, FORK + 2, FORK + 3);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotBothSigned.selector, 0x1f, 0x1c));
        slasher.reportAttestations(even, odd, other, 0x1f);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.NotBothSigned.selector, 0, 0x1c));
        slasher.reportAttestations(even, odd, other, 0);
        slasher.reportAttestations(even, odd, other, 0x14);
        slasher.reportAttestations(even, odd, other, 0x0c);
        vm.snapshotGasLastCall("evidence", "certificates of two heights, one of two members known");
        vm.assertEq(stake.seizureCount(), 3, "members 2, 3 and 4");
        vm.warp(block.timestamp + 3 days + 1);
        for (uint32 validator = 3; validator <= 5; ++validator) {
            bytes32 id = offenceAt(validator, FORK + 2);
            slasher.resolve(id);
            vm.assertEq(stake.seizureOf(id).penaltyBps, 10_000, "more than a third of the power");
        }
    }

    /// Whichever side is the lower one, and whatever lies between the two.
    function testFuzz_any_two_heights_of_two_histories_convict(uint64 first, uint64 second, bool turned)
        public
    {
        first = uint64(bound(first, 1, HEIGHTS - 1));
        second = uint64(bound(second, first + 1, HEIGHTS));
        (uint256 side, uint256 otherSide) = turned ? (uint256(1), 0) : (uint256(0), 1);
        IConclaveSlasher.SignedCommitment memory a = attested(side, FORK + first, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(otherSide, FORK + second, BIT);
        IConclaveSlasher.HistoryEntry memory other = held(otherSide, FORK + first, FORK + second);
        vm.expectRevert(
            abi.encodeWithSelector(IConclaveSlasher.HeightsOutOfOrder.selector, FORK + second, FORK + first)
        );
        slasher.reportAttestations(b, a, other, BIT);
        slasher.reportAttestations(a, b, other, BIT);
        vm.assertEq(stake.seizureCount(), 1, "seized");
        vm.assertTrue(
            slasher.caseOf(offenceAt(MEMBER + 1, FORK + first)).state == IConclaveSlasher.State.Open, "open"
        );
    }

    /// What an honest validator attests in an epoch is one history. Two of it, in either order, with whatever is said to be
    /// held, convict nobody.
    function testFuzz_no_two_heights_of_one_history_convict(uint256 seed) public {
        uint64 low = uint64(FORK + seed % (HEIGHTS + 1));
        uint64 high = uint64(FORK + (seed >> 8) % (HEIGHTS + 1));
        uint256 side = seed >> 16 & 1;
        IConclaveSlasher.HistoryEntry memory said;
        {
            uint64 under = uint64(FORK + 1 + (seed >> 24) % HEIGHTS);
            uint64 height = uint64(FORK + (seed >> 32) % (under - FORK));
            said = held(seed >> 17 & 1, height, under);
            if (seed >> 40 & 1 == 1) said.digest = held(side, low, FORK + HEIGHTS + 1).digest;
            uint256 level = (seed >> 48) % said.path.length;
            if (seed >> 41 & 1 == 1) said.path[level] ^= bytes32(uint256(1) << (seed >> 56 & 0xff));
        }
        IConclaveSlasher.SignedCommitment memory a = attested(side, low, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(side, high, BIT);
        (bool isConvicted, bytes memory reason) =
            address(slasher).call(abi.encodeCall(slasher.reportAttestations, (a, b, said, BIT)));
        vm.assertFalse(isConvicted, "convicted");
        bytes4 name = bytes4(reason);
        bool isNamed = name == IConclaveSlasher.NotInHistory.selector
            || name == IConclaveSlasher.NotAnOffence.selector
            || name == IConclaveSlasher.HeightsOutOfOrder.selector
            || name == IConclaveSlasher.MessagesOutOfOrder.selector;
        vm.assertTrue(isNamed, "the refusal by its name");
    }

    function test_what_the_later_one_continues_is_no_offence() public {
        IConclaveSlasher.SignedCommitment memory a = attested(0, LOW, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(0, HIGH, BIT);
        IConclaveSlasher.HistoryEntry memory same = held(0, LOW, HIGH);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportAttestations(a, b, same, BIT);
        // The height before the fork is of both histories.
        a = attested(0, FORK, BIT);
        b = attested(1, HIGH, BIT);
        same = held(1, FORK, HIGH);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportAttestations(a, b, same, BIT);
        // And that it holds another than it does cannot be shown.
        same.digest = keccak256("another");
        vm.expectRevert(notInHistory(FORK, HIGH));
        slasher.reportAttestations(a, b, same, BIT);
    }

    function test_a_path_is_of_that_height_in_that_history_and_whole() public {
        IConclaveSlasher.SignedCommitment memory a = attested(0, LOW, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(1, HIGH, BIT);
        IConclaveSlasher.HistoryEntry[6] memory wrong = [
            // Of a neighbour, of the same history, which also is another commitment than the first.
            held(1, LOW - 1, HIGH),
            // Under another root.
            held(1, LOW, HIGH + 1),
            // Of the other history.
            held(0, LOW - 1, HIGH),
            held(1, LOW, HIGH),
            held(1, LOW, HIGH),
            nothing()
        ];
        (wrong[3].path, wrong[4].path) = (shorter(wrong[3].path), longer(wrong[4].path));
        for (uint256 i = 0; i < wrong.length; ++i) {
            vm.expectRevert(notInHistory(LOW, HIGH));
            slasher.reportAttestations(a, b, wrong[i], BIT);
        }
        // Each of its digests, by each end.
        uint256 levels = held(1, LOW, HIGH).path.length;
        for (uint256 i = 0; i <= levels; ++i) {
            for (uint256 bit = 0; bit < 256; bit += 255) {
                IConclaveSlasher.HistoryEntry memory changed = held(1, LOW, HIGH);
                if (i == levels) changed.digest ^= bytes32(1 << bit);
                else changed.path[i] ^= bytes32(1 << bit);
                vm.expectRevert(notInHistory(LOW, HIGH));
                slasher.reportAttestations(a, b, changed, BIT);
            }
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function test_heights_below_the_first_are_in_no_history() public {
        BlockCommitment memory c = commitment(0, LOW);
        c.height = 0;
        IConclaveSlasher.SignedCommitment memory a = signedBy(c, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(1, HIGH, BIT);
        IConclaveSlasher.HistoryEntry memory other = held(1, LOW, HIGH);
        vm.expectRevert(notInHistory(0, HIGH));
        slasher.reportAttestations(a, b, other, BIT);
        // The first height has nothing below it.
        BlockCommitment memory first = commitment(1, HIGH);
        first.height = 1;
        b = signedBy(first, BIT);
        vm.expectRevert(notInHistory(0, 1));
        slasher.reportAttestations(a, b, other, BIT);
    }

    function test_every_changed_field_is_another_commitment_of_another_history() public {
        for (uint256 field = 0; field < 24; ++field) {
            IConclaveSlasher.SignedCommitment memory a = attested(0, LOW, BIT);
            IConclaveSlasher.SignedCommitment memory b = attested(1, HIGH, BIT);
            IConclaveSlasher.HistoryEntry memory other = held(1, LOW, HIGH);
            BlockCommitment memory c = field < 12 ? a.commitment : b.commitment;
            uint256 what = field % 12;
            bytes memory expected = abi.encodeWithSelector(Bls12381.BadSignature.selector);
            if (what == 0) (++a.commitment.epoch, ++b.commitment.epoch);
            // The path is of the height below, or of one that is no longer below.
            if (what == 1) --c.height;
            if (field == 1) expected = notInHistory(LOW - 1, HIGH);
            if (what == 2) c.blockId ^= bytes32(uint256(1));
            if (what == 3) c.historyRoot ^= bytes32(uint256(1));
            if (field == 15) expected = notInHistory(LOW, HIGH);
            if (what == 4) c.revealRoot ^= bytes32(uint256(1));
            if (what == 5) ++c.rollupCount;
            if (what == 6) ++c.originNumber;
            if (what == 7) c.originHash ^= bytes32(uint256(1));
            if (what == 8) ++c.forcedCursor;
            if (what == 9) c.withdrawalsRoot ^= bytes32(uint256(1));
            if (what == 10) c.nextCommittee ^= bytes32(uint256(1));
            if (what == 11) c.dkgResult ^= bytes32(uint256(1));
            if (field == 13) {
                // Of one height now: the order is that of the digests.
                if (
                    SignBytes.commitment(domain(), a.commitment)
                        > SignBytes.commitment(domain(), b.commitment)
                ) (a, b) = (b, a);
            }
            vm.expectRevert(expected);
            slasher.reportAttestations(a, b, other, BIT);
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function test_commitments_of_two_epochs_are_no_offence() public {
        BlockCommitment memory c = commitment(1, HIGH);
        ++c.epoch;
        IConclaveSlasher.SignedCommitment memory a = attested(0, LOW, BIT);
        IConclaveSlasher.SignedCommitment memory b = signedBy(c, BIT);
        IConclaveSlasher.HistoryEntry memory other = held(1, LOW, HIGH);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportAttestations(a, b, other, BIT);
        // Nor if the first ends its epoch.
        BlockCommitment memory end = commitment(0, LOW);
        end.nextCommittee = keccak256("the next");
        a = signedBy(end, BIT);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportAttestations(a, b, other, BIT);
    }

    /// Who follows a history whose epoch ends sooner has no path in the other one, and needs none.
    function test_an_epoch_has_no_height_above_its_end() public {
        BlockCommitment memory end = commitment(0, LOW);
        (end.nextCommittee, end.dkgResult) = (keccak256("the next"), keccak256("its key"));
        IConclaveSlasher.SignedCommitment memory a = signedBy(end, 0x1f);
        // Even if it were held in the history above it.
        IConclaveSlasher.SignedCommitment memory b = attested(0, HIGH, 0x7c);
        vm.expectRevert(abi.encodeWithSelector(IConclaveSlasher.HeightsOutOfOrder.selector, HIGH, LOW));
        slasher.reportAttestations(b, a, nothing(), 0x1c);
        slasher.reportAttestations(a, b, nothing(), 0x1c);
        vm.snapshotGasLastCall("evidence", "three who go on above the end of an epoch");
        vm.assertEq(stake.seizureCount(), 3, "members 2, 3 and 4");
        vm.assertTrue(slasher.caseOf(offenceAt(3, LOW)).state == IConclaveSlasher.State.Open, "of the end");
        // Below the end the history has to be another one.
        end = commitment(0, HIGH);
        end.nextCommittee = keccak256("the next");
        a = attested(0, LOW - 1, BIT);
        b = signedBy(end, BIT);
        IConclaveSlasher.HistoryEntry memory same = held(0, LOW - 1, HIGH);
        vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
        slasher.reportAttestations(a, b, same, BIT);
        vm.expectRevert(notInHistory(LOW - 1, HIGH));
        slasher.reportAttestations(a, b, nothing(), BIT);
    }

    function test_histories_of_another_network_chain_or_contract_are_no_evidence() public {
        SigningDomain[3] memory others = [domain(), domain(), domain()];
        others[0].network = keccak256("another network");
        others[1].l1ChainId += 1;
        others[2].l1Contract = address(slasher);
        IConclaveSlasher.HistoryEntry memory other = held(1, LOW, HIGH);
        for (uint256 i = 0; i < 6; ++i) {
            bool isFirst = i < 3;
            IConclaveSlasher.SignedCommitment memory a =
                signedIn(isFirst ? others[i] : domain(), commitment(0, LOW), BIT);
            IConclaveSlasher.SignedCommitment memory b =
                signedIn(isFirst ? domain() : others[i - 3], commitment(1, HIGH), BIT);
            vm.expectRevert(Bls12381.BadSignature.selector);
            slasher.reportAttestations(a, b, other, BIT);
        }
    }

    function test_evidence_of_histories_counts_as_long_as_any() public {
        uint64 ended = uint64(block.timestamp);
        stake.end(EPOCH, ended);
        IConclaveSlasher.SignedCommitment memory a = attested(0, LOW, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(1, HIGH, BIT);
        IConclaveSlasher.HistoryEntry memory other = held(1, LOW, HIGH);
        vm.warp(ended + 14 days + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IConclaveSlasher.EvidenceTooOld.selector, ended, ended + 14 days)
        );
        slasher.reportAttestations(a, b, other, BIT);
        vm.warp(ended + 14 days);
        slasher.reportAttestations(a, b, other, BIT);
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    function test_an_announcement_is_of_the_pair() public {
        IConclaveSlasher.SignedCommitment memory a = attested(0, LOW, BIT);
        IConclaveSlasher.SignedCommitment memory b = attested(1, HIGH, BIT);
        bytes32 left = SignBytes.commitment(domain(), a.commitment);
        bytes32 right = SignBytes.commitment(domain(), b.commitment);
        (address finder, address thief) = (address(0xF1), address(0x7F));
        bytes32 id = offenceAt(MEMBER + 1, LOW);
        uint128 evidence = uint128(uint256(keccak256(abi.encode(left, right))) >> 128);
        bytes32 seal = slasher.sealOf(id, evidence, finder, "salt");
        vm.prank(finder);
        slasher.announce(seal);
        vm.roll(block.number + 1);
        // The thief adds another's attestation to the sum, and is faster.
        a = attested(0, LOW, BIT | 1);
        IConclaveSlasher.HistoryEntry memory other = held(1, LOW, HIGH);
        vm.prank(thief);
        slasher.reportAttestations(a, b, other, BIT);
        vm.prank(finder);
        slasher.claimReport(id, "salt");
        vm.assertEq(slasher.caseOf(id).reporter, finder, "the finder");
    }

    function shorter(bytes32[] memory path) private pure returns (bytes32[] memory cut) {
        cut = new bytes32[](path.length - 1);
        for (uint256 i = 0; i < cut.length; ++i) {
            cut[i] = path[i];
        }
    }

    function longer(bytes32[] memory path) private pure returns (bytes32[] memory grown) {
        grown = new bytes32[](path.length + 1);
        for (uint256 i = 0; i < path.length; ++i) {
            grown[i] = path[i];
        }
    }
}
