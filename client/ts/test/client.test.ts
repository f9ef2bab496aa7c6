/** The client against nodes that are away, full, or lie. The nodes here are doubles that speak the protocol. */

import { Code, ConnectError, createRouterTransport, type Transport } from '@connectrpc/connect';
import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, test } from 'vitest';

import vectors from '../../../tests/vectors/sealed-bundle-v1.json' with { type: 'json' };
import { verifyDecided } from '../src/block.js';
import { toHex } from '../src/bytes.js';
import { NodeService, type GetBlockResponse } from '../src/gen/conclave/v1/node_pb.js';
import { SequenceService } from '../src/gen/conclave/v1/sequence_pb.js';
import { SubmitService } from '../src/gen/conclave/v1/submit_pb.js';
import { Level } from '../src/gen/conclave/v1/types_pb.js';
import {
  ConclaveClient,
  EncodingError,
  InputError,
  KeyError,
  Network,
  Payer,
  privateKeySigner,
  RefusedError,
  SealedBundle,
  UnavailableError,
  VerificationError,
  type BundleStatus,
  type ClientOptions,
  type Hex,
} from '../src/index.js';
import { receiptDigest } from '../src/receipt.js';
import {
  blockOfElected,
  blockResponse,
  blockUnder,
  bytes,
  electedOf,
  key,
  keyless,
  keyResponseOf,
  network,
  receiptOf,
} from './messages.js';

const row = vectors.bundles[0];
if (row === undefined) {
  throw new Error('the vectors hold bundles');
}
const bundle = SealedBundle.decode(bytes(row.bytes));
const receipt = receiptOf(vectors.receipt);

type Submit = Parameters<Parameters<typeof createRouterTransport>[0]>[0];
type Handlers = Parameters<Submit['service']>[1];

/** A node that knows its genesis and answers as it is told to. */
function node(
  submit: object = {},
  chain: object = {},
  genesisJson = vectors.network.genesis,
): Transport {
  const info = { networkId: new Network(genesisJson).idBytes, genesisJson };
  return createRouterTransport(({ service }) => {
    service(SequenceService, { getNetworkInfo: () => info });
    service(SubmitService, submit as Handlers);
    service(NodeService, chain as Handlers);
  });
}

const away = (code = Code.Unavailable) => {
  throw new ConnectError('no', code);
};

async function connectTo(
  to: Network,
  nodes: Transport[],
  options: Partial<ClientOptions> = {},
): Promise<ConclaveClient> {
  const endpoints = nodes.map((_, index) => `http://node-${index}.example`);
  const transport = (url: string) => nodes[endpoints.indexOf(url)] ?? away();
  const retry = { rounds: 2, pauseFirstMs: 1, pauseMaxMs: 1 };
  return ConclaveClient.connect({ endpoints, network: to.id, transport, retry, ...options });
}

const connect = (...nodes: Transport[]) => connectTo(network, nodes);

