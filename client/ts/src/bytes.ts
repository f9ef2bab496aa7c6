/**
 * Bytes: hexadecimal at the package's edge, fixed-width integers in its layouts.
 *
 * Hashed layouts are big-endian and borsh is little-endian, so neither has a default here.
 */

import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';

import { InputError } from './errors.js';

/** Bytes as hexadecimal digits with `0x` before them, as everywhere around Ethereum. */
export type Hex = `0x${string}`;

export const concat = concatBytes;
export const utf8 = utf8ToBytes;

/** The digits of `bytes`, in lower case. */
export function toHex(bytes: Uint8Array): Hex {
  return `0x${bytesToHex(bytes)}`;
}

/** The bytes that `hex` writes; `what` names it in the error. */
export function fromHex(hex: string, what: string, length?: number): Uint8Array<ArrayBuffer> {
  if (!/^0x(?:[0-9a-fA-F]{2})*$/.test(hex)) {
    throw new InputError(
      what,
      `expected hexadecimal digits with 0x before them, found ${cut(hex)}`,
    );
  }
  const bytes = hexToBytes(hex.slice(2));
  if (length !== undefined && bytes.length !== length) {
    throw new InputError(what, `expected ${length} bytes, found ${bytes.length}`);
  }
  return bytes;
}

/** Lower-case hexadecimal of exactly `length` bytes. */
export function hexOf(hex: string, what: string, length: number): Hex {
  return toHex(fromHex(hex, what, length));
}

/** Whether both are the same bytes. Not constant-time: for public values. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

const U64_MAX = (1n << 64n) - 1n;

/** `value` as an unsigned integer of 64 bits; a number must be a safe integer, or it was rounded. */
export function u64(value: bigint | number, what: string): bigint {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new InputError(what, `${value} is not an exact integer; give a bigint`);
  }
  const wide = BigInt(value);
  if (wide < 0n || wide > U64_MAX) {
    throw new InputError(what, `expected 0 to 2^64 - 1, found ${wide}`);
  }
  return wide;
}

/** `value` in `width` bytes, most significant first. */
export function be(value: bigint | number, width: number): Uint8Array<ArrayBuffer> {
  return le(value, width).reverse();
}

/** `value` in `width` bytes, least significant first. */
export function le(value: bigint | number, width: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(width);
  let rest = BigInt(value);
  for (let index = 0; index < width; index += 1) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  if (rest !== 0n) {
    throw new RangeError(`${value} does not fit ${width} bytes`);
  }
  return bytes;
}

/** The number that `bytes` write, most significant first. */
export function fromBe(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(toHex(bytes));
}

/** The borsh of bytes of any number: their length in front. */
export function counted(bytes: Uint8Array): Uint8Array {
  return concat(le(bytes.length, 4), bytes);
}

/** Reads a layout from the front; says what is missing instead of reading beyond the end. */
export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** What was not read yet. */
  get rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  /** The next `count` bytes; none if there are fewer. */
  take(count: number): Uint8Array | undefined {
    if (count > this.#bytes.length - this.#at) {
      return undefined;
    }
    const taken = this.#bytes.slice(this.#at, this.#at + count);
    this.#at += count;
    return taken;
  }

  /** The next `width` bytes as a number, least significant first. */
  le(width: number): bigint | undefined {
    const taken = this.take(width);
    return taken && fromBe(taken.reverse());
  }

  /** Bytes behind their length. */
  counted(): Uint8Array | undefined {
    const length = this.le(4);
    return length === undefined ? undefined : this.take(Number(length));
  }
}

/** At most 40 characters of `text`, quoted: what strangers send may be long. */
export function cut(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
