/** Sealing as a caller sees it: what comes out, which wallets fit, and what is refused. */

import { Wallet } from 'ethers';
import { privateKeyToAccount } from 'viem/accounts';
import { describe, expect, test } from 'vitest';

import vectors from '../../../tests/vectors/sealed-bundle-v1.json' with { type: 'json' };
import { toHex } from '../src/bytes.js';
import {
  eip1193Signer,
  ethersSigner,
  InputError,
  KeyError,
  Network,
  NetworkError,
  privateKeySigner,
  seal,
  SignerError,
  type Hex,
  type LegInput,
  type PayerSigner,
  type SealTerms,
} from '../src/index.js';
import { sealWithCoins } from '../src/seal.js';
import { genesisKey, key, keyless, network } from './messages.js';

const KEY: Hex = `0x${'01'.repeat(32)}`;
const account = privateKeyToAccount(KEY);
const legs: LegInput[] = [{ rollup: 901, transaction: '0x02f8' }];
const terms: SealTerms = {
  network,
  signer: account,
  nonce: { lane: 0, sequence: 0 },
  validUntil: 1_000,
};

describe('signers', () => {
  const coins = new Uint8Array(32).fill(7);
  const expected = sealWithCoins(legs, { ...terms, signer: privateKeySigner(KEY) }, coins);
  const provider = {
    request: async ({
      method,
      params,
    }: {
      method: string;
      params: unknown[];
    }): Promise<unknown> => {
      expect(method).toBe('eth_signTypedData_v4');
      const [address, json] = params as [string, string];
      expect(address).toBe(account.address.toLowerCase());
      type Typed = Parameters<typeof account.signTypedData>[0];
      return account.signTypedData(JSON.parse(json) as Typed);
    },
  };
  const signers: [string, () => Promise<PayerSigner> | PayerSigner][] = [
    ['a viem account', () => account],
    ['an ethers wallet', () => ethersSigner(new Wallet(KEY))],
    ['a browser wallet', () => eip1193Signer(provider, account.address)],
  ];

  test.each(signers)('%s signs what a key in memory signs', async (_, make) => {
    const bundle = await sealWithCoins(legs, { ...terms, signer: await make() }, coins);
    expect(bundle.bytes).toEqual((await expected).bytes);
    bundle.verify(key);
  });

  const answers: [string, (signature: Hex) => Hex][] = [
    ['v as 0 or 1', (s) => `0x${s.slice(2, -2)}0${Number(`0x${s.slice(-2)}`) - 27}`],
    ['s in the upper half', upper],
  ];
  test.each(answers)('an answer with %s is brought into the one form', async (_, change) => {
    const signer = {
      address: account.address,
      signTypedData: async (data: Parameters<PayerSigner['signTypedData']>[0]) =>
        change(await account.signTypedData(data)),
    };
    const bundle = await sealWithCoins(legs, { ...terms, signer }, coins);
    expect(bundle.bytes).toEqual((await expected).bytes);
  });

  const failures: [string, () => Promise<Hex>][] = [
    ['refuses', () => Promise.reject(new Error('no'))],
    ['answers with something else', () => Promise.resolve('0x')],
    ['answers with a contract’s signature', () => Promise.resolve<Hex>(`0x${'ab'.repeat(130)}`)],
    [
      'signs with another key',
      () => privateKeyToAccount(`0x${'02'.repeat(32)}`).signMessage({ message: '' }),
    ],
  ];
  test.each(failures)('a signer that %s is an error of the signer', async (_, signTypedData) => {
    const signer = { address: account.address, signTypedData };
    await expect(seal(legs, { ...terms, signer })).rejects.toBeInstanceOf(SignerError);
  });

  test('what is no key is refused without being repeated', () => {
    for (const wrong of ['0x', '0x01', `0x${'00'.repeat(32)}`, `0x${'ff'.repeat(32)}`, 'hunter2']) {
      const make = () => privateKeySigner(wrong as Hex);
      expect(make).toThrow(InputError);
      expect(make).not.toThrow(wrong.length > 2 ? wrong.slice(2) : 'nothing of the kind');
    }
  });
});

/** The other valid signature of the same digest. */
function upper(signature: Hex): Hex {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const s = order - BigInt(`0x${signature.slice(66, 130)}`);
  const v = 55 - Number(`0x${signature.slice(130)}`);
  return `0x${signature.slice(2, 66)}${s.toString(16).padStart(64, '0')}${v.toString(16)}`;
}

test('two seals of the same legs share nothing but the header', async () => {
  const [one, other] = [await seal(legs, terms), await seal(legs, terms)];
  expect(one.header).toEqual(other.header);
  expect(one.body).not.toEqual(other.body);
  expect(one.capsule).not.toEqual(other.capsule);
  expect(one.id).not.toBe(other.id);
  one.verify(key);
});

test('a generator that repeats itself does not make two bundles share anything secret', async () => {
  const coins = new Uint8Array(32).fill(7);
  const other: LegInput[] = [{ rollup: 901, transaction: '0x02f9' }];
  const bundles = await Promise.all([
    sealWithCoins(legs, terms, coins),
    sealWithCoins(other, terms, coins),
    sealWithCoins(legs, { ...terms, nonce: { lane: 0, sequence: 1 } }, coins),
  ]);
  // u, w and v: of the exponents, the nonces and the masked seeds no two are the same.
  for (const [from, to] of [
    [0, 48],
    [96, 144],
    [224, 256],
  ]) {
    const parts = bundles.map(({ capsule }) => toHex(capsule.slice(from, to)));
    expect(new Set(parts).size).toBe(bundles.length);
  }
});

