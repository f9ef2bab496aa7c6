/**
 * u = r·g with a proof that whoever sealed the bundle knows r, and the cipher that both ends derive.
 *
 * Without the proof somebody could submit a function of another bundle's u and read its key off the own
 * opening. The challenge binds header and body, so a capsule is worth nothing beside others.
 */

import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';

import { be, concat, fromBe, utf8 } from './bytes.js';
import { EncodingError, InputError, VerificationError } from './errors.js';
import { keccak } from './hashing.js';
import { SUITE, type SealingKey } from './key.js';
import { curveG1, GENERATOR, ORDER, validG1, type G1Point } from './points.js';

/** Bytes of a capsule: u ‖ ū ‖ w ‖ w̄ ‖ z. */
export const CAPSULE_BYTES = 4 * 48 + 32;

/** A ciphertext with its capsule. */
export interface SealedParts {
  readonly capsule: Uint8Array;
  readonly body: Uint8Array;
}

/** What sealing computes on the way, for the vectors. */
export interface SealingSteps extends SealedParts {
  readonly r: bigint;
  readonly n: bigint;
  readonly k: Uint8Array;
}

/**
 * Seals a padded plaintext. The exponents depend on all that is sealed, so a generator that repeats a
 * seed still never uses one key stream or one nonce for two bundles.
 */
export function sealSteps(
  key: SealingKey,
  label: Uint8Array,
  padded: Uint8Array,
  seed: Uint8Array,
): SealingSteps {
  const length = be(padded.length, 8);
  const r = key.scalar('conclave/capsule-exponent/v1', seed, label, length, padded);
  const u = GENERATOR.multiply(r);
  const k = key.point.multiply(r).toBytes(true);
  const body = cipher(k, u.toBytes(true), label).encrypt(padded);
  const bodyHash = keccak(body);
  const n = key.scalar('conclave/capsule-nonce/v1', seed, be(r, 32), label, bodyHash);
  const commitments = [
    u,
    key.proofBase.multiply(r),
    GENERATOR.multiply(n),
    key.proofBase.multiply(n),
  ];
  const points = concat(...commitments.map((point) => point.toBytes(true)));
  const e = challenge(key, label, bodyHash, points);
  const z = (n + e * r) % ORDER;
  return { capsule: concat(points, be(z, 32)), body, r, n, k };
}

/** Seals, and forgets what only the sender may know. */
export function sealPadded(
  key: SealingKey,
  label: Uint8Array,
  padded: Uint8Array,
  seed: Uint8Array,
): SealedParts {
  const { capsule, body, k } = sealSteps(key, label, padded, seed);
  k.fill(0);
  return { capsule, body };
}

function challenge(
  key: SealingKey,
  label: Uint8Array,
  bodyHash: Uint8Array,
  points: Uint8Array,
): bigint {
  return key.scalar('conclave/capsule-proof/v1', label, bodyHash, points);
}

/** The cipher of one bundle. Its key serves once, so the nonce is zero. */
export function cipher(k: Uint8Array, u: Uint8Array, label: Uint8Array) {
  const secret = concat(k, u, label, Uint8Array.of(SUITE));
  const key = hkdf(sha256, secret, undefined, utf8('conclave/dem-key/v1'), 32);
  secret.fill(0);
  return chacha20poly1305(key, new Uint8Array(12), label);
}

/** A decoded capsule. Says nothing about the proof yet. */
interface Capsule {
  readonly u: G1Point;
  readonly uBar: G1Point;
  readonly w: G1Point;
  readonly wBar: G1Point;
  readonly z: bigint;
}

/** Reads a capsule and checks its points. Throws {@link EncodingError}. */
function decodeCapsule(bytes: Uint8Array): Capsule {
  if (bytes.length !== CAPSULE_BYTES) {
    throw new EncodingError(`a capsule has ${CAPSULE_BYTES} bytes, found ${bytes.length}`);
  }
  const point = (index: number, name: string, mayBeInfinity: boolean, read = curveG1) => {
    const found = read(bytes.subarray(48 * index, 48 * (index + 1)));
    if (found === undefined || (found.is0() && !mayBeInfinity)) {
      throw new EncodingError(`${name} is not an acceptable point of G1`);
    }
    return found;
  };
  const z = fromBe(bytes.subarray(4 * 48));
  const capsule = {
    u: point(0, 'u', false, validG1),
    uBar: point(1, 'ū', false),
    w: point(2, 'w', true),
    wBar: point(3, 'w̄', true),
    z,
  };
  if (z >= ORDER) {
    throw new EncodingError('the response z is not a canonical scalar');
  }
  return capsule;
}

/** Checks a capsule as validators do. Throws {@link EncodingError} or {@link VerificationError}. */
export function verifyCapsule(
  key: SealingKey,
  label: Uint8Array,
  { capsule, body }: SealedParts,
): void {
  const { u, uBar, w, wBar, z } = decodeCapsule(capsule);
  const e = challenge(key, label, keccak(body), capsule.subarray(0, 4 * 48));
  // Everything here is public. The equations hold up to points of small order.
  const holds = (base: G1Point, commitment: G1Point, power: G1Point) =>
    base
      .multiplyUnsafe(z)
      .subtract(commitment.add(power.multiplyUnsafe(e)))
      .clearCofactor()
      .is0();
  if (!holds(GENERATOR, w, u) || !holds(key.proofBase, wBar, uBar)) {
    throw new VerificationError('the proof of the capsule does not hold');
  }
}

/** Checks that a seed is one. Throws {@link InputError}. */
export function assertSeed(seed: Uint8Array): void {
  if (seed.length !== 32) {
    throw new InputError('seed', `expected 32 bytes, found ${seed.length}`);
  }
}
