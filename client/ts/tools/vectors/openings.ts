/** Openings that open nothing, of a bundle or of the beacon, each with what is wrong with it. */

import { bls12_381 } from '@noble/curves/bls12-381.js';

import { concat, toHex, type Hex } from '../../src/bytes.js';
import { seedMask, xor } from '../../src/capsule.js';
import { label } from '../../src/header.js';
import { first, second, bundles, type Bundled } from './bundles.js';
import { openings, pointOf } from './chain.js';
import { fixed } from './networks.js';
import { compress, small } from './strangers.js';

const { G1 } = bls12_381;

interface RefusedOpening {
  readonly about: string;
  /** The bundle's index, or null for the beacon. */
  readonly bundle: number | null;
  /** A length that no opening has, or an opening that is not right. */
  readonly fault: 'Encoding' | 'Verification';
  readonly opening: Hex;
}

type Row = readonly [about: string, opening: Uint8Array];

const flip = (value: Uint8Array, place: number, bit: number) =>
  value.map((byte, at) => (at === place ? byte ^ bit : byte));

/** Points that are not k, though some of them are almost. */
function notThePoint(encoded: Uint8Array): Row[] {
  const k = G1.Point.fromBytes(encoded);
  return [
    ['k plus a point of order 3, which the pairing alone lets through', compress(k.add(small))],
    ['−k', k.negate().toBytes(true)],
    ['k plus g', k.add(G1.Point.BASE).toBytes(true)],
    ['infinity', G1.Point.ZERO.toBytes(true)],
    ['k without the mark of compression', flip(encoded, 0, 0x80)],
    ['bytes that are no point', fixed(0xff, 48)],
  ];
}

/** Of a bundle that has a right seed nothing but that is right: neither another seed nor any point. */
function ofSealed({ steps: { seed } }: Bundled, point: Uint8Array): Row[] {
  return [
    ['the seed with its first bit flipped', flip(seed, 0, 0x80)],
    ['the seed with its last bit flipped', flip(seed, 31, 1)],
    ['the seed of another bundle', second.steps.seed],
    ['zeros', fixed(0)],
    ['the seed with zeros behind it, as long as a point', concat(seed, fixed(0, 16))],
    ['the right point of a bundle that has a right seed', point],
    ['the point of another bundle', pointOf(second)],
    ...notThePoint(point),
  ];
}

/** A bundle without a right seed has a point, and nothing that looks like its seed. */
function ofMissealed(bundled: Bundled, point: Uint8Array): Row[] {
  const {
    row,
    steps,
    header,
    bundle: { capsule },
  } = bundled;
  const mask = seedMask(label(header), capsule.slice(0, 48), point);
  return [
    ['the seed that the sender began with', steps.seed],
    ['what the mask of k leaves of v', xor(capsule.slice(224), mask)],
    ['the point of another bundle', pointOf(first)],
    ...(row.departure === 'mask' ? notThePoint(point) : []),
  ];
}

function ofDeparture(bundled: Bundled): Row[] {
  const { departure } = bundled.row;
  const point = pointOf(bundled);
  if (departure === 'body') {
    return [['the right point of a bundle whose body does not open under its right seed', point]];
  }
  return departure === undefined ? [] : ofMissealed(bundled, point);
}

export function refusedOpenings(): RefusedOpening[] {
  const [ofBeacon = new Uint8Array()] = openings;
  const verified = (bundle: number | null, rows: Row[]) =>
    rows.map(([about, opening]) => ({
      about,
      bundle,
      fault: 'Verification' as const,
      opening: toHex(opening),
    }));
  const lengths = [0, 31, 33, 47, 49, 80, 96];
  const point = pointOf(first);
  return [
    ...verified(0, ofSealed(first, point)),
    ...lengths.map((length) => ({
      about: `${length} bytes`,
      bundle: 0,
      fault: 'Encoding' as const,
      opening: toHex(concat(point, first.steps.seed, first.steps.seed).slice(0, length)),
    })),
    ...bundles.flatMap((bundled, index) => verified(index, ofDeparture(bundled))),
    ...verified(null, [
      ['the point of a bundle', point],
      ['a seed', first.steps.seed],
      ...notThePoint(ofBeacon),
    ]),
    {
      about: 'a byte less',
      bundle: null,
      fault: 'Encoding' as const,
      opening: toHex(ofBeacon.slice(1)),
    },
  ];
}
