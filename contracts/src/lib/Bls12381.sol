// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

import { G1Point } from "./Types.sol";

/// BLS signatures over BLS12-381 with keys in G1 and signatures in G2, on the precompiles of EIP-2537. The
/// ciphersuite is BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_, so any library and remote signer speaks it.
///
/// The pairing precompile refuses points off the curve or outside of the subgroup. Infinity it accepts, and
/// e(∞, h) · e(g, ∞) = 1 holds for every message: both are refused here. All failures revert.
library Bls12381 {
    /// A signature: a point of G2 as EIP-2537 encodes it.
    uint256 internal constant SIGNATURE_BYTES = 256;
    bytes internal constant DST = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    bytes internal constant DST_POSSESSION = "BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

    /// The prime of the field, in two words.
    uint256 internal constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 internal constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    /// The order of the groups.
    uint256 internal constant ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

    address private constant MODEXP = address(0x05);
    address private constant G1_ADD = address(0x0b);
    address private constant G1_MSM = address(0x0c);
    address private constant G2_ADD = address(0x0d);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_TO_G1 = address(0x10);

    /// −g₁.
    bytes private constant MINUS_G1 =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb00000000000000000000000000000000114d1d6855d545a8aa7d76c8cf2e21f267816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca";
    /// −g₂.
    bytes private constant MINUS_G2 =
        hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb80000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";

    /// A precompile refused its input: a point off the curve or, in a pairing, outside of the subgroup.
    error PrecompileFailed(uint256 number);
    /// Under infinity as a key, infinity signs everything.
    error KeyIsInfinity();
    /// Infinity is nobody's signature.
    error SignatureIsInfinity();
    /// A signature is a point of G2 as EIP-2537 encodes it, 256 bytes.
    error SignatureLength(uint256 found);
    /// The keys have not signed the message, or not these keys.
    error BadSignature();
    /// Two messages were expected, and both are this one.
    error SameMessage(bytes32 message);
    /// The signature does not show possession of the key, for this message.
    error BadPossession();
    /// The bytes have another length than a point, or a coordinate beyond the field.
    error NotAPoint();
    /// Too little gas is left to tell a point outside of the subgroup from one inside.
    error OutOfGas();

    /// Reverts unless `signature` is that of `key` for `message`. For several signers `key` is the sum of
    /// their keys and `signature` of their signatures.
    function verify(G1Point memory key, bytes32 message, bytes calldata signature) internal view {
        if (!holds(key, hashToG2(DST, message), signature)) revert BadSignature();
    }

    /// Reverts unless `sum` is the signature of `left` for `leftMessage` plus that of `right` for `rightMessage`,
    /// by e(left, H(leftMessage)) · e(right, H(rightMessage)) · e(−g₁, sum) = 1: one pairing less than two checks, and one
    /// final exponentiation. It is AggregateVerify of the ciphersuite, for two messages.
    ///
    /// It shows that every holder of a key in `left` has signed `leftMessage` and every one in `right` `rightMessage`, given
    /// that possession of each key was proven. For suppose that somebody in one of the sums has not signed its message. All
    /// others can be colluding, and know their secrets; whoever subtracts what they can sign from `sum`, and what that one
    /// has signed itself, is left with its secret times the hash of what it has not signed, or of both: a forgery. Keys
    /// made to cancel another's have no proof of possession.
    ///
    /// It does not show what the two parts of `sum` were: s₁ + x and s₂ − x pass like s₁ and s₂, whatever x is. Nobody is
    /// better or worse off for that, since the sum proves all that the parts would; but no part may be passed on as a
    /// signature, nor be a part of anything's identity.
    ///
    /// The messages must differ. Under one message the product tells `left` + `right` alone, and nothing of who is in
    /// which.
    function verifyBoth(
        G1Point memory left,
        bytes32 leftMessage,
        G1Point memory right,
        bytes32 rightMessage,
        bytes memory sum
    ) internal view {
        if (leftMessage == rightMessage) revert SameMessage(leftMessage);
        if (isInfinity(left) || isInfinity(right)) revert KeyIsInfinity();
        if (keccak256(sum) == keccak256(new bytes(SIGNATURE_BYTES))) revert SignatureIsInfinity();
        bytes memory input = bytes.concat(
            encode(left),
            hashToG2(DST, leftMessage),
            encode(right),
            hashToG2(DST, rightMessage),
            MINUS_G1,
            sum
        );
        if (abi.decode(call(PAIRING, input, 32), (uint256)) != 1) revert BadSignature();
    }

    /// left + right, neither of which is infinity. What is off the curve is refused; what is outside of the subgroup is
    /// refused with the sum, by whoever pairs it.
    function sumOfSignatures(bytes calldata left, bytes calldata right) internal view returns (bytes memory) {
        requireSignature(left);
        requireSignature(right);
        return call(G2_ADD, bytes.concat(left, right), SIGNATURE_BYTES);
    }

    /// Reverts unless `signature` shows possession of `key`'s secret, `message` saying by whom and where.
    /// What passes is on the curve, in the subgroup, and not infinity.
    function verifyPossession(G1Point memory key, bytes32 message, bytes calldata signature) internal view {
        if (!holds(key, hashToG2(DST_POSSESSION, message), signature)) revert BadPossession();
    }

    /// left + right. Points outside of the subgroup are not noticed.
    function add(G1Point memory left, G1Point memory right) internal view returns (G1Point memory sum) {
        bool ok;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mcopy(input, left, 128)
            mcopy(add(input, 128), right, 128)
            ok := and(eq(returndatasize(), 128), staticcall(gas(), 0x0b, input, 256, sum, 128))
        }
        if (!ok) revert PrecompileFailed(0x0b);
    }

    /// Σ scalars·points. Reverts if one of the points is not in the subgroup.
    function sumOfMultiples(G1Point[] memory points, uint256[] memory scalars)
        internal
        view
        returns (G1Point memory)
    {
        bytes memory input = "";
        for (uint256 i = 0; i < points.length; ++i) {
            input = bytes.concat(input, encode(points[i]), bytes32(scalars[i]));
        }
        return decode(call(G1_MSM, input, 128));
    }

    /// Whether e(a, g₂) = e(b, q). Reverts if a point is not in its group.
    function sameExponent(G1Point memory a, G1Point memory b, bytes calldata q) internal view returns (bool) {
        bytes memory product = call(PAIRING, bytes.concat(encode(a), MINUS_G2, encode(b), q), 32);
        return abi.decode(product, (uint256)) == 1;
    }

    /// Whether a point of the curve is in the subgroup.
    function inSubgroup(G1Point memory point) internal view returns (bool) {
        bytes memory input = bytes.concat(encode(point), bytes32(uint256(1)));
        // The precompile refuses such points, and refuses with all the gas that it got: it gets what it costs,
        // and a caller who leaves it less than that must not look like a point outside. The input comes first:
        // behind megabytes of memory it costs more than what is set aside here.
        if (gasleft() < 16_000) revert OutOfGas();
        (bool ok,) = G1_MSM.staticcall{ gas: 12_000 }(input);
        return ok;
    }

    function isInfinity(G1Point memory point) internal pure returns (bool) {
        return point.xHigh | point.xLow | point.yHigh | point.yLow == 0;
    }

    /// Turns a point into its negative, in place.
    function negate(G1Point memory point) internal pure {
        if (isInfinity(point)) return;
        (point.yHigh, point.yLow) = subtractFromPrime(point.yHigh, point.yLow);
    }

    function encode(G1Point memory point) internal pure returns (bytes memory) {
        return abi.encode(point.xHigh, point.xLow, point.yHigh, point.yLow);
    }

    function decode(bytes memory encoded) internal pure returns (G1Point memory) {
        return abi.decode(encoded, (G1Point));
    }

    /// hash_to_curve of RFC 9380 into G2, for 32-byte messages.
    function hashToG2(bytes memory dst, bytes32 message) internal view returns (bytes memory hashed) {
        bytes memory uniform = expand(dst, abi.encodePacked(message), 256);
        uint256 failed = 0;
        assembly ("memory-safe") {
            // Four field elements, one after the other: two pairs to be mapped to the curve.
            hashed := mload(0x40)
            let elements := add(hashed, 32)
            let input := add(elements, 512)
            mstore(0x40, add(elements, 256))
            mstore(hashed, 256)
            // base^1 mod p, with 64, 1 and 64 bytes.
            mstore(input, 64)
            mstore(add(input, 32), 1)
            mstore(add(input, 64), 64)
            mstore8(add(input, 160), 1)
            mstore(add(input, 161), 0x1a0111ea397fe69a4b1ba7b6434bacd7)
            mstore(add(input, 193), 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab)
            for { let i := 0 } lt(i, 256) { i := add(i, 64) } {
                mcopy(add(input, 96), add(add(uniform, 32), i), 64)
                if iszero(staticcall(gas(), 0x05, input, 225, add(elements, i), 64)) {
                    failed := 0x05
                }
            }
            if iszero(staticcall(gas(), 0x11, add(elements, 128), 128, add(elements, 256), 256)) {
                failed := 0x11
            }
            if iszero(staticcall(gas(), 0x11, elements, 128, elements, 256)) { failed := 0x11 }
            if iszero(staticcall(gas(), 0x0d, elements, 512, elements, 256)) { failed := 0x0d }
        }
        if (failed != 0) revert PrecompileFailed(failed);
    }

    /// hash_to_curve of RFC 9380 into G1.
    function hashToG1(bytes memory dst, bytes memory message) internal view returns (G1Point memory) {
        bytes memory uniform = expand(dst, message, 128);
        bytes memory first = call(MAP_TO_G1, reduce(uniform, 0), 128);
        bytes memory second = call(MAP_TO_G1, reduce(uniform, 64), 128);
        return add(decode(first), decode(second));
    }

    /// The 48 bytes that stand for a point on the wire, in two parts: 32 bytes and 16.
    function compress(G1Point memory point) internal pure returns (bytes memory) {
        if (isInfinity(point)) return abi.encodePacked(bytes1(0xc0), new bytes(47));
        // The flags: compressed, and y being the larger of y and p − y.
        uint256 flags = isLarger(point.yHigh, point.yLow) ? 0xa0 : 0x80;
        // forge-lint: disable-next-line(unsafe-typecast)
        return abi.encodePacked(uint128(point.xHigh | flags << 120), point.xLow);
    }

    /// The 96 bytes that stand for a point of G2 on the wire. What is given need not be on the curve.
    function compressG2(bytes calldata point) internal pure returns (bytes memory) {
        if (point.length != 256) revert NotAPoint();
        uint256[8] memory words = abi.decode(point, (uint256[8]));
        bool infinity = true;
        for (uint256 i = 0; i < 8; ++i) {
            if (words[i] != 0) infinity = false;
            if (i % 2 == 0 && words[i] > P_HIGH) revert NotAPoint();
        }
        if (infinity) return abi.encodePacked(bytes1(0xc0), new bytes(95));
        // Coordinates are c₀ + c₁·i; the larger of y and −y is told by c₁, or by c₀ where c₁ is zero.
        bool larger = words[6] | words[7] == 0 ? isLarger(words[4], words[5]) : isLarger(words[6], words[7]);
        uint256 flags = larger ? 0xa0 : 0x80;
        // forge-lint: disable-next-line(unsafe-typecast)
        return abi.encodePacked(uint128(words[2] | flags << 120), words[3], uint128(words[0]), words[1]);
    }

    /// 1/number modulo the order of the groups, which is prime.
    function inverse(uint256 number) internal view returns (uint256) {
        bytes memory input = abi.encode(32, 32, 32, number, ORDER - 2, ORDER);
        return abi.decode(call(MODEXP, input, 32), (uint256));
    }

    /// The point that 48 bytes stand for. `ok` is false if they are not the one encoding of a point of the
    /// curve; whether it is in the subgroup is another question.
    function decompress(bytes memory encoded) internal view returns (bool ok, G1Point memory point) {
        if (encoded.length != 48) return (false, point);
        uint256 high;
        uint256 low;
        assembly ("memory-safe") {
            high := shr(128, mload(add(encoded, 32)))
            low := mload(add(encoded, 48))
        }
        uint256 flags = high >> 125;
        high &= (1 << 125) - 1;
        if (flags == 6) return (high == 0 && low == 0, point);
        if (flags != 4 && flags != 5) return (false, point);
        if (high > P_HIGH || (high == P_HIGH && low >= P_LOW)) return (false, point);
        (point.xHigh, point.xLow) = (high, low);
        (uint256 sideHigh, uint256 sideLow) = plusFour(power(high, low, 0, 3));
        // p = 3 mod 4: a root of a square is its power (p + 1)/4.
        bytes memory root = power(
            sideHigh,
            sideLow,
            0x0680447a8e5ff9a692c6e9ed90d2eb35,
            0xd91dd2e13ce144afd9cc34a83dac3d8907aaffffac54ffffee7fbfffffffeaab
        );
        (point.yHigh, point.yLow) = abi.decode(root, (uint256, uint256));
        (uint256 squareHigh, uint256 squareLow) =
            abi.decode(power(point.yHigh, point.yLow, 0, 2), (uint256, uint256));
        if (squareHigh != sideHigh || squareLow != sideLow) return (false, point);
        if (isLarger(point.yHigh, point.yLow) != (flags == 5)) {
            (point.yHigh, point.yLow) = subtractFromPrime(point.yHigh, point.yLow);
        }
        return (true, point);
    }

    function holds(G1Point memory key, bytes memory hashed, bytes calldata signature)
        private
        view
        returns (bool)
    {
        if (isInfinity(key)) revert KeyIsInfinity();
        requireSignature(signature);
        bytes memory product = call(PAIRING, bytes.concat(encode(key), hashed, MINUS_G1, signature), 32);
        return abi.decode(product, (uint256)) == 1;
    }

    /// Refuses what no precompile refuses by itself.
    function requireSignature(bytes calldata signature) private pure {
        if (signature.length != SIGNATURE_BYTES) revert SignatureLength(signature.length);
        bytes32[8] calldata words;
        assembly ("memory-safe") {
            words := signature.offset
        }
        bytes32 any = words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7];
        if (any == 0) revert SignatureIsInfinity();
    }

    /// expand_message_xmd of RFC 9380 over SHA-256, for a multiple of 32 bytes below 8,192.
    function expand(bytes memory dst, bytes memory message, uint256 length)
        private
        pure
        returns (bytes memory uniform)
    {
        // forge-lint: disable-start(unsafe-typecast)
        bytes memory tail = abi.encodePacked(dst, uint8(dst.length));
        bytes32 first = sha256(abi.encodePacked(new bytes(64), message, uint16(length), uint8(0), tail));
        bytes32 block_ = sha256(abi.encodePacked(first, uint8(1), tail));
        uniform = new bytes(length);
        for (uint256 i = 1;; ++i) {
            assembly ("memory-safe") {
                mstore(add(uniform, mul(i, 32)), block_)
            }
            if (i * 32 == length) break;
            block_ = sha256(abi.encodePacked(first ^ block_, uint8(i + 1), tail));
        }
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// The 64 bytes from `at` on as a field element.
    function reduce(bytes memory uniform, uint256 at) private view returns (bytes memory) {
        uint256 high;
        uint256 low;
        assembly ("memory-safe") {
            let from := add(add(uniform, 32), at)
            high := mload(from)
            low := mload(add(from, 32))
        }
        return power(high, low, 0, 1);
    }

    /// base^exponent mod p, as 64 bytes.
    function power(uint256 baseHigh, uint256 baseLow, uint256 exponentHigh, uint256 exponentLow)
        private
        view
        returns (bytes memory)
    {
        bytes memory exponent = exponentHigh == 0 && exponentLow < 256
            // forge-lint: disable-next-line(unsafe-typecast)
            ? abi.encodePacked(uint8(exponentLow))
            : abi.encodePacked(uint128(exponentHigh), exponentLow);
        return call(
            MODEXP,
            abi.encodePacked(
                uint256(64), exponent.length, uint256(64), baseHigh, baseLow, exponent, P_HIGH, P_LOW
            ),
            64
        );
    }

    /// x + 4 mod p, for the equation of the curve, y² = x³ + 4.
    function plusFour(bytes memory x) private pure returns (uint256 high, uint256 low) {
        (high, low) = abi.decode(x, (uint256, uint256));
        unchecked {
            low += 4;
            if (low < 4) ++high;
            if (high > P_HIGH || (high == P_HIGH && low >= P_LOW)) {
                high = high - P_HIGH - (low < P_LOW ? 1 : 0);
                low -= P_LOW;
            }
        }
    }

    /// Whether y is larger than p − y.
    function isLarger(uint256 yHigh, uint256 yLow) private pure returns (bool) {
        (uint256 high, uint256 low) = subtractFromPrime(yHigh, yLow);
        return yHigh > high || (yHigh == high && yLow > low);
    }

    /// p − y for y in 1..p; for y = 0 it is p, which compares as the larger.
    function subtractFromPrime(uint256 yHigh, uint256 yLow) private pure returns (uint256 high, uint256 low) {
        unchecked {
            low = P_LOW - yLow;
            high = P_HIGH - yHigh - (yLow > P_LOW ? 1 : 0);
        }
    }

    function call(address precompile, bytes memory input, uint256 length)
        private
        view
        returns (bytes memory output)
    {
        bool ok;
        (ok, output) = precompile.staticcall(input);
        if (!ok || output.length != length) revert PrecompileFailed(uint160(precompile));
    }
}
