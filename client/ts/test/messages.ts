/** The vectors' blocks, receipts and keys as a node would send them. */

import { create } from '@bufbuild/protobuf';
import { ed25519 } from '@noble/curves/ed25519.js';

import vectors from '../../../tests/vectors/sealed-bundle-v1.json' with { type: 'json' };
import { blockId, precommitDigest } from '../src/block.js';
import { fromHex } from '../src/bytes.js';
import {
  ElectedCommitteeSchema,
  GetBlockResponseSchema,
  type ElectedCommittee,
  type GetBlockResponse,
} from '../src/gen/conclave/v1/node_pb.js';
import {
  GetEncryptionKeyResponseSchema,
  ReceiptSchema,
  type GetEncryptionKeyResponse,
  type Receipt,
} from '../src/gen/conclave/v1/submit_pb.js';
import {
  BlockHeaderSchema,
  CertificateSchema,
  SettlementCertificateSchema,
  type BlockHeader,
  type Certificate,
} from '../src/gen/conclave/v1/types_pb.js';
import type { SealingKey } from '../src/key.js';
import { Network } from '../src/network.js';

/** The network whose genesis brings the key, and the one whose validators make it. */
export const network = new Network(vectors.network.genesis);
export const keyless = new Network(vectors.keyless_network.genesis);
export const key = genesisKey(network);
export const bytes = (hex: string) => fromHex(hex, 'vector');

export function receiptOf(row: Omit<(typeof vectors)['receipt'], 'digest'>): Receipt {
  return create(ReceiptSchema, {
    bundleId: bytes(row.bundle_id),
    validator: row.validator,
    receivedMicros: BigInt(row.received_micros),
    deadlineHeight: BigInt(row.deadline_height),
    signature: bytes(row.signature),
  });
}

export function certificateOf(row: (typeof vectors)['block']['certificate']): Certificate {
  return create(CertificateSchema, {
    epoch: BigInt(row.epoch),
    height: BigInt(row.height),
    round: row.round,
    blockId: bytes(row.block_id),
    signatures: row.signatures.map(({ validator, signature }) => ({
      validator,
      signature: bytes(signature),
    })),
  });
}

type CommitteeRow = Pick<
  (typeof vectors)['refused']['committees'][number],
  'epoch' | 'members' | 'certificate'
>;

export function electedOf({ epoch, members, certificate }: CommitteeRow): ElectedCommittee {
  const elected = create(ElectedCommitteeSchema, {
    epoch: BigInt(epoch),
    members: members.map((member) => ({
      validator: member.validator,
      number: member.number,
      power: BigInt(member.power),
      consensusKey: bytes(member.consensus_key),
      settlementKey: bytes(member.settlement_key),
      networkKey: bytes(member.network_key),
      name: member.name,
    })),
  });
  if (certificate === null) {
    return elected;
  }
  const { commitment, signers, signature } = certificate;
  elected.certificate = create(SettlementCertificateSchema, {
    commitment: {
      epoch: BigInt(commitment.epoch),
      height: BigInt(commitment.height),
      blockId: bytes(commitment.block_id),
      historyRoot: bytes(commitment.history_root),
      revealRoot: bytes(commitment.reveal_root),
      rollupCount: commitment.rollup_count,
      l1Origin: { number: BigInt(commitment.l1_number), hash: bytes(commitment.l1_hash) },
      forcedCursor: BigInt(commitment.forced_cursor),
      withdrawalsRoot: bytes(commitment.withdrawals_root),
      ...(commitment.epoch_end && {
        epochEnd: {
          nextCommittee: bytes(commitment.epoch_end.next_committee),
          dkgResult: bytes(commitment.epoch_end.dkg_result),
        },
      }),
    },
    signers,
    signature: bytes(signature),
  });
  return elected;
}

export function genesisKey({ genesisKey: key }: Network): SealingKey {
  if (key === undefined) {
    throw new Error('this genesis brings a key');
  }
  return key;
}

