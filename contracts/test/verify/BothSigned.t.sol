// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { QuorumCertificate } from "../../src/lib/QuorumCertificate.sol";
import { Committee, G1Point, Member } from "../../src/lib/Types.sol";
import { Committees } from "../support/Committees.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";

/// Two certificates checked by one product of pairings: it shows what two checks show, and nobody can be put into either who
/// has not signed its message.
contract BothSignedTest is Committees {
    bytes32 private constant LEFT = keccak256("a commitment");
    bytes32 private constant RIGHT = keccak256("another commitment");
    uint256 private constant COUNT = 8;
    /// On the curve of G2 and not in the subgroup: the first with a small x, 2.
    bytes private constant OUTSIDE =
        hex"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000018c6b864ae17dc9da64203ffefb966306425a7bc6aeb7c75247438372716284a4173830420cd476ba1a365b95bfcec3800000000000000000000000000000000172e93db764a8400a7d5071b6b6f5de0da2f0f4a063119abca014006b7c40a2cfe291a1924e65db0d6d0fcfbf3bf3d5c";

    struct Signed {
        bytes32 message;
        uint256 signers;
        bytes signature;
    }

    Committee private committee;

    function setUp() public {
        committee = write(honest(COUNT));
    }

    /// Any two sets sign, and any two are said to have: what passes are those that did.
    function testFuzz_only_who_signed_both_is_in_both(uint256 seed) public {
        uint256 a = bound(seed & 0xff, 1, 0xff);
        uint256 b = bound(seed >> 8 & 0xff, 1, 0xff);
        uint256 saidA = seed >> 24 & 1 == 0 ? a : bound(seed >> 32 & 0xff, 1, 0xff);
        uint256 saidB = seed >> 25 & 1 == 0 ? b : bound(seed >> 40 & 0xff, 1, 0xff);
        bytes memory left = signed(LEFT, a);
        bytes memory right = signed(RIGHT, b);
        if (a != saidA || b != saidB) vm.expectRevert(Bls12381.BadSignature.selector);
        this.requireBoth(said(LEFT, saidA, left), said(RIGHT, saidB, right));
    }

    function test_whoever_signed_one_of_the_two_is_not_in_both() public {
        // Member 2 is honest and signed the left one; the others collude, and sign all that they like.
        bytes memory left = signed(LEFT, 0x0f);
        bytes memory others = signed(RIGHT, 0x0b);
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0x0b, others));
        refuse(said(LEFT, 0x0f, left), said(RIGHT, 0x0f, others));
        // Nor does its one signature count twice, or for the other message.
        bytes memory its = signed(LEFT, 0x04);
        bytes memory stuffed = this.sum(others, its);
        refuse(said(LEFT, 0x0f, left), said(RIGHT, 0x0f, stuffed));
        bytes memory twice = this.sum(left, its);
        refuse(said(LEFT, 0x0f, twice), said(RIGHT, 0x0f, others));
        // With the whole committee's signatures under one message, those under the other still lack.
        refuse(said(LEFT, 0xff, signed(LEFT, 0xff)), said(RIGHT, 0x04, its));
    }

    function test_signatures_of_each_others_messages_are_refused() public {
        bytes memory left = signed(LEFT, 0x0f);
        bytes memory right = signed(RIGHT, 0x3c);
        refuse(said(RIGHT, 0x0f, left), said(LEFT, 0x3c, right));
        refuse(said(LEFT, 0x3c, left), said(RIGHT, 0x0f, right));
        refuse(said(LEFT, 0x0f, left), said(RIGHT, 0x3c, left));
        refuse(said(LEFT, 0x0f, left), said(keccak256("a third"), 0x3c, right));
    }

    /// What an attacker may do to the parts: nothing comes of it, as long as the sum proves what it says.
    function test_the_parts_of_the_sum_say_nothing_by_themselves() public view {
        bytes memory left = signed(LEFT, 0x0f);
        bytes memory right = signed(RIGHT, 0x3c);
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0x3c, right));
        this.requireBoth(said(LEFT, 0x0f, right), said(RIGHT, 0x3c, left));
        uint256 shift = Secrets.settlement(99);
        bytes memory x = Secrets.sign(shift, "any point");
        bytes memory minusX = Secrets.sign(Bls12381.ORDER - shift, "any point");
        bytes memory first = this.sum(left, x);
        bytes memory second = this.sum(right, minusX);
        this.requireBoth(said(LEFT, 0x0f, first), said(RIGHT, 0x3c, second));
    }

    function test_one_message_is_not_two() public {
        bytes memory a = signed(LEFT, 0x0f);
        bytes memory b = signed(LEFT, 0x3c);
        vm.expectRevert(abi.encodeWithSelector(Bls12381.SameMessage.selector, LEFT));
        this.requireBoth(said(LEFT, 0x0f, a), said(LEFT, 0x3c, b));
    }

    function test_infinity_in_either_place_or_as_their_sum_is_refused() public {
        bytes memory nothing = new bytes(256);
        bytes memory left = signed(LEFT, 0x0f);
        bytes memory right = signed(RIGHT, 0x0f);
        vm.expectRevert(Bls12381.SignatureIsInfinity.selector);
        this.requireBoth(said(LEFT, 0x0f, nothing), said(RIGHT, 0x0f, right));
        vm.expectRevert(Bls12381.SignatureIsInfinity.selector);
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0x0f, nothing));
        bytes memory minusLeft = Secrets.sign(Bls12381.ORDER - secretOf(0x0f), LEFT);
        vm.expectRevert(Bls12381.SignatureIsInfinity.selector);
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0x0f, minusLeft));
        vm.expectRevert(abi.encodeWithSelector(Bls12381.SignatureLength.selector, 255));
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0x0f, new bytes(255)));
        vm.expectRevert(abi.encodeWithSelector(Bls12381.SignatureLength.selector, 0));
        this.requireBoth(said(LEFT, 0x0f, ""), said(RIGHT, 0x0f, right));
    }

    /// Opposite keys, both honestly possessed: each of the two sums of keys is infinity in turn, as the signers and as what
    /// all others leave over.
    function test_keys_that_cancel_sign_nothing() public {
        Member[] memory members = honest(4);
        members[1].settlementKey = negated(members[0].settlementKey);
        committee = write(members);
        bytes memory one = signed(RIGHT, 0x04);
        vm.expectRevert(Bls12381.KeyIsInfinity.selector);
        this.requireBoth(said(LEFT, 0x03, one), said(RIGHT, 0x04, one));
        vm.expectRevert(Bls12381.KeyIsInfinity.selector);
        this.requireBoth(said(LEFT, 0x04, one), said(RIGHT, 0x03, one));
        // Absent, they leave the key of the others as it is, and beside others they add nothing.
        this.requireBoth(said(LEFT, 0x0c, signed(LEFT, 0x0c)), said(RIGHT, 0x07, one));
    }

    function test_a_committee_whose_keys_add_up_to_infinity_is_known_by_its_parts() public {
        Member[] memory members = honest(2);
        members[1].settlementKey = negated(members[0].settlementKey);
        committee = write(members);
        G1Point memory key;
        (key,) = QuorumCertificate.aggregate(committee, 0x01);
        vm.assertEq(Bls12381.encode(key), Bls12381.encode(members[0].settlementKey), "of one");
        (key,) = QuorumCertificate.aggregate(committee, 0x02);
        vm.assertEq(Bls12381.encode(key), Bls12381.encode(members[1].settlementKey), "of the other");
        (key,) = QuorumCertificate.aggregate(committee, 0x03);
        vm.assertTrue(Bls12381.isInfinity(key), "of both");
    }

    function test_nobody_and_people_from_outside_sign_nothing() public {
        bytes memory left = signed(LEFT, 0x0f);
        bytes memory right = signed(RIGHT, 0x0f);
        vm.expectRevert(QuorumCertificate.NoSigners.selector);
        this.requireBoth(said(LEFT, 0, left), said(RIGHT, 0x0f, right));
        vm.expectRevert(QuorumCertificate.NoSigners.selector);
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0, right));
        for (uint256 bit = COUNT; bit < 256; bit += 31) {
            uint256 signers = 0x0f | 1 << bit;
            vm.expectRevert(abi.encodeWithSelector(QuorumCertificate.UnknownSigners.selector, signers, COUNT));
            this.requireBoth(said(LEFT, signers, left), said(RIGHT, 0x0f, right));
            vm.expectRevert(abi.encodeWithSelector(QuorumCertificate.UnknownSigners.selector, signers, COUNT));
            this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, signers, right));
        }
    }

    function test_points_off_the_curve_or_the_subgroup_are_refused() public {
        bytes memory left = signed(LEFT, 0x0f);
        bytes memory right = signed(RIGHT, 0x0f);
        bytes memory off = bytes.concat(left);
        off[255] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(Bls12381.PrecompileFailed.selector, 0x0d));
        this.requireBoth(said(LEFT, 0x0f, off), said(RIGHT, 0x0f, right));
        vm.expectRevert(abi.encodeWithSelector(Bls12381.PrecompileFailed.selector, 0x0d));
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0x0f, off));
        // The addition takes such points; the pairing does not take what comes of them.
        bytes memory shifted = this.sum(left, OUTSIDE);
        vm.expectRevert(abi.encodeWithSelector(Bls12381.PrecompileFailed.selector, 0x0f));
        this.requireBoth(said(LEFT, 0x0f, shifted), said(RIGHT, 0x0f, right));
        vm.expectRevert(abi.encodeWithSelector(Bls12381.PrecompileFailed.selector, 0x0f));
        this.requireBoth(said(LEFT, 0x0f, left), said(RIGHT, 0x0f, OUTSIDE));
    }

    function requireBoth(Signed calldata left, Signed calldata right) external view {
        bytes memory both = Bls12381.sumOfSignatures(left.signature, right.signature);
        QuorumCertificate.requireBothSigned(
            committee, left.message, left.signers, right.message, right.signers, both
        );
    }

    function sum(bytes calldata left, bytes calldata right) external view returns (bytes memory) {
        return Bls12381.sumOfSignatures(left, right);
    }

    function refuse(Signed memory left, Signed memory right) private {
        vm.expectRevert(Bls12381.BadSignature.selector);
        this.requireBoth(left, right);
    }

    function said(bytes32 message, uint256 signers, bytes memory signature)
        private
        pure
        returns (Signed memory)
    {
        return Signed(message, signers, signature);
    }
}
