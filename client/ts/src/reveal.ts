/**
 * What a revealed block did to one's own bundle, checked against the block's openings: a block has one list of
 * them, so whoever checks finds what every validator found.
 */

import { be, concat, equalBytes, toHex, type Hex } from './bytes.js';
import type { DecidedBlock } from './block.js';
import type { SealedBundle } from './bundle.js';
import { EncodingError, KeyError, VerificationError } from './errors.js';
import type { Reveal } from './gen/conclave/v1/node_pb.js';
import { tagged } from './hashing.js';
import type { SealingKey } from './key.js';
import type { Leg, UndecryptableReason } from './legs.js';
import type { Network } from './network.js';
import { assertRightPoint, openBundle, readOpening, type Opening } from './opening.js';
import { hashToG1 } from './points.js';

const BEACON_DST = 'CONCLAVE-V1-CS01-BEACON-BLS12381G1_XMD:SHA-256_SSWU_RO_';

/** What became of a bundle. */
export interface Opened {
  /** Its place in the order of execution, from 0. */
  readonly position: number;
  /** The draw that it holds. */
  readonly draw: Hex;
  /** Its legs; none if it did not open. */
  readonly legs: readonly Leg[];
  /** Why there are none. */
  readonly undecryptable: UndecryptableReason | undefined;
}

/**
 * Checks the opening of `bundle` under the block's key, the beacon, and that the order follows from it;
 * returns the bundle's place and contents. The order among bundles of one lane of *other* payers is not checked: their lanes
 * are not known here.
 *
 * Throws {@link EncodingError}, {@link KeyError} if `key` is not the block's, or {@link VerificationError}.
 */
export function verifyOpened(
  network: Network,
  key: SealingKey,
  block: DecidedBlock,
  bundle: SealedBundle,
): Opened {
  const index = block.bundles.indexOf(bundle.id);
  const { reveal } = block;
  if (index < 0) {
    throw new VerificationError(`bundle ${bundle.id} is not in block ${block.id}`);
  }
  if (block.keyId !== key.idHex) {
    throw new KeyError(`block ${block.id} is opened by key ${block.keyId}, not by ${key.idHex}`);
  }
  if (reveal === undefined) {
    throw new VerificationError(`block ${block.id} is not revealed yet`);
  }
  const openings = reveal.openings.map(readOpening);
  const [ofBeacon, ofBundle] = [openings[0], openings[index + 1]];
  if (openings.length !== block.bundles.length + 1 || !ofBeacon || !ofBundle) {
    throw new EncodingError('a reveal has one opening for the beacon and one for each bundle');
  }
  const beacon = verifyBeacon(key, block, ofBeacon);
  if (!equalBytes(beacon, reveal.beacon)) {
    throw new VerificationError('the beacon is not the one of its opening');
  }
  const { position, draw } = verifyOrder(beacon, block, reveal, bundle.id);
  const outcome = openBundle(key, bundle, ofBundle);
  const found = typeof outcome === 'string' ? outcome : judgeLegs(network, outcome);
  return typeof found === 'string'
    ? { position, draw, legs: [], undecryptable: found }
    : { position, draw, legs: found, undecryptable: undefined };
}

/** The beacon of a block, of which the right point is the opening. Throws {@link VerificationError}. */
export function verifyBeacon(
  key: SealingKey,
  { height, id }: Pick<DecidedBlock, 'height' | 'id'>,
  opening: Opening,
): Uint8Array {
  const position = concat(be(height, 8), be(BigInt(id), 32));
  const point = hashToG1(concat(key.network, key.id, position), BEACON_DST);
  assertRightPoint(key, point, opening.bytes, 'the beacon');
  return tagged('conclave/beacon/v1', opening.bytes);
}

/** The bundles stand in the order of their draws, and the draws are those of the beacon. */
function verifyOrder(
  beacon: Uint8Array,
  block: DecidedBlock,
  reveal: Reveal,
  own: Hex,
): { position: number; draw: Hex } {
  const drawn = block.bundles.map((id) =>
    toHex(tagged('conclave/draw/v1', beacon, be(BigInt(id), 32))),
  );
  const held = reveal.bundles.map((bundle) => toHex(bundle.draw));
  const named = reveal.bundles.map((bundle) => toHex(bundle.bundleId));
  if (!sameList([...named].sort(), [...block.bundles].sort())) {
    throw new VerificationError('the reveal has other bundles than its block');
  }
  if (!sameList(held, [...drawn].sort())) {
    throw new VerificationError('the order does not follow from the beacon');
  }
  const position = named.indexOf(own);
  return { position, draw: held[position] ?? '0x' };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function judgeLegs(network: Network, legs: Leg[]): Leg[] | UndecryptableReason {
  if (legs.some((leg) => !network.hasRollup(leg.rollup))) {
    return 'UnknownRollup';
  }
  return new Set(legs.map((leg) => leg.rollup)).size < legs.length ? 'DuplicateRollup' : legs;
}
