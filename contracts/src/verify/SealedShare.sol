// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { Bls12381 } from "../lib/Bls12381.sol";
import { Merkle } from "../lib/Merkle.sol";
import { G1Point } from "../lib/Types.sol";

/// Whether a decryption share is what its sender had to send, from the block and the key's sharing alone.
///
/// A block's ciphertexts, behind the beacon point, are cut into sub-batches of ℓ. The share of one at point j is
/// S(x_j)·R(x_j), R running through the ciphertexts' points u at the slots; with V_j = [S(x_j)]₂ known,
/// e(share, g₂) = e(R(x_j), V_j) says whether it is right. A member may hold several points, or none: the sharing's
/// tree names the holder of each, and a member's message has all shares of its first point, then all of its next.
/// `encryption/src/block/judge.rs` is the other half.
///
/// Both suites share in this way, and their capsules begin with u. The baseline has ℓ = 1, where R is u itself.
library SealedShare {
    bytes private constant BEACON_DST = "CONCLAVE-V1-CS01-BEACON-BLS12381G1_XMD:SHA-256_SSWU_RO_";
    uint8 private constant PACKED = 1;
    uint8 private constant BASELINE = 2;

    /// What a block's id is the digest of: `types/src/block.rs`.
    struct Header {
        uint64 height;
        bytes32 parent;
        bytes32 parentCertificate;
        uint16 proposer;
        uint64 timeMicros;
        uint64 epoch;
        uint64 originNumber;
        bytes32 originHash;
        bytes32 l1EntriesRoot;
        bytes32 keyId;
        bytes32 sharingRoot;
        bytes32 bundleRoot;
        uint32 bundleCount;
        uint64 revealedHeight;
        bytes32 revealDigest;
        bytes32 ledgerDigest;
    }

    /// The threshold key: leaf 0 of the sharing's tree.
    struct Key {
        uint8 suite;
        uint32 era;
        uint16 secrecy;
        uint16 packing;
        uint16 parties;
        bytes publicKey;
        bytes publicKeyG2;
        bytes32[] path;
    }

    /// A bundle of the sub-batch: what its id is the digest of, and its point u, which the capsule begins
    /// with, uncompressed.
    struct Bundle {
        bytes32 label;
        bytes32 bodyHash;
        bytes capsule;
        bytes signature;
        G1Point u;
        bytes32[] path;
    }

    struct Claim {
        Header header;
        Key key;
        /// Point j, which of the member's points it is, V_j as EIP-2537 encodes it, and the path of all three: leaf
        /// 1 + j of the sharing's tree.
        uint16 point;
        uint16 place;
        bytes verificationKey;
        bytes32[] verificationPath;
        /// Which sub-batch, and the member's share for it at that point as it was sent.
        uint32 subBatch;
        bytes share;
        bytes32[] sharePath;
        /// The sub-batch's bundles, in block order.
        Bundle[] bundles;
    }

    /// The header hashes to another id than the one that the member signed.
    error AnotherBlock(bytes32 expected, bytes32 found);
    /// The header is of this epoch and height, and the share message is not.
    error AnotherPosition(uint64 epoch, uint64 height);
    /// The key is not leaf 0 of the epoch's DKG result.
    error NotTheKey(bytes32 root);
    /// The block names another key than that of its epoch's sharing.
    error AnotherKey(bytes32 expected, bytes32 found);
    /// The point is not one of the member's in the epoch's sharing.
    error NotTheMembersPoint(uint16 member, uint16 point);
    /// Shares of this suite cannot be judged here.
    error UnknownSuite(uint8 found);
    /// The block has fewer sub-batches.
    error NoSuchSubBatch(uint32 subBatch);
    /// The share is not at this place under the root that the member signed.
    error NotTheShare(uint32 subBatch);
    /// The sub-batch has another number of bundles.
    error BundleCount(uint256 expected, uint256 found);
    /// The bundle is not at this place of the block.
    error NotTheBundle(uint256 index);
    /// A share is one compressed point, 48 bytes.
    error ShareLength(uint256 found);

    /// The statement that a claim is checked against.
    struct Context {
        bytes32 network;
        uint64 epoch;
        uint16 member;
        uint64 height;
        bytes32 blockId;
        bytes32 shareRoot;
        bytes32 dkgResult;
    }

    /// Reverts unless the claim's parts belong together; then says whether the share is right.
    function isRight(Context memory context, Claim calldata claim) internal view returns (bool) {
        Header calldata header = claim.header;
        bytes32 id = headerId(context.network, header);
        if (id != context.blockId) revert AnotherBlock(context.blockId, id);
        if (header.epoch != context.epoch || header.height != context.height) {
            revert AnotherPosition(header.epoch, header.height);
        }
        checkKey(context, claim);
        checkShare(context, claim);
        G1Point memory base = multiplicand(context, claim);
        (bool ok, G1Point memory share) = Bls12381.decompress(claim.share);
        return ok && Bls12381.inSubgroup(share) && Bls12381.sameExponent(share, base, claim.verificationKey);
    }

    /// The id of a block: what validators vote on.
    function headerId(bytes32 network, Header calldata h) internal pure returns (bytes32) {
        bytes memory first = abi.encodePacked(
            "conclave/block/v1", network, h.height, h.parent, h.parentCertificate, h.proposer, h.timeMicros
        );
        bytes memory second = abi.encodePacked(
            h.epoch, h.originNumber, h.originHash, h.l1EntriesRoot, h.keyId, h.sharingRoot
        );
        bytes memory third =
            abi.encodePacked(h.bundleRoot, h.bundleCount, h.revealedHeight, h.revealDigest, h.ledgerDigest);
        return keccak256(bytes.concat(first, second, third));
    }

    /// The key is that of the epoch's sharing and the one that the block names, so that nobody is judged by a
    /// V_j that is not of the key which opens the block. A block without a key names zero, which no key has.
    function checkKey(Context memory context, Claim calldata claim) private pure {
        Key calldata key = claim.key;
        if (key.suite != PACKED && key.suite != BASELINE) revert UnknownSuite(key.suite);
        bytes memory head = abi.encodePacked(
            "conclave/dkg/v1",
            key.suite,
            key.era,
            key.secrecy,
            key.packing,
            key.parties,
            key.publicKey,
            key.publicKeyG2
        );
        if (!Merkle.verify(context.dkgResult, Merkle.leaf(head), 0, key.path)) {
            revert NotTheKey(context.dkgResult);
        }
        bytes32 keyId = keccak256(
            abi.encodePacked("conclave/key/v1", context.network, key.era, key.publicKey, key.publicKeyG2)
        );
        if (keyId != claim.header.keyId) revert AnotherKey(claim.header.keyId, keyId);
        bytes32 leaf = Merkle.leaf(
            abi.encodePacked(
                "conclave/dkg-point/v1",
                context.member,
                claim.place,
                Bls12381.compressG2(claim.verificationKey)
            )
        );
        uint256 index = 1 + uint256(claim.point);
        if (!Merkle.verify(context.dkgResult, leaf, index, claim.verificationPath)) {
            revert NotTheMembersPoint(context.member, claim.point);
        }
    }

    /// The share is the one that the member's message has for this point and sub-batch.
    function checkShare(Context memory context, Claim calldata claim) private pure {
        uint256 packing = claim.key.packing;
        uint256 entries = uint256(claim.header.bundleCount) + 1;
        uint256 count = packing == 0 ? 0 : (entries + packing - 1) / packing;
        // One beyond would be the first of the next point.
        if (claim.subBatch >= count) revert NoSuchSubBatch(claim.subBatch);
        if (claim.share.length != 48) revert ShareLength(claim.share.length);
        uint256 index = claim.place * count + claim.subBatch;
        if (!Merkle.verify(context.shareRoot, Merkle.leaf(claim.share), index, claim.sharePath)) {
            revert NotTheShare(claim.subBatch);
        }
    }

    /// R(x_j): what the member had to multiply by its secret.
    function multiplicand(Context memory context, Claim calldata claim)
        private
        view
        returns (G1Point memory)
    {
        uint256 packing = claim.key.packing;
        uint256 entries = uint256(claim.header.bundleCount) + 1;
        uint256 from = claim.subBatch * packing;
        uint256 count = entries - from < packing ? entries - from : packing;
        uint256 beacons = from == 0 ? 1 : 0;
        if (claim.bundles.length != count - beacons) {
            revert BundleCount(count - beacons, claim.bundles.length);
        }
        G1Point[] memory points = new G1Point[](count);
        uint256[] memory scalars = new uint256[](count);
        if (beacons == 1) points[0] = beacon(context, claim.header.keyId);
        for (uint256 slot = beacons; slot < count; ++slot) {
            points[slot] =
                bundlePoint(claim.header.bundleRoot, from + slot - 1, claim.bundles[slot - beacons]);
        }
        for (uint256 slot = 0; slot < count; ++slot) {
            scalars[slot] = coefficient(packing, slot, claim.point);
        }
        return Bls12381.sumOfMultiples(points, scalars);
    }

    /// The first entry of every block.
    function beacon(Context memory context, bytes32 keyId) private view returns (G1Point memory) {
        return Bls12381.hashToG1(
            BEACON_DST, abi.encodePacked(context.network, keyId, context.height, context.blockId)
        );
    }

    /// The point u of bundle `index` of the block.
    function bundlePoint(bytes32 root, uint256 index, Bundle calldata bundle)
        private
        pure
        returns (G1Point memory)
    {
        bytes32 id = keccak256(
            abi.encodePacked(
                "conclave/bundle/v1",
                bundle.label,
                bundle.bodyHash,
                keccak256(bundle.capsule),
                bundle.signature
            )
        );
        bool ok = bundle.capsule.length >= 48 && bundle.signature.length == 65
            && keccak256(Bls12381.compress(bundle.u)) == keccak256(bundle.capsule[:48])
            && Merkle.verify(root, Merkle.leaf(abi.encodePacked(id)), index, bundle.path);
        if (!ok) revert NotTheBundle(index);
        return bundle.u;
    }

    /// What the value at slot `slot` of `packing` contributes to the value at point `point`. Slot s is at
    /// −(s + 2) and point j at j + 1, so it is the product of (j + m + 3)/(m − s) over the other slots m.
    function coefficient(uint256 packing, uint256 slot, uint256 point) internal view returns (uint256) {
        uint256 order = Bls12381.ORDER;
        uint256 above = 1;
        uint256 below = 1;
        for (uint256 m = 0; m < packing; ++m) {
            if (m == slot) continue;
            above = mulmod(above, point + m + 3, order);
            below = mulmod(below, m > slot ? m - slot : order - (slot - m), order);
        }
        return mulmod(above, Bls12381.inverse(below), order);
    }
}