describe('submission', () => {
  test('a receipt that verifies is returned', async () => {
    const client = await connect(node({ submitBundle: () => ({ receipt }) }));
    expect(await client.submit(bundle)).toMatchObject({
      kind: 'received',
      receipt: { bundleId: bundle.id, validator: 2, deadlineHeight: 777n },
    });
    expect(await client.submit(bundle.bytes)).toMatchObject({ kind: 'received' });
  });

  test('a node whose receipt does not verify is passed over', async () => {
    const forged = { ...receipt, deadlineHeight: 1n };
    const liar = node({ submitBundle: () => ({ receipt: forged }) });
    const honest = node({ submitBundle: () => ({ receipt }) });
    const client = await connect(liar, honest);
    expect(await client.submit(bundle)).toMatchObject({ kind: 'received' });
  });

  test('if no receipt verifies, that is the error, and nobody is asked twice', async () => {
    let asked = 0;
    const liar = node({
      submitBundle: () => {
        asked += 1;
        return { receipt: { ...receipt, validator: 0 } };
      },
    });
    const client = await connect(liar, liar);
    await expect(client.submit(bundle)).rejects.toBeInstanceOf(VerificationError);
    expect(asked).toBe(2);
    const mute = await connect(node({ submitBundle: () => ({}) }));
    await expect(mute.submit(bundle)).rejects.toBeInstanceOf(EncodingError);
  });

  const refusals: [Code, string][] = [
    [Code.InvalidArgument, 'never'],
    [Code.FailedPrecondition, 'not-now'],
    [Code.NotFound, 'not-found'],
    [Code.Unimplemented, 'unsupported'],
    [Code.PermissionDenied, 'unsupported'],
  ];
  test.each(refusals)(
    'code %i is a refusal that no other node is asked about',
    async (code, reason) => {
      let asked = 0;
      const other = node({ submitBundle: () => (asked += 1) && { receipt } });
      const client = await connect(node({ submitBundle: () => away(code) }), other);
      await expect(client.submit(bundle)).rejects.toMatchObject({ code: 'refused', reason });
      expect(asked).toBe(0);
    },
  );

  test('a bundle that was included before is no failure', async () => {
    const client = await connect(node({ submitBundle: () => away(Code.AlreadyExists) }));
    expect(await client.submit(bundle)).toEqual({ kind: 'included' });
  });

  test.each([Code.Unavailable, Code.ResourceExhausted, Code.DeadlineExceeded, Code.Internal])(
    'code %i sends the call on to the next node, and to all of them again',
    async (code) => {
      let asked = 0;
      const busy = node({ submitBundle: () => (asked += 1) && away(code) });
      const client = await connect(busy, node({ submitBundle: () => ({ receipt }) }));
      expect(await client.submit(bundle)).toMatchObject({ kind: 'received' });
      const nobody = await connect(busy, busy);
      asked = 0;
      const failed = nobody.submit(bundle);
      await expect(failed).rejects.toBeInstanceOf(UnavailableError);
      await expect(failed).rejects.toMatchObject({ attempts: { length: 4 } });
      expect(asked).toBe(4);
    },
  );

  test('a signal ends a call with its own reason', async () => {
    const client = await connect(node({ submitBundle: () => new Promise(() => undefined) }));
    const reason = new Error('enough');
    const controller = new AbortController();
    const submitting = client.submit(bundle, { signal: controller.signal });
    controller.abort(reason);
    await expect(submitting).rejects.toBe(reason);
    await expect(client.submit(bundle, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('the key', () => {
  const served = {
    networkId: network.idBytes,
    keyId: key.id,
    suite: 1,
    era: 0,
    publicKey: key.point.toBytes(true),
    publicKeyG2: key.pointG2.toBytes(true),
    decidedHeight: 40n,
    bundleLifetimeMax: 10_000n,
  };
  const signer = privateKeySigner(row.payer_secret as Hex);
  const legs = [{ rollup: 901, transaction: '0x00' as Hex }];
  const terms = { signer, nonce: { lane: 0, sequence: 0 } };

  test('a bundle is valid from the decided height on, and no longer than the network allows', async () => {
    const client = await connect(node({ getEncryptionKey: () => served }));
    const [usual, long] = await Promise.all([
      client.seal(legs, terms),
      client.seal(legs, { ...terms, validFor: 1_000_000 }),
    ]);
    expect([usual.header.validUntil, long.header.validUntil]).toEqual([1_040n, 10_040n]);
  });

  test('nothing is sealed to a key that is the node’s own', async () => {
    const own = { ...served, keyId: new Uint8Array(32).fill(1) };
    const client = await connect(node({ getEncryptionKey: () => own }));
    await expect(client.seal(legs, terms)).rejects.toBeInstanceOf(KeyError);
  });

  const [made, , later] = vectors.key_responses.map((answer) => keyResponseOf(answer).served);
  const making = (getEncryptionKey: () => object) =>
    node({ getEncryptionKey }, {}, vectors.keyless_network.genesis);

  test('a key that validators are still making is waited for', async () => {
    let asked = 0;
    const late = making(() => ((asked += 1) < 10 ? away() : (made ?? away())));
    const client = await connectTo(keyless, [late]);
    const sealed = await client.seal(legs, terms);
    expect(sealed.header).toMatchObject({ keyId: toHex(made?.keyId ?? bytes('0x')) });
    expect(sealed.header.validUntil).toBe(1_050n);
    expect(asked).toBe(10);
  });

  test('a key that never comes is said to be missing', async () => {
    const client = await connectTo(keyless, [making(() => away())], { keyTimeoutMs: 20 });
    const sealing = client.seal(legs, terms);
    await expect(sealing).rejects.toBeInstanceOf(UnavailableError);
    await expect(sealing).rejects.toThrow(/no encryption key after 0\.02 s .* have not made one/);
  });

  test('waiting for a key ends with the signal', async () => {
    const client = await connectTo(keyless, [making(() => away())]);
    const reason = new Error('the page was left');
    const controller = new AbortController();
    const sealing = client.seal(legs, terms, { signal: controller.signal });
    controller.abort(reason);
    await expect(sealing).rejects.toBe(reason);
  });

  test('a node that is not there is not waited for as one that makes a key', async () => {
    let asked = 0;
    const there = making(() => away());
    const gone: Transport = {
      stream: there.stream.bind(there),
      unary: (method, ...rest) => {
        if (method.name !== 'GetEncryptionKey') {
          return there.unary(method, ...rest);
        }
        asked += 1;
        const cause = new Error('connect ECONNREFUSED');
        throw new ConnectError('refused', Code.Unavailable, undefined, undefined, cause);
      },
    };
    const client = await connectTo(keyless, [gone]);
    await expect(client.seal(legs, terms)).rejects.toThrow(/no endpoint answered/);
    expect(asked).toBe(2);
  });

  test('a node without the key that the genesis brings is passed over, not waited for', async () => {
    let asked = 0;
    const client = await connect(node({ getEncryptionKey: () => (asked += 1) && away() }));
    await expect(client.seal(legs, terms)).rejects.toThrow(/no endpoint answered/);
    expect(asked).toBe(2);
  });

  test('a key is checked once, and a further one when its id is another', async () => {
    const bare = { header: undefined, certificate: undefined };
    const answers = [made, { ...made, ...bare }, later, { ...made, ...bare }];
    const client = await connectTo(keyless, [making(() => answers.shift() ?? away())]);
    const first = await client.encryptionKey();
    expect((await client.encryptionKey()).key).toBe(first.key);
    expect((await client.encryptionKey()).key.era).toBe(3);
    await expect(client.encryptionKey()).rejects.toBeInstanceOf(EncodingError);
  });

  test('eras never go back', async () => {
    const answers = [later, made];
    const client = await connectTo(keyless, [making(() => answers.shift() ?? away())]);
    const { key: newest } = await client.encryptionKey();
    expect((await client.encryptionKey()).key).toBe(newest);
    expect(answers).toHaveLength(0);
  });

  test('a node that serves a key that nobody vouches for is passed over', async () => {
    const liar = making(() => ({ ...made, certificate: undefined }));
    const client = await connectTo(keyless, [liar, making(() => made ?? away())]);
    expect((await client.encryptionKey()).key.idHex).toBe(toHex(made?.keyId ?? bytes('0x')));
    const alone = await connectTo(keyless, [liar]);
    await expect(alone.encryptionKey()).rejects.toThrow(/lacks the block that vouches/);
  });

  test('a payer seals again what was sealed to the key of an era that is over', async () => {
    const [first, , newer] = vectors.key_responses.map((answer) => keyResponseOf(answer).served);
    const keys = [first, newer, newer];
    const sealedTo: string[] = [];
    const moved = node(
      {
        getEncryptionKey: () => keys.shift() ?? away(),
        getAccount: () => ({ nextSequencePending: 4n }),
        submitBundle: ({ bundle: handed }: { bundle: Uint8Array }) => {
          const { header } = SealedBundle.decode(handed);
          expect(header.sequence).toBe(4n);
          sealedTo.push(header.keyId);
          return away(sealedTo.length === 1 ? Code.InvalidArgument : Code.AlreadyExists);
        },
      },
      {},
      vectors.keyless_network.genesis,
    );
    const payer = new Payer(await connectTo(keyless, [moved]), signer, { first: 9, count: 1 });
    expect((await payer.submit(legs)).admission.kind).toBe('included');
    expect(sealedTo).toEqual([first, newer].map((served) => toHex(served?.keyId ?? bytes('0x'))));
  });

  describe('a payer that sends', () => {
    const [first, , newer] = vectors.key_responses.map((answer) => keyResponseOf(answer).served);
    const told: string[] = [];

    /** A node whose keys are these, one a question, and which returns the first bundle that is watched. */
    async function senderOf(keys: unknown[], { busy = 0, forgets = false } = {}) {
      const handed: SealedBundle[] = [];
      told.length = 0;
      const answers = node(
        {
          getEncryptionKey: () => (keys.shift() as typeof first) ?? away(),
          getAccount: () => ({ nextSequencePending: 4n }),
          submitBundle: ({ bundle: bytesOf }: { bundle: Uint8Array }) => {
            if (handed.length === 1 && (busy -= 1) >= 0) {
              return away(Code.FailedPrecondition);
            }
            handed.push(SealedBundle.decode(bytesOf));
            return away(Code.AlreadyExists);
          },
          watchBundle: async function* ({ bundleId }: { bundleId: Uint8Array }) {
            yield await Promise.resolve({ status: { bundleId, level: Level.RECEIVED } });
            if (toHex(bundleId) !== handed[0]?.id) {
              yield { status: { bundleId, level: Level.REVEALED } };
            } else if (forgets) {
              away(Code.NotFound);
            } else {
              yield { status: { bundleId, returned: 'its era is over' } };
            }
          },
        },
        {},
        vectors.keyless_network.genesis,
      );
      const payer = new Payer(await connectTo(keyless, [answers]), signer, { first: 9, count: 1 });
      for await (const { bundle: sent, status } of payer.send(legs)) {
        told.push(`${handed.findIndex(({ id }) => id === sent.id)} ${status.level}`);
        expect(status.id).toBe(sent.id);
      }
      return handed;
    }

    test('seals again what came back with the end of its era, under the same nonce', async () => {
      const [one, two, ...more] = await senderOf([first, newer]);
      expect(told).toEqual(['0 received', '1 received', '1 revealed']);
      expect(more).toEqual([]);
      expect(two?.header).toEqual({ ...one?.header, keyId: toHex(newer?.keyId ?? bytes('0x')) });
    });

    test('tries again while a node still holds what came back', async () => {
      const handed = await senderOf([first, newer], { busy: 2 });
      expect(told).toEqual(['0 received', '1 received', '1 revealed']);
      expect(handed).toHaveLength(2);
      await expect(senderOf([first, newer], { busy: 99 })).rejects.toMatchObject({
        reason: 'not-now',
      });
    });

    test('seals again what no node knows any more, if its era is over', async () => {
      await senderOf([first, newer], { forgets: true });
      expect(told).toEqual(['0 received', '1 received', '1 revealed']);
      await expect(senderOf([first, first], { forgets: true })).rejects.toMatchObject({
        reason: 'not-found',
      });
    });

    test('ends with what a node says came back while its key is in force', async () => {
      const [, ...more] = await senderOf([first, first]);
      expect(told).toEqual(['0 received', '0 unknown']);
      expect(more).toEqual([]);
    });

    test('does not seal for heights that are over', async () => {
      const late = { ...newer, decidedHeight: 2n ** 40n };
      const [, ...more] = await senderOf([first, late]);
      expect(told).toEqual(['0 received', '0 unknown']);
      expect(more).toEqual([]);
    });
  });

  test('a payer asks for the sequence again after a refusal of its nonce', async () => {
    const pending = [4n, 6n];
    const sequences: bigint[] = [];
    const client = await connect(
      node({
        getEncryptionKey: () => served,
        getAccount: () => ({ nextSequencePending: pending.shift() ?? 6n }),
        submitBundle: ({ bundle: handed }: { bundle: Uint8Array }) => {
          const { sequence } = SealedBundle.decode(handed).header;
          sequences.push(sequence);
          return away(sequence === 4n ? Code.InvalidArgument : Code.AlreadyExists);
        },
      }),
    );
    const payer = new Payer(client, signer, { first: 9, count: 1 });
    const submissions = await Promise.all([payer.submit(legs), payer.submit(legs)]);
    expect(submissions.map(({ admission }) => admission.kind)).toEqual(['included', 'included']);
    expect(sequences).toEqual([4n, 6n, 7n]);
  });

  test('a refusal that is not about the nonce is passed on', async () => {
    const client = await connect(
      node({
        getEncryptionKey: () => served,
        getAccount: () => ({ nextSequence: 3n }),
        submitBundle: () => away(Code.FailedPrecondition),
      }),
    );
    await expect(new Payer(client, signer).submit(legs)).rejects.toBeInstanceOf(RefusedError);
  });

  test.each([0, 257, 1.5])('%d lanes are refused', async (count) => {
    const client = await connect(node());
    expect(() => new Payer(client, signer, { count })).toThrow(InputError);
  });
});

describe('watching', () => {
  const at = (level: Level) => ({ status: { bundleId: bytes(bundle.id), level } });

  async function levels(client: ConclaveClient): Promise<string[]> {
    const told: string[] = [];
    for await (const status of client.watch(bundle.id)) {
      told.push(status.level);
    }
    return told;
  }

  test('a stream that breaks goes on at the next node, and nothing is told twice', async () => {
    const breaks = node({
      watchBundle: async function* () {
        yield at(Level.RECEIVED);
        yield at(Level.ORDERED);
        await Promise.resolve();
        away();
      },
    });
    const goesOn = node({
      watchBundle: async function* () {
        yield at(Level.UNSPECIFIED);
        yield at(Level.RECEIVED);
        yield at(Level.ORDERED);
        yield await Promise.resolve(at(Level.REVEALED));
      },
    });
    expect(await levels(await connect(breaks, goesOn))).toEqual([
      'received',
      'ordered',
      'revealed',
    ]);
    const gone = node({ watchBundle: () => away() });
    await expect(levels(await connect(gone, gone))).rejects.toBeInstanceOf(UnavailableError);
  });

  test('what comes back with the end of its era ends the watch', async () => {
    const bundleId = bytes(bundle.id);
    const watched = node({
      watchBundle: async function* () {
        yield await Promise.resolve({ status: { bundleId, level: Level.RECEIVED } });
        yield { status: { bundleId, returned: 'its era is over' } };
      },
    });
    const client = await connect(watched);
    const seen: [string, string | undefined][] = [];
    for await (const { level, returned } of client.watch(bundle.id)) {
      seen.push([level, returned]);
    }
    expect(seen).toEqual([
      ['received', undefined],
      ['unknown', 'its era is over'],
    ]);
  });

  test('an answer about another bundle is not taken', async () => {
    const other = { status: { bundleId: new Uint8Array(32), level: Level.REVEALED } };
    const confused = node({
      watchBundle: async function* () {
        yield await Promise.resolve(other);
      },
    });
    await expect(levels(await connect(confused))).rejects.toBeInstanceOf(EncodingError);
  });
});

describe('checking a status', () => {
  const place = vectors.reveal.order.findIndex(({ bundle: index }) => index === 0);
  const legs = (row.legs ?? []).map(({ rollup, transaction }) => ({
    rollup: BigInt(rollup),
    transaction: bytes(transaction),
  }));
  const revealed = {
    position: place,
    draw: vectors.reveal.order[place]?.draw as Hex,
    legs,
    undecryptable: undefined,
  };
  const { header } = vectors.block;
  const ordered = {
    height: BigInt(header.height),
    blockId: vectors.block.id as Hex,
    feeChargedGwei: 1n,
  };
  const status: BundleStatus = {
    id: bundle.id,
    returned: undefined,
    level: 'revealed',
    ordered,
    revealed,
  };
  const serving = (response: GetBlockResponse) => connect(node({}, { getBlock: () => response }));

  test('what is true is confirmed', async () => {
    const client = await serving(blockResponse());
    const { block, opened } = await client.verify(bundle, status);
    expect(block.signers).toEqual([0, 2, 3]);
    expect(opened?.legs).toEqual(legs);
    const sealed = await client.verify(bundle, {
      ...status,
      level: 'ordered',
      revealed: undefined,
    });
    expect(sealed.opened).toBeUndefined();
  });

  const lies: [string, BundleStatus][] = [
    ['another position', { ...status, revealed: { ...revealed, position: place + 1 } }],
    ['another draw', { ...status, revealed: { ...revealed, draw: `0x${'00'.repeat(32)}` } }],
    ['other legs', { ...status, revealed: { ...revealed, legs: [] } }],
    [
      'that it did not open',
      { ...status, revealed: { ...revealed, legs: [], undecryptable: 'x' } },
    ],
    ['another block', { ...status, ordered: { ...ordered, blockId: `0x${'00'.repeat(32)}` } }],
    ['another height', { ...status, ordered: { ...ordered, height: 1n } }],
  ];
  test.each(lies)('a status that says %s is refused', async (_, lie) => {
    const client = await serving(blockResponse());
    await expect(client.verify(bundle, lie)).rejects.toBeInstanceOf(VerificationError);
  });

  test('a block is opened by the key that it names, which is asked for if it is not known', async () => {
    const [made, , later] = vectors.key_responses.map((answer) => keyResponseOf(answer).served);
    const block = blockUnder(keyless, made?.keyId ?? new Uint8Array());
    const told = {
      ...status,
      ordered: { ...ordered, blockId: toHex(block.certificate?.blockId ?? new Uint8Array()) },
    };
    const check = async (served: typeof made, before?: typeof made) => {
      const answers = [before, served].filter((answer) => answer !== undefined);
      const submit = { getEncryptionKey: () => answers.shift() ?? away() };
      const chain = { getBlock: () => block };
      const nodes = [node(submit, chain, vectors.keyless_network.genesis)];
      const client = await connectTo(keyless, nodes, { keyTimeoutMs: 0 });
      if (before !== undefined) {
        await client.encryptionKey();
      }
      return client.verify(bundle, told);
    };
    // It is the beacon of another network's block: that it is looked at shows that the key was found.
    await expect(check(made)).rejects.toThrow(/opening of the beacon does not verify/);
    await expect(check(later)).rejects.toThrow(KeyError);
    await expect(check(undefined)).rejects.toThrow(UnavailableError);
    await expect(check(made, later)).rejects.toThrow(/opening of the beacon does not verify/);
  });

  test('a status without a block, or of another bundle, is nothing to check', async () => {
    const client = await serving(blockResponse());
    const unordered = { ...status, level: 'received' as const, ordered: undefined };
    await expect(client.verify(bundle, unordered)).rejects.toBeInstanceOf(InputError);
  });

  const swapOthers = (bundles: unknown[]) => {
    const [a = 0, b = 0] = [0, 1, 2].filter((at) => at !== place);
    [bundles[a], bundles[b]] = [bundles[b], bundles[a]];
    return bundles;
  };
  const flip = (value: Uint8Array) => value.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
  const tampered: [string, (block: GetBlockResponse) => void][] = [
    ['a bundle is left out', (block) => block.bundleIds.pop()],
    ['two bundles change places', (block) => block.bundleIds.reverse()],
    ['the beacon is another', ({ reveal }) => reveal && (reveal.beacon = flip(reveal.beacon))],
    ['an opening is missing', ({ reveal }) => reveal?.openings.pop()],
    ['two openings change places', ({ reveal }) => reveal?.openings.reverse()],
    ['its opening is its point', ({ reveal }) => reveal?.openings.splice(1, 1, bytes(row.k))],
    ['its opening is of another', ({ reveal }) => reveal?.openings.copyWithin(1, 2, 3)],
    ['the beacon has a seed', ({ reveal }) => reveal?.openings.splice(0, 1, bytes(row.seed))],
    ['two bundles change their order', ({ reveal }) => reveal?.bundles.reverse()],
    ['two others change their order', ({ reveal }) => swapOthers(reveal?.bundles ?? [])],
    ['a draw is another', ({ reveal }) => reveal?.bundles.forEach((b) => (b.draw = flip(b.draw)))],
    [
      'a bundle stands in for another',
      ({ reveal }) => reveal?.bundles.fill(reveal.bundles[0] as never),
    ],
    ['there is no reveal', (block) => delete block.reveal],
  ];
  test.each(tampered)('an answer is refused if %s', async (_, tamper) => {
    const response = blockResponse();
    tamper(response);
    const client = await serving(response);
    await expect(client.verify(bundle, status)).rejects.toMatchObject({
      code: expect.stringMatching(/^(verification|encoding)$/) as string,
    });
  });

  test.each([0, 31, 33, 47, 49])(
    'an answer with an opening of %i bytes is malformed',
    async (length) => {
      for (const at of [0, 1, 2]) {
        const response = blockResponse();
        response.reveal?.openings.splice(at, 1, new Uint8Array(length));
        const client = await serving(response);
        await expect(client.verify(bundle, status)).rejects.toBeInstanceOf(EncodingError);
      }
    },
  );

  const fields = [
    'networkId',
    'parent',
    'parentCertificate',
    'l1EntriesRoot',
    'keyId',
    'sharingRoot',
    'bundleRoot',
    'revealDigest',
    'ledgerDigest',
  ] as const;
  const numbers = ['height', 'timeMicros', 'epoch', 'revealedHeight'] as const;
  test('a header of which any field is another is not what was decided', () => {
    const refuse = (change: (header: NonNullable<GetBlockResponse['header']>) => void) => {
      const response = blockResponse();
      if (response.header !== undefined) {
        change(response.header);
      }
      expect(() => verifyDecided(network, response)).toThrow(VerificationError);
    };
    for (const field of fields) {
      refuse((header) => (header[field] = flip(header[field])));
    }
    for (const field of numbers) {
      refuse((header) => (header[field] += 1n));
    }
    refuse((header) => (header.proposer += 1));
    refuse((header) => (header.bundleCount += 1));
    refuse((header) => header.l1Origin && (header.l1Origin.number += 1n));
    refuse((header) => header.l1Origin && (header.l1Origin.hash = flip(header.l1Origin.hash)));
  });
});

test('endpoints that are no URL, and none at all, are refused', async () => {
  const network = 'trust-first';
  for (const endpoints of [[], ['ftp://a.example'], ['127.0.0.1:9001']]) {
    const connecting = ConclaveClient.connect({ endpoints, network });
    await expect(connecting).rejects.toBeInstanceOf(InputError);
  }
});

describe('committees that L1 elects', () => {
  const elected = vectors.committees.map(electedOf);
  const getCommittees = ({ fromEpoch }: { fromEpoch: bigint }) => ({
    committees: elected.filter(({ epoch }) => epoch >= fromEpoch),
  });
  const getBlock = () => blockOfElected();

  test('are followed to the one that decided, and not asked for again', async () => {
    let asked = 0;
    const counted = (request: { fromEpoch: bigint }) => {
      asked += 1;
      // One at a time.
      return { committees: getCommittees(request).committees.slice(0, 1) };
    };
    const client = await connect(node({}, { getBlock, getCommittees: counted }));
    const { epoch, signers } = await client.block(1_234_567n);
    expect([epoch, signers]).toEqual([3n, [2, 3, 4]]);
    await client.block(1_234_567n);
    expect(asked).toBe(2);
  });

  test('a node that makes one up, or does not know them yet, is passed over', async () => {
    const forged = elected.map((committee) => ({ ...committee, members: [] }));
    const nodes = [
      node({}, { getBlock, getCommittees: () => ({ committees: forged }) }),
      node({}, { getBlock, getCommittees: () => ({}) }),
      node({}, { getBlock, getCommittees: () => away() }),
    ];
    const client = await connect(...nodes, node({}, { getBlock, getCommittees }));
    expect((await client.block(1_234_567n)).epoch).toBe(3n);
    const lost = await connect(...nodes.slice(0, 2));
    await expect(lost.block(1_234_567n)).rejects.toBeInstanceOf(VerificationError);
  });

  test('somebody who has joined signs receipts', async () => {
    const newcomer = {
      ...receipt,
      validator: 4,
      signature: ed25519.sign(receiptDigest(network, receipt), new Uint8Array(32).fill(0x15)),
    };
    const submitBundle = () => ({ receipt: newcomer });
    const getStatus = () => ({ epoch: 3n });
    const client = await connect(node({ submitBundle }, { getStatus, getCommittees }));
    expect(await client.submit(bundle)).toMatchObject({ receipt: { validator: 4 } });
    const unshown = await connect(node({ submitBundle }, { getStatus }));
    await expect(unshown.submit(bundle)).rejects.toBeInstanceOf(VerificationError);
  });
});
