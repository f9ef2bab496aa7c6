/** keccak256, and the two ways in which the page hashes: to a digest and to a scalar. */

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { keccak_256 } from '@noble/hashes/sha3.js';

import { concat, fromBe, utf8 } from './bytes.js';

/** keccak256 over the concatenation of `parts`. */
export function keccak(...parts: Uint8Array[]): Uint8Array {
  return keccak_256(concat(...parts));
}

/** keccak256 over a tag and fixed layouts behind it. */
export function tagged(tag: string, ...parts: Uint8Array[]): Uint8Array {
  return keccak(utf8(tag), ...parts);
}

/** A preimage as a scalar: 512 bits reduced, so that no scalar is likelier than another. */
export function hashToScalar(...preimage: Uint8Array[]): bigint {
  const half = (last: number) => keccak(...preimage, Uint8Array.of(last));
  return fromBe(concat(half(0), half(1))) % bls12_381.fields.Fr.ORDER;
}
