/** Blocks as a client checks them: a quorum decided this header, and the header names these bundles. */

import { be, equalBytes, toHex, type Hex } from './bytes.js';
import { EncodingError, VerificationError } from './errors.js';
import type { GetBlockResponse, Reveal } from './gen/conclave/v1/node_pb.js';
import type { BlockHeader, Certificate } from './gen/conclave/v1/types_pb.js';
import { keccak, tagged } from './hashing.js';
import type { Network } from './network.js';

/** A block with the proof that a quorum decided it, checked. */
export interface DecidedBlock {
  readonly id: Hex;
  readonly height: bigint;
  readonly round: number;
  readonly epoch: bigint;
  readonly proposer: number;
  /** Microseconds since the Unix epoch. */
  readonly timeMicros: bigint;
  /** The threshold key that opens it; zero in an epoch that has none yet, whose blocks have no bundles. */
  readonly keyId: Hex;
  /** Ids of its bundles, in block order (which is not the order of execution). */
  readonly bundles: readonly Hex[];
  /** Validators whose precommits were checked. */
  readonly signers: readonly number[];
  /** What it was found to contain, unchecked; none while it is sealed. */
  readonly reveal: Reveal | undefined;
}

const PRECOMMIT = 1;

/** A header's id. */
export function blockId(header: BlockHeader): Uint8Array {
  const origin = header.l1Origin;
  if (origin === undefined) {
    throw new EncodingError('a block header lacks l1_origin');
  }
  return tagged(
    'conclave/block/v1',
    sized(header.networkId, 'network_id'),
    be(header.height, 8),
    sized(header.parent, 'parent'),
    sized(header.parentCertificate, 'parent_certificate'),
    be(small(header.proposer, 'proposer'), 2),
    be(header.timeMicros, 8),
    be(header.epoch, 8),
    be(origin.number, 8),
    sized(origin.hash, 'l1_origin.hash'),
    sized(header.l1EntriesRoot, 'l1_entries_root'),
    sized(header.keyId, 'key_id'),
    sized(header.sharingRoot, 'sharing_root'),
    sized(header.bundleRoot, 'bundle_root'),
    be(header.bundleCount, 4),
    be(header.revealedHeight, 8),
    sized(header.revealDigest, 'reveal_digest'),
    sized(header.ledgerDigest, 'ledger_digest'),
  );
}

/** The root over bundle ids. */
export function bundleRoot(ids: readonly Uint8Array[]): Uint8Array {
  const zero = new Uint8Array(32);
  let level = ids.map((id) => keccak(Uint8Array.of(0), id));
  if (level.length === 0) {
    return zero;
  }
  const width = 2 ** Math.ceil(Math.log2(level.length));
  level = [...level, ...Array.from({ length: width - level.length }, () => zero)];
  while (level.length > 1) {
    const below = level;
    level = Array.from({ length: below.length / 2 }, (_, index) =>
      keccak(Uint8Array.of(1), below[2 * index] ?? zero, below[2 * index + 1] ?? zero),
    );
  }
  return level[0] ?? zero;
}

/** What a precommit signs. */
export function precommitDigest(network: Network, certificate: Certificate): Uint8Array {
  return tagged(
    'conclave/vote/v1',
    network.domain,
    be(certificate.epoch, 8),
    be(PRECOMMIT, 1),
    be(certificate.height, 8),
    be(certificate.round, 4),
    sized(certificate.blockId, 'block_id'),
  );
}

/**
 * Checks that a quorum of the network decided the block with this header; returns its id and the signers.
 * Throws {@link EncodingError} or {@link VerificationError}.
 */
export function verifyHeader(
  network: Network,
  header: BlockHeader,
  certificate: Certificate,
): { id: Uint8Array; signers: number[] } {
  const id = blockId(header);
  assertAll([
    [equalBytes(header.networkId, network.idBytes), 'the block is of another network'],
    [equalBytes(id, certificate.blockId), 'the certificate is for another header'],
    [header.height === certificate.height, 'the certificate is for another height'],
    [header.epoch === certificate.epoch, 'the certificate is of another epoch'],
  ]);
  return { id, signers: verifyCertificate(network, certificate) };
}

/**
 * Checks that a quorum of the network decided the block that a node serves.
 * Throws {@link EncodingError} or {@link VerificationError}.
 */
export function verifyDecided(network: Network, response: GetBlockResponse): DecidedBlock {
  const { header, certificate, bundleIds } = response;
  if (header === undefined || certificate === undefined) {
    throw new EncodingError('the answer lacks the header or the certificate');
  }
  const { id, signers } = verifyHeader(network, header, certificate);
  assertAll([
    [header.bundleCount === bundleIds.length, 'the header commits to another number of bundles'],
    [equalBytes(header.bundleRoot, bundleRoot(bundleIds)), 'the header commits to other bundles'],
  ]);
  return {
    id: toHex(id),
    height: header.height,
    round: certificate.round,
    epoch: header.epoch,
    proposer: header.proposer,
    timeMicros: header.timeMicros,
    keyId: toHex(header.keyId),
    bundles: bundleIds.map((bytes) => toHex(sized(bytes, 'bundle_ids'))),
    signers,
    reveal: response.reveal,
  };
}

function assertAll(claims: readonly [boolean, string][]): void {
  const broken = claims.find(([holds]) => !holds);
  if (broken !== undefined) {
    throw new VerificationError(broken[1]);
  }
}

function verifyCertificate(network: Network, certificate: Certificate): number[] {
  // Only its own: whoever had the keys of an earlier committee could make up blocks that nobody decided.
  const committee = network.committeeOf(certificate.epoch);
  if (committee === undefined) {
    throw new VerificationError(
      `nothing has shown who is in the committee that L1 elected for epoch ${certificate.epoch}`,
    );
  }
  const digest = precommitDigest(network, certificate);
  const signers = certificate.signatures.map(({ validator }) => validator);
  committee.assertQuorum(signers, 'a certificate');
  for (const { validator, signature } of certificate.signatures) {
    committee.assertSigned(validator, digest, signature, 'a certificate');
  }
  return signers;
}

function sized(bytes: Uint8Array, field: string): Uint8Array {
  if (bytes.length !== 32) {
    throw new EncodingError(`${field} has ${bytes.length} bytes, expected 32`);
  }
  return bytes;
}

function small(value: number, field: string): number {
  if (value > 0xffff) {
    throw new EncodingError(`${field} is ${value}, expected at most 65535`);
  }
  return value;
}
