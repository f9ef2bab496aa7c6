/** Two committees that follow the genesis's, each named by the one before, and what names nobody. */

import { create } from '@bufbuild/protobuf';
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { ed25519 } from '@noble/curves/ed25519.js';

import { toHex } from '../../src/bytes.js';
import { Committee, commitmentDigest } from '../../src/committee.js';
import {
  CommitteeMemberSchema,
  ElectedCommitteeSchema,
  type CommitteeMember,
  type ElectedCommittee,
} from '../../src/gen/conclave/v1/node_pb.js';
import {
  BlockCommitmentSchema,
  SettlementCertificateSchema,
  type BlockCommitment,
} from '../../src/gen/conclave/v1/types_pb.js';
import { hashToG2, ORDER } from '../../src/points.js';
import { CONSENSUS, fixed, network } from './networks.js';

const { G1, G2 } = bls12_381;
const DST = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_';

const consensusSecret = (index: number) => CONSENSUS[index] ?? fixed(0x11 + index);
const settlementSecret = (index: number) => BigInt(0x31 + index);

function member(index: number, change: Partial<CommitteeMember> = {}): CommitteeMember {
  const good = {
    validator: index,
    // Not in the order of the indices: the digest is in the order of these.
    number: index === 4 ? 1_000 : 40 - index,
    power: BigInt(10 + index),
    consensusKey: ed25519.getPublicKey(consensusSecret(index)),
    settlementKey: G1.Point.BASE.multiply(settlementSecret(index)).toBytes(false),
    networkKey: ed25519.getPublicKey(fixed(0x21 + index)),
    name: `validator-${index}`,
  };
  return create(CommitteeMemberSchema, { ...good, ...change });
}

function digestOf(members: readonly CommitteeMember[]): Uint8Array {
  const seats = members.map((member) => {
    const { number: validator, name, power, consensusKey, networkKey, settlementKey } = member;
    const seat = { name, consensusKey, networkKey, settlementKey, validator, power };
    return [member.validator, seat] as const;
  });
  return new Committee(seats).digest;
}

/** What these validators' settlement keys sign together. */
function attested(commitment: BlockCommitment, signers: readonly number[]): Uint8Array {
  const point = hashToG2(commitmentDigest(network.domain, commitment), DST);
  const secret = signers.reduce((sum, signer) => sum + settlementSecret(signer), 0n) % ORDER;
  return secret === 0n ? G2.Point.ZERO.toBytes(true) : point.multiply(secret).toBytes(true);
}

function elected(
  epoch: bigint,
  members: CommitteeMember[],
  signers: number[],
  change: Partial<BlockCommitment> = {},
): ElectedCommittee {
  const commitment = create(BlockCommitmentSchema, {
    epoch: epoch - 1n,
    height: 100_000n * epoch,
    blockId: fixed(0x81),
    historyRoot: fixed(0x82),
    revealRoot: fixed(0x83),
    rollupCount: 2,
    l1Origin: { number: 19_000_000n + epoch, hash: fixed(0x84) },
    forcedCursor: 7n,
    withdrawalsRoot: fixed(0x85),
    epochEnd: { nextCommittee: digestOf(members), dkgResult: fixed(0x86) },
  });
  const changed = { ...commitment, ...change };
  const signature = attested(changed, signers);
  const certificate = create(SettlementCertificateSchema, {
    commitment: changed,
    signers,
    signature,
  });
  return create(ElectedCommitteeSchema, { epoch, members, certificate });
}

// Validator 0 leaves and 4 joins; then 1 leaves, and 2 has another consensus key and more power.
const second = [1, 2, 3, 4].map((index) => member(index));
const rotated = { consensusKey: ed25519.getPublicKey(fixed(0x19)), power: 40n };
const third = [member(2, rotated), member(3), member(4)];
const good = elected(2n, second, [0, 2, 3]);

/** Epochs 2 and 3. */
export const committees = [good, elected(3n, third, [1, 3, 4])];

