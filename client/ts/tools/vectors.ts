/**
 * Computes `tests/vectors/sealed-bundle-v1.json` from fixed secrets: one network, bundles in it, one block
 * of them, and everything that must be refused. The Rust code checks the file (`client/tests/vectors.rs`);
 * it computes none of it. Run as `npm run vectors`; a file that changes is a protocol change.
 */

import { writeFileSync } from 'node:fs';

import { bls12_381 } from '@noble/curves/bls12-381.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { format, resolveConfig } from 'prettier';

import { create } from '@bufbuild/protobuf';

import { blockId, bundleRoot, precommitDigest } from '../src/block.js';
import { SealedBundle } from '../src/bundle.js';
import { be, concat, fromBe, fromHex, le, toHex, type Hex } from '../src/bytes.js';
import { sealSteps } from '../src/capsule.js';
import { GetBlockResponseSchema } from '../src/gen/conclave/v1/node_pb.js';
import { BlockHeaderSchema, CertificateSchema } from '../src/gen/conclave/v1/types_pb.js';
import { encodeHeader, label, type BundleHeader } from '../src/header.js';
import { keccak, tagged } from '../src/hashing.js';
import { encodeLegs, pad, TAG_BYTES, type Leg } from '../src/legs.js';
import { Network } from '../src/network.js';
import { hashToG1, ORDER } from '../src/points.js';
import { receiptDigest } from '../src/receipt.js';
import { privateKeySigner, signBundle } from '../src/signer.js';
import { typedData, typedDataDigest } from '../src/typed-data.js';

const { G1, G2 } = bls12_381;
const PATH = new URL('../../../tests/vectors/sealed-bundle-v1.json', import.meta.url);

/** Fixed and recognisable, and worth nothing. */
const fixed = (byte: number, length = 32) => new Uint8Array(length).fill(byte);
const SECRET = fromBe(keccak(fixed(0x5e))) % ORDER;
const PAYERS: Hex[] = [toHex(fixed(0x01)), toHex(fixed(0x02))];
const CONSENSUS = [0x11, 0x12, 0x13, 0x14].map((byte) => fixed(byte));

// --- the network -----------------------------------------------------------------------------------

/** Integers above 2^53 are spelt out: JSON allows them, and readers that round them find another id. */
function genesisJson(): string {
  const integers: Record<string, string> = {};
  const exact = (value: bigint) => {
    const name = `@${Object.keys(integers).length}@`;
    integers[name] = value.toString();
    return name;
  };
  const g2 = (scalar: bigint) => toHex(G2.Point.BASE.multiply(scalar).toBytes(true));
  const genesis = {
    name: 'vectors: "quoted", naïve',
    time: 1_700_000_000_000_000,
    l1_chain_id: 31_337,
    l1_contract: toHex(fixed(0x22, 20)),
    l1_origin: { number: 19_000_000, hash: toHex(fixed(0x63)) },
    params: {
      fees: { bundle_fee_gwei: 1_000, byte_fee_gwei: 10 },
      limits: {
        block_bundles_max: 512,
        block_bytes_max: 4_194_304,
        bundle_lifetime_max: 10_000,
        reveal_lag_max: 16,
      },
      timing: {
        block_interval_ms: 50,
        idle_interval_ms: 500,
        propose_timeout_ms: 2_000,
        vote_timeout_ms: 500,
        timeout_step_ms: 500,
        inclusion_delay_ms: 4_000,
        clock_drift_max_ms: 500,
      },
    },
    members: CONSENSUS.map((seed, index) => ({
      name: `validator-${index}`,
      consensus_key: toHex(ed25519.getPublicKey(seed)),
      network_key: toHex(ed25519.getPublicKey(fixed(0x21 + index))),
      power: 10 + index,
    })),
    encryption_key: {
      suite: 1,
      era: 0,
      secrecy: 2,
      packing: 1,
      public_key: toHex(G1.Point.BASE.multiply(SECRET).toBytes(true)),
      public_key_g2: g2(SECRET),
      verification_keys: CONSENSUS.map((_, index) => g2(shareOf(BigInt(index) + 1n))),
    },
    rollups: [
      { id: 901, name: 'rollup-901', gas_limit: 30_000_000 },
      { id: exact(2n ** 53n + 1n), name: 'rollup-wide', gas_limit: exact(2n ** 64n - 1n) },
    ],
    accounts: PAYERS.map((secret) => ({
      address: privateKeySigner(secret).address,
      balance: exact(2n ** 63n + 12_345n),
    })),
  };
  return JSON.stringify(genesis).replace(/"(@\d+@)"/g, (_, name: string) => integers[name] ?? '');
}

