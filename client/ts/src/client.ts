/**
 * The client: a network's nodes behind one object. Nothing that a node says is believed where it can be
 * checked; where it cannot, the documentation of the method says so.
 */

import { verifyDecided, type DecidedBlock } from './block.js';
import { SealedBundle } from './bundle.js';
import { equalBytes, fromHex, hexOf, toHex, u64, type Hex } from './bytes.js';
import { verifyServedKey } from './discovery.js';
import { followCommittees } from './following.js';
import {
  DEFAULT_RETRY,
  Endpoints,
  isNotReady,
  type CallOptions,
  type CallTerms,
  type Endpoint,
  type Retry,
} from './endpoints.js';
import {
  InputError,
  NetworkError,
  RefusedError,
  UnavailableError,
  VerificationError,
} from './errors.js';
import type { GetEncryptionKeyResponse } from './gen/conclave/v1/submit_pb.js';
import type { SealingKey } from './key.js';
import { encodedBytes, readLegs, type Leg, type LegInput } from './legs.js';
import { Network } from './network.js';
import { verifyReceipt, type Receipt } from './receipt.js';
import { verifyOpened, type Opened } from './reveal.js';
import { seal, type SealTerms } from './seal.js';
import { reaches, readStatus, type BundleStatus } from './status.js';
import { grpcWeb, type TransportFactory } from './transport.js';
import { watch, type WatchOptions } from './watch.js';

/** How to reach a network. */
export interface ClientOptions {
  /** URLs of nodes, validators first: only they sign receipts. The client moves on when one is away. */
  readonly endpoints: readonly string[];
  /**
   * The network id that you know. `'trust-first'` takes the network of whichever node answers first,
   * which could be anybody's, with a key that is anybody's: for development.
   */
  readonly network: Hex | 'trust-first';
  /** gRPC-Web by default; `grpc` of `@conclave/client/node` for gRPC over HTTP/2. */
  readonly transport?: TransportFactory;
  /** How often and how fast to try again. */
  readonly retry?: Partial<Retry>;
  /** No answer takes longer. 10 seconds by default. */
  readonly timeoutMs?: number;
  /** How long to wait for the key of a network whose validators are still making it. A minute by default. */
  readonly keyTimeoutMs?: number;
}

/** What a submission ended with. */
export type Admission =
  | { readonly kind: 'received'; readonly receipt: Receipt }
  /** It was included before: there is no receipt, and no harm. */
  | { readonly kind: 'included' };

/** What is sealed to, at this moment. */
export interface EncryptionKey {
  readonly key: SealingKey;
  /** One node's word. */
  readonly decidedHeight: bigint;
  /** For how many heights a bundle may ask to stay valid. */
  readonly bundleLifetimeMax: bigint;
}

/** A payer's account, by one node's word. */
export interface Account {
  readonly balanceGwei: bigint;
  /** Of the lane, counting decided bundles only. */
  readonly nextSequence: bigint;
  /** Of the lane, with those that the node holds. */
  readonly nextSequencePending: bigint;
}

/** Keys that are remembered: of as many eras as anybody asks about blocks of. */
const KEYS_MAX = 8;

/** Terms of a bundle whose last height the client chooses. */
export type ClientTerms = Omit<SealTerms, 'network' | 'validUntil' | 'key'> & {
  /** For how many heights from now on the bundle may be included. 1,000 by default, capped by the network. */
  readonly validFor?: bigint | number;
};

/** Talks to a network. */
export class ConclaveClient {
  readonly #endpoints: Endpoints;
  readonly #keyTimeoutMs: number;
  /** The key that was checked last: nodes serve the same one for a long time. */
  #key: SealingKey | undefined;
  /** The keys that were checked, the newest first: blocks of an era before are opened by theirs. */
  #keys: readonly SealingKey[];
  /** The network, checked against its id. */
  readonly network: Network;

  private constructor(endpoints: Endpoints, network: Network, keyTimeoutMs: number) {
    this.#endpoints = endpoints;
    this.#keyTimeoutMs = keyTimeoutMs;
    this.#key = network.genesisKey;
    this.#keys = network.genesisKey === undefined ? [] : [network.genesisKey];
    this.network = network;
  }

  /**
   * Asks for the genesis and checks it against the network id. Throws `InputError`, `NetworkError`,
   * `KeyError` or `UnavailableError`.
   */
  static async connect(options: ClientOptions, call: CallOptions = {}): Promise<ConclaveClient> {
    const { network, transport = grpcWeb } = options;
    const { timeoutMs = 10_000, keyTimeoutMs = 60_000 } = options;
    if (options.endpoints.length === 0) {
      throw new InputError('endpoints', 'name at least one node');
    }
    const expected = network === 'trust-first' ? undefined : hexOf(network, 'network', 32);
    const transports = options.endpoints.map(transport);
    const endpoints = new Endpoints(transports, { ...DEFAULT_RETRY, ...options.retry }, timeoutMs);
    const found = await endpoints.call(async ({ sequence }, to) => {
      const info = await sequence.getNetworkInfo({}, to);
      const checked = new Network(info.genesisJson, expected);
      if (toHex(info.networkId) !== checked.id) {
        throw new NetworkError(`the node says ${toHex(info.networkId)}, its genesis ${checked.id}`);
      }
      return checked;
    }, call);
    return new ConclaveClient(endpoints, found, keyTimeoutMs);
  }