/** What a client that knows the genesis alone refuses. */
export function refusedCommittees() {
  const all: [string, 'Encoding' | 'Verification', ElectedCommittee][] = [];
  const is = (fault: 'Encoding' | 'Verification', about: string, wrong: ElectedCommittee) =>
    all.push([about, fault, wrong]);
  const of = (members: CommitteeMember[]) => elected(2n, members, [0, 2, 3]);
  const with_ = (change: Partial<ElectedCommittee>) => ({ ...good, ...change });
  const signed = (change: { signers?: number[]; signature?: Uint8Array }) => {
    const certificate = good.certificate && { ...good.certificate, ...change };
    return with_(certificate ? { certificate } : {});
  };
  const said = (change: Partial<BlockCommitment>) => {
    const commitment = good.certificate?.commitment;
    const certificate = good.certificate &&
      commitment && { ...good.certificate, commitment: { ...commitment, ...change } };
    return with_(certificate ? { certificate } : {});
  };
  const end = good.certificate?.commitment?.epochEnd;

  is('Verification', 'an epoch too far', elected(3n, second, [0, 2, 3]));
  is(
    'Verification',
    'a commitment of another epoch',
    elected(2n, second, [0, 2, 3], { epoch: 0n }),
  );
  const open = good.certificate?.commitment && { ...good.certificate.commitment };
  delete open?.epochEnd;
  if (open !== undefined) {
    const signers = [0, 2, 3];
    const signature = attested(open, signers);
    is('Verification', 'a commitment in the middle of its epoch', {
      ...good,
      certificate: create(SettlementCertificateSchema, { commitment: open, signers, signature }),
    });
  }
  is('Verification', 'less than two thirds of the power', elected(2n, second, [2, 3]));
  is('Verification', 'one signer alone', elected(2n, second, [3]));
  is('Verification', 'signers in another order', signed({ signers: [2, 0, 3] }));
  is('Verification', 'a signer twice', signed({ signers: [0, 3, 3] }));
  is('Verification', 'a signer whom the genesis does not name', elected(2n, second, [2, 3, 4]));
  is('Verification', 'signers who did not sign', signed({ signers: [1, 2, 3] }));
  is('Verification', 'nobody', signed({ signers: [], signature: G2.Point.ZERO.toBytes(true) }));
  is('Encoding', 'infinity as a signature', signed({ signature: G2.Point.ZERO.toBytes(true) }));
  is('Encoding', 'a signature cut short', signed({ signature: fixed(1, 95) }));
  is('Verification', 'another height than was signed', said({ height: 200_001n }));
  is('Verification', 'another root than was signed', said({ withdrawalsRoot: fixed(0x95) }));
  is('Encoding', 'a root cut short', said({ historyRoot: fixed(1, 31) }));
  if (end !== undefined) {
    is(
      'Verification',
      'another key than was signed',
      said({ epochEnd: { ...end, dkgResult: fixed(9) } }),
    );
  }
  is(
    'Verification',
    'a member with more power',
    with_({ members: [member(1, { power: 99n }), ...second.slice(1)] }),
  );
  is(
    'Verification',
    'a member with another key',
    with_({ members: [member(1, rotated), ...second.slice(1)] }),
  );
  is('Verification', 'a member left out', with_({ members: second.slice(1) }));
  is('Verification', 'nobody to follow', with_({ members: [] }));
  is('Verification', 'members in another order', of([...second].reverse()));
  is(
    'Verification',
    'a member twice, under two indices',
    of([...second, member(4, { validator: 5 })]),
  );
  is('Verification', 'a member without power', of([member(1, { power: 0n }), ...second.slice(1)]));
  is('Verification', 'power of 64 bits', of([member(1, { power: 2n ** 63n }), ...second.slice(1)]));
  is(
    'Encoding',
    'a consensus key cut short',
    with_({ members: [member(1, { consensusKey: fixed(1, 31) }), ...second.slice(1)] }),
  );
  is(
    'Encoding',
    'a settlement key in the short form',
    with_({
      members: [member(1, { settlementKey: G1.Point.BASE.toBytes(true) }), ...second.slice(1)],
    }),
  );
  is('Encoding', 'no certificate', create(ElectedCommitteeSchema, { epoch: 2n, members: second }));
  return all.map(([about, fault, wrong]) => ({ about, fault, ...committeeJson(wrong) }));
}

/** A committee with what names it. */
export function committeeJson({ epoch, members, certificate }: ElectedCommittee) {
  const commitment = certificate?.commitment;
  const end = commitment?.epochEnd;
  return {
    epoch: epoch.toString(),
    members: members.map((member) => ({
      validator: member.validator,
      number: member.number,
      power: member.power.toString(),
      consensus_key: toHex(member.consensusKey),
      settlement_key: toHex(member.settlementKey),
      network_key: toHex(member.networkKey),
      name: member.name,
    })),
    certificate:
      certificate && commitment
        ? {
            commitment: {
              epoch: commitment.epoch.toString(),
              height: commitment.height.toString(),
              block_id: toHex(commitment.blockId),
              history_root: toHex(commitment.historyRoot),
              reveal_root: toHex(commitment.revealRoot),
              rollup_count: commitment.rollupCount,
              l1_number: commitment.l1Origin?.number.toString() ?? '0',
              l1_hash: toHex(commitment.l1Origin?.hash ?? fixed(0)),
              forced_cursor: commitment.forcedCursor.toString(),
              withdrawals_root: toHex(commitment.withdrawalsRoot),
              epoch_end: end
                ? { next_committee: toHex(end.nextCommittee), dkg_result: toHex(end.dkgResult) }
                : null,
            },
            signers: certificate.signers,
            signature: toHex(certificate.signature),
          }
        : null,
  };
}

/** The same with its digests. */
export function electedJson(elected: ElectedCommittee) {
  const commitment = elected.certificate?.commitment ?? create(BlockCommitmentSchema);
  return {
    ...committeeJson(elected),
    committee_digest: toHex(digestOf(elected.members)),
    commitment_digest: toHex(commitmentDigest(network.domain, commitment)),
  };
}
