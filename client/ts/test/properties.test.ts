/** What holds for all inputs: encodings are canonical, padding hides all but the bucket, decoders are total. */

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { SealedBundle } from '../src/bundle.js';
import { be, fromBe, fromHex, le, Reader, toHex, type Hex } from '../src/bytes.js';
import { ConclaveError } from '../src/errors.js';
import { decodeHeader, encodeHeader, HEADER_BYTES, label } from '../src/header.js';
import { decodeLegs, encodedBytes, encodeLegs, pad, SIZE_BUCKETS } from '../src/legs.js';
import { validG1 } from '../src/points.js';

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (length: number) => bytes(length).map((value): Hex => toHex(value));
const leg = fc.record({ rollup: u64, transaction: fc.uint8Array({ maxLength: 400 }) });
const legs = fc.array(leg, { minLength: 1, maxLength: 6 });

const header = fc.record({
  network: hex(32),
  suite: fc.integer({ min: 0, max: 255 }),
  keyId: hex(32),
  payer: hex(20),
  lane: u64,
  sequence: u64,
  maxFeeGwei: u64,
  priorityFeeGwei: u64,
  validUntil: u64,
  bodyBytes: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});

test('legs read back from their padded encoding, which is the smallest bucket that holds them', () => {
  fc.assert(
    fc.property(legs, (given) => {
      const encoded = encodeLegs(given);
      const padded = pad(encoded);
      expect(encoded.length).toBe(encodedBytes(given));
      expect(SIZE_BUCKETS.find((bucket) => bucket >= encoded.length)).toBe(padded.length);
      expect(padded.subarray(encoded.length).every((byte) => byte === 0)).toBe(true);
      expect(decodeLegs(padded)).toEqual(given);
    }),
  );
});

test('a byte in the padding is never overlooked', () => {
  fc.assert(
    fc.property(legs, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, at, byte) => {
      const encoded = encodeLegs(given);
      const padded = pad(encoded);
      fc.pre(padded.length > encoded.length);
      padded[encoded.length + (at % (padded.length - encoded.length))] = byte;
      expect(decodeLegs(padded)).toBe('BadEncoding');
    }),
  );
});

test('any plaintext of a bucket reads as legs that encode to it, or as nothing', () => {
  fc.assert(
    fc.property(bytes(256), fc.integer({ min: 0, max: 3 }), (plaintext, count) => {
      plaintext.set([count, 0, 0, 0, ...plaintext.subarray(4, 12), 20, 0, 0, 0]);
      const found = decodeLegs(plaintext);
      if (typeof found !== 'string') {
        expect(pad(encodeLegs(found))).toEqual(plaintext);
      }
    }),
  );
});

test('a header reads back from its bytes, and its label depends on every field', () => {
  fc.assert(
    fc.property(header, header, (one, other) => {
      const encoded = encodeHeader(one);
      expect(encoded.length).toBe(HEADER_BYTES);
      expect(decodeHeader(new Reader(encoded))).toEqual(one);
      for (const field of Object.keys(one) as (keyof typeof one)[]) {
        const changed = { ...one, [field]: other[field] };
        const isSame = one[field] === other[field];
        expect(toHex(label(changed)) === toHex(label(one))).toBe(isSame);
      }
    }),
  );
});

test('a bundle reads back from its bytes, and any bytes give a bundle of these bytes or an error', () => {
  const parts = fc.record({
    capsule: fc.uint8Array({ maxLength: 300 }),
    body: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(header, parts, bytes(65), (head, sealed, signature) => {
      const bundle = SealedBundle.of(head, sealed, signature);
      const read = SealedBundle.decode(bundle.bytes);
      expect(read.header).toEqual(head);
      expect(read.id).toBe(bundle.id);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (noise) => {
      try {
        expect(SealedBundle.decode(noise).bytes).toEqual(noise);
      } catch (error) {
        expect(error).toBeInstanceOf(ConclaveError);
      }
    }),
  );
});

test('integers read back in both orders, and what does not fit is refused', () => {
  fc.assert(
    fc.property(u64, (value) => {
      expect(fromBe(be(value, 8))).toBe(value);
      expect(new Reader(le(value, 8)).le(8)).toBe(value);
      expect(() => be(value + 2n ** 64n, 8)).toThrow(RangeError);
    }),
  );
});

test('hexadecimal reads back, and nothing else is taken for it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (value) => {
      expect(fromHex(toHex(value), 'value')).toEqual(value);
    }),
  );
  for (const wrong of ['', 'ab', '0xa', '0xgg', '0x ab', '0X00', ' 0x00']) {
    expect(() => fromHex(wrong, 'value')).toThrow(/^value: expected hexadecimal/);
  }
});

test('noise is no point', () => {
  fc.assert(
    fc.property(bytes(48), (noise) => {
      const point = validG1(noise);
      if (point !== undefined) {
        expect(point.toBytes(true)).toEqual(noise);
      }
    }),
    { numRuns: 20 },
  );
});
