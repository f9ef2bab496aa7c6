/**
 * Points of BLS12-381, decoded with every check that the page asks for, and pairing equations.
 *
 * `multiply` is the library's constant-time algorithm over JavaScript's bigints, whose arithmetic is not
 * constant-time itself: see "What is not promised" in the README.
 */

import { bls12_381 } from '@noble/curves/bls12-381.js';

import { equalBytes, fromBe } from './bytes.js';

const { G1, G2 } = bls12_381;

/** A point of G1. */
export type G1Point = InstanceType<typeof G1.Point>;
/** A point of G2. */
export type G2Point = InstanceType<typeof G2.Point>;

/** The order of both groups, q. */
export const ORDER = bls12_381.fields.Fr.ORDER;
/** The generator of G1, g. */
export const GENERATOR: G1Point = G1.Point.BASE;

/** The point that `bytes` encode: canonical, on the curve, in the subgroup. None otherwise. */
export function validG1(bytes: Uint8Array): G1Point | undefined {
  return decode(bytes, 48, (encoded) => G1.Point.fromBytes(encoded));
}

/**
 * The point of the curve that `bytes` encode, in the subgroup or not: for equations that hold up to points of
 * small order. None if there is no such point, or if it is one of order 3, of which x is zero.
 */
export function curveG1(bytes: Uint8Array): G1Point | undefined {
  const { Fp } = bls12_381.fields;
  const flags = (bytes[0] ?? 0) >> 5;
  const x = fromBe(bytes.map((byte, at) => (at === 0 ? byte & 0x1f : byte)));
  if (bytes.length !== 48 || (flags & 4) === 0 || x >= Fp.ORDER) {
    return undefined;
  }
  if (x === 0n) {
    return flags === 6 ? G1.Point.ZERO : undefined;
  }
  const square = Fp.add(Fp.pow(x, 3n), 4n);
  if ((flags & 2) !== 0 || !isSquare(square)) {
    return undefined;
  }
  const root = Fp.sqrt(square);
  const isLarger = root > Fp.ORDER / 2n;
  return G1.Point.fromAffine({ x, y: isLarger === ((flags & 1) !== 0) ? root : Fp.neg(root) });
}

/** Whether a number has a square root, by Euler's criterion. */
function isSquare(number: bigint): boolean {
  const { Fp } = bls12_381.fields;
  return Fp.eql(Fp.pow(number, (Fp.ORDER - 1n) / 2n), Fp.ONE);
}

/** The point of G1 that `bytes` are as x ‖ y: on the curve, in the subgroup. None otherwise. */
export function validG1Whole(bytes: Uint8Array): G1Point | undefined {
  return decode(bytes, 96, (encoded) => G1.Point.fromBytes(encoded), false);
}

/** A compressed point of G2. */
export function validG2(bytes: Uint8Array): G2Point | undefined {
  return decode(bytes, 96, (encoded) => G2.Point.fromBytes(encoded));
}

interface Decoded {
  assertValidity(): void;
  isTorsionFree(): boolean;
  toBytes(compressed: boolean): Uint8Array;
}

function decode<P extends Decoded>(
  bytes: Uint8Array,
  length: number,
  read: (bytes: Uint8Array) => P,
  compressed = true,
): P | undefined {
  if (bytes.length !== length) {
    return undefined;
  }
  try {
    const point = read(bytes);
    point.assertValidity();
    const canonical = equalBytes(point.toBytes(compressed), bytes);
    return canonical && point.isTorsionFree() ? point : undefined;
  } catch {
    // The library throws on bytes that are no point, which is an answer here and no failure.
    return undefined;
  }
}

/** Whether e(a, a₂) = e(b, b₂). None of them may be infinity. */
export function pairingsAgree([a, a2]: [G1Point, G2Point], [b, b2]: [G1Point, G2Point]): boolean {
  const product = bls12_381.pairingBatch([
    { g1: a, g2: a2 },
    { g1: b.negate(), g2: b2 },
  ]);
  return bls12_381.fields.Fp12.eql(product, bls12_381.fields.Fp12.ONE);
}

/** The point of G1 that `message` hashes to: nobody knows its logarithm. */
export function hashToG1(message: Uint8Array, dst: string): G1Point {
  return G1.hashToCurve(message, { DST: dst });
}

/** The point of G2 that `message` hashes to. */
export function hashToG2(message: Uint8Array, dst: string): G2Point {
  return G2.hashToCurve(message, { DST: dst });
}

/** The generator of G2, g₂. */
export const GENERATOR_G2: G2Point = G2.Point.BASE;