export function headerOf(header: (typeof vectors)['block']['header']): BlockHeader {
  return create(BlockHeaderSchema, {
    networkId: bytes(header.network),
    height: BigInt(header.height),
    parent: bytes(header.parent),
    parentCertificate: bytes(header.parent_certificate),
    proposer: header.proposer,
    timeMicros: BigInt(header.time_micros),
    epoch: BigInt(header.epoch),
    l1Origin: { number: BigInt(header.l1_number), hash: bytes(header.l1_hash) },
    l1EntriesRoot: bytes(header.l1_entries_root),
    keyId: bytes(header.key_id),
    sharingRoot: bytes(header.sharing_root),
    bundleRoot: bytes(header.bundle_root),
    bundleCount: header.bundle_count,
    revealedHeight: BigInt(header.revealed_height),
    revealDigest: bytes(header.reveal_digest),
    ledgerDigest: bytes(header.ledger_digest),
  });
}

/** A row of `key_responses`, accepted or refused. */
interface KeyRow {
  readonly network: string;
  readonly response: Omit<
    (typeof vectors)['key_responses'][number]['response'],
    'header' | 'certificate'
  > & {
    readonly header: (typeof vectors)['block']['header'] | null;
    readonly certificate: (typeof vectors)['block']['certificate'] | null;
  };
}

/** Of which network a row of keys is, and what a node of it answers. */
export function keyResponseOf({ network: of, response }: KeyRow): {
  of: Network;
  served: GetEncryptionKeyResponse;
} {
  const { header, certificate } = response;
  const served = create(GetEncryptionKeyResponseSchema, {
    networkId: bytes(response.network_id),
    keyId: bytes(response.key_id),
    suite: response.suite,
    era: response.era,
    publicKey: bytes(response.public_key),
    publicKeyG2: bytes(response.public_key_g2),
    decidedHeight: 50n,
    bundleLifetimeMax: 10_000n,
    messagesRoot:
      response.messages_root === null ? new Uint8Array() : bytes(response.messages_root),
    ...(header && { header: headerOf(header) }),
    ...(certificate && { certificate: certificateOf(certificate) }),
  });
  return { of: of === 'network' ? network : keyless, served };
}

/** A fresh answer for every test, which may change it. */
export function blockResponse(): GetBlockResponse {
  const { block, reveal, bundles } = vectors;
  return create(GetBlockResponseSchema, {
    blockId: bytes(block.id),
    header: headerOf(block.header),
    certificate: certificateOf(block.certificate),
    bundleIds: block.bundle_ids.map(bytes),
    reveal: {
      beacon: bytes(reveal.beacon),
      openings: reveal.openings.map(bytes),
      bundles: reveal.order.map(({ bundle, draw }) => ({
        bundleId: bytes(bundles[bundle]?.id ?? '0x'),
        payer: bytes(bundles[bundle]?.payer ?? '0x'),
        draw: bytes(draw),
      })),
    },
  });
}

/** The vectors' block as if the validators of `of` had decided it under the key `keyId`. */
export function blockUnder(of: Network, keyId: Uint8Array): GetBlockResponse {
  const response = blockResponse();
  const { header, certificate } = response;
  if (header === undefined || certificate === undefined) {
    throw new Error('the vectors hold a block');
  }
  Object.assign(header, { networkId: of.idBytes, keyId });
  certificate.blockId = blockId(header);
  const digest = precommitDigest(of, certificate);
  for (const signature of certificate.signatures) {
    const secret = vectors.network.consensus_secrets[signature.validator] ?? '0x';
    signature.signature = ed25519.sign(digest, bytes(secret));
  }
  return response;
}

/** The block, as a committee that L1 elected for epoch 3 decides it. */
export function blockOfElected(): GetBlockResponse {
  const response = blockResponse();
  const { header, certificate } = response;
  if (header === undefined || certificate === undefined) {
    throw new Error('the vectors hold a block');
  }
  header.epoch = 3n;
  Object.assign(certificate, { epoch: 3n, blockId: blockId(header) });
  const digest = precommitDigest(network, certificate);
  const secrets: [number, number][] = [
    [2, 0x19],
    [3, 0x14],
    [4, 0x15],
  ];
  const signatures = secrets.map(([validator, byte]) => ({
    validator,
    signature: ed25519.sign(digest, new Uint8Array(32).fill(byte)),
  }));
  certificate.signatures = create(CertificateSchema, { signatures }).signatures;
  return response;
}
