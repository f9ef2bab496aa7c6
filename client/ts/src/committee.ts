/** Committees: who decides in which epoch. The genesis names the first; each names the next one as its epoch ends. */

import { be, concat, cut, equalBytes, toHex } from './bytes.js';
import { verifyStrict } from './ed25519.js';
import { EncodingError, VerificationError } from './errors.js';
import type { CommitteeMember, ElectedCommittee } from './gen/conclave/v1/node_pb.js';
import type { BlockCommitment, SettlementCertificate } from './gen/conclave/v1/types_pb.js';
import type { Member } from './genesis.js';
import { tagged } from './hashing.js';
import {
  GENERATOR,
  hashToG2,
  pairingsAgree,
  validG1Whole,
  validG2,
  type G1Point,
} from './points.js';

/** The genesis's committee serves in epochs 0 and 1: by the end of epoch 0 nobody can have been elected. */
export const FIRST_ELECTED = 2n;

const ATTESTATION_DST = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_';
const POWER_LIMIT = 2n ** 63n;

/** The validators of an epoch. */
export class Committee {
  /** By index, ascending. */
  readonly members: ReadonlyMap<number, Member>;
  /** The voting power that decides. */
  readonly quorumPower: bigint;

  constructor(members: Iterable<readonly [number, Member]>) {
    this.members = new Map(members);
    const total = [...this.members.values()].reduce((sum, { power }) => sum + power, 0n);
    this.quorumPower = (total * 2n) / 3n + 1n;
  }

  /** Checks that the validator at `index` signed `digest`. Throws {@link VerificationError}. */
  assertSigned(index: number, digest: Uint8Array, signature: Uint8Array, what: string): void {
    const member = this.#member(index, what);
    if (!verifyStrict(member.consensusKey, digest, signature)) {
      throw new VerificationError(
        `the signature of validator ${index} (${cut(member.name)}) on ${what} does not verify`,
      );
    }
  }

