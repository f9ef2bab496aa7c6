/** The vectors that other implementations wrote: this package did not compute them. */

import { describe, expect, test } from 'vitest';

import encryption from '../../../tests/vectors/encryption-v1.json' with { type: 'json' };
import types from '../../../tests/vectors/types-v1.json' with { type: 'json' };
import { SealedBundle } from '../src/bundle.js';
import { be, concat, fromHex, Reader, toHex, type Hex } from '../src/bytes.js';
import { sealPadded, verifyCapsule } from '../src/capsule.js';
import { decodeHeader, encodeHeader, label } from '../src/header.js';
import { tagged } from '../src/hashing.js';
import { SealingKey } from '../src/key.js';
import { decodeLegs, encodeLegs, pad } from '../src/legs.js';
import { openBundle } from '../src/reveal.js';
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

  test('sealing with the pinned seed gives the pinned capsule and body', () => {
    const padded = pad(bytes(encryption.legs));
    expect(sealPadded(key, label(header), padded, bytes(encryption.seed))).toEqual(parts);
  });

  test('the capsule verifies, and the pinned opening opens the body to the legs', () => {
    verifyCapsule(key, label(header), parts);
    const bundle = SealedBundle.of(header, parts, new Uint8Array(65));
    expect(openBundle(key, bundle, bytes(encryption.opening))).toEqual(legs);
  });

  test('the beacon follows from its opening', () => {
    const beacon = tagged('conclave/beacon/v1', bytes(encryption.beacon_opening));
    expect(toHex(beacon)).toBe(`0x${encryption.beacon}`);
  });
});

describe('types-v1', () => {
  const { bundle, domain, receipt } = types;
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
      concat(fromHex(domain.network, 'n'), be(domain.l1_chain_id, 8)),
      fromHex(domain.l1_contract, 'c'),
      fromHex(receipt.bundle, 'b'),
      be(receipt.received_micros, 8),
      be(receipt.deadline, 8),
    );
    expect(toHex(digest)).toBe(receipt.digest);
  });
});