/** S(x) = sk + (x − d)·T(x) with the one slot d = −1 and T of two coefficients: a sharing for four. */
function shareOf(x: bigint): bigint {
  const [t0, t1] = [fromBe(keccak(fixed(0x70))), fromBe(keccak(fixed(0x71)))];
  return (SECRET + (x + 1n) * (t0 + t1 * x)) % ORDER;
}

const genesis = genesisJson();
const network = new Network(genesis);
const { key } = network;
const other = new Network(genesis.replace('"time":1700000000000000', '"time":1700000000000001'));

// --- bundles ---------------------------------------------------------------------------------------

interface Case {
  readonly about: string;
  readonly plaintext: Uint8Array;
  readonly legs?: Leg[];
  readonly outcome: string;
  readonly terms?: Partial<BundleHeader>;
  readonly payer?: number;
  /** What is sent instead of the ciphertext that opens. */
  readonly garble?: boolean;
}

const leg = (rollup: bigint, length: number, byte = 0xab): Leg => ({
  rollup,
  transaction: fixed(byte, length),
});

function ofLegs(about: string, legs: Leg[], terms?: Partial<BundleHeader>, payer = 0): Case {
  return {
    about,
    legs,
    plaintext: encodeLegs(legs),
    outcome: 'opened',
    payer,
    ...(terms && { terms }),
  };
}

const WIDE = 2n ** 64n - 1n;
const CASES: Case[] = [
  ofLegs('one leg', [leg(901n, 120)]),
  ofLegs('an empty transaction', [leg(901n, 0)], { sequence: 1n }),
  ofLegs(
    'two legs that fill their bucket to the last byte',
    [leg(901n, 100), leg(2n ** 53n + 1n, 128)],
    { sequence: 2n },
  ),
  ofLegs(
    'one byte more than a bucket, every number at its widest',
    [leg(2n ** 53n + 1n, 241)],
    { lane: WIDE, sequence: WIDE, maxFeeGwei: WIDE, priorityFeeGwei: WIDE, validUntil: WIDE },
    1,
  ),
  {
    about: 'a body that does not decrypt',
    plaintext: encodeLegs([leg(901n, 9)]),
    outcome: 'BadCiphertext',
    garble: true,
    terms: { sequence: 3n },
  },
  {
    about: 'a byte in the padding',
    plaintext: concat(encodeLegs([leg(901n, 9)]), fixed(0, 7), fixed(1, 1)),
    outcome: 'BadEncoding',
    terms: { sequence: 4n },
  },
  {
    about: 'more legs than the plaintext holds',
    plaintext: concat(le(0xffffffff, 4), encodeLegs([leg(901n, 9)]).slice(4)),
    outcome: 'BadEncoding',
    terms: { sequence: 5n },
  },
  {
    about: 'a second leg that is made of the padding: rollup 0, no bytes',
    plaintext: concat(le(2, 4), encodeLegs([leg(901n, 9)]).slice(4)),
    outcome: 'UnknownRollup',
    terms: { sequence: 10n },
  },
  {
    about: 'a transaction longer than the plaintext',
    plaintext: concat(le(1, 4), le(901, 8), le(0xffffffff, 4)),
    outcome: 'BadEncoding',
    terms: { sequence: 6n },
  },
  { about: 'no legs', plaintext: le(0, 4), outcome: 'NoLegs', terms: { sequence: 7n } },
  {
    about: 'a rollup that is not registered',
    plaintext: encodeLegs([leg(4_711n, 9)]),
    outcome: 'UnknownRollup',
    terms: { sequence: 8n },
  },
  {
    about: 'two legs for one rollup',
    plaintext: encodeLegs([leg(901n, 9), leg(901n, 9)]),
    outcome: 'DuplicateRollup',
    terms: { sequence: 9n },
  },
];

function headerOf({ terms = {}, payer = 0 }: Case, padded: Uint8Array): BundleHeader {
  return {
    network: network.id,
    suite: 1,
    keyId: key.idHex,
    payer: privateKeySigner(PAYERS[payer] ?? '0x').address,
    lane: 7n,
    sequence: 0n,
    maxFeeGwei: 50_000n,
    priorityFeeGwei: 9n,
    validUntil: 1_000n,
    bodyBytes: padded.length + TAG_BYTES,
    ...terms,
  };
}

