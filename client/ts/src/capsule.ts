/**
 * u = r·g with a proof that whoever sealed the bundle knows r; and the seed σ, of which r and the cipher's key
 * are hashes, masked by what only the validators together can compute from u.
 *
 * Without the proof somebody could submit a function of another bundle's u and read its key off the own
 * opening. The challenge binds header, body and masked seed, so a capsule is worth nothing beside others.
 */

import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';

import { be, concat, fromBe, utf8 } from './bytes.js';
import { EncodingError, InputError, VerificationError } from './errors.js';
import { keccak } from './hashing.js';
import { SUITE, type SealingKey } from './key.js';
import { curveG1, GENERATOR, ORDER, validG1, type G1Point } from './points.js';

/** Bytes of a seed, and of the coins that it is made from. */
export const SEED_BYTES = 32;
const POINTS_BYTES = 4 * 48;
const PROOF_BYTES = POINTS_BYTES + 32;
/** Bytes of a capsule: u ‖ ū ‖ w ‖ w̄ ‖ z ‖ v. */
export const CAPSULE_BYTES = PROOF_BYTES + SEED_BYTES;

/** A ciphertext with its capsule. */
export interface SealedParts {
  readonly capsule: Uint8Array;
  readonly body: Uint8Array;
}

/** What sealing computes on the way, for the vectors. */
export interface SealingSteps extends SealedParts {
  /** σ: whoever knows it opens the bundle. */
  readonly seed: Uint8Array;
  readonly r: bigint;
  readonly k: Uint8Array;
  /** m: what masks the seed. */
  readonly mask: Uint8Array;
  /** v: the seed under its mask. */
  readonly masked: Uint8Array;
  readonly demKey: Uint8Array;
  readonly n: bigint;
}

/**
 * Seals a padded plaintext. Seed and nonce depend on all that is sealed, so a generator that repeats its
 * coins still never uses one key stream or one nonce for two bundles.
 */
export function sealSteps(
  key: SealingKey,
  label: Uint8Array,
  padded: Uint8Array,
  coins: Uint8Array,
): SealingSteps {
  const length = be(padded.length, 8);
  const seed = key.digest('conclave/capsule-seed/v1', coins, label, length, padded);
  const r = exponent(key, label, seed);
  const u = GENERATOR.multiply(r);
  const k = key.point.multiply(r).toBytes(true);
  const mask = seedMask(label, u.toBytes(true), k);
  const masked = xor(seed, mask);
  const demKey = bodyKey(label, u.toBytes(true), seed);
  const body = cipher(label, demKey).encrypt(padded);
  const bodyHash = keccak(body);
  const n = key.scalar('conclave/capsule-nonce/v1', coins, be(r, 32), label, bodyHash);
  const commitments = [
    u,
    key.proofBase.multiply(r),
    GENERATOR.multiply(n),
    key.proofBase.multiply(n),
  ];
  const points = concat(...commitments.map((point) => point.toBytes(true)));
  const e = challenge(key, label, bodyHash, { points, masked });
  const z = (n + e * r) % ORDER;
  const capsule = concat(points, be(z, 32), masked);
  return { capsule, body, seed, r, k, mask, masked, demKey, n };
}

/** Seals, and forgets what only the sender may know. */
export function sealPadded(
  key: SealingKey,
  label: Uint8Array,
  padded: Uint8Array,
  coins: Uint8Array,
): SealedParts {
  const { capsule, body, seed, k, mask, demKey } = sealSteps(key, label, padded, coins);
  [seed, k, mask, demKey].forEach((secret) => secret.fill(0));
  return { capsule, body };
}

/** r: the exponent that belongs to a seed. */
export function exponent(key: SealingKey, label: Uint8Array, seed: Uint8Array): bigint {
  return key.scalar('conclave/capsule-exponent/v1', seed, label);
}

/** m: what masks the seed under the encapsulated point k. */
export function seedMask(label: Uint8Array, u: Uint8Array, k: Uint8Array): Uint8Array {
  return derive('conclave/seed-mask/v1', k, u, label);
}

/** The key of the cipher of one bundle. */
export function bodyKey(label: Uint8Array, u: Uint8Array, seed: Uint8Array): Uint8Array {
  return derive('conclave/dem-key/v1', seed, u, label);
}

/** The cipher of one bundle. Its key serves once, so the nonce is zero. */
export function cipher(label: Uint8Array, demKey: Uint8Array) {
  return chacha20poly1305(demKey, new Uint8Array(12), label);
}

/** HKDF of a secret that belongs to u, for one purpose. */
function derive(info: string, secret: Uint8Array, u: Uint8Array, label: Uint8Array): Uint8Array {
  const input = concat(secret, u, label, Uint8Array.of(SUITE));
  const derived = hkdf(sha256, input, undefined, utf8(info), 32);
  input.fill(0);
  return derived;
}

/** Masks a seed, or takes the mask off: both have 32 bytes. */
export function xor(seed: Uint8Array, mask: Uint8Array): Uint8Array {
  return seed.map((byte, at) => byte ^ (mask[at] ?? 0));
}

function challenge(
  key: SealingKey,
  label: Uint8Array,
  bodyHash: Uint8Array,
  { points, masked }: { points: Uint8Array; masked: Uint8Array },
): bigint {
  return key.scalar('conclave/capsule-proof/v1', label, bodyHash, points, masked);
}

/** A decoded capsule. Says nothing about the proof yet. */
interface Capsule {
  readonly u: G1Point;
  readonly uBar: G1Point;
  readonly w: G1Point;
  readonly wBar: G1Point;
  readonly z: bigint;
}

/** The four points, the first of them by itself, and the masked seed, unread. Throws {@link EncodingError}. */
export function splitCapsule(bytes: Uint8Array): {
  points: Uint8Array;
  u: Uint8Array;
  masked: Uint8Array;
} {
  if (bytes.length !== CAPSULE_BYTES) {
    throw new EncodingError(`a capsule has ${CAPSULE_BYTES} bytes, found ${bytes.length}`);
  }
  const points = bytes.subarray(0, POINTS_BYTES);
  return { points, u: points.subarray(0, 48), masked: bytes.subarray(PROOF_BYTES) };
}

/** Reads a capsule and checks its points. Throws {@link EncodingError}. */
function decodeCapsule(bytes: Uint8Array): Capsule {
  const { points } = splitCapsule(bytes);
  const point = (index: number, name: string, mayBeInfinity: boolean, read = curveG1) => {
    const found = read(points.subarray(48 * index, 48 * (index + 1)));
    if (found === undefined || (found.is0() && !mayBeInfinity)) {
      throw new EncodingError(`${name} is not an acceptable point of G1`);
    }
    return found;
  };
  const z = fromBe(bytes.subarray(POINTS_BYTES, PROOF_BYTES));
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
  const e = challenge(key, label, keccak(body), splitCapsule(capsule));
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

/** Checks that coins are some. Throws {@link InputError}. */
export function assertCoins(coins: Uint8Array): void {
  if (coins.length !== SEED_BYTES) {
    throw new InputError('coins', `expected ${SEED_BYTES} bytes, found ${coins.length}`);
  }
}
