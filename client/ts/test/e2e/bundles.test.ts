/**
 * The life of a bundle against a real devnet. The same file runs in Node, over gRPC and over gRPC-Web,
 * and in a browser's page, which can only do the latter.
 */

import { keccak256 } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { beforeAll, describe, expect, inject, test } from 'vitest';

import {
  ConclaveClient,
  InputError,
  Network,
  NetworkError,
  Payer,
  RefusedError,
  SealedBundle,
  UnavailableError,
  grpcWeb,
  privateKeySigner,
  reaches,
  seal,
  type BundleStatus,
  type TransportFactory,
} from '../../src/index.js';
import { KEY, Rollup } from './rollup.js';

const devnet = inject('devnet');
const rollup = new Rollup(devnet.rollup);
const known = new Network(devnet.genesis).id;
const isBrowser = 'document' in globalThis;

const transports: [string, () => Promise<TransportFactory>][] = [
  ['gRPC-Web', () => Promise.resolve(grpcWeb)],
];
if (!isBrowser) {
  transports.push(['gRPC', async () => (await import('../../src/node.js')).grpc]);
}
/** Lanes of their own for each run: the account is one. */
const firstLane = isBrowser ? 64n : 0n;

/** Follows a bundle to `until`. The last status may be beyond it: the network does not wait for a watcher. */
async function follow(
  client: ConclaveClient,
  id: `0x${string}`,
  until: 'revealed' | 'settled' = 'revealed',
): Promise<BundleStatus> {
  let last: BundleStatus | undefined;
  for await (const status of client.watch(id, { until, signal: AbortSignal.timeout(60_000) })) {
    expect(last === undefined || reaches(status.level, last.level)).toBe(true);
    last = status;
  }
  if (last === undefined) {
    throw new Error('a watch says something');
  }
  expect(reaches(last.level, until)).toBe(true);
  return last;
}

