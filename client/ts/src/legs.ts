/** What is sealed: the legs, encoded and padded so that only a size bucket can be seen of them. */

import { concat, counted, fromHex, le, Reader, u64, type Hex } from './bytes.js';
import { InputError } from './errors.js';

/** One transaction for one rollup. */
export interface Leg {
  /** The rollup's id; the chain id, for an EVM rollup. */
  readonly rollup: bigint;
  /** The rollup's own transaction bytes. */
  readonly transaction: Uint8Array;
}

/** A leg as callers may write it. */
export interface LegInput {
  readonly rollup: bigint | number;
  readonly transaction: Uint8Array | Hex;
}

/** Plaintext sizes to which legs are padded. */
export const SIZE_BUCKETS: readonly number[] = Array.from({ length: 10 }, (_, i) => 256 << i);

/** Bytes that the cipher adds. */
export const TAG_BYTES = 16;

/** Why an opened bundle has no legs, as the page names it. */
export type UndecryptableReason =
  'BadCiphertext' | 'BadEncoding' | 'NoLegs' | 'UnknownRollup' | 'DuplicateRollup';

/** Reads what a caller wrote. Throws {@link InputError}. */
export function readLegs(legs: readonly LegInput[]): Leg[] {
  if (legs.length === 0) {
    throw new InputError('legs', 'a bundle has at least one leg');
  }
  const seen = new Set<bigint>();
  return legs.map(({ rollup, transaction }, index) => {
    const id = u64(rollup, `legs[${index}].rollup`);
    if (seen.has(id)) {
      throw new InputError('legs', `two legs are for rollup ${id}; a bundle has one for each`);
    }
    seen.add(id);
    const bytes =
      typeof transaction === 'string'
        ? fromHex(transaction, `legs[${index}].transaction`)
        : transaction.slice();
    return { rollup: id, transaction: bytes };
  });
}

/** The legs before padding. */
export function encodeLegs(legs: readonly Leg[]): Uint8Array {
  const encoded = legs.map((leg) => concat(le(leg.rollup, 8), counted(leg.transaction)));
  return concat(le(legs.length, 4), ...encoded);
}

/** Bytes of the encoded legs. */
export function encodedBytes(legs: readonly Leg[]): number {
  return legs.reduce((sum, leg) => sum + 12 + leg.transaction.length, 4);
}

/** The smallest bucket that holds `bytes`. Throws {@link InputError}. */
export function bucketFor(bytes: number): number {
  const bucket = SIZE_BUCKETS.find((size) => size >= bytes);
  if (bucket === undefined) {
    const max = SIZE_BUCKETS.at(-1) ?? 0;
    throw new InputError('legs', `they take ${bytes} bytes, a bundle holds at most ${max}`);
  }
  return bucket;
}

/** `plaintext` with zeros behind it up to its bucket. */
export function pad(plaintext: Uint8Array): Uint8Array {
  const padded = new Uint8Array(bucketFor(plaintext.length));
  padded.set(plaintext);
  return padded;
}

/** Reads a padded plaintext as every validator does. */
export function decodeLegs(plaintext: Uint8Array): Leg[] | UndecryptableReason {
  if (!SIZE_BUCKETS.includes(plaintext.length)) {
    return 'BadEncoding';
  }
  const reader = new Reader(plaintext);
  const count = reader.le(4) ?? 0n;
  const legs: Leg[] = [];
  for (let index = 0n; index < count; index += 1n) {
    const rollup = reader.le(8);
    const transaction = reader.counted();
    if (rollup === undefined || transaction === undefined) {
      return 'BadEncoding';
    }
    legs.push({ rollup, transaction });
  }
  if (reader.rest.some((byte) => byte !== 0)) {
    return 'BadEncoding';
  }
  return legs.length === 0 ? 'NoLegs' : legs;
}
