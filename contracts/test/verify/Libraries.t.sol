// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { CommitteeTable } from "../../src/lib/CommitteeTable.sol";
import { Ed25519 } from "../../src/lib/Ed25519.sol";
import { Merkle } from "../../src/lib/Merkle.sol";
import { Mmr } from "../../src/lib/Mmr.sol";
import { QuorumCertificate } from "../../src/lib/QuorumCertificate.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import {
    BlockCommitment,
    Committee,
    G1Point,
    Member,
    SigningDomain,
    ValidatorId
} from "../../src/lib/Types.sol";
import { Ed25519Verifier } from "../../src/verify/Ed25519Verifier.sol";
import { Secrets } from "../support/Secrets.sol";
import { TestBase, vm } from "../utils/Vm.sol";

/// The libraries against `tests/vectors/`, which Rust runs too.
contract LibrariesTest is TestBase {
    struct SignedCase {
        bytes32 key;
        bytes message;
        bytes signature;
        bool valid;
        string why;
    }

    struct ListInclusion {
        uint256 index;
        bytes32[] path;
        uint256 size;
    }

    struct ListExtension {
        bytes32[] path;
        uint256 prefix;
        uint256 size;
    }

    struct Point {
        bytes compressed;
        bytes point;
    }

    struct Refused {
        bytes compressed;
        string why;
    }

    string private types;
    string private settlement;

    function setUp() public {
        types = vm.readFile("../tests/vectors/types-v1.json");
        settlement = vm.readFile("../tests/vectors/settlement-v1.json");
    }

    // --- what validators sign

    function test_votes_and_proposals_have_the_pinned_digests() public view {
        SigningDomain memory domain = domainOf(types);
        uint64 epoch = uint64(vm.parseJsonUint(types, ".position.epoch"));
        uint64 height = uint64(vm.parseJsonUint(types, ".position.height"));
        uint32 round = uint32(vm.parseJsonUint(types, ".position.round"));
        bytes32 id = vm.parseJsonBytes32(types, ".block");
        same(".prevote", SignBytes.vote(domain, epoch, SignBytes.PREVOTE, height, round, id));
        same(".precommit", SignBytes.vote(domain, epoch, SignBytes.PRECOMMIT, height, round, id));
        same(".precommit_nil", SignBytes.vote(domain, epoch, SignBytes.PRECOMMIT, height, round, 0));
        same(".proposal", SignBytes.proposal(domain, epoch, height, round, id, SignBytes.NO_ROUND));
        same(".proposal_with_polka_in_round_1", SignBytes.proposal(domain, epoch, height, round, id, 1));
        bytes32 root = vm.parseJsonBytes32(types, ".shares.root");
        same(".shares.digest", SignBytes.shares(domain, epoch, height, id, root));
    }

    function test_commitments_have_the_pinned_digests() public view {
        SigningDomain memory domain = domainOf(settlement);
        for (uint256 i = 0; i < 2; ++i) {
            string memory at = string.concat(".commitments[", vm.toString(i), "]");
            bytes32 found = SignBytes.commitment(domain, commitmentAt(at));
            vm.assertEq(found, vm.parseJsonBytes32(settlement, string.concat(at, ".digest")), at);
        }
    }

    // --- ed25519

    /// Three implementations agree on each of these: the one that computed the file, consensus, this one.
    function test_ed25519_accepts_exactly_the_pinned_signatures() public {
        vm.pauseGasMetering();
        SignedCase[] memory cases = signedCases("ed25519-v1.json");
        vm.assertGe(cases.length, 600, "cases");
        for (uint256 i = 0; i < cases.length; ++i) {
            vm.assertTrue(isAccepted(cases[i]) == cases[i].valid, cases[i].why);
        }
        vm.resumeGasMetering();
    }

    /// Project Wycheproof's cases. A signature is two words here, so one of another length than 64 bytes cannot even
    /// be put; Rust refuses it. In no other case does strict verification differ from what the file expects.
    function test_ed25519_accepts_of_wycheproofs_signatures_exactly_the_valid_ones() public {
        vm.pauseGasMetering();
        SignedCase[] memory cases = signedCases("ed25519-wycheproof-v1.json");
        uint256 accepted = 0;
        uint256 other = 0;
        for (uint256 i = 0; i < cases.length; ++i) {
            bool whole = cases[i].signature.length == 64;
            bool found = whole && isAccepted(cases[i]);
            vm.assertTrue(found == cases[i].valid, cases[i].why);
            if (!whole) other += 1;
            if (found) accepted += 1;
        }
        vm.assertEq(cases.length, 151, "cases");
        vm.assertEq(accepted, 88, "accepted");
        vm.assertEq(other, 12, "of another length");
        vm.resumeGasMetering();
    }

    function test_a_digest_is_verified_within_its_price() public {
        Ed25519Verifier verifier = new Ed25519Verifier();
        bytes32 message = keccak256("a vote");
        (bytes32 r, bytes32 s) = Secrets.signConsensus(1, message);
        vm.assertTrue(verifier.isSigned(Secrets.keys(1).consensusKey, r, s, message), "signed");
        verifier.isSigned(Secrets.keys(1).consensusKey, r, s, message);
        vm.snapshotGasLastCall("verify", "ed25519 signature of a digest");
    }

    // --- trees

    function test_histories_prove_inclusion_and_extension() public view {
        bytes32[] memory entries = vm.parseJsonBytes32Array(settlement, ".history.entries");
        bytes32[] memory roots = vm.parseJsonBytes32Array(settlement, ".history.roots");
        bytes memory encoded = vm.parseJsonTypeArray(
            settlement, ".history.inclusions", "ListInclusion(uint256 index,bytes32[] path,uint256 size)"
        );
        ListInclusion[] memory inclusions = abi.decode(encoded, (ListInclusion[]));
        for (uint256 i = 0; i < inclusions.length; ++i) {
            ListInclusion memory proof = inclusions[i];
            (bytes32 root, bytes32 entry) = (roots[proof.size], entries[proof.index]);
            for (uint256 claimed = 0; claimed <= proof.size; ++claimed) {
                bool found = this.inclusion(root, proof.size, claimed, entry, proof.path);
                vm.assertTrue(found == (claimed == proof.index), "inclusion");
            }
            vm.assertFalse(this.inclusion(root, proof.size, proof.index, keccak256("x"), proof.path), "entry");
            bytes32[] memory longer = extended(proof.path);
            vm.assertFalse(this.inclusion(root, proof.size, proof.index, entry, longer), "longer");
        }
        encoded = vm.parseJsonTypeArray(
            settlement, ".history.extensions", "ListExtension(bytes32[] path,uint256 prefix,uint256 size)"
        );
        ListExtension[] memory extensions = abi.decode(encoded, (ListExtension[]));
        for (uint256 i = 0; i < extensions.length; ++i) {
            ListExtension memory e = extensions[i];
            (bytes32 o, bytes32 n) = (roots[e.prefix], roots[e.size]);
            vm.assertTrue(this.extension(o, e.prefix, n, e.size, e.path), "extension");
            vm.assertFalse(this.extension(keccak256("x"), e.prefix, n, e.size, e.path), "old root");
            vm.assertFalse(this.extension(o, e.prefix, keccak256("x"), e.size, e.path), "new root");
            vm.assertFalse(this.extension(o, e.prefix, n, e.size, extended(e.path)), "longer");
        }
        bytes32[] memory none = new bytes32[](0);
        vm.assertTrue(this.extension(0, 0, roots[5], 5, none), "the empty history");
        vm.assertTrue(this.extension(roots[5], 5, roots[5], 5, none), "itself");
        vm.assertFalse(this.extension(roots[5], 5, roots[4], 4, none), "backwards");
        vm.assertFalse(this.extension(roots[5], 0, roots[5], 5, none), "a root of nothing");
    }

    // --- BLS12-381

    /// {Bls12381-inSubgroup} with `left` gas, behind so many words of memory that each further one is dear.
    function subgroupBehind(G1Point memory point, uint256 words, uint256 left) external view returns (bool) {
        assembly ("memory-safe") {
            let free := add(mload(0x40), shl(5, words))
            mstore(0x40, free)
            mstore(free, 0)
        }
        while (gasleft() > left) { }
        return Bls12381.inSubgroup(point);
    }

    function test_a_caller_who_is_short_of_gas_cannot_put_a_point_outside_of_the_subgroup() public view {
        G1Point memory point = Secrets.settlementKey(1);
        vm.assertTrue(this.subgroupBehind{ gas: 1_000_000 }(point, 1, 30_000), "enough");
        for (uint256 left = 12_000; left < 24_000; left += 300) {
            try this.subgroupBehind{ gas: 15_000_000 }(point, 80_000, left) returns (bool inside) {
                vm.assertTrue(inside, "says no for want of gas");
            } catch { }
        }
    }

    function test_points_are_read_and_written_in_their_one_encoding() public view {
        bytes memory encoded =
            vm.parseJsonTypeArray(settlement, ".points.valid", "Point(bytes compressed,bytes point)");
        Point[] memory points = abi.decode(encoded, (Point[]));
        for (uint256 i = 0; i < points.length; ++i) {
            (bool ok, G1Point memory point) = Bls12381.decompress(points[i].compressed);
            vm.assertTrue(ok, "a point");
            vm.assertEq(Bls12381.encode(point), points[i].point, "decompressed");
            vm.assertEq(Bls12381.compress(point), points[i].compressed, "compressed");
            vm.assertTrue(Bls12381.inSubgroup(point), "in the subgroup");
        }
        bytes memory outside = vm.parseJsonBytes(settlement, ".points.outside_of_the_subgroup.compressed");
        (bool read, G1Point memory found) = Bls12381.decompress(outside);
        vm.assertTrue(read, "on the curve");
        vm.assertFalse(Bls12381.inSubgroup(found), "outside of the subgroup");
        encoded = vm.parseJsonTypeArray(settlement, ".points.refused", "Refused(bytes compressed,string why)");
        Refused[] memory refused = abi.decode(encoded, (Refused[]));
        for (uint256 i = 0; i < refused.length; ++i) {
            (bool ok,) = Bls12381.decompress(refused[i].compressed);
            vm.assertFalse(ok, refused[i].why);
        }
        (bool short,) = Bls12381.decompress(hex"c0");
        vm.assertFalse(short, "short");
    }

    function test_messages_hash_to_the_pinned_points() public view {
        for (uint256 i = 0; i < 2; ++i) {
            string memory at = string.concat(".hash_to_g1[", vm.toString(i), "]");
            bytes memory dst = bytes(vm.parseJsonString(settlement, string.concat(at, ".dst")));
            bytes memory message = vm.parseJsonBytes(settlement, string.concat(at, ".message"));
            bytes memory expected = vm.parseJsonBytes(settlement, string.concat(at, ".point"));
            vm.assertEq(Bls12381.encode(Bls12381.hashToG1(dst, message)), expected, at);
            at = string.concat(".hash_to_g2[", vm.toString(i), "]");
            dst = bytes(vm.parseJsonString(settlement, string.concat(at, ".dst")));
            bytes32 word = vm.parseJsonBytes32(settlement, string.concat(at, ".message"));
            expected = vm.parseJsonBytes(settlement, string.concat(at, ".point"));
            vm.assertEq(Bls12381.hashToG2(dst, word), expected, at);
        }
    }

    function test_the_pinned_committee_signs_the_pinned_commitment() public {
        (Member[] memory members,) = membersOf();
        (Committee memory committee, bytes32 hash) = CommitteeTable.write(members);
        vm.assertEq(hash, vm.parseJsonBytes32(settlement, ".committee.hash"), "hash");
        vm.assertEq(CommitteeTable.hashOf(members), hash, "the hash of rows not written");
        for (uint256 i = 0; i < members.length; ++i) {
            Member memory read = CommitteeTable.member(committee, i);
            vm.assertEq(keccak256(abi.encode(read)), keccak256(abi.encode(members[i])), "a row");
        }
        bytes32 message = vm.parseJsonBytes32(settlement, ".commitments[0].digest");
        uint256 signers = vm.parseJsonUint(settlement, ".certificate.bitmap");
        bytes memory signature = vm.parseJsonBytes(settlement, ".certificate.signature");
        this.requireQuorum(committee, message, signers, signature);
        vm.expectRevert(Bls12381.BadSignature.selector);
        this.requireQuorum(committee, keccak256("other"), signers, signature);
        vm.expectRevert(Bls12381.BadSignature.selector);
        this.requireQuorum(committee, message, 15, signature);
    }

    function test_possession_is_shown_for_one_owner_only() public {
        (Member[] memory members, address[] memory owners) = membersOf();
        SigningDomain memory domain = domainOf(settlement);
        for (uint256 i = 0; i < members.length; ++i) {
            string memory at = string.concat(".committee.members[", vm.toString(i), "]");
            G1Point memory key = members[i].settlementKey;
            bytes32 message = SignBytes.settlementKeyPossession(domain, owners[i], key);
            string memory name = string.concat(at, ".settlement_possession");
            vm.assertEq(message, vm.parseJsonBytes32(settlement, name), name);
            bytes memory signature = vm.parseJsonBytes(settlement, string.concat(name, "_signature"));
            this.verifyPossession(key, message, signature);
            bytes32 stolen = SignBytes.settlementKeyPossession(domain, address(this), key);
            vm.expectRevert(Bls12381.BadPossession.selector);
            this.verifyPossession(key, stolen, signature);
            domain.l1ChainId += 1;
            bytes32 elsewhere = SignBytes.settlementKeyPossession(domain, owners[i], key);
            vm.expectRevert(Bls12381.BadPossession.selector);
            this.verifyPossession(key, elsewhere, signature);
            domain.l1ChainId -= 1;
            // The same bytes are no signature of the same message: another DST.
            vm.expectRevert(Bls12381.BadSignature.selector);
            this.verify(key, message, signature);
            message = SignBytes.consensusKeyPossession(domain, owners[i], members[i].consensusKey);
            name = string.concat(at, ".consensus_possession");
            vm.assertEq(message, vm.parseJsonBytes32(settlement, name), name);
        }
    }

    // --- through calls, so that memory becomes calldata and reverts can be expected

    function inclusion(bytes32 root, uint256 size, uint256 index, bytes32 entry, bytes32[] calldata path)
        external
        pure
        returns (bool)
    {
        return Mmr.verifyInclusion(root, size, index, entry, path);
    }

    function extension(bytes32 o, uint256 oldSize, bytes32 n, uint256 newSize, bytes32[] calldata path)
        external
        pure
        returns (bool)
    {
        return Mmr.verifyExtension(o, oldSize, n, newSize, path);
    }

    function requireQuorum(Committee memory c, bytes32 message, uint256 signers, bytes calldata signature)
        external
        view
    {
        QuorumCertificate.requireQuorum(c, message, signers, signature);
    }

    function verifyPossession(G1Point memory key, bytes32 message, bytes calldata signature) external view {
        Bls12381.verifyPossession(key, message, signature);
    }

    function verify(G1Point memory key, bytes32 message, bytes calldata signature) external view {
        Bls12381.verify(key, message, signature);
    }

    // --- reading the vectors

    function signedCases(string memory name) private view returns (SignedCase[] memory) {
        bytes memory encoded = vm.parseJsonTypeArray(
            vm.readFile(string.concat("../tests/vectors/", name)),
            ".cases",
            "SignedCase(bytes32 key,bytes message,bytes signature,bool valid,string why)"
        );
        return abi.decode(encoded, (SignedCase[]));
    }

    function isAccepted(SignedCase memory it) private view returns (bool) {
        (bytes32 r, bytes32 s) = abi.decode(it.signature, (bytes32, bytes32));
        return Ed25519.verify(it.key, r, s, it.message);
    }

    function same(string memory name, bytes32 found) private view {
        vm.assertEq(found, vm.parseJsonBytes32(types, name), name);
    }

    function extended(bytes32[] memory path) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](path.length + 1);
        for (uint256 i = 0; i < path.length; ++i) {
            longer[i] = path[i];
        }
    }

    function domainOf(string memory json) private pure returns (SigningDomain memory) {
        return SigningDomain({
            network: vm.parseJsonBytes32(json, ".domain.network"),
            l1ChainId: uint64(vm.parseJsonUint(json, ".domain.l1_chain_id")),
            l1Contract: vm.parseJsonAddress(json, ".domain.l1_contract")
        });
    }

    function commitmentAt(string memory at) private view returns (BlockCommitment memory c) {
        c.epoch = uint64(vm.parseJsonUint(settlement, string.concat(at, ".epoch")));
        c.height = uint64(vm.parseJsonUint(settlement, string.concat(at, ".height")));
        c.blockId = vm.parseJsonBytes32(settlement, string.concat(at, ".block"));
        c.historyRoot = vm.parseJsonBytes32(settlement, string.concat(at, ".history_root"));
        c.revealRoot = vm.parseJsonBytes32(settlement, string.concat(at, ".reveal_root"));
        c.rollupCount = uint32(vm.parseJsonUint(settlement, string.concat(at, ".rollup_count")));
        c.originNumber = uint64(vm.parseJsonUint(settlement, string.concat(at, ".origin_number")));
        c.originHash = vm.parseJsonBytes32(settlement, string.concat(at, ".origin_hash"));
        c.forcedCursor = uint64(vm.parseJsonUint(settlement, string.concat(at, ".forced_cursor")));
        c.withdrawalsRoot = vm.parseJsonBytes32(settlement, string.concat(at, ".withdrawals_root"));
        c.nextCommittee = vm.parseJsonBytes32(settlement, string.concat(at, ".next_committee"));
        c.dkgResult = vm.parseJsonBytes32(settlement, string.concat(at, ".dkg_result"));
    }

    function membersOf() private view returns (Member[] memory members, address[] memory owners) {
        (members, owners) = (new Member[](4), new address[](4));
        for (uint256 i = 0; i < 4; ++i) {
            string memory at = string.concat(".committee.members[", vm.toString(i), "]");
            bytes memory key = vm.parseJsonBytes(settlement, string.concat(at, ".compressed"));
            (, members[i].settlementKey) = Bls12381.decompress(key);
            members[i].consensusKey = vm.parseJsonBytes32(settlement, string.concat(at, ".consensus_key"));
            members[i].power = uint64(vm.parseJsonUint(settlement, string.concat(at, ".power")));
            uint256 id = vm.parseJsonUint(settlement, string.concat(at, ".validator"));
            members[i].validator = ValidatorId.wrap(uint32(id));
            owners[i] = vm.parseJsonAddress(settlement, string.concat(at, ".owner"));
        }
    }
}
