/**
 * What opens a sealed bundle and a block's beacon, and the check that it does.
 *
 * A bundle that was sealed as the page says is opened by its seed σ, of which everything in it is a function:
 * whoever has σ seals the key encapsulation again and compares. Only a bundle that has no right seed is opened by
 * its point k = r·PK, and then it is BadCiphertext. So each bundle has one opening: were the point taken of any
 * bundle, a node could show a good one as one that does not open.
 */

import { equalBytes } from './bytes.js';
import type { SealedBundle } from './bundle.js';
import { bodyKey, cipher, exponent, seedMask, SEED_BYTES, splitCapsule, xor } from './capsule.js';
import { EncodingError, VerificationError } from './errors.js';
import type { SealingKey } from './key.js';
import { decodeLegs, type Leg, type UndecryptableReason } from './legs.js';
import { GENERATOR, validG1, type G1Point } from './points.js';

const POINT_BYTES = 48;

/** An opening as a block shows it. Whether it is right is another question. */
export interface Opening {
  /** Their lengths tell them apart. */
  readonly kind: 'point' | 'seed';
  readonly bytes: Uint8Array;
}

/** Reads an opening. Throws {@link EncodingError}. */
export function readOpening(bytes: Uint8Array): Opening {
  if (bytes.length !== POINT_BYTES && bytes.length !== SEED_BYTES) {
    throw new EncodingError(
      `an opening has ${POINT_BYTES} bytes or ${SEED_BYTES}, found ${bytes.length}`,
    );
  }
  return { kind: bytes.length === POINT_BYTES ? 'point' : 'seed', bytes };
}

/**
 * Opens a bundle's body under its opening, once that is accepted.
 * Throws {@link VerificationError}, or {@link EncodingError} for a capsule that no validator admits.
 */
export function openBundle(
  key: SealingKey,
  bundle: SealedBundle,
  { kind, bytes }: Opening,
): Leg[] | UndecryptableReason {
  const { u, masked } = splitCapsule(bundle.capsule);
  const encapsulation = { u, masked, label: bundle.label };
  if (kind === 'point') {
    assertOpenedByPoint(key, bundle, encapsulation, bytes);
    return 'BadCiphertext';
  }
  if (!isRightSeed(key, encapsulation, bytes)) {
    throw new VerificationError(
      `the seed of bundle ${bundle.id} is not the one it was sealed from`,
    );
  }
  let plaintext: Uint8Array;
  try {
    plaintext = cipher(bundle.label, bodyKey(bundle.label, u, bytes)).decrypt(bundle.body);
  } catch {
    // The tag does not fit: an outcome of the protocol, not a failure here.
    return 'BadCiphertext';
  }
  return decodeLegs(plaintext);
}

/** What a seed is checked against. */
interface Encapsulation {
  readonly u: Uint8Array;
  /** v: the seed under its mask. */
  readonly masked: Uint8Array;
  readonly label: Uint8Array;
}

/** Whether these are what sealing from `seed` gives. Everything here is public. */
function isRightSeed(
  key: SealingKey,
  { u, masked, label }: Encapsulation,
  seed: Uint8Array,
): boolean {
  const r = exponent(key, label, seed);
  if (!equalBytes(GENERATOR.multiplyUnsafe(r).toBytes(true), u)) {
    return false;
  }
  const k = key.point.multiplyUnsafe(r).toBytes(true);
  return equalBytes(xor(seed, seedMask(label, u, k)), masked);
}

/** A point opens a bundle if it is right, and if the seed that it determines is not. */
function assertOpenedByPoint(
  key: SealingKey,
  { id }: SealedBundle,
  encapsulation: Encapsulation,
  k: Uint8Array,
): void {
  const { u, masked, label } = encapsulation;
  const point = validG1(u);
  if (point === undefined || point.is0()) {
    throw new EncodingError('u is not an acceptable point of G1');
  }
  assertRightPoint(key, point, k, `bundle ${id}`);
  if (isRightSeed(key, encapsulation, xor(masked, seedMask(label, u, k)))) {
    throw new VerificationError(`bundle ${id} is opened by its seed, and this is its point`);
  }
}

/** Whether `opening` is sk·`u`. Throws {@link VerificationError}. */
export function assertRightPoint(
  key: SealingKey,
  u: G1Point,
  opening: Uint8Array,
  what: string,
): void {
  const k = validG1(opening);
  if (k === undefined || k.is0()) {
    throw new VerificationError(`the opening of ${what} is not an acceptable point of G1`);
  }
  if (!key.isMultiple(k, u)) {
    throw new VerificationError(`the opening of ${what} does not verify`);
  }
}
