// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { Merkle } from "../../src/lib/Merkle.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { G1Point, ValidatorId } from "../../src/lib/Types.sol";
import { SealedShare } from "../../src/verify/SealedShare.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";
import { SlasherFixture } from "./Slasher.t.sol";

/// Shares of member 5 for a block of four bundles, behind its beacon point: the block, the key, who holds its points
/// and the right shares are those of `tests/vectors/settlement-v1.json`. Each row there is another sharing.
contract SharesTest is SlasherFixture {
    /// Each member holds the point of its own number, sub-batches of two.
    uint256 private constant PLAIN = 0;
    /// Member 5 holds points 3 to 5, and no member those of its own number.
    uint256 private constant WEIGHTED = 1;
    /// Four members hold one point each of sixteen, in another order, under the other suite: sub-batches of one.
    uint256 private constant BASELINE = 2;
    uint256 private constant SHARINGS = 3;

    string private json;
    uint256 private row;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("../tests/vectors/settlement-v1.json");
        use(PLAIN);
    }

    function use(uint256 sharing) private {
        row = sharing;
        stake.share(EPOCH, word(".dkg_result"));
        // The vector is of another network than the fixture.
        vm.store(address(stake), 0, word(".network"));
        vm.assertEq(stake.network(), word(".network"), "the double's first slot is the network");
    }

    function test_right_shares_convict_nobody() public {
        for (uint256 sharing = 0; sharing < SHARINGS; ++sharing) {
            use(sharing);
            for (uint256 index = 0; index < shareCount(); ++index) {
                SealedShare.Claim memory claim = claimOf(index);
                IConclaveSlasher.SignedShares memory shares = signedShares(word(".share_root"));
                vm.expectRevert(IConclaveSlasher.NotAnOffence.selector);
                slasher.reportWrongShare(shares, claim);
            }
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    /// At each point and in each sub-batch, with and without the beacon point, full and short.
    function test_a_wrong_share_convicts() public {
        for (uint256 sharing = 0; sharing < SHARINGS; ++sharing) {
            use(sharing);
            bytes[] memory rights = vm.parseJsonBytesArray(json, name(".shares"));
            string memory points = ".points.outside_of_the_subgroup.compressed";
            for (uint256 index = 0; index < rights.length; ++index) {
                bytes[4] memory wrong = [
                    rights[(index + 1) % rights.length],
                    // Another's point, a point outside of the subgroup, no point at all, infinity.
                    vm.parseJsonBytes(json, points),
                    vm.parseJsonBytes(json, ".points.refused[0].compressed"),
                    vm.parseJsonBytes(json, ".points.valid[10].compressed")
                ];
                uint256 snapshot = vm.snapshotState();
                (SealedShare.Claim memory claim, bytes32 root) = replaced(index, wrong[index % 4]);
                bytes32 id = slasher.reportWrongShare(signedShares(root), claim);
                if (index == 0 && sharing == PLAIN) {
                    vm.snapshotGasLastCall("evidence", "wrong share, 2 entries");
                }
                if (index == 0 && sharing == BASELINE) {
                    vm.snapshotGasLastCall("evidence", "wrong share of the baseline");
                }
                vm.assertEq(id, offence(IConclaveSlasher.Offence.WrongShare, 0), "identity");
                vm.assertFalse(stake.seizureOf(id).tombstone, "an accident may happen");
                vm.warp(block.timestamp + 3 days + 1);
                slasher.resolve(id);
                vm.assertEq(stake.seizureOf(id).penaltyBps, 100, "one hundredth");
                vm.revertToState(snapshot);
            }
        }
    }

    /// It stalls nobody and is no part of a plot. And when its case lapses, whatever else it is accused of stands.
    function test_a_wrong_share_makes_no_penalty_larger_and_its_lapse_makes_none_smaller() public {
        (SealedShare.Claim memory claim, bytes32 root) =
            replaced(0, vm.parseJsonBytesArray(json, name(".shares"))[1]);
        bytes32 id = slasher.reportWrongShare(signedShares(root), claim);
        IConclaveSlasher.Position memory at = position();
        at.member = 0;
        (IConclaveSlasher.SignedVote memory a, IConclaveSlasher.SignedVote memory b) = ordered(at, 0);
        bytes32 other = slasher.reportVotes(at, 0, a, b);
        uint256 reported = vm.snapshotState();
        vm.warp(block.timestamp + 30 days);
        slasher.resolve(other);
        vm.assertEq(stake.seizureOf(other).penaltyBps, 4285, "one seventh");
        vm.revertToState(reported);
        accuse();
        vm.warp(block.timestamp + 30 days);
        slasher.lapse(id);
        slasher.resolve(other);
        vm.assertEq(stake.seizureOf(other).penaltyBps, 8571, "two sevenths");
    }

    /// A damaged key share makes the shares of every height wrong: a hundredth in the epoch, whoever reports how many.
    function test_wrong_shares_at_other_heights_of_an_epoch_are_the_same_offence() public {
        (SealedShare.Claim memory claim, bytes32 root) =
            replaced(2, vm.parseJsonBytesArray(json, name(".shares"))[1]);
        bytes32 id = slasher.reportWrongShare(signedShares(root), claim);
        claim.header.height = HEIGHT + 1;
        bytes32 blockId = this.headerId(claim.header);
        bytes32 message = SignBytes.shares(domain(), EPOCH, HEIGHT + 1, blockId, root);
        IConclaveSlasher.SignedShares memory later = IConclaveSlasher.SignedShares(
            EPOCH, MEMBER, HEIGHT + 1, blockId, root, signed(uint256(MEMBER) + 1, message)
        );
        bytes memory known = abi.encodeWithSelector(IConclaveSlasher.AlreadyReported.selector, id);
        vm.expectRevert(known);
        slasher.reportWrongShare(later, claim);
        vm.warp(block.timestamp + 3 days + 1);
        slasher.resolve(id);
        vm.expectRevert(known);
        slasher.reportWrongShare(later, claim);
        vm.assertEq(stake.seizureCount(), 1, "seized once");
    }

    function headerId(SealedShare.Header calldata header) external view returns (bytes32) {
        return SealedShare.headerId(stake.network(), header);
    }

    function test_only_of_wrong_shares_do_height_and_round_not_count() public view {
        ValidatorId validator = ValidatorId.wrap(uint32(MEMBER) + 1);
        for (uint8 kind = 1; kind <= uint8(type(IConclaveSlasher.Offence).max); ++kind) {
            IConclaveSlasher.Offence what = IConclaveSlasher.Offence(kind);
            bytes32 id = slasher.offenceOf(validator, EPOCH, what, HEIGHT, 1);
            bool one = what == IConclaveSlasher.Offence.WrongShare;
            vm.assertTrue((id == slasher.offenceOf(validator, EPOCH, what, HEIGHT + 1, 1)) == one, "height");
            vm.assertTrue((id == slasher.offenceOf(validator, EPOCH, what, HEIGHT, 2)) == one, "round");
            vm.assertTrue(id != slasher.offenceOf(validator, EPOCH + 1, what, HEIGHT, 1), "epoch");
        }
    }

    /// The negative of the right share is another point with the same x.
    function test_the_sign_of_a_share_counts() public {
        bytes memory right = vm.parseJsonBytesArray(json, name(".shares"))[2];
        right[0] ^= 0x20;
        (SealedShare.Claim memory claim, bytes32 root) = replaced(2, right);
        slasher.reportWrongShare(signedShares(root), claim);
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    /// Right shares, all of them signed by the member: whoever could have one judged at another point, or as if it
    /// stood elsewhere in the message, would find it wrong.
    function test_a_right_share_is_not_judged_as_one_of_another_point_or_place() public {
        use(WEIGHTED);
        IConclaveSlasher.SignedShares memory shares = signedShares(word(".share_root"));
        // Share 4 is that of point 4 for sub-batch 1.
        SealedShare.Claim memory claim = claimOf(4);
        SealedShare.Claim memory other = claimOf(7);
        // The next point's key, for this share.
        (claim.verificationKey, claim.verificationPath) = (other.verificationKey, other.verificationPath);
        expectNotThePoint(MEMBER, 4);
        slasher.reportWrongShare(shares, claim);
        claim.point = other.point;
        expectNotThePoint(MEMBER, 5);
        slasher.reportWrongShare(shares, claim);
        claim.place = other.place;
        vm.expectRevert(abi.encodeWithSelector(SealedShare.NotTheShare.selector, 1));
        slasher.reportWrongShare(shares, claim);
        // The same place, counted on from the point before: sub-batch 4 of three.
        claim = claimOf(4);
        SealedShare.Claim memory first = claimOf(0);
        (claim.point, claim.place) = (first.point, first.place);
        (claim.verificationKey, claim.verificationPath) = (first.verificationKey, first.verificationPath);
        claim.subBatch = 4;
        vm.expectRevert(abi.encodeWithSelector(SealedShare.NoSuchSubBatch.selector, 4));
        slasher.reportWrongShare(shares, claim);
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    /// Another member of the committee signs the shares that are right for member 5, or member 5 is accused by the
    /// point that another one holds.
    function test_nobody_is_judged_by_the_point_of_another_member() public {
        for (uint256 sharing = 0; sharing < SHARINGS; ++sharing) {
            use(sharing);
            SealedShare.Claim memory claim = claimOf(0);
            for (uint16 member = 0; member < COUNT; ++member) {
                if (member == MEMBER) continue;
                bytes32 root = word(".share_root");
                bytes32 blockId = word(".header.id");
                bytes32 message = SignBytes.shares(domain(), EPOCH, HEIGHT, blockId, root);
                IConclaveSlasher.SignedShares memory shares = IConclaveSlasher.SignedShares(
                    EPOCH, member, HEIGHT, blockId, root, signed(uint256(member) + 1, message)
                );
                expectNotThePoint(member, claim.point);
                slasher.reportWrongShare(shares, claim);
            }
            // The point with the member's own number, as if everyone held that.
            claim.point = MEMBER;
            claim.place = 0;
            if (sharing == PLAIN) continue;
            IConclaveSlasher.SignedShares memory own = signedShares(word(".share_root"));
            expectNotThePoint(MEMBER, MEMBER);
            slasher.reportWrongShare(own, claim);
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    /// Whoever is framed had only to be shown wrong in one part that he does not control.
    function test_parts_that_do_not_belong_together_convict_nobody() public {
        bytes memory wrong = vm.parseJsonBytesArray(json, name(".shares"))[0];
        for (uint256 field = 0; field < 39; ++field) {
            (SealedShare.Claim memory c, bytes32 root) = replaced(1, wrong);
            bytes4 expected = alter(c, field);
            IConclaveSlasher.SignedShares memory shares = signedShares(root);
            vm.expectPartialRevert(expected);
            slasher.reportWrongShare(shares, c);
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    function test_shares_that_the_member_did_not_sign_convict_nobody() public {
        bytes memory wrong = vm.parseJsonBytesArray(json, name(".shares"))[0];
        (SealedShare.Claim memory claim, bytes32 root) = replaced(1, wrong);
        IConclaveSlasher.SignedShares memory shares = signedShares(root);
        shares.root = word(".share_root");
        vm.expectRevert(badSignature());
        slasher.reportWrongShare(shares, claim);
        // An epoch whose sharing is not known.
        shares = signedShares(root);
        stake.share(EPOCH, 0);
        vm.expectRevert(abi.encodeWithSelector(SealedShare.NotTheKey.selector, 0));
        slasher.reportWrongShare(shares, claim);
    }

    function test_evidence_of_wrong_shares_counts_as_long_as_any() public {
        bytes memory wrong = vm.parseJsonBytesArray(json, name(".shares"))[0];
        (SealedShare.Claim memory claim, bytes32 root) = replaced(1, wrong);
        IConclaveSlasher.SignedShares memory shares = signedShares(root);
        uint256 until = outlive();
        slasher.reportWrongShare(shares, claim);
        vm.warp(until);
        slasher.reportWrongShare(shares, claim);
        vm.assertEq(stake.seizureCount(), 1, "seized");
    }

    /// The sharing is the epoch's and the share is wrong under it, but the block is not opened by its key.
    function test_a_share_is_judged_by_the_key_that_its_block_names_alone() public {
        bytes memory wrong = vm.parseJsonBytesArray(json, name(".shares"))[0];
        bytes32 found = word(".header.key_id");
        bytes32[2] memory named = [bytes32(0), keccak256("another key")];
        for (uint256 index = 0; index < 2; ++index) {
            for (uint256 i = 0; i < 2; ++i) {
                (SealedShare.Claim memory claim, bytes32 root) = replaced(index, wrong);
                claim.header.keyId = named[i];
                bytes32 blockId = this.idOf(claim.header);
                IConclaveSlasher.SignedShares memory shares = signedShares(blockId, root);
                vm.expectRevert(abi.encodeWithSelector(SealedShare.AnotherKey.selector, named[i], found));
                slasher.reportWrongShare(shares, claim);
            }
        }
        vm.assertEq(stake.seizureCount(), 0, "nothing was seized");
    }

    /// The library takes headers from calldata only.
    function idOf(SealedShare.Header calldata header) external view returns (bytes32) {
        return SealedShare.headerId(stake.network(), header);
    }

    function test_a_sub_batch_beyond_the_block_is_none() public {
        SealedShare.Claim memory claim = claimOf(2);
        bytes32[] memory leaves = new bytes32[](4);
        leaves[3] = Merkle.leaf(claim.share);
        bytes32 root = Merkle.node(Merkle.node(0, 0), Merkle.node(0, leaves[3]));
        claim.subBatch = 3;
        claim.sharePath[0] = 0;
        claim.sharePath[1] = Merkle.node(0, 0);
        IConclaveSlasher.SignedShares memory shares = signedShares(root);
        vm.expectRevert(abi.encodeWithSelector(SealedShare.NoSuchSubBatch.selector, 3));
        slasher.reportWrongShare(shares, claim);
    }

    function expectNotThePoint(uint16 member, uint16 point) private {
        vm.expectRevert(abi.encodeWithSelector(SealedShare.NotTheMembersPoint.selector, member, point));
    }

    /// Changes one part; returns the error that names it.
    function alter(SealedShare.Claim memory c, uint256 field) private pure returns (bytes4) {
        if (field < 13 || field > 33 && field < 37) {
            SealedShare.Header memory h = c.header;
            if (field == 0) ++h.height;
            if (field == 1) h.parent = 0;
            if (field == 2) h.parentCertificate = 0;
            if (field == 3) ++h.proposer;
            if (field == 4) ++h.timeMicros;
            if (field == 5) ++h.epoch;
            if (field == 6) ++h.originNumber;
            if (field == 7) h.originHash = 0;
            if (field == 8) h.bundleRoot = 0;
            if (field == 9) ++h.bundleCount;
            if (field == 10) ++h.revealedHeight;
            if (field == 11) h.revealDigest = 0;
            if (field == 12) h.ledgerDigest = 0;
            if (field == 34) h.l1EntriesRoot = 0;
            if (field == 35) h.keyId = 0;
            if (field == 36) h.sharingRoot = 0;
            return SealedShare.AnotherBlock.selector;
        }
        if (field < 22) {
            SealedShare.Key memory k = c.key;
            if (field == 13) {
                k.suite = 3;
                return SealedShare.UnknownSuite.selector;
            }
            if (field == 14) ++k.era;
            if (field == 15) ++k.secrecy;
            if (field == 16) ++k.packing;
            if (field == 17) ++k.parties;
            if (field == 18) k.publicKey[5] ^= 0x01;
            if (field == 19) k.publicKeyG2[5] ^= 0x01;
            if (field == 20) k.path[0] = 0;
            if (field == 21) k.path = new bytes32[](0);
            return SealedShare.NotTheKey.selector;
        }
        if (field < 25) {
            if (field == 22) c.verificationKey[255] ^= 0x01;
            // The high half of a coordinate that is no field element.
            if (field == 23) {
                c.verificationKey[0] = 0x01;
                return Bls12381.NotAPoint.selector;
            }
            if (field == 24) c.verificationPath[0] = 0;
            // One y is not told from another with the same sign: the pairing refuses what is off the curve.
            return field == 22 ? Bls12381.PrecompileFailed.selector : SealedShare.NotTheMembersPoint.selector;
        }
        if (field > 36) {
            if (field == 37) ++c.point;
            if (field == 38) ++c.place;
            return SealedShare.NotTheMembersPoint.selector;
        }
        if (field < 28) {
            if (field == 25) c.share[7] ^= 0x01;
            if (field == 26) c.sharePath[0] = 0;
            if (field == 27) c.subBatch = 0;
            return SealedShare.NotTheShare.selector;
        }
        SealedShare.Bundle memory b = c.bundles[1];
        if (field == 28) b.label = 0;
        if (field == 29) b.bodyHash = 0;
        if (field == 30) b.capsule[100] ^= 0x01;
        if (field == 31) b.signature[64] ^= 0x01;
        if (field == 32) b.u = c.bundles[0].u;
        if (field == 33) (c.bundles[0], c.bundles[1]) = (c.bundles[1], c.bundles[0]);
        return SealedShare.NotTheBundle.selector;
    }

    /// The claim about share `index` with another one in its place, and the root over all of them.
    function replaced(uint256 index, bytes memory share)
        private
        view
        returns (SealedShare.Claim memory claim, bytes32 root)
    {
        claim = claimOf(index);
        claim.share = share;
        root = Merkle.leaf(share);
        for (uint256 i = 0; i < claim.sharePath.length; ++i) {
            bytes32 sibling = claim.sharePath[i];
            root = index & 1 == 0 ? Merkle.node(root, sibling) : Merkle.node(sibling, root);
            index >>= 1;
        }
    }

    function signedShares(bytes32 root) private view returns (IConclaveSlasher.SignedShares memory) {
        return signedShares(word(".header.id"), root);
    }

    function signedShares(bytes32 blockId, bytes32 root)
        private
        view
        returns (IConclaveSlasher.SignedShares memory)
    {
        bytes32 message = SignBytes.shares(domain(), EPOCH, HEIGHT, blockId, root);
        return IConclaveSlasher.SignedShares(
            EPOCH, MEMBER, HEIGHT, blockId, root, signed(uint256(MEMBER) + 1, message)
        );
    }

    /// The claim about share `index` of the member's message.
    function claimOf(uint256 index) private view returns (SealedShare.Claim memory claim) {
        claim.header = SealedShare.Header({
            height: uint64(number(".header.height")),
            parent: word(".header.parent"),
            parentCertificate: word(".header.parent_certificate"),
            proposer: uint16(number(".header.proposer")),
            timeMicros: uint64(number(".header.time_micros")),
            epoch: uint64(number(".header.epoch")),
            originNumber: uint64(number(".header.l1_number")),
            originHash: word(".header.l1_hash"),
            l1EntriesRoot: word(".header.l1_entries_root"),
            keyId: word(".header.key_id"),
            sharingRoot: word(".header.sharing_root"),
            bundleRoot: word(".header.bundle_root"),
            bundleCount: uint32(number(".header.bundle_count")),
            revealedHeight: uint64(number(".header.revealed_height")),
            revealDigest: word(".header.reveal_digest"),
            ledgerDigest: word(".header.ledger_digest")
        });
        claim.key = SealedShare.Key({
            suite: uint8(number(".suite")),
            era: uint32(number(".era")),
            secrecy: uint16(number(".secrecy")),
            packing: uint16(number(".packing")),
            parties: uint16(number(".parties")),
            publicKey: data(".public_key"),
            publicKeyG2: data(".public_key_g2"),
            path: words(".key_path")
        });
        (uint256 packing, uint256 entries) = (number(".packing"), number(".header.bundle_count") + 1);
        uint256 count = (entries + packing - 1) / packing;
        claim.subBatch = uint32(index % count);
        claim.place = uint16(index / count);
        claim.point = uint16(number(string.concat(".holders[", vm.toString(MEMBER), "][0]"))) + claim.place;
        string memory held = string.concat(".points[", vm.toString(claim.place), "]");
        claim.verificationKey = data(string.concat(held, ".verification_key"));
        claim.verificationPath = words(string.concat(held, ".verification_path"));
        claim.share = vm.parseJsonBytesArray(json, name(".shares"))[index];
        claim.sharePath = words(string.concat(".share_paths[", vm.toString(index), "]"));
        // Entry 0 is the beacon point, and bundle i entry i + 1.
        uint256 from = packing * claim.subBatch;
        uint256 to = from + packing < entries ? from + packing : entries;
        if (from == 0) from = 1;
        claim.bundles = new SealedShare.Bundle[](to - from);
        for (uint256 i = 0; i < claim.bundles.length; ++i) {
            string memory at = string.concat(".bundles[", vm.toString(from + i - 1), "]");
            claim.bundles[i] = SealedShare.Bundle({
                label: word(string.concat(at, ".label")),
                bodyHash: word(string.concat(at, ".body_hash")),
                capsule: data(string.concat(at, ".capsule")),
                signature: data(string.concat(at, ".signature")),
                u: abi.decode(data(string.concat(at, ".u")), (G1Point)),
                path: words(string.concat(at, ".path"))
            });
        }
    }

    function shareCount() private view returns (uint256) {
        return vm.parseJsonBytesArray(json, name(".shares")).length;
    }

    function name(string memory key) private view returns (string memory) {
        return string.concat(".sealed_shares[", vm.toString(row), "]", key);
    }

    function number(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, name(key));
    }

    function word(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, name(key));
    }

    function words(string memory key) private view returns (bytes32[] memory) {
        return vm.parseJsonBytes32Array(json, name(key));
    }

    function data(string memory key) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, name(key));
    }
}