/** A capsule's proof for any body, made with r for exponents that need not be r. */
function prove(
  header: BundleHeader,
  { r, n }: { r: bigint; n: bigint },
  body: Uint8Array,
  [ofU, ofUBar] = [r, r],
): Uint8Array {
  const multiples: [typeof key.proofBase, bigint][] = [
    [G1.Point.BASE, ofU],
    [key.proofBase, ofUBar],
    [G1.Point.BASE, n],
    [key.proofBase, n],
  ];
  const points = concat(...multiples.map(([base, by]) => base.multiply(by).toBytes(true)));
  const e = key.scalar('conclave/capsule-proof/v1', label(header), keccak(body), points);
  return concat(points, be((n + e * r) % ORDER, 32));
}

async function sign(
  header: BundleHeader,
  parts: { capsule: Uint8Array; body: Uint8Array },
  payer = 0,
) {
  const signature = await signBundle(
    privateKeySigner(PAYERS[payer] ?? '0x'),
    typedData(header, parts),
  );
  return SealedBundle.of(header, parts, signature);
}

async function bundleOf(row: Case, index: number) {
  const seed = keccak(fixed(0xc0 + index));
  const padded = pad(row.plaintext);
  const header = headerOf(row, padded);
  const steps = sealSteps(key, label(header), padded, seed);
  let parts = { capsule: steps.capsule, body: steps.body };
  if (row.garble === true) {
    const body = steps.body.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
    parts = { capsule: prove(header, steps, body), body };
  }
  const bundle = await sign(header, parts, row.payer);
  return { row, seed, padded, header, steps, bundle };
}

const bundles = await Promise.all(CASES.map(bundleOf));
type Bundled = (typeof bundles)[number];
const [first] = bundles as [Bundled, ...Bundled[]];

// --- receipt, block, reveal ------------------------------------------------------------------------

const signedBy = (validator: number, digest: Uint8Array) =>
  ed25519.sign(digest, CONSENSUS[validator] ?? new Uint8Array());

const receiptBody = {
  bundleId: fromHex(first.bundle.id, 'id'),
  receivedMicros: 1_700_000_000_123_456n,
  deadlineHeight: 777n,
};
const receipt: {
  bundleId: Uint8Array;
  receivedMicros: bigint;
  deadlineHeight: bigint;
  validator: number;
  signature: Uint8Array;
} = {
  ...receiptBody,
  validator: 2,
  signature: signedBy(2, receiptDigest(network, receiptBody)),
};

const ids = bundles.map(({ bundle }) => fromHex(bundle.id, 'id'));
const header = create(BlockHeaderSchema, {
  networkId: network.idBytes,
  height: 1_234_567n,
  parent: fixed(0x61),
  parentCertificate: fixed(0x62),
  proposer: 3,
  timeMicros: 1_700_000_001_000_001n,
  epoch: 0n,
  l1Origin: { number: 19_000_000n, hash: fixed(0x63) },
  l1EntriesRoot: fixed(0x67),
  bundleRoot: bundleRoot(ids),
  bundleCount: ids.length,
  revealedHeight: 1_234_560n,
  revealDigest: fixed(0x65),
  ledgerDigest: fixed(0x66),
});

function certificateBy(validators: number[], round = 2) {
  const { height, epoch } = header;
  const bare = create(CertificateSchema, { epoch, height, round, blockId: blockId(header) });
  const digest = precommitDigest(network, bare);
  const signatures = validators.map((validator) => ({
    validator,
    signature: signedBy(validator, digest),
  }));
  return create(CertificateSchema, { epoch, height, round, blockId: blockId(header), signatures });
}

const BEACON_DST = 'CONCLAVE-V1-CS01-BEACON-BLS12381G1_XMD:SHA-256_SSWU_RO_';
const beaconPoint = hashToG1(
  concat(network.idBytes, key.id, be(header.height, 8), blockId(header)),
  BEACON_DST,
);
const opened = (u: Uint8Array) => G1.Point.fromBytes(u).multiply(SECRET).toBytes(true);
const openings = [
  beaconPoint.multiply(SECRET).toBytes(true),
  ...bundles.map(({ bundle }) => opened(bundle.capsule.slice(0, 48))),
];
const beacon = tagged('conclave/beacon/v1', openings[0] ?? new Uint8Array());
const draws = ids.map((id) => toHex(tagged('conclave/draw/v1', beacon, id)));