  /**
   * Checks that signers are members, in strictly ascending order, and a quorum. Throws
   * {@link VerificationError}.
   */
  assertQuorum(signers: readonly number[], what: string): void {
    const unordered = signers.find((signer, at) => (signers[at - 1] ?? -1) >= signer);
    if (unordered !== undefined) {
      throw new VerificationError(`signer ${unordered} is out of order or appears twice`);
    }
    const power = signers.reduce((sum, signer) => sum + this.#member(signer, what).power, 0n);
    if (power < this.quorumPower) {
      throw new VerificationError(
        `the signers have voting power ${power}, a quorum is ${this.quorumPower}`,
      );
    }
  }

  /** Checks that a quorum attested a commitment. Throws `EncodingError` or {@link VerificationError}. */
  assertAttested({ signers, signature }: SettlementCertificate, digest: Uint8Array): void {
    const what = 'a settlement certificate';
    this.assertQuorum(signers, what);
    const keys = signers.map((signer) => settlementKey(this.#member(signer, what)));
    const [first, ...others] = keys;
    const point = validG2(signature);
    if (first === undefined || point === undefined || point.is0()) {
      throw new EncodingError(`the signature of ${what} is no point`);
    }
    const sum = others.reduce((sum, key) => sum.add(key), first);
    const said = [sum, hashToG2(digest, ATTESTATION_DST)] as const;
    if (sum.is0() || !pairingsAgree([GENERATOR, point], [...said])) {
      throw new VerificationError(`the signature of ${what} is not that of all its signers`);
    }
  }

  /** The digest by which the committee before, and L1, name this one. */
  get digest(): Uint8Array {
    const rows = [...this.members.values()].sort((a, b) => a.validator - b.validator);
    return tagged(
      'conclave/settlement-committee/v1',
      ...rows.map(({ consensusKey, validator, power, settlementKey }) =>
        concat(consensusKey, be(validator, 4), be(power, 8), settlementKey),
      ),
    );
  }

  #member(index: number, what: string): Member {
    const member = this.members.get(index);
    if (member === undefined) {
      throw new VerificationError(`${what} names validator ${index}, who is not in the committee`);
    }
    return member;
  }
}

function settlementKey({ settlementKey, name }: Member): G1Point {
  const point = validG1Whole(settlementKey);
  if (point === undefined || point.is0()) {
    throw new VerificationError(`the settlement key of ${cut(name)} is no point`);
  }
  return point;
}

/** What an attestation of `commitment` signs. */
export function commitmentDigest(domain: Uint8Array, commitment: BlockCommitment): Uint8Array {
  const { l1Origin, epochEnd } = commitment;
  if (l1Origin === undefined) {
    throw new EncodingError('a commitment lacks l1_origin');
  }
  const zero = new Uint8Array(32);
  return tagged(
    '\u0002conclave/hdr/v1',
    domain,
    be(commitment.epoch, 8),
    be(commitment.height, 8),
    sized(commitment.blockId, 'block_id', 32),
    sized(commitment.historyRoot, 'history_root', 32),
    sized(commitment.revealRoot, 'reveal_root', 32),
    be(commitment.rollupCount, 4),
    be(l1Origin.number, 8),
    sized(l1Origin.hash, 'l1_origin.hash', 32),
    be(commitment.forcedCursor, 8),
    sized(commitment.withdrawalsRoot, 'withdrawals_root', 32),
    epochEnd === undefined ? zero : sized(epochEnd.nextCommittee, 'next_committee', 32),
    epochEnd === undefined ? zero : sized(epochEnd.dkgResult, 'dkg_result', 32),
  );
}

/**
 * The committee that a node says was elected, if `before`, which is that of the epoch before, named it.
 * Throws {@link EncodingError} or {@link VerificationError}.
 */
export function verifyElected(
  domain: Uint8Array,
  before: Committee,
  { epoch, members, certificate }: ElectedCommittee,
): Committee {
  const commitment = certificate?.commitment;
  if (certificate === undefined || commitment === undefined) {
    throw new EncodingError('the answer lacks the certificate that names a committee');
  }
  if (commitment.epoch + 1n !== epoch || commitment.epochEnd === undefined) {
    throw new VerificationError(`the certificate does not end the epoch before ${epoch}`);
  }
  const committee = seated(members);
  const named = sized(commitment.epochEnd.nextCommittee, 'next_committee', 32);
  if (!equalBytes(committee.digest, named)) {
    throw new VerificationError(
      `the certificate names committee ${toHex(named)} for epoch ${epoch}, not ${toHex(committee.digest)}`,
    );
  }
  before.assertAttested(certificate, commitmentDigest(domain, commitment));
  return committee;
}

/** Members as a committee: each with power, and nobody twice under another index. */
function seated(members: readonly CommitteeMember[]): Committee {
  const seats = members.map((member) => [member.validator, memberOf(member)] as const);
  const unordered = seats.find(([index], at) => (seats[at - 1]?.[0] ?? -1) >= index);
  if (unordered !== undefined) {
    throw new VerificationError(`member ${unordered[0]} is out of order or appears twice`);
  }
  const total = seats.reduce((sum, [, { power }]) => sum + power, 0n);
  const powerless = seats.find(([, { power }]) => power === 0n);
  if (powerless !== undefined || total >= POWER_LIMIT || seats.length === 0) {
    throw new VerificationError('the members of a committee have power, of 63 bits in all');
  }
  for (const key of ['consensusKey', 'settlementKey'] as const) {
    if (new Set(seats.map(([, member]) => toHex(member[key]))).size !== seats.length) {
      throw new VerificationError('two members of a committee have one key');
    }
  }
  return new Committee(seats);
}

function memberOf(member: CommitteeMember): Member {
  return {
    name: member.name,
    consensusKey: sized(member.consensusKey, 'consensus_key', 32),
    networkKey: sized(member.networkKey, 'network_key', 32),
    settlementKey: sized(member.settlementKey, 'settlement_key', 96),
    validator: member.number,
    power: member.power,
  };
}

function sized(bytes: Uint8Array, field: string, length: number): Uint8Array {
  if (bytes.length !== length) {
    throw new EncodingError(`${field} has ${bytes.length} bytes, expected ${length}`);
  }
  return bytes;
}
