/** How the vectors write things down. */

import { be, toHex } from '../../src/bytes.js';
import type { BlockHeader, Certificate } from '../../src/gen/conclave/v1/types_pb.js';
import { encodeHeader, label } from '../../src/header.js';
import { typedData, typedDataDigest } from '../../src/typed-data.js';
import type { Bundled } from './bundles.js';
import { openings, type SignedReceipt } from './chain.js';
import { PAYERS } from './networks.js';

/** A receipt. */
export function receiptJson(body: SignedReceipt) {
  return {
    bundle_id: toHex(body.bundleId),
    validator: body.validator,
    received_micros: body.receivedMicros.toString(),
    deadline_height: body.deadlineHeight.toString(),
    signature: toHex(body.signature),
  };
}

/** A certificate. */
export function certificateJson(certificate: Certificate) {
  return {
    epoch: certificate.epoch.toString(),
    height: certificate.height.toString(),
    round: certificate.round,
    block_id: toHex(certificate.blockId),
    signatures: certificate.signatures.map(({ validator, signature }) => ({
      validator,
      signature: toHex(signature),
    })),
  };
}

/** A block's header. */
export function headerJson(header: BlockHeader) {
  return {
    network: toHex(header.networkId),
    height: header.height.toString(),
    parent: toHex(header.parent),
    parent_certificate: toHex(header.parentCertificate),
    proposer: header.proposer,
    time_micros: header.timeMicros.toString(),
    epoch: header.epoch.toString(),
    l1_number: header.l1Origin?.number.toString() ?? '0',
    l1_hash: toHex(header.l1Origin?.hash ?? new Uint8Array(32)),
    l1_entries_root: toHex(header.l1EntriesRoot),
    key_id: toHex(header.keyId),
    sharing_root: toHex(header.sharingRoot),
    bundle_root: toHex(header.bundleRoot),
    bundle_count: header.bundleCount,
    revealed_height: header.revealedHeight.toString(),
    reveal_digest: toHex(header.revealDigest),
    ledger_digest: toHex(header.ledgerDigest),
  };
}

/** A bundle, with every step to it, which not every sender has followed to the end. */
export function bundleJson({ row, coins, padded, header, steps, bundle }: Bundled, index: number) {
  const data = typedData(header, bundle);
  return {
    about: row.about,
    payer_secret: PAYERS[row.payer ?? 0],
    coins: toHex(coins),
    legs: row.legs?.map(({ rollup, transaction }) => ({
      rollup: rollup.toString(),
      transaction: toHex(transaction),
    })),
    plaintext: toHex(padded),
    lane: header.lane.toString(),
    sequence: header.sequence.toString(),
    max_fee_gwei: header.maxFeeGwei.toString(),
    priority_fee_gwei: header.priorityFeeGwei.toString(),
    valid_until: header.validUntil.toString(),
    payer: header.payer,
    header: toHex(encodeHeader(header)),
    label: toHex(label(header)),
    seed: toHex(steps.seed),
    r: toHex(be(steps.r, 32)),
    k: toHex(steps.k),
    mask: toHex(steps.mask),
    v: toHex(steps.masked),
    dem_key: toHex(steps.demKey),
    n: toHex(be(steps.n, 32)),
    capsule: toHex(bundle.capsule),
    body: toHex(bundle.body),
    typed_data_digest: toHex(typedDataDigest(data)),
    signature: toHex(bundle.signature),
    bytes: toHex(bundle.bytes),
    id: bundle.id,
    opening: toHex(openings[index + 1] ?? new Uint8Array()),
    outcome: row.outcome,
  };
}
