/** The bundles of the vectors: what is sealed in them, and what is wrong with some. */

import { bls12_381 } from '@noble/curves/bls12-381.js';

import { SealedBundle } from '../../src/bundle.js';
import { be, concat, le, toHex, type Hex } from '../../src/bytes.js';
import {
  bodyKey,
  cipher,
  sealSteps,
  seedMask,
  xor,
  type SealedParts,
  type SealingSteps,
} from '../../src/capsule.js';
import { label, type BundleHeader } from '../../src/header.js';
import { keccak } from '../../src/hashing.js';
import { encodeLegs, pad, TAG_BYTES, type Leg } from '../../src/legs.js';
import { ORDER } from '../../src/points.js';
import { privateKeySigner, signBundle } from '../../src/signer.js';
import { typedData } from '../../src/typed-data.js';
import { fixed, key, network, PAYERS } from './networks.js';
import { compress, eleventh, small, stranger } from './strangers.js';

const { G1 } = bls12_381;
const { ZERO } = G1.Point;

interface Case {
  readonly about: string;
  readonly plaintext: Uint8Array;
  readonly legs?: Leg[];
  readonly outcome: string;
  readonly terms?: Partial<BundleHeader>;
  readonly payer?: number;
  /** What is done otherwise than the page says. */
  readonly departure?: Departure;
}

/**
 * A body that is not the ciphertext, a `v` that is not the masked seed, or an exponent that is not the seed's: then
 * the mask is that of the bundle's own u, or, `half`, the one that the seed's exponent gives.
 */
type Departure = 'body' | 'mask' | 'exponent' | 'half';

const leg = (rollup: bigint, length: number, byte = 0xab): Leg => ({
  rollup,
  transaction: fixed(byte, length),
});

function ofLegs(about: string, legs: Leg[], terms?: Partial<BundleHeader>, payer = 0): Case {
  return {
    about,
    legs,
    plaintext: encodeLegs(legs),
    outcome: 'opened',
    payer,
    ...(terms && { terms }),
  };
}

const WIDE = 2n ** 64n - 1n;
const CASES: Case[] = [
  ofLegs('one leg', [leg(901n, 120)]),
  ofLegs('an empty transaction', [leg(901n, 0)], { sequence: 1n }),
  ofLegs(
    'two legs that fill their bucket to the last byte',
    [leg(901n, 100), leg(2n ** 53n + 1n, 128)],
    { sequence: 2n },
  ),
  ofLegs(
    'one byte more than a bucket, every number at its widest',
    [leg(2n ** 53n + 1n, 241)],
    { lane: WIDE, sequence: WIDE, maxFeeGwei: WIDE, priorityFeeGwei: WIDE, validUntil: WIDE },
    1,
  ),
  {
    about: 'a body that does not decrypt',
    plaintext: encodeLegs([leg(901n, 9)]),
    outcome: 'BadCiphertext',
    departure: 'body',
    terms: { sequence: 3n },
  },
  {
    about: 'a byte in the padding',
    plaintext: concat(encodeLegs([leg(901n, 9)]), fixed(0, 7), fixed(1, 1)),
    outcome: 'BadEncoding',
    terms: { sequence: 4n },
  },
  {
    about: 'more legs than the plaintext holds',
    plaintext: concat(le(0xffffffff, 4), encodeLegs([leg(901n, 9)]).slice(4)),
    outcome: 'BadEncoding',
    terms: { sequence: 5n },
  },
  {
    about: 'a second leg that is made of the padding: rollup 0, no bytes',
    plaintext: concat(le(2, 4), encodeLegs([leg(901n, 9)]).slice(4)),
    outcome: 'UnknownRollup',
    terms: { sequence: 10n },
  },
  {
    about: 'a transaction longer than the plaintext',
    plaintext: concat(le(1, 4), le(901, 8), le(0xffffffff, 4)),
    outcome: 'BadEncoding',
    terms: { sequence: 6n },
  },
  { about: 'no legs', plaintext: le(0, 4), outcome: 'NoLegs', terms: { sequence: 7n } },
  {
    about: 'a rollup that is not registered',
    plaintext: encodeLegs([leg(4_711n, 9)]),
    outcome: 'UnknownRollup',
    terms: { sequence: 8n },
  },
  {
    about: 'two legs for one rollup',
    plaintext: encodeLegs([leg(901n, 9), leg(901n, 9)]),
    outcome: 'DuplicateRollup',
    terms: { sequence: 9n },
  },
  {
    about: 'v is not the masked seed: the last bit is another',
    plaintext: encodeLegs([leg(901n, 9)]),
    outcome: 'BadCiphertext',
    departure: 'mask',
    terms: { sequence: 11n },
  },
  {
    about: 'the exponent is not that of the seed, which v masks and which opens the body',
    plaintext: encodeLegs([leg(901n, 9)]),
    outcome: 'BadCiphertext',
    departure: 'exponent',
    terms: { sequence: 12n },
  },
  {
    about: 'the exponent is not that of the seed, and v is masked as if it were',
    plaintext: encodeLegs([leg(901n, 9)]),
    outcome: 'BadCiphertext',
    departure: 'half',
    terms: { sequence: 13n },
  },
];