test.each([0, 31, 33])('%i bytes are no coins', async (length) => {
  const sealing = sealWithCoins(legs, terms, new Uint8Array(length));
  await expect(sealing).rejects.toMatchObject({ code: 'input', field: 'coins' });
});

test('legs of any size in one bucket look alike', async () => {
  const lengths = [0, 1, 100, 256 - 16];
  const bundles = await Promise.all(
    lengths.map((length) => seal([{ rollup: 901, transaction: new Uint8Array(length) }], terms)),
  );
  expect(bundles.map((bundle) => bundle.bytes.length)).toEqual(
    lengths.map(() => 129 + 4 + 256 + 4 + 272 + 65),
  );
});

test('by default twice the present charge may be taken', async () => {
  const { header } = await seal(legs, { ...terms, priorityFeeGwei: 5 });
  expect(header.maxFeeGwei).toBe(2n * (1_000n + 10n * 272n + 5n));
});

const refused: [string, LegInput[], Partial<SealTerms>, string][] = [
  ['no legs', [], {}, 'legs'],
  ['two legs for one rollup', [...legs, ...legs], {}, 'legs'],
  ['more than a bucket holds', [{ rollup: 901, transaction: new Uint8Array(131_057) }], {}, 'legs'],
  ['a rollup that is not registered', [{ rollup: 4711, transaction: '0x' }], {}, 'legs'],
  [
    'a rollup number that was rounded',
    [{ rollup: 2 ** 53, transaction: '0x' }],
    {},
    'legs[0].rollup',
  ],
  [
    'a transaction that is no hexadecimal',
    [{ rollup: 901, transaction: '0xf' }],
    {},
    'legs[0].transaction',
  ],
  ['a negative lane', legs, { nonce: { lane: -1, sequence: 0 } }, 'nonce.lane'],
  [
    'a sequence beyond 64 bits',
    legs,
    { nonce: { lane: 0, sequence: 2n ** 64n } },
    'nonce.sequence',
  ],
  ['a fee limit below the charge', legs, { maxFeeGwei: 3_719 }, 'maxFeeGwei'],
  ['half a height', legs, { validUntil: 0.5 }, 'validUntil'],
];
test.each(refused)('%s is refused, with the argument at fault', async (_, given, change, field) => {
  const sealing = seal(given, { ...terms, ...change });
  await expect(sealing).rejects.toBeInstanceOf(InputError);
  await expect(sealing).rejects.toMatchObject({ code: 'input', field });
});

test('a rollup that is not registered may be insisted on', async () => {
  const unknown = [{ rollup: 4711, transaction: '0x' as Hex }];
  const bundle = await seal(unknown, { ...terms, allowUnknownRollups: true });
  bundle.verify(key);
});

test('the largest bucket can be filled to the last byte', async () => {
  const bundle = await seal([{ rollup: 901, transaction: new Uint8Array(131_056) }], terms);
  expect(bundle.body.length).toBe(131_072 + 16);
});

test('a key of another network is refused', async () => {
  const genesis = vectors.network.genesis.replace('"time":1700000000000000', '"time":1');
  const other = genesisKey(new Network(genesis));
  await expect(seal(legs, { ...terms, key: other })).rejects.toBeInstanceOf(KeyError);
});

test('without a key in the genesis, the key to seal to must be given', async () => {
  const sealing = seal(legs, { ...terms, network: keyless });
  await expect(sealing).rejects.toMatchObject({ code: 'input', field: 'key' });
});

const damaged: [string, (genesis: string) => string, RegExp][] = [
  ['no JSON', () => '{', /not JSON/],
  [
    'a field is missing',
    (json) => json.replace('"power":10,', '').replace(',"power":10', ''),
    /members\[0\]\.power is missing/,
  ],
  [
    'a number is a string',
    (json) => json.replace('"power":10', '"power":"10"'),
    /members\[0\]\.power: expected an integer of 64 bits/,
  ],
  [
    'a number does not fit',
    (json) => json.replace('"secrecy":2', '"secrecy":65536'),
    /sharing\.secrecy: expected an integer of 16 bits, found 65536/,
  ],
  [
    'the key is no key',
    (json) => json.replace(/"encryption_key":\{.*?\}/, '"encryption_key":false'),
    /encryption_key\.suite is missing/,
  ],
  [
    'its key is of another suite than its parameters say',
    (json) => json.replace('"sharing":{"suite":1', '"sharing":{"suite":2'),
    /brings a key of suite 1, its parameters say 2/,
  ],
  ['a fraction', (json) => json.replace('"era":0', '"era":0.5'), /era: expected an integer/],
  [
    'a key is too short',
    (json) => json.replace(/("consensus_key":"0x)../, '$1'),
    /consensus_key: expected 32 bytes, found 31/,
  ],
  [
    'the members are no list',
    (json) => json.replace('"members":[', '"members":0,"x":['),
    /members: expected a list/,
  ],
  [
    'nobody validates',
    (json) => json.replace(/"members":\[.*?\]/, '"members":[]'),
    /no validators/,
  ],
];
test.each(damaged)('a genesis is refused if %s', (_, damage, message) => {
  const make = () => new Network(damage(vectors.network.genesis));
  expect(make).toThrow(NetworkError);
  expect(make).toThrow(message);
});
