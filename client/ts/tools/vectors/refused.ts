/** What must be refused, each with what is wrong with it. */

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { ed25519 } from '@noble/curves/ed25519.js';

import { SealedBundle } from '../../src/bundle.js';
import { be, concat, fromBe, le, toHex, type Hex } from '../../src/bytes.js';
import type { Certificate } from '../../src/gen/conclave/v1/types_pb.js';
import { encodeHeader, type BundleHeader } from '../../src/header.js';
import { ORDER } from '../../src/points.js';
import { receiptDigest } from '../../src/receipt.js';
import { privateKeySigner } from '../../src/signer.js';
import { first, prove, second, sign } from './bundles.js';
import { certificateBy, ids, receipt, receiptBody } from './chain.js';
import { certificateJson, receiptJson } from './json.js';
import { fixed, key, laxlySignedBy, network, other, PAYERS } from './networks.js';
import { compress, outside, small } from './strangers.js';

const { G1, G2 } = bls12_381;

interface Refused {
  readonly about: string;
  readonly bytes: Hex;
}

export async function refusedBundles(): Promise<{
  undecodable: Refused[];
  unacceptable: Refused[];
}> {
  const { bundle, header: good, steps } = first;
  const { r, masked } = steps;
  const { capsule, body, bytes } = bundle;
  const undecodable: Refused[] = [];
  const unacceptable: Refused[] = [];
  const cannotBeRead = (about: string, wrong: Uint8Array) =>
    undecodable.push({ about, bytes: toHex(wrong) });
  const isWrong = (about: string, wrong: SealedBundle) =>
    unacceptable.push({ about, bytes: toHex(wrong.bytes) });

  cannotBeRead('nothing at all', new Uint8Array());
  cannotBeRead('the last byte is missing', bytes.slice(0, -1));
  cannotBeRead('a byte too many', concat(bytes, fixed(0, 1)));
  const hugeLength = bytes.slice();
  hugeLength.set(fixed(0xff, 4), encodeHeader(good).length);
  cannotBeRead('a capsule longer than the bundle', hugeLength);

  // Everything is bound: a header that was changed has another digest under the signature ...
  const changed: [string, Partial<BundleHeader>][] = [
    ['network', { network: other.id }],
    ['suite', { suite: 2 }],
    ['key id', { keyId: toHex(fixed(0x77)) }],
    ['payer', { payer: privateKeySigner(PAYERS[1] ?? '0x').address }],
    ['lane', { lane: 8n }],
    ['sequence', { sequence: 1n }],
    ['max fee', { maxFeeGwei: 50_001n }],
    ['priority fee', { priorityFeeGwei: 8n }],
    ['last height', { validUntil: 1_001n }],
    ['length of the body', { bodyBytes: 528 }],
  ];
  for (const [what, change] of changed) {
    isWrong(
      `another ${what} under the old signature`,
      SealedBundle.of({ ...good, ...change }, { capsule, body }, bundle.signature),
    );
  }
  // ... and another label under the proof, so that signing again does not help.
  const again: [string, Partial<BundleHeader>, number][] = [
    [
      'another payer, who signs for a stolen ciphertext',
      { payer: privateKeySigner(PAYERS[1] ?? '0x').address },
      1,
    ],
    ['the payer re-uses a capsule under another sequence', { sequence: 1n }, 0],
    ['the payer re-uses a capsule under another fee', { maxFeeGwei: 50_001n }, 0],
  ];
  for (const [about, change, payer] of again) {
    const header = { ...good, ...change };
    isWrong(about, await sign(header, { capsule, body }, payer));
  }
  const flipped = body.map((byte, at) => (at === 5 ? byte ^ 0x80 : byte));
  isWrong(
    'a bit of the body, under the old signature',
    SealedBundle.of(good, { capsule, body: flipped }, bundle.signature),
  );
  isWrong('a bit of the body, signed again', await sign(good, { capsule, body: flipped }));
  const short = body.slice(0, 200);
  isWrong(
    'a body that no bucket fits',
    await sign({ ...good, bodyBytes: 200 }, { capsule, body: short }),
  );
  isWrong(
    'a body of another length than the header says',
    await sign(good, { capsule, body: short }),
  );

  const replace = (part: Uint8Array, at: number) => {
    const wrong = capsule.slice();
    wrong.set(part, at);
    return wrong;
  };
  const { ZERO } = G1.Point;
  const infinity = ZERO.toBytes(true);
  const wide = be(fromBe(capsule.slice(192, 224)) + ORDER, 32);
  const notOnCurve = capsule.slice(0, 48);
  notOnCurve.set(fixed(0xff, 8), 40);
  const uncompressed = capsule.slice(0, 48).map((byte, at) => (at === 0 ? byte & 0x7f : byte));
  const signedInfinity = infinity.map((byte, at) => (at === 0 ? byte | 0x20 : byte));
  const capsules: [string, Uint8Array][] = [
    ['u is infinity', replace(infinity, 0)],
    ['u and ū are infinity', replace(concat(infinity, infinity), 0)],
    ['u is outside of the subgroup', replace(compress(outside), 0)],
    [
      'u plus a point of order 3',
      replace(compress(G1.Point.fromBytes(capsule.slice(0, 48)).add(small)), 0),
    ],
    ['u is not on the curve', replace(notOnCurve, 0)],
    ['u without the mark of compression', replace(uncompressed, 0)],
    ['w is infinity with a sign', replace(signedInfinity, 96)],
    ['w̄ is outside of the subgroup', replace(compress(outside), 144)],
    [
      'w and w̄ are points of order 3, the nonce being zero',
      prove(good, { r, n: 0n, masked }, body, [r, r], [ZERO, ZERO, small, small]),
    ],
    [
      'w̄ is a point of order 3, the nonce being zero',
      prove(good, { r, n: 0n, masked }, body, [r, r], [ZERO, ZERO, ZERO, small.negate()]),
    ],
    ['another ū', replace(capsule.slice(0, 48), 48)],
    ['another w', replace(capsule.slice(0, 48), 96)],
    ['another w̄', replace(capsule.slice(0, 48), 144)],
    ['ū of another exponent: the first equation holds', prove(good, steps, body, [r, r + 1n])],
    ['u of another exponent: the second equation holds', prove(good, steps, body, [r + 1n, r])],
    ['z plus the order', replace(wide, 192)],
    ['another z', replace(be(fromBe(capsule.slice(192, 224)) ^ 1n, 32), 192)],
    ['another v', replace(capsule.slice(224).reverse(), 224)],
    ['v of another bundle', replace(second.steps.masked, 224)],
    ['v is missing, 32 bytes less', capsule.slice(0, 224)],
    ['a byte less', capsule.slice(0, -1)],
    ['a byte more', concat(capsule, fixed(0, 1))],
  ];
  for (const [about, wrong] of capsules) {
    isWrong(`capsule: ${about}`, await sign(good, { capsule: wrong, body }));
  }

  const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const { signature } = bundle;
  const s = fromBe(signature.slice(32, 64));
  const v = signature[64] ?? 0;
  const signatures: [string, Uint8Array][] = [
    ['s in the upper half', concat(signature.slice(0, 32), be(n - s, 32), Uint8Array.of(55 - v))],
    ['v as 0 or 1', concat(signature.slice(0, 64), Uint8Array.of(v - 27))],
    ['the other v', concat(signature.slice(0, 64), Uint8Array.of(55 - v))],
    ['v as 29', concat(signature.slice(0, 64), Uint8Array.of(29))],
    ['all zeros', fixed(0, 65)],
    ['r plus one', concat(be(fromBe(signature.slice(0, 32)) + 1n, 32), signature.slice(32))],
  ];
  for (const [about, wrong] of signatures) {
    isWrong(`signature: ${about}`, SealedBundle.of(good, { capsule, body }, wrong));
  }
  return { undecodable, unacceptable };
}