describe.each(transports)('over %s', (name, load) => {
  let client: ConclaveClient;
  let transport: TransportFactory;
  const lane = firstLane + (name === 'gRPC' ? 32n : 0n);

  beforeAll(async () => {
    transport = await load();
    client = await ConclaveClient.connect({
      endpoints: devnet.endpoints,
      network: known,
      transport,
    });
    // A devnet has just begun: its validators make the key, on the chain.
    await client.encryptionKey();
  });

  test('the key is the validators’, vouched for by a quorum', async () => {
    expect(client.network.genesisKey).toBeUndefined();
    const { key, decidedHeight } = await client.encryptionKey();
    expect(key.era).toBe(0);
    const block = await client.block(decidedHeight);
    expect(block.keyId).toBe(key.idHex);
    const first = await client.block(1);
    expect([first.keyId, first.bundles]).toEqual([`0x${'00'.repeat(32)}`, []]);
  });

  test('a transfer is sealed, submitted, watched to REVEALED, checked, and executed', async () => {
    const to = privateKeyToAccount(generatePrivateKey()).address;
    const transaction = await rollup.transfer(await rollup.nonce(), to, 5n);
    const nonce = {
      lane,
      sequence: (await client.account(rollup.account.address, lane)).nextSequence,
    };
    const bundle = await client.seal([{ rollup: 901, transaction }], {
      signer: rollup.account,
      nonce,
    });
    const admission = await client.submit(bundle);
    expect(admission.kind).toBe('received');
    const status = await follow(client, bundle.id);
    const { block, opened } = await client.verify(bundle, status);
    expect(block.signers.length).toBeGreaterThanOrEqual(3);
    expect(opened?.legs).toEqual(status.revealed?.legs);
    expect(await rollup.executed(keccak256(transaction))).toBe(true);
    expect(await rollup.balance(to)).toBe(5n);
    expect(await client.submit(bundle)).toEqual({ kind: 'included' });
  });

  test('parallel submissions of one payer take lanes of their own, and all are revealed', async () => {
    const payer = new Payer(client, privateKeySigner(KEY), { first: lane + 1n, count: 4 });
    const contents = Array.from({ length: 10 }, (_, index) => Uint8Array.of(index, 1, 2, 3));
    const submissions = await Promise.all(
      contents.map((transaction) => payer.submit([{ rollup: 901, transaction }])),
    );
    const nonces = submissions.map(({ bundle: { nonce } }) => `${nonce.lane}/${nonce.sequence}`);
    expect(new Set(nonces).size).toBe(contents.length);
    const ends = await Promise.all(submissions.map(({ bundle }) => follow(client, bundle.id)));
    expect(ends.map((end) => end.revealed?.legs[0]?.transaction)).toEqual(contents);
  });

  test('the estimate is what is charged', async () => {
    const legs = [{ rollup: 902, transaction: new Uint8Array(300) }];
    const { bodyBytes, feeGwei } = await client.estimateFee(legs);
    expect(bodyBytes).toBe(512 + 16);
    expect(feeGwei).toBe(client.network.feeGwei(bodyBytes));
    const payer = new Payer(client, rollup.account, { first: lane + 5n, count: 1 });
    const { bundle } = await payer.submit(legs, { priorityFeeGwei: 7n });
    const { ordered } = await follow(client, bundle.id);
    expect(ordered?.feeChargedGwei).toBe(feeGwei + 7n);
  });

  test('a bundle that can never be admitted is refused as such', async () => {
    const { key } = await client.encryptionKey();
    const nonce = { lane, sequence: 0 };
    const terms = { network: client.network, key, signer: rollup.account, nonce };
    const expired = await seal([{ rollup: 901, transaction: '0x00' }], { ...terms, validUntil: 0 });
    await expect(client.submit(expired)).rejects.toMatchObject({
      code: 'refused',
      reason: 'never',
    });
    const { bytes } = expired;
    bytes.set([bytes.at(-1) === 27 ? 28 : 27], bytes.length - 1);
    await expect(client.submit(SealedBundle.decode(bytes))).rejects.toBeInstanceOf(RefusedError);
  });

  test('an unknown bundle has no level', async () => {
    const id: `0x${string}` = `0x${'77'.repeat(32)}`;
    expect(await client.status(id)).toMatchObject({ id, level: 'unknown' });
  });

  test('a bundle is followed until its block is settled on Ethereum', async () => {
    const payer = new Payer(client, rollup.account, { first: lane + 6n, count: 1 });
    const legs = [{ rollup: 902, transaction: new Uint8Array(8) }];
    const { bundle } = await payer.submit(legs);
    const { ordered } = await follow(client, bundle.id, 'settled');
    expect(ordered?.feeChargedGwei).toBeGreaterThan(0n);
  });

  test('a watch that nobody waits for any more ends with the reason of its signal', async () => {
    const controller = new AbortController();
    const watching = client.watch(`0x${'78'.repeat(32)}`, { signal: controller.signal });
    expect((await watching.next()).value).toMatchObject({ level: 'unknown' });
    const waiting = watching.next();
    const reason = new Error('the page was left');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  test('a node that is away is passed over, and a network of nobody is unavailable', async () => {
    const away = 'http://127.0.0.1:1';
    const options = { network: known, transport, retry: { rounds: 1 } };
    const endpoints = [away, ...devnet.endpoints];
    const some = await ConclaveClient.connect({ ...options, endpoints });
    expect(some.network.id).toBe(known);
    const none = ConclaveClient.connect({ ...options, endpoints: [away] });
    await expect(none).rejects.toBeInstanceOf(UnavailableError);
  });

  test('another network than the expected one is refused', async () => {
    const network = `0x${'00'.repeat(32)}` as const;
    const other = ConclaveClient.connect({ endpoints: devnet.endpoints, network, transport });
    await expect(other).rejects.toBeInstanceOf(NetworkError);
  });

  test('what cannot work is refused before anything is sent', async () => {
    await expect(client.estimateFee([])).rejects.toBeInstanceOf(InputError);
    const terms = { signer: rollup.account, nonce: { lane: 0, sequence: 0 } };
    const unknown = client.seal([{ rollup: 4711, transaction: '0x' }], terms);
    await expect(unknown).rejects.toMatchObject({ code: 'input', field: 'legs' });
  });
});
