/** The readable part of a bundle, and the label that binds everything else to it. */

import { be, concat, fromHex, le, Reader, toHex, type Hex } from './bytes.js';
import { tagged } from './hashing.js';

/** What everybody can read of a bundle. */
export interface BundleHeader {
  readonly network: Hex;
  readonly suite: number;
  readonly keyId: Hex;
  /** Who pays, and signs. */
  readonly payer: Hex;
  readonly lane: bigint;
  readonly sequence: bigint;
  /** The most that may be charged, priority fee included. */
  readonly maxFeeGwei: bigint;
  readonly priorityFeeGwei: bigint;
  /** The last height of inclusion. */
  readonly validUntil: bigint;
  /** Length of the ciphertext. */
  readonly bodyBytes: number;
}

/** Bytes of an encoded header. */
export const HEADER_BYTES = 129;

type Integers = (value: bigint | number, width: number) => Uint8Array;

function layout(header: BundleHeader, integer: Integers): Uint8Array {
  return concat(
    fromHex(header.network, 'network', 32),
    integer(header.suite, 1),
    fromHex(header.keyId, 'keyId', 32),
    fromHex(header.payer, 'payer', 20),
    integer(header.lane, 8),
    integer(header.sequence, 8),
    integer(header.maxFeeGwei, 8),
    integer(header.priorityFeeGwei, 8),
    integer(header.validUntil, 8),
    integer(header.bodyBytes, 4),
  );
}

/** borsh. */
export function encodeHeader(header: BundleHeader): Uint8Array {
  return layout(header, le);
}

/** L: the same fields, hashed. */
export function label(header: BundleHeader): Uint8Array {
  return tagged('conclave/bundle-header/v1', layout(header, be));
}

/** Reads a header; none if there are too few bytes. */
export function decodeHeader(reader: Reader): BundleHeader | undefined {
  const bytes = reader.take(HEADER_BYTES);
  if (bytes === undefined) {
    return undefined;
  }
  const fields = new Reader(bytes);
  const hex = (count: number) => toHex(fields.take(count) ?? new Uint8Array());
  const integer = (width: number) => fields.le(width) ?? 0n;
  return {
    network: hex(32),
    suite: Number(integer(1)),
    keyId: hex(32),
    payer: hex(20),
    lane: integer(8),
    sequence: integer(8),
    maxFeeGwei: integer(8),
    priorityFeeGwei: integer(8),
    validUntil: integer(8),
    bodyBytes: Number(integer(4)),
  };
}
