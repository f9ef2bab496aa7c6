// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { IConclaveSlasher } from "../../src/interfaces/IConclaveSlasher.sol";
import { Bls12381 } from "../../src/lib/Bls12381.sol";
import { Merkle } from "../../src/lib/Merkle.sol";
import { SignBytes } from "../../src/lib/SignBytes.sol";
import { G1Point, ValidatorId } from "../../src/lib/Types.sol";
import { SealedShare } from "../../src/verify/SealedShare.sol";
import { Network } from "../support/Network.sol";
import { Secrets } from "../support/Secrets.sol";
import { vm } from "../utils/Vm.sol";

/// What a wrong share costs to report where a hundred members hold a point each, so that one share serves nine
/// ciphertexts, in a block of 512 bundles: a whole transaction, as in {GasTest}, stake included.
///
/// Nobody need know what the right share would have been: the key, its points and the share are any.
/// forge-config: default.isolate = true
contract ManySharesTest is Network {
    uint16 private constant MEMBERS = 100;
    uint16 private constant PACKING = 9;
    uint32 private constant BUNDLES = 512;
    uint16 private constant MEMBER = 99;
    uint64 private constant HEIGHT = 1234;
    uint32 private constant SUB_BATCH = 1;
    uint256 private constant CAPSULE_BYTES = 224;

    bytes32 private sharing;

    function test_gas_of_a_wrong_share_among_a_hundred() public {
        deployNetwork();
        joinMany(MEMBERS, 10 * ETHER);
        SealedShare.Claim memory claim;
        fillKey(claim);
        net.inbox.open(NETWORK, offer(), sharing, lastBlock());
        IConclaveSlasher.SignedShares memory shares = fillBlock(claim);
        bytes32 offence = net.slasher.reportWrongShare(shares, claim);
        uint256 gas = vm.snapshotGasLastCall("settlement", "wrong share, n = 100, 9 entries, 512 bundles");
        vm.assertLe(gas, 1_000_000, "the bound");
        vm.assertTrue(net.slasher.caseOf(offence).offence == IConclaveSlasher.Offence.WrongShare, "a case");
        (,, uint64 escrow) = net.stake.totalsOf(ValidatorId.wrap(MEMBER + 1));
        vm.assertEq(escrow, 10 * ETHER, "seized");
    }

    /// The key of the sharing, and the member's point: two leaves of a tree of 101, in the left and the right half.
    function fillKey(SealedShare.Claim memory claim) private {
        claim.key = SealedShare.Key({
            suite: 1,
            era: 0,
            secrecy: 50,
            packing: PACKING,
            parties: MEMBERS,
            publicKey: Bls12381.compress(Secrets.settlementKey(1000)),
            publicKeyG2: new bytes(96),
            path: siblings("key", 7)
        });
        SealedShare.Key memory key = claim.key;
        bytes memory numbers = abi.encodePacked(key.suite, key.era, key.secrecy, key.packing, key.parties);
        bytes memory head = bytes.concat("conclave/dkg/v1", numbers, key.publicKey, key.publicKeyG2);
        (claim.point, claim.place) = (MEMBER, 0);
        claim.verificationKey = Secrets.sign(1, "any point");
        claim.verificationPath = siblings("point", 7);
        bytes memory compressed = this.compressG2(claim.verificationKey);
        bytes memory point = abi.encodePacked("conclave/dkg-point/v1", MEMBER, claim.place, compressed);
        bytes32 left = below(Merkle.leaf(head), 0, key.path);
        bytes32 right = below(Merkle.leaf(point), 1 + uint256(claim.point), claim.verificationPath);
        (key.path[6], claim.verificationPath[6]) = (right, left);
        sharing = Merkle.node(left, right);
    }

    /// A block of many bundles, and shares of it that the member has signed.
    function fillBlock(SealedShare.Claim memory claim)
        private
        view
        returns (IConclaveSlasher.SignedShares memory)
    {
        claim.header.height = HEIGHT;
        claim.header.keyId = keccak256(
            abi.encodePacked(
                "conclave/key/v1", NETWORK, claim.key.era, claim.key.publicKey, claim.key.publicKeyG2
            )
        );
        claim.header.bundleCount = BUNDLES;
        fillBundles(claim);
        claim.subBatch = SUB_BATCH;
        claim.share = Bls12381.compress(Secrets.settlementKey(2000));
        claim.sharePath = siblings("share", 6);
        bytes32 blockId = this.headerId(claim.header);
        bytes32 root = below(Merkle.leaf(claim.share), SUB_BATCH, claim.sharePath);
        root = Merkle.node(root, claim.sharePath[5]);
        bytes32 message = SignBytes.shares(domain(), 0, HEIGHT, blockId, root);
        (bytes32 r, bytes32 s) = Secrets.signConsensus(MEMBER + 1, message);
        IConclaveSlasher.Signature memory signature = IConclaveSlasher.Signature(r, s);
        return IConclaveSlasher.SignedShares(0, MEMBER, HEIGHT, blockId, root, signature);
    }

    /// The bundles of the sub-batch, behind whose entries that of the beacon stands.
    function fillBundles(SealedShare.Claim memory claim) private view {
        bytes32[] memory nodes = new bytes32[](2 * uint256(BUNDLES));
        for (uint256 i = 0; i < BUNDLES; ++i) {
            nodes[BUNDLES + i] = keccak256(abi.encode("another bundle", i));
        }
        uint256 from = uint256(SUB_BATCH) * PACKING - 1;
        claim.bundles = new SealedShare.Bundle[](PACKING);
        for (uint256 i = 0; i < PACKING; ++i) {
            G1Point memory u = Secrets.settlementKey(3000 + i);
            SealedShare.Bundle memory bundle = claim.bundles[i];
            (bundle.label, bundle.bodyHash, bundle.u) = (bytes32(i), keccak256("a body"), u);
            bundle.capsule = bytes.concat(Bls12381.compress(u), filler(CAPSULE_BYTES - 48));
            bundle.signature = filler(65);
            bytes32 capsule = keccak256(bundle.capsule);
            bytes32 id = keccak256(
                abi.encodePacked(
                    "conclave/bundle/v1", bundle.label, bundle.bodyHash, capsule, bundle.signature
                )
            );
            nodes[BUNDLES + from + i] = Merkle.leaf(abi.encodePacked(id));
        }
        for (uint256 i = BUNDLES - 1; i > 0; --i) {
            nodes[i] = Merkle.node(nodes[2 * i], nodes[2 * i + 1]);
        }
        claim.header.bundleRoot = nodes[1];
        for (uint256 i = 0; i < PACKING; ++i) {
            claim.bundles[i].path = new bytes32[](9);
            uint256 at = BUNDLES + from + i;
            for (uint256 level = 0; level < 9; (++level, at >>= 1)) {
                claim.bundles[i].path[level] = nodes[at ^ 1];
            }
        }
    }

    /// The root of the half of a tree that has a leaf: all of the path but its last sibling.
    function below(bytes32 digest, uint256 index, bytes32[] memory path) private pure returns (bytes32) {
        for (uint256 i = 0; i + 1 < path.length; (++i, index >>= 1)) {
            digest = index & 1 == 0 ? Merkle.node(digest, path[i]) : Merkle.node(path[i], digest);
        }
        return digest;
    }

    function siblings(string memory what, uint256 count) private pure returns (bytes32[] memory path) {
        path = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            path[i] = keccak256(abi.encode(what, i));
        }
    }

    /// Bytes none of which is zero: those are dearer in a transaction.
    function filler(uint256 length) private pure returns (bytes memory some) {
        some = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            some[i] = 0xa5;
        }
    }

    // The libraries take these from calldata only.

    function compressG2(bytes calldata point) external pure returns (bytes memory) {
        return Bls12381.compressG2(point);
    }

    function headerId(SealedShare.Header calldata header) external pure returns (bytes32) {
        return SealedShare.headerId(NETWORK, header);
    }
}
