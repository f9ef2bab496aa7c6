// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { QuorumCertificate } from "../../src/lib/QuorumCertificate.sol";
import { Committee, G1Point, Member } from "../../src/lib/Types.sol";
import { Committees } from "../support/Committees.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";

/// Certificates, honest and forged.
contract CertificateTest is Committees {
    bytes32 private constant MESSAGE = keccak256("a commitment");
    /// The point at infinity of G2.
    bytes private nothing = new bytes(256);

    function test_a_quorum_is_verified_within_its_price_at_every_size() public {
        uint256[4] memory sizes = [uint256(4), 16, 64, 100];
        for (uint256 i = 0; i < sizes.length; ++i) {
            uint256 count = sizes[i];
            vm.pauseGasMetering();
            Committee memory committee = write(honest(count));
            uint256 absent = (count - 1) / 3;
            uint256 signers = (1 << count) - (1 << absent);
            bytes memory signature = signed(MESSAGE, signers);
            vm.resumeGasMetering();
            this.requireQuorum(committee, MESSAGE, signers, signature);
            string memory name = string.concat("certificate of ", vm.toString(count), ", a third absent");
            vm.assertLe(vm.snapshotGasLastCall("verify", name), 250_000, name);
        }
    }

    /// At most half of the keys are added up, whoever signed, and the sum is that of the signers.
    function test_the_dearest_sum_of_keys_is_that_of_half_a_committee() public {
        Committee memory committee = write(honest(100));
        G1Point memory expected;
        uint256[101] memory gas;
        for (uint256 count = 1; count <= 100; ++count) {
            expected = Bls12381.add(expected, Secrets.settlementKey(count));
            uint256 before = gasleft();
            (G1Point memory key, uint64 power) = QuorumCertificate.aggregate(committee, (1 << count) - 1);
            gas[count] = before - gasleft();
            vm.assertEq(Bls12381.encode(key), Bls12381.encode(expected), "the sum");
            vm.assertEq(power, count * 100 + count * (count - 1) / 2, "their power");
        }
        for (uint256 count = 1; count <= 100; ++count) {
            vm.assertLe(gas[count], gas[50] + 5000, "half of them");
        }
    }

    function test_less_than_a_quorum_is_refused() public {
        Member[] memory members = honest(4);
        (members[0].power, members[1].power, members[2].power, members[3].power) = (4, 3, 3, 2);
        Committee memory committee = write(members);
        bytes memory signature = signed(MESSAGE, 0x0b);
        this.requireQuorum(committee, MESSAGE, 0x0b, signature);
        signature = signed(MESSAGE, 0x0e);
        vm.expectRevert(abi.encodeWithSelector(QuorumCertificate.NoQuorum.selector, 9, 8));
        this.requireQuorum(committee, MESSAGE, 0x0e, signature);
        vm.assertEq(this.requireSigned(committee, MESSAGE, 0x0e, signature), 8, "power of the signers");
    }

    function test_nobody_and_people_from_outside_sign_nothing() public {
        Committee memory committee = write(honest(4));
        bytes memory signature = signed(MESSAGE, 0x0f);
        vm.expectRevert(QuorumCertificate.NoSigners.selector);
        this.requireQuorum(committee, MESSAGE, 0, nothing);
        for (uint256 bit = 4; bit < 256; bit += 63) {
            uint256 signers = 0x0f | 1 << bit;
            vm.expectRevert(abi.encodeWithSelector(QuorumCertificate.UnknownSigners.selector, signers, 4));
            this.requireQuorum(committee, MESSAGE, signers, signature);
        }
    }

    /// Two members with opposite keys, both honestly possessed: their sum is infinity, under which infinity
    /// signs everything.
    function test_keys_that_cancel_and_infinity_as_a_signature_are_refused() public {
        Member[] memory members = honest(2);
        members[1].settlementKey = negated(members[0].settlementKey);
        Committee memory committee = write(members);
        vm.expectRevert(Bls12381.KeyIsInfinity.selector);
        this.requireSigned(committee, MESSAGE, 3, nothing);
        committee = write(honest(4));
        vm.expectRevert(Bls12381.SignatureIsInfinity.selector);
        this.requireQuorum(committee, MESSAGE, 0x0f, nothing);
        vm.expectRevert(abi.encodeWithSelector(Bls12381.SignatureLength.selector, 0));
        this.requireQuorum(committee, MESSAGE, 0x0f, "");
    }

    /// −g₁ + (what makes the sum mine): who could register it without a proof of possession would sign for all.
    function test_a_rogue_key_signs_for_all_but_cannot_be_registered() public {
        Member[] memory members = honest(3);
        uint256 mine = Secrets.settlement(77);
        G1Point memory others = Bls12381.add(members[0].settlementKey, members[1].settlementKey);
        members[2].settlementKey = Bls12381.add(Secrets.settlementKey(77), negated(others));
        Committee memory committee = write(members);
        bytes memory forged = Secrets.sign(mine, MESSAGE);
        this.requireQuorum(committee, MESSAGE, 7, forged);
        bytes memory proof = Secrets.possess(77, MESSAGE);
        vm.expectRevert(Bls12381.BadPossession.selector);
        this.verifyPossession(members[2].settlementKey, MESSAGE, proof);
        vm.expectRevert(Bls12381.KeyIsInfinity.selector);
        this.verifyPossession(G1Point(0, 0, 0, 0), MESSAGE, nothing);
    }

    function test_points_off_the_curve_or_the_subgroup_are_refused() public {
        Committee memory committee = write(honest(4));
        bytes memory off = signed(MESSAGE, 0x0f);
        off[255] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(Bls12381.PrecompileFailed.selector, 0x0f));
        this.requireQuorum(committee, MESSAGE, 0x0f, off);
        // On the curve of G1, of order 3·(something): found by the vectors' author.
        string memory json = vm.readFile("../tests/vectors/settlement-v1.json");
        bytes memory outside = vm.parseJsonBytes(json, ".points.outside_of_the_subgroup.point");
        bytes memory signature = Secrets.possess(1, MESSAGE);
        vm.expectRevert(abi.encodeWithSelector(Bls12381.PrecompileFailed.selector, 0x0f));
        this.verifyPossession(abi.decode(outside, (G1Point)), MESSAGE, signature);
    }

    function test_a_signature_of_other_signers_or_another_message_is_refused() public {
        Committee memory committee = write(honest(4));
        bytes memory signature = signed(MESSAGE, 0x0f);
        vm.expectRevert(Bls12381.BadSignature.selector);
        this.requireQuorum(committee, MESSAGE, 0x0e, signature);
        vm.expectRevert(Bls12381.BadSignature.selector);
        this.requireQuorum(committee, keccak256("another"), 0x0f, signature);
        bytes memory possession = Secrets.possess(1, MESSAGE);
        vm.expectRevert(Bls12381.BadSignature.selector);
        this.requireSigned(committee, MESSAGE, 1, possession);
    }

    function test_what_is_no_committee_is_not_written() public {
        Member[] memory members = honest(2);
        members[1].power = 0;
        vm.expectRevert(abi.encodeWithSelector(CommitteeTable.NoPower.selector, 1));
        this.writeOut(members);
        members[0].power = uint64(type(int64).max);
        members[1].power = 1;
        vm.expectRevert(CommitteeTable.TotalPower.selector);
        this.writeOut(members);
        vm.expectRevert(abi.encodeWithSelector(CommitteeTable.MemberCount.selector, 0));
        this.writeOut(new Member[](0));
        vm.expectRevert(abi.encodeWithSelector(CommitteeTable.MemberCount.selector, 129));
        this.writeOut(new Member[](129));
    }

    /// Any members sign; exactly their bitmap verifies, and their power is counted.
    function testFuzz_only_who_signed_is_counted(uint256 signers, uint256 claimed) public {
        signers = bound(signers, 1, 0xff);
        claimed = bound(claimed, 1, 0xff);
        Committee memory committee = write(honest(8));
        bytes memory signature = signed(MESSAGE, signers);
        if (claimed != signers) vm.expectRevert(Bls12381.BadSignature.selector);
        uint64 power = this.requireSigned(committee, MESSAGE, claimed, signature);
        uint64 expected = 0;
        for (uint256 i = 0; i < 8; ++i) {
            if (claimed == signers && signers >> i & 1 == 1) expected += uint64(100 + i);
        }
        vm.assertEq(power, expected, "power");
    }

    // --- through calls, so that memory becomes calldata and reverts can be expected

    function requireQuorum(Committee memory c, bytes32 message, uint256 signers, bytes calldata signature)
        external
        view
    {
        QuorumCertificate.requireQuorum(c, message, signers, signature);
    }

    function requireSigned(Committee memory c, bytes32 message, uint256 signers, bytes calldata signature)
        external
        view
        returns (uint64)
    {
        return QuorumCertificate.requireSigned(c, message, signers, signature);
    }

    function verifyPossession(G1Point memory key, bytes32 message, bytes calldata signature) external view {
        Bls12381.verifyPossession(key, message, signature);
    }

    function writeOut(Member[] memory members) external returns (Committee memory committee) {
        (committee,) = CommitteeTable.write(members);
    }
}
