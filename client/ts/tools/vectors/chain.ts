/** What validators make of the bundles: a receipt for the first one, and a block of them all, revealed. */

import { create } from '@bufbuild/protobuf';
import { bls12_381 } from '@noble/curves/bls12-381.js';

import { blockId, bundleRoot } from '../../src/block.js';
import { be, concat, fromHex, toHex } from '../../src/bytes.js';
import { BlockHeaderSchema } from '../../src/gen/conclave/v1/types_pb.js';
import { tagged } from '../../src/hashing.js';
import { hashToG1 } from '../../src/points.js';
import { receiptDigest } from '../../src/receipt.js';
import { bundles, first, type Bundled } from './bundles.js';
import { certify, fixed, key, network, SECRET, signedBy } from './networks.js';

const { G1 } = bls12_381;

export const receiptBody = {
  bundleId: fromHex(first.bundle.id, 'id'),
  receivedMicros: 1_700_000_000_123_456n,
  deadlineHeight: 777n,
};
/** A receipt as it is signed. */
export interface SignedReceipt {
  bundleId: Uint8Array;
  receivedMicros: bigint;
  deadlineHeight: bigint;
  validator: number;
  signature: Uint8Array;
}

export const receipt: SignedReceipt = {
  ...receiptBody,
  validator: 2,
  signature: signedBy(2, receiptDigest(network, receiptBody)),
};

export const ids = bundles.map(({ bundle }) => fromHex(bundle.id, 'id'));
export const header = create(BlockHeaderSchema, {
  networkId: network.idBytes,
  height: 1_234_567n,
  parent: fixed(0x61),
  parentCertificate: fixed(0x62),
  proposer: 3,
  timeMicros: 1_700_000_001_000_001n,
  epoch: 0n,
  l1Origin: { number: 19_000_000n, hash: fixed(0x63) },
  l1EntriesRoot: fixed(0x67),
  keyId: key.id,
  sharingRoot: fixed(0x64),
  bundleRoot: bundleRoot(ids),
  bundleCount: ids.length,
  revealedHeight: 1_234_560n,
  revealDigest: fixed(0x65),
  ledgerDigest: fixed(0x66),
});

/** The block's certificate by these validators. */
export const certificateBy = (validators: readonly number[]) =>
  certify(network, header, validators);

const BEACON_DST = 'CONCLAVE-V1-CS01-BEACON-BLS12381G1_XMD:SHA-256_SSWU_RO_';
export const beaconPoint = hashToG1(
  concat(network.idBytes, key.id, be(header.height, 8), blockId(header)),
  BEACON_DST,
);
/** k of a bundle, which validators find from their shares, and which opens it if nothing else does. */
export const pointOf = ({ bundle }: Bundled) =>
  G1.Point.fromBytes(bundle.capsule.slice(0, 48)).multiply(SECRET).toBytes(true);
/** Whoever changes the body alone has sealed from a seed all the same. */
const hasSeed = ({ row: { departure } }: Bundled) =>
  departure === undefined || departure === 'body';
export const openings = [
  beaconPoint.multiply(SECRET).toBytes(true),
  ...bundles.map((bundled) => (hasSeed(bundled) ? bundled.steps.seed : pointOf(bundled))),
];
export const beacon = tagged('conclave/beacon/v1', openings[0] ?? new Uint8Array());
export const draws = ids.map((id) => toHex(tagged('conclave/draw/v1', beacon, id)));

/** Draws of one lane are dealt out in nonce order, then all stand in the order of what they hold. */
export function order() {
  const lanes = new Map<string, number[]>();
  bundles.forEach(({ header: { payer, lane } }, index) => {
    const name = `${payer}/${lane}`;
    lanes.set(name, [...(lanes.get(name) ?? []), index]);
  });
  const sequence = (index: number) => bundles[index]?.header.sequence ?? 0n;
  const held = [...lanes.values()].flatMap((lane) => {
    const members = [...lane].sort((a, b) => (sequence(a) < sequence(b) ? -1 : 1));
    const sorted = members.map((index) => draws[index] ?? '0x').sort();
    return members.map((index, at) => ({ index, draw: sorted[at] ?? '0x' }));
  });
  return held.sort((a, b) => (a.draw < b.draw ? -1 : 1));
}
