/** `sealed-bundle-v1.json`: every step of the page, and everything that must be refused. */

import { describe, expect, test } from 'vitest';

import vectors from '../../../tests/vectors/sealed-bundle-v1.json' with { type: 'json' };
import { blockId, bundleRoot, precommitDigest, verifyDecided } from '../src/block.js';
import { SealedBundle } from '../src/bundle.js';
import { be, toHex, type Hex } from '../src/bytes.js';
import { sealSteps } from '../src/capsule.js';
import { commitmentDigest } from '../src/committee.js';
import { EncodingError, KeyError, VerificationError } from '../src/errors.js';
import { encodeHeader, label } from '../src/header.js';
import { SealingKey } from '../src/key.js';
import { decodeLegs, encodeLegs, pad } from '../src/legs.js';
import { Network } from '../src/network.js';
import { receiptDigest, verifyReceipt } from '../src/receipt.js';
import { openBundle, readOpening } from '../src/opening.js';
import { verifyBeacon, verifyOpened } from '../src/reveal.js';
import { sealWithCoins } from '../src/seal.js';
import { privateKeySigner } from '../src/signer.js';
import { typedData, typedDataDigest } from '../src/typed-data.js';
import {
  blockResponse,
  bytes,
  certificateOf,
  electedOf,
  key,
  keyless,
  network,
  receiptOf,
} from './messages.js';

const bundleOf = (row: { bytes: string }) => SealedBundle.decode(bytes(row.bytes));
const decided = () => verifyDecided(network, blockResponse());
const first = vectors.bundles[0];
if (first === undefined) {
  throw new Error('the vectors hold bundles');
}

test('the network has the pinned id, key and quorum', () => {
  expect(network.id).toBe(vectors.network.id);
  expect(key.idHex).toBe(vectors.network.key_id);
  expect(toHex(key.proofBase.toBytes(true))).toBe(vectors.network.proof_base);
  expect(network.quorumPower).toBe(BigInt(vectors.network.quorum_power));
  expect(new Network(vectors.network.genesis, network.id).id).toBe(network.id);
});

test('a network that makes its key itself has the pinned id, and no key in its genesis', () => {
  const { genesis, id } = vectors.keyless_network;
  expect(keyless.id).toBe(id);
  expect(keyless.genesisKey).toBeUndefined();
  // Leaving the field out is the same as null.
  expect(genesis).toContain('"encryption_key":null,');
  expect(new Network(genesis.replace('"encryption_key":null,', '')).id).toBe(id);
});

describe.each(vectors.bundles)('bundle: $about', (row) => {
  const bundle = bundleOf(row);

  test('its bytes are its parts, and its id follows', () => {
    expect(toHex(encodeHeader(bundle.header))).toBe(row.header);
    expect(toHex(bundle.label)).toBe(row.label);
    expect([bundle.capsule, bundle.body, bundle.signature].map(toHex)).toEqual([
      row.capsule,
      row.body,
      row.signature,
    ]);
    expect(toHex(bundle.bytes)).toBe(row.bytes);
    expect(bundle.id).toBe(row.id);
  });

  test('it is admitted, and signed over the pinned digest', () => {
    bundle.verify(key);
    expect(toHex(typedDataDigest(typedData(bundle.header, bundle)))).toBe(row.typed_data_digest);
  });

  test('the coins give the pinned steps and, unless the sender left them, capsule and body', () => {
    const steps = sealSteps(key, label(bundle.header), bytes(row.plaintext), bytes(row.coins));
    const { seed, r, k, mask, masked, demKey, n } = steps;
    expect([seed, be(r, 32), k, mask, masked, demKey, be(n, 32)].map(toHex)).toEqual([
      row.seed,
      row.r,
      row.k,
      row.mask,
      row.v,
      row.dem_key,
      row.n,
    ]);
    const isAsTheStepsSay = row.capsule === toHex(steps.capsule);
    expect(isAsTheStepsSay).toBe(row.outcome !== 'BadCiphertext');
    if (isAsTheStepsSay) {
      expect([steps.capsule, steps.body].map(toHex)).toEqual([row.capsule, row.body]);
    }
  });

  test('its opening opens it to the pinned outcome', () => {
    const found = openBundle(key, bundle, readOpening(bytes(row.opening)));
    const isLegs = typeof found !== 'string';
    const judgedLater = ['UnknownRollup', 'DuplicateRollup'].includes(row.outcome);
    expect(isLegs ? 'opened' : found).toBe(judgedLater ? 'opened' : row.outcome);
    if (row.legs !== undefined) {
      expect(isLegs && toHex(pad(encodeLegs(found)))).toBe(row.plaintext);
      expect(decodeLegs(bytes(row.plaintext))).toEqual(found);
    }
  });
});

