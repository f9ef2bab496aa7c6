/** Which key a client seals to: the genesis', or one that a quorum vouches for. */

import { describe, expect, test } from 'vitest';

import vectors from '../../../tests/vectors/sealed-bundle-v1.json' with { type: 'json' };
import { toHex } from '../src/bytes.js';
import { verifyServedKey } from '../src/discovery.js';
import { ConclaveError, EncodingError, KeyError, VerificationError } from '../src/errors.js';
import { bytes, keyResponseOf } from './messages.js';

const FAULTS: Record<string, [new (message: string) => ConclaveError, RegExp]> = {
  Encoding: [EncodingError, /lacks the block|key_id has 31 bytes|messages_root has 31 bytes/],
  Verification: [VerificationError, /./],
  Key: [KeyError, /suite|acceptable point|different secrets/],
  ForeignKey: [KeyError, /serves key 0x[0-9a-f]{64}, the network's is 0x[0-9a-f]{64}/],
};

describe('a key that a node serves', () => {
  test.each(vectors.key_responses)('is accepted: $about', (row) => {
    const { of, served } = keyResponseOf(row);
    const key = verifyServedKey(of, served);
    expect(key.idHex).toBe(row.response.key_id);
    expect(toHex(key.point.toBytes(true))).toBe(row.response.public_key);
    expect(key.era).toBe(row.response.era);
  });

  test.each(vectors.refused.key_responses)('is refused: $about', (row) => {
    const { of, served } = keyResponseOf(row);
    const [error, message] = FAULTS[row.fault] ?? [Error, /^$/];
    const check = () => verifyServedKey(of, served);
    expect(check).toThrow(error);
    expect(check).toThrow(message);
  });

  const messages: [string, RegExp][] = [
    ['no header', /lacks the block that vouches for the key/],
    ['no certificate', /lacks the block that vouches for the key/],
    ['too little power', /voting power 25, a quorum is 31/],
    ['no signatures', /voting power 0, a quorum is 31/],
    ['one signer twice', /signer 1 is out of order or appears twice/],
    ['signers out of order', /signer 0 is out of order or appears twice/],
    ['a signature of another validator', /signature of validator 3 .* does not verify/],
    ['a signer that does not exist', /validator 4, who is not in the committee/],
    ['a signature that only a laxer rule', /signature of validator 2 .* does not verify/],
    ['signatures for another network', /signature of validator 0 .* does not verify/],
    ['a block of another network', /the block is of another network/],
    ['a header that was changed', /the certificate is for another header/],
    ['a certificate that puts the block at another height', /for another height/],
    ['a certificate that puts the block in another epoch', /of another epoch/],
    ['a block before there was a key', /the network's is 0x0{64}/],
    ['a block under another key', /the network's is 0x(?:77){32}/],
    ['another suite', /of suite 2, the network's is 1/],
    ['PK and X₂ of different secrets', /in G1 and the one in G2 are of different secrets/],
  ];
  test.each(messages)('says what is wrong: %s', (about, message) => {
    const row = vectors.refused.key_responses.find((each) => each.about.startsWith(about));
    if (row === undefined) {
      throw new Error(`the vectors have no row that is about ${about}`);
    }
    const { of, served } = keyResponseOf(row);
    expect(() => verifyServedKey(of, served)).toThrow(message);
  });

  test('is of this network, and under its own id', () => {
    const [first] = vectors.key_responses;
    if (first === undefined) {
      throw new Error('the vectors hold keys');
    }
    const { of, served } = keyResponseOf(first);
    const elsewhere = { ...served, networkId: new Uint8Array(32) };
    expect(() => verifyServedKey(of, elsewhere)).toThrow(/serves a key of network 0x0{64}/);
    const misnamed = { ...served, keyId: bytes(`0x${'77'.repeat(32)}`) };
    expect(() => verifyServedKey(of, misnamed)).toThrow(/under the id 0x(?:77){32}; its id is 0x/);
  });
});