/** Draws of one lane are dealt out in nonce order, then all stand in the order of what they hold. */
function order() {
  const lanes = new Map<string, number[]>();
  bundles.forEach(({ header: { payer, lane } }, index) => {
    const name = `${payer}/${lane}`;
    lanes.set(name, [...(lanes.get(name) ?? []), index]);
  });
  const sequence = (index: number) => bundles[index]?.header.sequence ?? 0n;
  const held = [...lanes.values()].flatMap((lane) => {
    const members = [...lane].sort((a, b) => (sequence(a) < sequence(b) ? -1 : 1));
    const sorted = members.map((index) => draws[index] ?? '0x').sort();
    return members.map((index, at) => ({ index, draw: sorted[at] ?? '0x' }));
  });
  return held.sort((a, b) => (a.draw < b.draw ? -1 : 1));
}

const response = create(GetBlockResponseSchema, {
  blockId: blockId(header),
  header,
  certificate: certificateBy([0, 2, 3]),
  bundleIds: ids,
});

// --- what must be refused --------------------------------------------------------------------------

/** A point of the curve outside of the subgroup, and one whose order is 3. */
function strangers() {
  const { Fp } = bls12_381.fields;
  let x = 4n;
  for (;;) {
    try {
      const y = Fp.sqrt(Fp.add(Fp.pow(x, 3n), 4n));
      const point = G1.Point.fromAffine({ x, y });
      if (!point.isTorsionFree()) {
        const h = 0x396c8c005555e1568c00aaab0000aaabn;
        const small = times(point, (h / 3n) * ORDER);
        if (!small.is0()) {
          return { outside: point, small: times(small, 3n).is0() ? small : times(small, h / 3n) };
        }
      }
    } catch {
      // No root: no point has this x.
    }
    x += 1n;
  }
}

/** The encoding of a point wherever it lies; the library's own method refuses those outside. */
function compress(point: InstanceType<typeof G1.Point>): Uint8Array {
  const { x, y } = point.toAffine();
  const bytes = be(x, 48);
  const isLarger = y > bls12_381.fields.Fp.ORDER / 2n;
  bytes.set([(bytes[0] ?? 0) | 0x80 | (isLarger ? 0x20 : 0)]);
  return bytes;
}

/** A multiple by a number beyond the order, which the library's own method refuses. */
function times(point: InstanceType<typeof G1.Point>, factor: bigint) {
  let sum = G1.Point.ZERO;
  for (const bit of factor.toString(2)) {
    sum = sum.double();
    sum = bit === '1' ? sum.add(point) : sum;
  }
  return sum;
}

const { outside, small } = strangers();

interface Refused {
  readonly about: string;
  readonly bytes: Hex;
}

async function refusedBundles(): Promise<{ undecodable: Refused[]; unacceptable: Refused[] }> {
  const { bundle, header: good, steps } = first;
  const { r } = steps;
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
  const infinity = G1.Point.ZERO.toBytes(true);
  const wide = be(fromBe(capsule.slice(192)) + ORDER, 32);
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
    ['another ū', replace(capsule.slice(0, 48), 48)],
    ['another w', replace(capsule.slice(0, 48), 96)],
    ['another w̄', replace(capsule.slice(0, 48), 144)],
    ['ū of another exponent: the first equation holds', prove(good, steps, body, [r, r + 1n])],
    ['u of another exponent: the second equation holds', prove(good, steps, body, [r + 1n, r])],
    ['z plus the order', replace(wide, 192)],
    ['another z', replace(be(fromBe(capsule.slice(192)) ^ 1n, 32), 192)],
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

/** A signature by whoever has the key, of a form that only some implementations take: R is infinity. */
function smallR(): Uint8Array {
  const digest = receiptDigest(network, receiptBody);
  const r = ed25519.Point.ZERO.toBytes();
  const { scalar, pointBytes } = ed25519.utils.getExtendedPublicKey(
    CONSENSUS[receipt.validator] ?? new Uint8Array(),
  );
  const k = fromBe(sha512(concat(r, pointBytes, digest)).reverse()) % ed25519.Point.Fn.ORDER;
  return concat(r, le((k * scalar) % ed25519.Point.Fn.ORDER, 32));
}

function refusedReceipts() {
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
    ['R of small order in an equation that holds', { signature: smallR() }],
    ['a signature that is too short', { signature: signature.slice(0, 63) }],
    ['a signature of zeros', { signature: fixed(0, 64) }],
  ];
  return rows.map(([about, change]) => ({ about, ...receiptJson({ ...receipt, ...change }) }));
}