test.each(vectors.bundles.filter((row) => row.legs !== undefined))(
  'sealing with the pinned coins gives the pinned bytes: $about',
  async (row) => {
    const legs = row.legs.map(({ rollup, transaction }) => ({
      rollup: BigInt(rollup),
      transaction: bytes(transaction),
    }));
    const terms = {
      network,
      signer: privateKeySigner(row.payer_secret as Hex),
      nonce: { lane: BigInt(row.lane), sequence: BigInt(row.sequence) },
      validUntil: BigInt(row.valid_until),
      maxFeeGwei: BigInt(row.max_fee_gwei),
      priorityFeeGwei: BigInt(row.priority_fee_gwei),
    };
    // A fee of 2^64 - 1 can never be charged: sealing refuses what the vectors only encode.
    if (terms.priorityFeeGwei < 2n ** 63n) {
      const bundle = await sealWithCoins(legs, terms, bytes(row.coins));
      expect(toHex(bundle.bytes)).toBe(row.bytes);
    } else {
      const refused = sealWithCoins(legs, terms, bytes(row.coins));
      await expect(refused).rejects.toMatchObject({ code: 'input', field: 'maxFeeGwei' });
    }
  },
);

test('the receipt has the pinned digest and verifies', () => {
  const receipt = receiptOf(vectors.receipt);
  expect(toHex(receiptDigest(network, receipt))).toBe(vectors.receipt.digest);
  const { bundle_id: id } = vectors.receipt;
  expect(verifyReceipt(network, receipt, id as Hex).validator).toBe(2);
});

test('the block has the pinned id and root, and is decided', () => {
  const response = blockResponse();
  const { header, certificate, bundleIds } = response;
  if (header === undefined || certificate === undefined) {
    throw new Error('the vectors hold a block');
  }
  expect(toHex(blockId(header))).toBe(vectors.block.id);
  expect(toHex(bundleRoot(bundleIds))).toBe(vectors.block.header.bundle_root);
  expect(toHex(precommitDigest(network, certificate))).toBe(vectors.block.precommit_digest);
  expect(verifyDecided(network, response).signers).toEqual([0, 2, 3]);
  for (const { count, root } of vectors.roots) {
    expect(toHex(bundleRoot(bundleIds.slice(0, count)))).toBe(root);
  }
});

test.each(vectors.bundles)('the revealed block shows the outcome and place of: $about', (row) => {
  const block = decided();
  const opened = verifyOpened(network, key, block, bundleOf(row));
  const index = vectors.bundles.indexOf(row);
  const place = vectors.reveal.order.findIndex(({ bundle }) => bundle === index);
  expect(opened.undecryptable ?? 'opened').toBe(row.outcome);
  expect(opened.position).toBe(place);
  expect(opened.draw).toBe(vectors.reveal.order[place]?.draw);
});

test('a revealed block is opened by the key that it names, and by no other', () => {
  const { idBytes } = keyless;
  const block = decided();
  const [made] = vectors.key_responses;
  const other = new SealingKey(idBytes, {
    suite: 1,
    era: 0,
    publicKey: bytes(made?.response.public_key ?? '0x'),
    publicKeyG2: bytes(made?.response.public_key_g2 ?? '0x'),
  });
  expect(block.keyId).toBe(key.idHex);
  expect(() => verifyOpened(network, other, block, bundleOf(first))).toThrow(KeyError);
});

test('the committees are followed, and each decides in its own epoch', () => {
  const client = new Network(vectors.network.genesis);
  const digests = vectors.committees.map((row) => {
    const elected = electedOf(row);
    const { commitment } = elected.certificate ?? {};
    client.elect(elected);
    const committee = client.committeeOf(elected.epoch);
    return [
      committee && toHex(committee.digest),
      commitment && toHex(commitmentDigest(client.domain, commitment)),
    ];
  });
  expect(digests).toEqual(
    vectors.committees.map((row) => [row.committee_digest, row.commitment_digest]),
  );
  expect(client.nextElection).toBe(4n);
  // What is known is not taken again, and the newest seat of a validator is the one that counts.
  vectors.committees.slice(0, 1).forEach((row) => {
    client.elect(electedOf(row));
  });
  expect(client.nextElection).toBe(4n);
  const seats = [0, 1, 2, 4, 9].map((index) => {
    const committee = client.newestWith(index);
    return [1n, 2n, 3n].find((epoch) => client.committeeOf(epoch) === committee);
  });
  expect(seats).toEqual([1n, 2n, 3n, 3n, undefined]);
});

test.each(vectors.odd_bundles)('admitted and opened although it looks odd: $about', (row) => {
  const bundle = bundleOf(row);
  bundle.verify(key);
  const opening = readOpening(bytes(row.opening));
  expect(openBundle(key, bundle, opening)).toEqual(decodeLegs(bytes(first.plaintext)));
});