export function refusedReceipts() {
  const { signature, ...rest } = receipt;
  const l = ed25519.Point.Fn.ORDER;
  const s = fromBe(signature.slice(32).reverse());
  const identity = ed25519.Point.ZERO.toBytes();
  const rows: [string, Partial<typeof receipt>][] = [
    ['another bundle', { bundleId: ids[1] ?? identity }],
    ['another time', { receivedMicros: rest.receivedMicros + 1n }],
    ['a later deadline', { deadlineHeight: rest.deadlineHeight + 1n }],
    ['another validator', { validator: 1 }],
    ['a validator that does not exist', { validator: 4 }],
    ['s plus the order', { signature: concat(signature.slice(0, 32), le(s + l, 32)) }],
    ['R of small order', { signature: concat(identity, signature.slice(32)) }],
    [
      'R of small order in an equation that holds',
      { signature: laxlySignedBy(receipt.validator, receiptDigest(network, receiptBody)) },
    ],
    ['a signature that is too short', { signature: signature.slice(0, 63) }],
    ['a signature of zeros', { signature: fixed(0, 64) }],
  ];
  return rows.map(([about, change]) => ({ about, ...receiptJson({ ...receipt, ...change }) }));
}

export function refusedCertificates() {
  const good = certificateBy([0, 2, 3]);
  const [one, two, three] = good.signatures;
  const rows: [string, Certificate][] = [
    ['too little power: 10 + 11 + 12 of 46, a quorum is 31', certificateBy([0, 1])],
    ['one signer twice', { ...good, signatures: [one, two, two, three].flatMap((s) => s ?? []) }],
    ['out of order', { ...good, signatures: [two, one, three].flatMap((s) => s ?? []) }],
    ['signatures of another round', { ...good, round: 3 }],
    ['for another block', { ...good, blockId: fixed(0x33) }],
    ['for another height', { ...good, height: 1n }],
    ['of another epoch', { ...good, epoch: 1n }],
    [
      'one signature is of another validator',
      {
        ...good,
        signatures: good.signatures.map((s, i) =>
          i === 1 && three ? { ...s, signature: three.signature } : s,
        ),
      },
    ],
    [
      'a signer that does not exist',
      {
        ...good,
        signatures: [
          ...good.signatures,
          { ...(three ?? good.signatures[0]), validator: 4 },
        ] as typeof good.signatures,
      },
    ],
  ];
  return rows.map(([about, certificate]) => ({ about, certificate: certificateJson(certificate) }));
}

export function refusedKeys() {
  const [publicKey, publicKeyG2] = [key.point.toBytes(true), key.pointG2.toBytes(true)];
  const row = (about: string, g1: Uint8Array, g2: Uint8Array, suite = 1) => ({
    about,
    suite,
    era: 0,
    public_key: toHex(g1),
    public_key_g2: toHex(g2),
  });
  return [
    row('another suite', publicKey, publicKeyG2, 2),
    row('PK is infinity', G1.Point.ZERO.toBytes(true), publicKeyG2),
    row('PK is outside of the subgroup', compress(outside), publicKeyG2),
    row('X₂ is infinity', publicKey, G2.Point.ZERO.toBytes(true)),
    row('both are infinity', G1.Point.ZERO.toBytes(true), G2.Point.ZERO.toBytes(true)),
    row('PK and X₂ are of different secrets', publicKey, G2.Point.BASE.toBytes(true)),
    row('PK plus a point of order 3', compress(key.point.add(small)), publicKeyG2),
  ];
}
