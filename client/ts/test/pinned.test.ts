/**
 * The vectors that are not this package's own. Of `types-v1` the block's id and the message that makes the
 * key were computed here, all else apart from it.
 */

import { describe, expect, test } from 'vitest';

import encryption from '../../../tests/vectors/encryption-v1.json' with { type: 'json' };
import types from '../../../tests/vectors/types-v1.json' with { type: 'json' };
import { create } from '@bufbuild/protobuf';

import { blockId } from '../src/block.js';
import { SealedBundle } from '../src/bundle.js';
import { be, concat, fromHex, Reader, toHex, type Hex } from '../src/bytes.js';
import { sealPadded, verifyCapsule } from '../src/capsule.js';
import { BlockHeaderSchema } from '../src/gen/conclave/v1/types_pb.js';
import { decodeHeader, encodeHeader, label } from '../src/header.js';
import { keccak, tagged } from '../src/hashing.js';
import { SealingKey } from '../src/key.js';
import { decodeLegs, encodeLegs, pad } from '../src/legs.js';
import { openBundle, readOpening } from '../src/opening.js';
import { privateKeySigner, recover, signBundle } from '../src/signer.js';
import { typedData, typedDataDigest } from '../src/typed-data.js';

const bytes = (digits: string) => fromHex(`0x${digits}`, 'vector');

describe('encryption-v1', () => {
  const { network, suite, era, pk, x2 } = encryption;
  const key = new SealingKey(bytes(network), {
    suite,
    era,
    publicKey: bytes(pk),
    publicKeyG2: bytes(x2),
  });
  const header = decodeHeader(new Reader(bytes(encryption.header)));
  if (header === undefined) {
    throw new Error('the vectors hold a header');
  }
  const legs = decodeLegs(pad(bytes(encryption.legs)));
  const parts = { capsule: bytes(encryption.capsule), body: bytes(encryption.body) };

  test('the key has the pinned id', () => {
    expect(key.idHex).toBe(`0x${encryption.key_id}`);
  });

  test('the header has the pinned bytes and label', () => {
    expect(toHex(encodeHeader(header))).toBe(`0x${encryption.header}`);
    expect(toHex(label(header))).toBe(`0x${encryption.label}`);
  });

  test('the legs have the pinned bytes', () => {
    if (typeof legs === 'string') {
      throw new Error(legs);
    }
    expect(legs.map(({ rollup }) => rollup)).toEqual([1n, 4_294_967_296n]);
    expect(toHex(encodeLegs(legs))).toBe(`0x${encryption.legs}`);
  });

  test('sealing with the pinned coins gives the pinned capsule and body', () => {
    const padded = pad(bytes(encryption.legs));
    expect(sealPadded(key, label(header), padded, bytes(encryption.coins))).toEqual(parts);
  });

  test('the capsule verifies, and the pinned opening opens the body to the legs', () => {
    verifyCapsule(key, label(header), parts);
    const bundle = SealedBundle.of(header, parts, new Uint8Array(65));
    expect(openBundle(key, bundle, readOpening(bytes(encryption.opening)))).toEqual(legs);
  });

  test('the beacon follows from its opening', () => {
    const beacon = tagged('conclave/beacon/v1', bytes(encryption.beacon_opening));
    expect(toHex(beacon)).toBe(`0x${encryption.beacon}`);
  });
});

describe('types-v1', () => {
  const { bundle, domain, receipt, position } = types;
  const signingDomain = concat(
    fromHex(domain.network, 'network'),
    be(domain.l1_chain_id, 8),
    fromHex(domain.l1_contract, 'contract'),
  );
  const body = fromHex(bundle.body, 'body');
  const parts = { capsule: fromHex(bundle.capsule, 'capsule'), body };
  const header = {
    network: domain.network as Hex,
    suite: bundle.suite,
    keyId: bundle.key_id as Hex,
    payer: bundle.payer as Hex,
    lane: BigInt(bundle.lane),
    sequence: BigInt(bundle.sequence),
    maxFeeGwei: BigInt(bundle.max_fee_gwei),
    priorityFeeGwei: BigInt(bundle.priority_fee_gwei),
    validUntil: BigInt(bundle.valid_until),
    bodyBytes: body.length,
  };

  test('the header has the pinned label, and the bundle the pinned id', () => {
    const sealed = SealedBundle.of(header, parts, fromHex(bundle.signature, 'signature'));
    expect(toHex(sealed.label)).toBe(bundle.label);
    expect(sealed.id).toBe(bundle.id);
  });

  test('the payer signs the pinned digest with the pinned signature', async () => {
    const data = typedData(header, parts);
    expect(toHex(typedDataDigest(data))).toBe(bundle.typed_data_digest);
    const signer = privateKeySigner(bundle.payer_secret as Hex);
    expect(signer.address).toBe(bundle.payer);
    expect(toHex(await signBundle(signer, data))).toBe(bundle.signature);
    const digest = typedDataDigest(data);
    expect(recover(digest, fromHex(bundle.signature, 'signature'))).toBe(bundle.payer);
  });

  test('a receipt signs the pinned digest', () => {
    const digest = tagged(
      'conclave/receipt/v1',
      signingDomain,
      fromHex(receipt.bundle, 'b'),
      be(receipt.received_micros, 8),
      be(receipt.deadline, 8),
    );
    expect(toHex(digest)).toBe(receipt.digest);
  });

  test('a block has the pinned id', () => {
    const row = types.header;
    const header = create(BlockHeaderSchema, {
      networkId: fromHex(domain.network, 'network'),
      height: BigInt(position.height),
      parent: fromHex(row.parent, 'parent'),
      parentCertificate: fromHex(row.parent_certificate, 'parent_certificate'),
      proposer: row.proposer,
      timeMicros: BigInt(row.time_micros),
      epoch: BigInt(position.epoch),
      l1Origin: { number: BigInt(row.l1_number), hash: fromHex(row.l1_hash, 'l1_hash') },
      l1EntriesRoot: fromHex(row.l1_entries_root, 'l1_entries_root'),
      keyId: fromHex(row.key_id, 'key_id'),
      sharingRoot: fromHex(row.sharing_root, 'sharing_root'),
      bundleRoot: fromHex(row.bundle_root, 'bundle_root'),
      bundleCount: row.bundle_count,
      revealedHeight: BigInt(row.revealed_height),
      revealDigest: fromHex(row.reveal_digest, 'reveal_digest'),
      ledgerDigest: fromHex(row.ledger_digest, 'ledger_digest'),
    });
    expect(toHex(blockId(header))).toBe(row.id);
  });

  test('a message that makes the key has the pinned digest, leaf and root', () => {
    const row = types.sharing_message;
    const content = fromHex(row.content, 'content');
    const place = concat(be(row.epoch, 8), be(row.round, 4), be(row.from, 2));
    const digest = tagged('conclave/sharing-message/v1', signingDomain, place, keccak(content));
    const leaf = tagged(
      'conclave/sharing-leaf/v1',
      place,
      be(content.length, 8),
      content,
      fromHex(row.signature, 'signature'),
    );
    expect([digest, leaf].map(toHex)).toEqual([row.digest, row.leaf]);
    expect(toHex(keccak(Uint8Array.of(0), leaf))).toBe(row.root);
  });
});
