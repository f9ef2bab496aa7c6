// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

/// ed25519 with exactly the acceptance of ed25519-dalek's `verify_strict`: S below the order, neither A nor R of
/// small order, R compared byte by byte (so without the cofactor), A allowed to be non-canonical. Consensus
/// and this contract must accept the same signatures: `tests/vectors/ed25519-*.json` hold them together.
///
/// Formulas: twisted Edwards curve with a = −1 in extended coordinates (Hisil, Wong, Carter, Dawson 2008);
/// [S]B − [k]A by windows of four bits over both scalars at once.
library Ed25519 {
    uint256 private constant P = 0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed;
    uint256 private constant ORDER = 0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed;
    uint256 private constant D = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3;
    uint256 private constant TWICE_D = 0x2406d9dc56dffce7198e80f2eef3d13000e0149a8283b156ebd69b9426b2f159;
    uint256 private constant ROOT_OF_MINUS_ONE =
        0x2b8324804fc1df0b2b4d00993dfbd7a72f431806ad2fe478c4ee1b274a0ea0b0;
    /// 2^256 mod ORDER.
    uint256 private constant WORD_MOD_ORDER =
        0x0ffffffffffffffffffffffffffffffec6ef5bf4737dcf70d6ec31748d98951d;
    /// j·B for j = 1 to 15, each as (y + x, y − x, 2z, 2d·t) with z = 1.
    bytes private constant BASE_MULTIPLES =
        hex"87cf9d3a33d4ba65270b4898643d42c2cf932dc6fb8c0e192fbc93c6f58c3b72c4fd2f9298f81267a5c18434688f8a09fd399f05d140beb39d103905d740912b00000000000000000000000000000000000000000000000000000000000000026f117b689f0c65a85a1b7dcbdd43598c26d9e823ccaac49eabc91205877aaa68590c063fa87d2e2e5aa69a65e1d607029f469d967a0ff5b59224e7fc933c71d76bb595a669c92555e09e236bb16e37aa8f2b810c4e60acf68a99a56042b4d5a80000000000000000000000000000000000000000000000000000000000000002701af5b13ea50b73500fa0840b3d6a3136c16bdd5d9acf7843faa8b3a59b7a5f7a164e1b9a80f8f4c11b50029f016732025a8430e8864b8aaf25b0a84cee97302ab91587555bda628131f31a214bd6bd3bd353fde5c1ba7d56611fe8a4fcd26500000000000000000000000000000000000000000000000000000000000000025a2826af12b9b4c6d170e5458cf2db4c589423221c35da6214ae933f0dd0d889680e910321e58727ca348d3dfb0a92656765c6f47dfd2538287351b98efc099fa7933f4c7445a49ac3e8e3cd06a05073327e89715660faa995fe050a056818ac00000000000000000000000000000000000000000000000000000000000000027f9d0cbf63553e2b5ddbdcf9102b44946e9e39457b5cc1725a13fbe9c476ff09a945ccf146e206ebdd1beb0c5abfec448d5048c3c75eed02a212bc4408a5bb20954a7e73eb1b55f3e33cf11cb864a087d50014d14b2729b77f9182c3a447d6a7000000000000000000000000000000000000000000000000000000000000000243aabe696b3bb69ab41b670b1bbda72d270e0807d0bdd1fcbcbbdbf1812a828551e57bb6a2cc38bd8065b668da59a7369b27158900c8af883a0ceeeb7715713138b64c41ae417884bb085ce7204553b9575be28427d22739499806b67b7d8ca4000000000000000000000000000000000000000000000000000000000000000210b8e91a9f0d61e353e4a24b083bc144be70e00341a1bb0185ac326702ea4b71461bea69283c927e71b2528228542e497470353ab39dc0d26b1a5cd0944ea3bf9d6edd5d2e5317e09dea764f92192c3a6ca021533bba23a7ba6f2c9aaa32219e00000000000000000000000000000000000000000000000000000000000000027a9fbb1c6a0f90a7529c41ba5877adf3b3035f47053ea49af1836dc801b8b3a28915e76061bce52fb1339c665ed9c3236cb30377e288702c59b7596604dd3e7c3a9024a1320e01c32c2741ac6e3c23fb963d7680e1b558f9e2a75dedf39234d9000000000000000000000000000000000000000000000000000000000000000226907c5c2ecc4e95636412190eb62a32b8a371788bcca7d7e7c1f5d9c9a2911ab4b9ed338add7f59ceb233c9c686f5b5a6509e6f51bc46c59b2e678aa6a8631cc9c05a51fadc9c8f96cbc608e75eb04498a081b6f520419bf36e217e039d8051000000000000000000000000000000000000000000000000000000000000000273c172021b008b06aaf6fc2993d4cf16e2ff83e8a719d22f06b4e8bf9045af1bc3ac7628aae591ed0d5503639b55464645f534d41617e057ff1d93d2b360747b8353832c4950b70284739745f5dc395804f8183665a9f02f75f3558e227081ca00000000000000000000000000000000000000000000000000000000000000020ec62af470bf4ce7ff169f0f6731b5091d0c1ccbd3f06340d03d2ae403d0f8d84275aae2546d8faf113e847117703406e5d9fecf02302e272fbf00848a802ade98ab598029d5c77fa3a075556a8deb953ed6b36977088381315f5b024986433500000000000000000000000000000000000000000000000000000000000000023dc65522b53df94844311199b51a8622031eb4a13282e4a4d82b2cc5fd6089e9878aafde8d3cdd5845ecdd2e701a6f9388de3dd7d834d1a9e2358042a71e75267956ece28a6022ed884dfb6e56d5dbdd23b2bf90ccb25b24856f8375b53d54b9000000000000000000000000000000000000000000000000000000000000000237c6a5151c83d0c6ffcb589af4976461f66cda23a24e180beea594d87f944553234fd7eec346f241537a0e12fb07ba07bf84b39ab5bcdedbbf70c222a2007f6d8267882d176024a79d12b232aaad5968aefcebc99b776f6b506f013b327fbf800000000000000000000000000000000000000000000000000000000000000002497ba6fdaa097863a2ef37f891a7e5332437e6b1df8dd4715360a119732ea3786eaf60b2464d16301a474c042881bdd580277fc057efa98726f870ec3f213df2adf0ea2c5b3c80d2112e56f16eec47a9ce69b20fdb7ca331dfdb8a44d417126d000000000000000000000000000000000000000000000000000000000000000224bf7e3cd8ba9c939c1fdf703ecb1baaf02397eda2a9bf5496a1c5877a1e1b8261e22917f12de72b2dbdbdfac1f2d4d08648c28d189c246d24cecc0313cfeaa043b5cd4218d05ebf7508300807b25192d3829ba42a9910d6040bcd86468ccf0b0000000000000000000000000000000000000000000000000000000000000002511d61210ae4d842032e5a7d93d64270eb38af4e373fdeee5d9a762f9bd0b516";
    /// The round constants of SHA-512.
    bytes private constant SHA512_CONSTANTS =
        hex"428a2f98d728ae227137449123ef65cdb5c0fbcfec4d3b2fe9b5dba58189dbbc3956c25bf348b53859f111f1b605d019923f82a4af194f9bab1c5ed5da6d8118d807aa98a303024212835b0145706fbe243185be4ee4b28c550c7dc3d5ffb4e272be5d74f27b896f80deb1fe3b1696b19bdc06a725c71235c19bf174cf692694e49b69c19ef14ad2efbe4786384f25e30fc19dc68b8cd5b5240ca1cc77ac9c652de92c6f592b02754a7484aa6ea6e4835cb0a9dcbd41fbd476f988da831153b5983e5152ee66dfaba831c66d2db43210b00327c898fb213fbf597fc7beef0ee4c6e00bf33da88fc2d5a79147930aa72506ca6351e003826f142929670a0e6e7027b70a8546d22ffc2e1b21385c26c9264d2c6dfc5ac42aed53380d139d95b3df650a73548baf63de766a0abb3c77b2a881c2c92e47edaee692722c851482353ba2bfe8a14cf10364a81a664bbc423001c24b8b70d0f89791c76c51a30654be30d192e819d6ef5218d69906245565a910f40e35855771202a106aa07032bbd1b819a4c116b8d2d0c81e376c085141ab532748774cdf8eeb9934b0bcb5e19b48a8391c0cb3c5c95a634ed8aa4ae3418acb5b9cca4f7763e373682e6ff3d6b2b8a3748f82ee5defb2fc78a5636f43172f6084c87814a1f0ab728cc702081a6439ec90befffa23631e28a4506cebde82bde9bef9a3f7b2c67915c67178f2e372532bca273eceea26619cd186b8c721c0c207eada7dd6cde0eb1ef57d4f7fee6ed17806f067aa72176fba0a637dc5a2c898a6113f9804bef90dae1b710b35131c471b28db77f523047d8432caab7b40c724933c9ebe0a15c9bebc431d67c49c100d4c4cc5d4becb3e42b6597f299cfc657e2a5fcb6fab3ad6faec6c44198c4a475817";

    /// Whether (r, s), the two halves of a signature, is that of `key` for `message`.
    function verify(bytes32 key, bytes32 r, bytes32 s, bytes memory message) internal view returns (bool) {
        uint256 scalar = reverse(uint256(s));
        if (scalar >= ORDER || !isUsableKey(r)) return false;
        (bool ok, uint256 ax, uint256 ay) = decompress(reverse(uint256(key)));
        if (!ok || hasSmallOrder(ax, ay)) return false;
        return difference(scalar, challenge(r, key, message), ax, ay) == r;
    }

    /// The same for the 32-byte digests that validators sign.
    function verify(bytes32 key, bytes32 r, bytes32 s, bytes32 message) internal view returns (bool) {
        return verify(key, r, s, abi.encodePacked(message));
    }

    /// Whether a key can verify anything: it is a point, and not one of small order. R must be such a point
    /// as well.
    function isUsableKey(bytes32 key) internal view returns (bool) {
        (bool ok, uint256 x, uint256 y) = decompress(reverse(uint256(key)));
        return ok && !hasSmallOrder(x, y);
    }

    /// SHA-512(R ‖ A ‖ M) mod the order, little-endian as RFC 8032 has it.
    function challenge(bytes32 r, bytes32 key, bytes memory message) private pure returns (uint256) {
        (uint256 first, uint256 second) = sha512(abi.encodePacked(r, key, message));
        return addmod(mulmod(reverse(second), WORD_MOD_ORDER, ORDER), reverse(first), ORDER);
    }

    /// SHA-512 (FIPS 180-4), as its first and second 32 bytes.
    function sha512(bytes memory data) internal pure returns (uint256 first, uint256 second) {
        bytes memory constants = SHA512_CONSTANTS;
        assembly ("memory-safe") {
            /// The 80 words of the message schedule, one to a slot. A word twice in a row makes its
            /// rotations shifts; what that leaves above 64 bits is cut off at the end.
            function schedule(words, chunk, mask) {
                for { let i := 0 } lt(i, 16) { i := add(i, 1) } {
                    mstore(add(words, shl(5, i)), shr(192, mload(add(chunk, shl(3, i)))))
                }
                let end := add(words, 2560)
                for { let w := add(words, 512) } lt(w, end) { w := add(w, 32) } {
                    let x := mload(sub(w, 480))
                    let twice := or(x, shl(64, x))
                    let small0 := xor(xor(shr(1, twice), shr(8, twice)), shr(7, x))
                    x := mload(sub(w, 64))
                    twice := or(x, shl(64, x))
                    let small1 := xor(xor(shr(19, twice), shr(61, twice)), shr(6, x))
                    let sum := add(mload(sub(w, 512)), and(small0, mask))
                    sum := add(sum, add(mload(sub(w, 224)), and(small1, mask)))
                    mstore(w, and(sum, mask))
                }
            }
            function accumulate(slot, x, mask) {
                mstore(slot, and(add(mload(slot), x), mask))
            }
            function rounds(state, words, k, mask) {
                let a := mload(state)
                let b := mload(add(state, 32))
                let c := mload(add(state, 64))
                let d := mload(add(state, 96))
                let e := mload(add(state, 128))
                let f := mload(add(state, 160))
                let g := mload(add(state, 192))
                let h := mload(add(state, 224))
                let end := add(words, 2560)
                for { } lt(words, end) {
                    words := add(words, 32)
                    k := add(k, 8)
                } {
                    let t := or(e, shl(64, e))
                    t := add(
                        add(h, and(xor(xor(shr(14, t), shr(18, t)), shr(41, t)), mask)),
                        add(xor(g, and(e, xor(f, g))), add(and(mload(k), mask), mload(words)))
                    )
                    h := g
                    g := f
                    f := e
                    e := and(add(d, t), mask)
                    d := or(a, shl(64, a))
                    t := add(
                        t,
                        add(
                            and(xor(xor(shr(28, d), shr(34, d)), shr(39, d)), mask),
                            xor(and(a, b), and(c, xor(a, b)))
                        )
                    )
                    d := c
                    c := b
                    b := a
                    a := and(t, mask)
                }
                accumulate(state, a, mask)
                accumulate(add(state, 32), b, mask)
                accumulate(add(state, 64), c, mask)
                accumulate(add(state, 96), d, mask)
                accumulate(add(state, 128), e, mask)
                accumulate(add(state, 160), f, mask)
                accumulate(add(state, 192), g, mask)
                accumulate(add(state, 224), h, mask)
            }
            function quarter(state) -> word {
                word := or(
                    or(shl(192, mload(state)), shl(128, mload(add(state, 32)))),
                    or(shl(64, mload(add(state, 64))), mload(add(state, 96)))
                )
            }
            let mask := 0xffffffffffffffff
            // The message, a one bit, zeros, and the length in bits, in chunks of 128 bytes.
            let length := mload(data)
            let chunk := mload(0x40)
            let words := add(chunk, shl(7, shr(7, add(length, 144))))
            mcopy(chunk, add(data, 32), length)
            calldatacopy(add(chunk, length), calldatasize(), sub(sub(words, chunk), length))
            mstore8(add(chunk, length), 0x80)
            mstore(sub(words, 32), or(mload(sub(words, 32)), shl(3, length)))
            let state := add(words, 2560)
            mstore(state, 0x6a09e667f3bcc908)
            mstore(add(state, 32), 0xbb67ae8584caa73b)
            mstore(add(state, 64), 0x3c6ef372fe94f82b)
            mstore(add(state, 96), 0xa54ff53a5f1d36f1)
            mstore(add(state, 128), 0x510e527fade682d1)
            mstore(add(state, 160), 0x9b05688c2b3e6c1f)
            mstore(add(state, 192), 0x1f83d9abfb41bd6b)
            mstore(add(state, 224), 0x5be0cd19137e2179)
            for { let end := words } lt(chunk, end) { chunk := add(chunk, 128) } {
                schedule(words, chunk, mask)
                // Reads of a word end eight bytes behind the constant, so that it is the low end.
                rounds(state, words, add(constants, 8), mask)
            }
            first := quarter(state)
            second := quarter(add(state, 128))
        }
    }

    /// The point that an encoding stands for, as dalek reads it: y is taken mod p, and a sign on x = 0 is ignored.
    function decompress(uint256 encoded) private view returns (bool ok, uint256 x, uint256 y) {
        unchecked {
            uint256 sign = encoded >> 255;
            y = (encoded & ((1 << 255) - 1)) % P;
            uint256 y2 = mulmod(y, y, P);
            uint256 u = addmod(y2, P - 1, P);
            uint256 v = addmod(mulmod(D, y2, P), 1, P);
            uint256 v3 = mulmod(mulmod(v, v, P), v, P);
            uint256 t = mulmod(u, mulmod(mulmod(v3, v3, P), v, P), P); // u v^7
            x = mulmod(mulmod(u, v3, P), power(t, (P - 5) / 8), P);
            uint256 vx2 = mulmod(v, mulmod(x, x, P), P);
            if (vx2 != u) {
                if (vx2 != (P - u) % P) return (false, 0, 0);
                x = mulmod(x, ROOT_OF_MINUS_ONE, P);
            }
            if ((x & 1) != sign) x = (P - x) % P;
            ok = true;
        }
    }

    function hasSmallOrder(uint256 x, uint256 y) private pure returns (bool) {
        // order divides 8 <=> [4]P has x==0 ... cheap test: 8 torsion points: x==0, y==0, or y^2 in {order-8 values}
        if (x == 0 || y == 0) return true;
        uint256 y2 = mulmod(y, y, P);
        // order 8 <=> 2P has y=0 <=> x^2 + y^2 = 0  (from doubling: y3 = (y^2+x^2)/(2-y^2+x^2))
        return addmod(y2, mulmod(x, x, P), P) == 0;
    }

    /// The encoding of [s]B − [k]A.
    function difference(uint256 s, uint256 k, uint256 ax, uint256 ay) private view returns (bytes32) {
        (uint256 x, uint256 y, uint256 z) = sumOfMultiples(s, k, tables(ax, ay));
        uint256 inverse = power(z, P - 2);
        x = mulmod(x, inverse, P);
        y = mulmod(y, inverse, P);
        return bytes32(reverse(y | (x << 255)));
    }

    /// j·B and j·(−A) for j = 1 to 15, in memory at 128·j and at 2,048 + 128·j: each as
    /// (y + x, y − x, 2z, 2d·t), which is what adding it takes.
    function tables(uint256 ax, uint256 ay) private pure returns (uint256 at) {
        bytes memory base = BASE_MULTIPLES;
        assembly ("memory-safe") {
            // On the stack: written out, the compiler would compute it anew each time to save code.
            let p := P
            at := mload(0x40)
            mstore(0x40, add(at, 4096))
            mcopy(add(at, 128), add(base, 32), 1920)
            let x := sub(p, ax)
            let y := ay
            let z := 1
            let t := mulmod(x, y, p)
            let first := add(at, 2176)
            for { let q := first } 1 { } {
                mstore(q, add(y, x))
                mstore(add(q, 32), sub(add(y, p), x))
                mstore(add(q, 64), add(z, z))
                mstore(add(q, 96), mulmod(t, TWICE_D, p))
                q := add(q, 128)
                if eq(q, add(at, 4096)) { break }
                let a := mulmod(sub(add(y, p), x), mload(add(first, 32)), p)
                let b := mulmod(add(y, x), mload(first), p)
                let c := mulmod(t, mload(add(first, 96)), p)
                let d := mulmod(z, mload(add(first, 64)), p)
                let e := sub(add(b, p), a)
                let f := sub(add(d, p), c)
                let g := add(d, c)
                let h := add(b, a)
                x := mulmod(e, f, p)
                y := mulmod(g, h, p)
                t := mulmod(e, h, p)
                z := mulmod(f, g, p)
            }
        }
    }

    /// [s]B + [k](−A) in projective coordinates, out of the tables at `at`. Written out without calls, which
    /// would take a third of the gas.
    function sumOfMultiples(uint256 s, uint256 k, uint256 at)
        private
        pure
        returns (uint256 x, uint256 y, uint256 z)
    {
        assembly ("memory-safe") {
            // On the stack: written out, the compiler would compute it anew each time to save code.
            let p := P
            y := 1
            z := 1
            let e := 0
            let h := 0
            for { let shift := 256 } shift { } {
                shift := sub(shift, 4)
                for { let n := 4 } n { n := sub(n, 1) } {
                    let a := mulmod(x, x, p)
                    let b := mulmod(y, y, p)
                    e := mulmod(add(x, x), y, p)
                    h := add(a, b)
                    let f := addmod(mulmod(add(z, z), z, p), sub(add(a, p), b), p)
                    let g := sub(add(b, p), a)
                    x := mulmod(e, f, p)
                    y := mulmod(g, h, p)
                    z := mulmod(f, g, p)
                }
                // t is needed for additions alone.
                let t := mulmod(e, h, p)
                let q := and(shr(shift, s), 15)
                if q {
                    q := add(at, shl(7, q))
                    let a := mulmod(sub(add(y, p), x), mload(add(q, 32)), p)
                    let b := mulmod(add(y, x), mload(q), p)
                    e := sub(add(b, p), a)
                    h := add(b, a)
                    a := mulmod(t, mload(add(q, 96)), p)
                    b := mulmod(z, mload(add(q, 64)), p)
                    t := mulmod(e, h, p)
                    z := sub(add(b, p), a)
                    b := add(b, a)
                    x := mulmod(e, z, p)
                    y := mulmod(b, h, p)
                    z := mulmod(z, b, p)
                }
                q := and(shr(shift, k), 15)
                if q {
                    q := add(add(at, 2048), shl(7, q))
                    let a := mulmod(sub(add(y, p), x), mload(add(q, 32)), p)
                    let b := mulmod(add(y, x), mload(q), p)
                    e := sub(add(b, p), a)
                    h := add(b, a)
                    a := mulmod(t, mload(add(q, 96)), p)
                    b := mulmod(z, mload(add(q, 64)), p)
                    z := sub(add(b, p), a)
                    b := add(b, a)
                    x := mulmod(e, z, p)
                    y := mulmod(b, h, p)
                    z := mulmod(z, b, p)
                }
            }
        }
    }

    function power(uint256 base, uint256 exponent) private view returns (uint256 r) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, 32)
            mstore(add(m, 32), 32)
            mstore(add(m, 64), 32)
            mstore(add(m, 96), base)
            mstore(add(m, 128), exponent)
            mstore(add(m, 160), P)
            if iszero(staticcall(gas(), 5, m, 192, m, 32)) { revert(0, 0) }
            r := mload(m)
        }
    }

    /// The bytes of a word in reverse.
    function reverse(uint256 v) private pure returns (uint256) {
        v = ((v & 0xff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00) >> 8)
            | ((v & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff) << 8);
        v = ((v & 0xffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000) >> 16)
            | ((v & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff) << 16);
        v = ((v & 0xffffffff00000000ffffffff00000000ffffffff00000000ffffffff00000000) >> 32)
            | ((v & 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff) << 32);
        v = ((v & 0xffffffffffffffff0000000000000000ffffffffffffffff0000000000000000) >> 64)
            | ((v & 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff) << 64);
        return (v >> 128) | (v << 128);
    }
}