  /** How many nodes there are to talk to. */
  get endpointCount(): number {
    return this.#endpoints.count;
  }

  /**
   * The key to seal to, checked to be the genesis' or one that a quorum vouches for, and the height that
   * validity counts from. Waits for a key that validators are still making.
   *
   * Throws `KeyError`, `VerificationError` or `EncodingError` if no node serves such a key,
   * `UnavailableError` if none serves any.
   */
  async encryptionKey(call: CallOptions = {}): Promise<EncryptionKey> {
    const patienceMs = this.#key === undefined ? this.#keyTimeoutMs : 0;
    try {
      return await this.#endpoints.call(
        async (endpoint, to) => {
          const served = await endpoint.submit.getEncryptionKey({}, to);
          await followCommittees(this.network, endpoint, served.header?.epoch ?? 0n, to);
          const key = this.#check(served);
          this.#key = key;
          return {
            key,
            decidedHeight: served.decidedHeight,
            bundleLifetimeMax: this.network.genesis.bundleLifetimeMax,
          };
        },
        { ...call, patienceMs },
      );
    } catch (error) {
      const wasNotReady =
        error instanceof UnavailableError &&
        error.attempts.slice(-this.endpointCount).some(isNotReady);
      if (patienceMs > 0 && wasNotReady) {
        throw new UnavailableError(
          `the network has no encryption key after ${patienceMs / 1_000} s of waiting: its validators have not made one`,
          error.attempts,
        );
      }
      throw error;
    }
  }

  /**
   * The key that a node serves; what was checked before is not checked again. Whoever is behind, or would have
   * bundles sealed to a key whose shares may have leaked since, is not followed: eras never go back.
   */
  #check(served: GetEncryptionKeyResponse): SealingKey {
    const known = this.#key;
    const isKnown =
      known !== undefined &&
      equalBytes(served.networkId, known.network) &&
      equalBytes(served.keyId, known.id);
    const key = isKnown ? known : verifyServedKey(this.network, served);
    this.#keys = [key, ...this.#keys.filter(({ idHex }) => idHex !== key.idHex)].slice(0, KEYS_MAX);
    return known !== undefined && known.era > key.era ? known : key;
  }

  /** The key that opens `block`: one that this client has come across, or that a node serves now. */
  async #keyOf(block: DecidedBlock, call: CallOptions): Promise<SealingKey> {
    const known = () => this.#keys.find(({ idHex }) => idHex === block.keyId);
    const before = known();
    if (before !== undefined) {
      return before;
    }
    const { key } = await this.encryptionKey(call);
    return known() ?? key;
  }

  /** A payer's balance and the next sequence of a lane; `from` names the endpoint to ask first. */
  async account(
    address: Hex,
    lane: bigint | number = 0n,
    call: CallOptions & { from?: number } = {},
  ): Promise<Account> {
    const request = { address: fromHex(address, 'address', 20), lane: u64(lane, 'lane') };
    return this.#endpoints.call(async ({ submit }, to) => {
      const { balanceGwei, nextSequence, nextSequencePending } = await submit.getAccount(
        request,
        to,
      );
      return { balanceGwei, nextSequence, nextSequencePending };
    }, call);
  }

  /** What a bundle of these legs would be charged, without a priority fee. */
  async estimateFee(
    legs: readonly LegInput[],
    call: CallOptions = {},
  ): Promise<{ bodyBytes: number; feeGwei: bigint }> {
    const plaintextBytes = encodedBytes(readLegs(legs));
    return this.#endpoints.call(async ({ submit }, to) => {
      const { bodyBytes, feeGwei } = await submit.estimateFee({ plaintextBytes }, to);
      return { bodyBytes, feeGwei };
    }, call);
  }

  /** Seals `legs`, valid from now on. Throws what {@link seal} throws, or `UnavailableError`. */
  async seal(
    legs: readonly LegInput[],
    terms: ClientTerms,
    call: CallOptions = {},
  ): Promise<SealedBundle> {
    readLegs(legs);
    const { validFor = 1_000n, ...rest } = terms;
    const wanted = u64(validFor, 'validFor');
    const { key, decidedHeight, bundleLifetimeMax } = await this.encryptionKey(call);
    const lifetime = wanted < bundleLifetimeMax ? wanted : bundleLifetimeMax;
    const validUntil = decidedHeight + lifetime;
    return seal(legs, { ...rest, network: this.network, key, validUntil });
  }

  /**
   * Hands a bundle in, and checks the receipt. A refusal with the reason `never` may say that it is sealed to a
   * key whose era is over: seal again. After `UnavailableError` it may have been admitted all the
   * same: submit the same bundle again. `from` names the endpoint to ask first.
   *
   * Throws `RefusedError` if it was not admitted, `VerificationError` if no receipt verifies.
   */
  async submit(
    bundle: SealedBundle | Uint8Array,
    call: CallOptions & { from?: number } = {},
  ): Promise<Admission> {
    const sealed = bundle instanceof SealedBundle ? bundle : SealedBundle.decode(bundle);
    try {
      return await this.#endpoints.call(async (endpoint, to) => {
        const { receipt } = await endpoint.submit.submitBundle({ bundle: sealed.bytes }, to);
        const checked = () => verifyReceipt(this.network, receipt, sealed.id);
        try {
          return { kind: 'received', receipt: checked() };
        } catch (error) {
          if (!(await this.#learnsMembers(endpoint, to))) {
            throw error;
          }
          return { kind: 'received', receipt: checked() };
        }
      }, call);
    } catch (error) {
      if (error instanceof RefusedError && error.reason === 'included') {
        return { kind: 'included' };
      }
      throw error;
    }
  }

  /**
   * Whether a node knows of newer committees than were known: a receipt does not say of which epoch it is, and
   * its validator may have joined, or changed its key.
   */
  async #learnsMembers(endpoint: Endpoint, to: CallTerms): Promise<boolean> {
    const before = this.network.nextElection;
    if (before === undefined) {
      return false;
    }
    try {
      const { epoch } = await endpoint.node.getStatus({}, to);
      await followCommittees(this.network, endpoint, epoch, to);
    } catch {
      // Whatever came of it, the receipt is what was asked for: what was wrong with that is told.
    }
    return this.network.nextElection !== before;
  }

  /** Where a bundle stands, by one node's word. */
  async status(id: Hex, call: CallOptions = {}): Promise<BundleStatus> {
    const [bundleId, expected] = [fromHex(id, 'id', 32), hexOf(id, 'id', 32)];
    return this.#endpoints.call(async ({ submit }, to) => {
      const { status } = await submit.getBundleStatus({ bundleId }, to);
      return readStatus(status, expected);
    }, call);
  }

  /**
   * Every rise of a bundle's level, the present one first, until it is at `until`; across nodes that go
   * away. By the nodes' word: see {@link ConclaveClient.verify}. It ends with a status that is `returned` if the
   * era of the bundle's key ended before a block took it: seal again, under the same nonce, so that at most one
   * of the two can be included whoever lies. It never ends for a bundle that is never included otherwise: give a
   * `signal`.
   */
  watch(id: Hex, options: WatchOptions = {}): AsyncGenerator<BundleStatus, void, undefined> {
    return watch(this.#endpoints, hexOf(id, 'id', 32), options);
  }

  /** A block, with the proof that a quorum decided it checked. What it reveals is not checked. */
  async block(height: bigint | number, call: CallOptions = {}): Promise<DecidedBlock> {
    const wanted = u64(height, 'height');
    return this.#endpoints.call(async (endpoint, to) => {
      const served = await endpoint.node.getBlock({ height: wanted }, to);
      await followCommittees(this.network, endpoint, served.header?.epoch ?? 0n, to);
      const block = verifyDecided(this.network, served);
      if (block.height !== wanted) {
        throw new VerificationError(`the node answers with height ${block.height}, not ${wanted}`);
      }
      return block;
    }, call);
  }

  /**
   * Checks what `status` says of `bundle` against the chain: that a quorum decided its block, and, from
   * `revealed` on, that its opening, contents and place follow. No node is believed for it.
   *
   * Throws `VerificationError` if it does not hold, `KeyError` if the block is of an era whose key this client
   * has not come across.
   */
  async verify(
    bundle: SealedBundle,
    status: BundleStatus,
    call: CallOptions = {},
  ): Promise<{ block: DecidedBlock; opened: Opened | undefined }> {
    const { ordered, revealed } = status;
    if (status.id !== bundle.id || ordered === undefined) {
      throw new InputError(
        'status',
        `expected one of bundle ${bundle.id} that is at least ordered`,
      );
    }
    const block = await this.block(ordered.height, call);
    if (block.id !== ordered.blockId || !block.bundles.includes(bundle.id)) {
      throw new VerificationError(`block ${block.id} at height ${block.height} lacks the bundle`);
    }
    if (!reaches(status.level, 'revealed') || revealed === undefined) {
      return { block, opened: undefined };
    }
    const key = await this.#keyOf(block, call);
    const opened = verifyOpened(this.network, key, block, bundle);
    const isAsTold =
      opened.position === revealed.position &&
      opened.draw === revealed.draw &&
      (opened.undecryptable === undefined) === (revealed.undecryptable === undefined) &&
      sameLegs(opened.legs, revealed.legs);
    if (!isAsTold) {
      throw new VerificationError('the bundle was opened to something else than the status says');
    }
    return { block, opened };
  }
}

function sameLegs(a: readonly Leg[], b: readonly Leg[]): boolean {
  const text = (leg: Leg | undefined) => leg && `${leg.rollup}:${toHex(leg.transaction)}`;
  return a.length === b.length && a.every((leg, index) => text(leg) === text(b[index]));
}
