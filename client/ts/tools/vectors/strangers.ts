/** Points that are on the curve and yet not acceptable, to be mistaken for those that are. */

import { bls12_381 } from '@noble/curves/bls12-381.js';

import { be } from '../../src/bytes.js';
import { ORDER } from '../../src/points.js';

const { G1 } = bls12_381;

/** What takes every point into the subgroup. */
const EXPONENT = 0xd201000000010001n;

/** Points of the curve outside of the subgroup: one as it comes, and one each whose order is 3 and 11. */
function find() {
  const { Fp } = bls12_381.fields;
  let x = 4n;
  for (;;) {
    try {
      const y = Fp.sqrt(Fp.add(Fp.pow(x, 3n), 4n));
      const point = G1.Point.fromAffine({ x, y });
      if (!point.isTorsionFree()) {
        const h = 0x396c8c005555e1568c00aaab0000aaabn;
        const small = times(point, (h / 3n) * ORDER);
        const eleventh = times(point, (EXPONENT / 11n) * ORDER);
        if (!small.is0() && !eleventh.is0()) {
          return {
            outside: point,
            small: times(small, 3n).is0() ? small : times(small, h / 3n),
            eleventh,
          };
        }
      }
    } catch {
      // No root: no point has this x.
    }
    x += 1n;
  }
}

/** The encoding of a point wherever it lies; the library's own method refuses those outside. */
export function compress(point: InstanceType<typeof G1.Point>): Uint8Array {
  const { x, y } = point.toAffine();
  const bytes = be(x, 48);
  const isLarger = y > bls12_381.fields.Fp.ORDER / 2n;
  bytes.set([(bytes[0] ?? 0) | 0x80 | (isLarger ? 0x20 : 0)]);
  return bytes;
}

/** A multiple by a number beyond the order, which the library's own method refuses. */
function times(point: InstanceType<typeof G1.Point>, factor: bigint) {
  let sum = G1.Point.ZERO;
  for (const bit of factor.toString(2)) {
    sum = sum.double();
    sum = bit === '1' ? sum.add(point) : sum;
  }
  return sum;
}

export const { outside, small, eleventh } = find();

/** A point whose order divides the cofactor: what is left of the one outside without its part in the subgroup. */
export const stranger = times(outside, ORDER);