function headerOf({ terms = {}, payer = 0 }: Case, padded: Uint8Array): BundleHeader {
  return {
    network: network.id,
    suite: 1,
    keyId: key.idHex,
    payer: privateKeySigner(PAYERS[payer] ?? '0x').address,
    lane: 7n,
    sequence: 0n,
    maxFeeGwei: 50_000n,
    priorityFeeGwei: 9n,
    validUntil: 1_000n,
    bodyBytes: padded.length + TAG_BYTES,
    ...terms,
  };
}

/** A capsule for any body and v, proven with r for exponents that need not be r, over points plus others. */
export function prove(
  header: BundleHeader,
  { r, n, masked }: { r: bigint; n: bigint; masked: Uint8Array },
  body: Uint8Array,
  [ofU, ofUBar] = [r, r],
  added: readonly (typeof key.proofBase)[] = [],
): Uint8Array {
  const multiples: [typeof key.proofBase, bigint][] = [
    [G1.Point.BASE, ofU],
    [key.proofBase, ofUBar],
    [G1.Point.BASE, n],
    [key.proofBase, n],
  ];
  const points = concat(
    ...multiples.map(([base, by], at) =>
      compress((by === 0n ? ZERO : base.multiply(by)).add(added[at] ?? ZERO)),
    ),
  );
  const e = key.scalar('conclave/capsule-proof/v1', label(header), keccak(body), points, masked);
  return concat(points, be((n + e * r) % ORDER, 32), masked);
}

/** What is sent by a sender who departs from the steps, with a proof that holds. */
function depart(
  header: BundleHeader,
  steps: SealingSteps,
  padded: Uint8Array,
  departure: Departure,
): SealedParts {
  const { seed, n } = steps;
  const flip = (value: Uint8Array, place: number) =>
    value.map((byte, at) => (at === place ? byte ^ 1 : byte));
  if (departure === 'body') {
    const body = flip(steps.body, 0);
    return { capsule: prove(header, steps, body), body };
  }
  if (departure === 'mask') {
    const masked = flip(steps.masked, 31);
    return { capsule: prove(header, { ...steps, masked }, steps.body), body: steps.body };
  }
  const r = steps.r + 1n;
  const u = G1.Point.BASE.multiply(r).toBytes(true);
  const k = (departure === 'half' ? key.point.multiply(steps.r) : key.point.multiply(r)).toBytes(
    true,
  );
  const masked = xor(seed, seedMask(label(header), u, k));
  const body = cipher(label(header), bodyKey(label(header), u, seed)).encrypt(padded);
  return { capsule: prove(header, { r, n, masked }, body), body };
}

export async function sign(
  header: BundleHeader,
  parts: { capsule: Uint8Array; body: Uint8Array },
  payer = 0,
) {
  const signature = await signBundle(
    privateKeySigner(PAYERS[payer] ?? '0x'),
    typedData(header, parts),
  );
  return SealedBundle.of(header, parts, signature);
}

async function bundleOf(row: Case, index: number) {
  const coins = keccak(fixed(0xc0 + index));
  const padded = pad(row.plaintext);
  const header = headerOf(row, padded);
  const steps = sealSteps(key, label(header), padded, coins);
  const { departure } = row;
  const parts = departure === undefined ? steps : depart(header, steps, padded, departure);
  const bundle = await sign(header, parts, row.payer);
  return { row, coins, padded, header, steps, bundle };
}

export const bundles = await Promise.all(CASES.map(bundleOf));
export type Bundled = (typeof bundles)[number];
export const [first, second] = bundles as [Bundled, Bundled, ...Bundled[]];

/**
 * Bundles that look wrong and are to be admitted: their proofs hold up to points of small order. They are opened
 * like the first bundle, of which they have u, v and body.
 */
export async function oddBundles(): Promise<{ about: string; bytes: Hex; opening: Hex }[]> {
  const { header, steps, bundle } = first;
  const twice = small.add(small);
  const { r, n, masked } = steps;
  const cases: [string, (typeof small)[], bigint][] = [
    ['ū plus a point of order 3', [ZERO, small], n],
    ['w plus a point of order 3', [ZERO, ZERO, small], n],
    ['w̄ plus a point outside of the subgroup', [ZERO, ZERO, ZERO, stranger], n],
    ['ū, w and w̄ plus points outside of the subgroup', [ZERO, stranger, twice, small], n],
    ['w and w̄ are points of order 11, the nonce being zero', [ZERO, ZERO, eleventh, eleventh], 0n],
  ];
  const made = cases.map(async ([about, added, nonce]) => {
    const capsule = prove(header, { r, n: nonce, masked }, bundle.body, [r, r], added);
    const { bytes } = await sign(header, { capsule, body: bundle.body });
    return { about, bytes: toHex(bytes), opening: toHex(steps.seed) };
  });
  return Promise.all(made);
}