function refusedOpenings() {
  const k = G1.Point.fromBytes(openings[1] ?? new Uint8Array());
  const rows: [string, Uint8Array][] = [
    ['the opening of another bundle', openings[2] ?? new Uint8Array()],
    ['k plus a point of order 3, which the pairing alone lets through', compress(k.add(small))],
    ['−k', k.negate().toBytes(true)],
    ['infinity', G1.Point.ZERO.toBytes(true)],
    ['a byte too few', k.toBytes(true).slice(1)],
  ];
  return rows.map(([about, opening]) => ({ about, opening: toHex(opening) }));
}

function refusedCertificates() {
  const good = certificateBy([0, 2, 3]);
  const [one, two, three] = good.signatures;
  const rows: [string, ReturnType<typeof certificateBy>][] = [
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

function refusedKeys() {
  const { publicKey, publicKeyG2 } = network.genesis.encryptionKey;
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

// --- the file --------------------------------------------------------------------------------------

function receiptJson(body: typeof receipt) {
  return {
    bundle_id: toHex(body.bundleId),
    validator: body.validator,
    received_micros: body.receivedMicros.toString(),
    deadline_height: body.deadlineHeight.toString(),
    signature: toHex(body.signature),
  };
}

function certificateJson(certificate: ReturnType<typeof certificateBy>) {
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

function bundleJson({ row, seed, padded, header, steps, bundle }: Bundled, index: number) {
  const data = typedData(header, bundle);
  return {
    about: row.about,
    payer_secret: PAYERS[row.payer ?? 0],
    seed: toHex(seed),
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
    r: toHex(be(steps.r, 32)),
    n: toHex(be(steps.n, 32)),
    k: toHex(steps.k),
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

const file = {
  network: {
    genesis,
    id: network.id,
    encryption_secret: toHex(be(SECRET, 32)),
    consensus_secrets: CONSENSUS.map(toHex),
    key_id: key.idHex,
    proof_base: toHex(key.proofBase.toBytes(true)),
    quorum_power: network.quorumPower.toString(),
  },
  bundles: bundles.map(bundleJson),
  receipt: { ...receiptJson(receipt), digest: toHex(receiptDigest(network, receiptBody)) },
  block: {
    header: {
      network: network.id,
      height: header.height.toString(),
      parent: toHex(header.parent),
      parent_certificate: toHex(header.parentCertificate),
      proposer: header.proposer,
      time_micros: header.timeMicros.toString(),
      epoch: header.epoch.toString(),
      l1_number: '19000000',
      l1_hash: toHex(fixed(0x63)),
      l1_entries_root: toHex(fixed(0x67)),
      bundle_root: toHex(header.bundleRoot),
      bundle_count: header.bundleCount,
      revealed_height: header.revealedHeight.toString(),
      reveal_digest: toHex(header.revealDigest),
      ledger_digest: toHex(header.ledgerDigest),
    },
    id: toHex(response.blockId),
    bundle_ids: ids.map(toHex),
    precommit_digest: toHex(precommitDigest(network, certificateBy([]))),
    certificate: certificateJson(certificateBy([0, 2, 3])),
  },
  reveal: {
    beacon_point: toHex(beaconPoint.toBytes(true)),
    openings: openings.map(toHex),
    beacon: toHex(beacon),
    draws,
    order: order().map(({ index, draw }) => ({ bundle: index, draw })),
  },
  roots: [0, 1, 2, 3, 5, 8].map((count) => ({
    count,
    root: toHex(bundleRoot(ids.slice(0, count))),
  })),
  refused: {
    keys: refusedKeys(),
    bundles: await refusedBundles(),
    receipts: refusedReceipts(),
    certificates: refusedCertificates(),
    openings: refusedOpenings(),
  },
};

const style = await resolveConfig(new URL('../package.json', import.meta.url));
const text = await format(JSON.stringify(file), { ...style, parser: 'json' });
writeFileSync(PATH, text);
console.log(`wrote ${PATH.pathname}: ${text.length} bytes`);
