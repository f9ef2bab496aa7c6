/** How far a bundle has come, as a node tells it. */

import { toHex, type Hex } from './bytes.js';
import { EncodingError } from './errors.js';
import type { BundleStatus as StatusMessage } from './gen/conclave/v1/submit_pb.js';
import { Level as LevelCode } from './gen/conclave/v1/types_pb.js';
import type { Leg } from './legs.js';

/** The levels, each including those before it. `unknown`: the node does not have the bundle. */
export const LEVELS = [
  'unknown',
  'received',
  'ordered',
  'revealed',
  'certified',
  'settled',
  'final',
] as const;

/** How far a bundle has come. */
export type Level = (typeof LEVELS)[number];

/** Where a bundle stands: one node's word, see `ConclaveClient.verify`. */
export interface BundleStatus {
  readonly id: Hex;
  readonly level: Level;
  /**
   * The era of its key ended before a block took it, in words: no block ever will, it is not charged, and its
   * nonce is free. Seal it again, under the same nonce. Its level is `unknown`.
   */
  readonly returned: string | undefined;
  /** From `ordered` on: where it is, and what it was charged. */
  readonly ordered:
    { readonly height: bigint; readonly blockId: Hex; readonly feeChargedGwei: bigint } | undefined;
  /** From `revealed` on: its place in the order of execution, and what was inside. */
  readonly revealed:
    | {
        readonly position: number;
        readonly draw: Hex;
        readonly legs: readonly Leg[];
        /** Why it did not open, in words; none if it did. */
        readonly undecryptable: string | undefined;
      }
    | undefined;
}

/** Whether `level` is `other` or beyond it. */
export function reaches(level: Level, other: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(other);
}

const CODES: Record<Level, LevelCode> = {
  unknown: LevelCode.UNSPECIFIED,
  received: LevelCode.RECEIVED,
  ordered: LevelCode.ORDERED,
  revealed: LevelCode.REVEALED,
  certified: LevelCode.CERTIFIED,
  settled: LevelCode.SETTLED,
  final: LevelCode.FINAL,
};

/** The number by which the protocol knows a level. */
export function levelCode(level: Level): LevelCode {
  return CODES[level];
}

/** Reads what a node answered. Throws {@link EncodingError}. */
export function readStatus(status: StatusMessage | undefined, expected: Hex): BundleStatus {
  const level = status && LEVELS.find((name) => CODES[name] === status.level);
  if (status === undefined || level === undefined) {
    throw new EncodingError('the answer holds no status of a known level');
  }
  const id = toHex(status.bundleId);
  if (id !== expected) {
    throw new EncodingError(`the answer is about bundle ${id}, asked was for ${expected}`);
  }
  const { height, feeChargedGwei, position, legs, undecryptable, returned } = status;
  return {
    id,
    level,
    returned: level === 'unknown' && returned !== '' ? returned : undefined,
    ordered: reaches(level, 'ordered')
      ? { height, blockId: toHex(status.blockId), feeChargedGwei }
      : undefined,
    revealed: reaches(level, 'revealed')
      ? {
          position,
          draw: toHex(status.draw),
          legs: legs.map(({ rollupId, transaction }) => ({ rollup: rollupId, transaction })),
          undecryptable: undecryptable === '' ? undefined : undecryptable,
        }
      : undefined,
  };
}