test('the beacon follows from its opening', () => {
  const opening = readOpening(bytes(vectors.reveal.openings[0] ?? '0x'));
  expect(toHex(verifyBeacon(key, decided(), opening))).toBe(vectors.reveal.beacon);
});

test('openings stand in the order of the bundles, behind that of the beacon', () => {
  const { openings } = vectors.reveal;
  expect(openings.slice(1)).toEqual(vectors.bundles.map(({ opening }) => opening));
  // 12 that were sealed from a seed, whatever is in them, and three that were not.
  expect(vectors.bundles.map(({ opening, seed }) => opening === seed)).toEqual([
    ...new Array<boolean>(12).fill(true),
    ...new Array<boolean>(3).fill(false),
  ]);
});

describe('refused', () => {
  const { refused } = vectors;

  test.each(refused.keys)('key: $about', (row) => {
    const wrong = {
      suite: row.suite,
      era: row.era,
      publicKey: bytes(row.public_key),
      publicKeyG2: bytes(row.public_key_g2),
    };
    expect(() => new SealingKey(network.idBytes, wrong)).toThrow(KeyError);
  });

  test.each(refused.bundles.undecodable)('bytes: $about', (row) => {
    expect(() => bundleOf(row)).toThrow(EncodingError);
  });

  test.each(refused.bundles.unacceptable)('bundle: $about', (row) => {
    // A part that is malformed is one error, a claim that does not hold the other.
    const isMalformed = /infinity|u is outside|curve|order|mark|bytes? (?:less|more)/.test(
      row.about,
    );
    expect(() => {
      bundleOf(row).verify(key);
    }).toThrow(isMalformed ? EncodingError : VerificationError);
  });

  const misplaced = refused.bundles.unacceptable.filter(({ about }) =>
    /^capsule: (u (?:is|plus|without)|a byte|v is missing)/.test(about),
  );
  test.each(misplaced)('to open a bundle: $about', (row) => {
    for (const opening of [first.k, first.seed].map(bytes).map(readOpening)) {
      const open = () => openBundle(key, bundleOf(row), opening);
      const isMalformed = opening.kind === 'point' || !row.about.includes(': u');
      expect(open).toThrow(isMalformed ? EncodingError : VerificationError);
    }
  });

  test.each(refused.receipts)('receipt: $about', (row) => {
    const receipt = receiptOf(row);
    expect(() => verifyReceipt(network, receipt, vectors.receipt.bundle_id as Hex)).toThrow(
      VerificationError,
    );
  });

  test.each(refused.certificates)('certificate: $about', (row) => {
    const response = { ...blockResponse(), certificate: certificateOf(row.certificate) };
    expect(() => verifyDecided(network, response)).toThrow(VerificationError);
  });

  test.each(refused.committees)('committee: $about', (row) => {
    const client = new Network(vectors.network.genesis);
    const error = row.fault === 'Encoding' ? EncodingError : VerificationError;
    expect(() => {
      client.elect(electedOf(row));
    }).toThrow(error);
    expect(client.nextElection).toBe(2n);
  });

  test.each(refused.openings)('opening of $bundle: $about', (row) => {
    const open = () => {
      const opening = readOpening(bytes(row.opening));
      const of = row.bundle === null ? undefined : vectors.bundles[row.bundle];
      return of ? openBundle(key, bundleOf(of), opening) : verifyBeacon(key, decided(), opening);
    };
    expect(open).toThrow(row.fault === 'Encoding' ? EncodingError : VerificationError);
  });
});

test('a genesis of which one field is another has another id', () => {
  const changes: [string, string][] = [
    ['"time":1700000000000000', '"time":1700000000000001'],
    ['"bundle_fee_gwei":1000', '"bundle_fee_gwei":1001'],
    ['"sharing":{"suite":1,"secrecy":2', '"sharing":{"suite":1,"secrecy":3'],
    ['"stage_heights":100', '"stage_heights":101'],
    ['"complaint_heights":20', '"complaint_heights":21'],
    ['"repair_heights":1000', '"repair_heights":1001'],
    ['"epoch_heights":100000', '"epoch_heights":0'],
    ['"era_epochs":36', '"era_epochs":0'],
    ['"overlap_heights":1000', '"overlap_heights":999'],
    [/"encryption_key":\{.*?\}/.exec(vectors.network.genesis)?.[0] ?? '', '"encryption_key":null'],
    ['"power":13', '"power":14'],
    ['18446744073709551615', '18446744073709551614'],
    ['naïve', 'naive'],
  ];
  for (const [from, to] of changes) {
    expect(vectors.network.genesis).toContain(from);
    const other = vectors.network.genesis.replace(from, to);
    expect(() => new Network(other, network.id)).toThrow(/expected 0x/);
  }
});
