/** The vectors' blocks and receipts as a node would send them. */

import { create } from '@bufbuild/protobuf';

import vectors from '../../../tests/vectors/sealed-bundle-v1.json' with { type: 'json' };
import { fromHex } from '../src/bytes.js';
import { GetBlockResponseSchema, type GetBlockResponse } from '../src/gen/conclave/v1/node_pb.js';
import { ReceiptSchema, type Receipt } from '../src/gen/conclave/v1/submit_pb.js';
import { CertificateSchema, type Certificate } from '../src/gen/conclave/v1/types_pb.js';
import { Network } from '../src/network.js';

export const network = new Network(vectors.network.genesis);
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

/** A fresh answer for every test, which may change it. */
export function blockResponse(): GetBlockResponse {
  const { block, reveal, bundles } = vectors;
  const { header } = block;
  return create(GetBlockResponseSchema, {
    blockId: bytes(block.id),
    header: {
      networkId: bytes(header.network),
      height: BigInt(header.height),
      parent: bytes(header.parent),
      parentCertificate: bytes(header.parent_certificate),
      proposer: header.proposer,
      timeMicros: BigInt(header.time_micros),
      epoch: BigInt(header.epoch),
      l1Origin: { number: BigInt(header.l1_number), hash: bytes(header.l1_hash) },
      l1EntriesRoot: bytes(header.l1_entries_root),
      bundleRoot: bytes(header.bundle_root),
      bundleCount: header.bundle_count,
      revealedHeight: BigInt(header.revealed_height),
      revealDigest: bytes(header.reveal_digest),
      ledgerDigest: bytes(header.ledger_digest),
    },
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
