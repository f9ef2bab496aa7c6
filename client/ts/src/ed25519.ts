/**
 * Strict verification of validators' signatures.
 *
 * Implementations of ed25519 disagree on hand-crafted signatures. A receipt that this client accepts must
 * be accepted by everyone it is shown to, so the strictest rule is taken and written out here: canonical
 * encodings, nothing of small order, and the equation without the cofactor.
 */

import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';

import { concat, equalBytes, fromBe } from './bytes.js';

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;

/** Whether `signature` is `key`'s over `message`. */
export function verifyStrict(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.length !== 32 || signature.length !== 64) {
    return false;
  }
  const [rBytes, sBytes] = [signature.subarray(0, 32), signature.slice(32)];
  const s = fromBe(sBytes.reverse());
  const [a, r] = [decode(key), decode(rBytes)];
  if (s >= ORDER || a === undefined || r === undefined) {
    return false;
  }
  const k = fromBe(sha512(concat(rBytes, key, message)).reverse()) % ORDER;
  const expected = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k));
  return equalBytes(expected.toBytes(), rBytes);
}

/** A point in canonical encoding and not of small order. */
function decode(bytes: Uint8Array): InstanceType<typeof Point> | undefined {
  try {
    const point = Point.fromBytes(bytes, false);
    return point.isSmallOrder() ? undefined : point;
  } catch {
    return undefined;
  }
}
