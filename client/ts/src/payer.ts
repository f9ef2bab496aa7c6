/**
 * A payer at work: picks a lane, keeps its sequence, seals, submits.
 *
 * A lane is held from sealing to admission, so that a sequence is used once; submissions in parallel take
 * further lanes. A lane stays with one node while that one answers, because the next sequence is only
 * known where the bundle before was handed in.
 */

import type { SealedBundle } from './bundle.js';
import { u64 } from './bytes.js';
import type { Admission, ClientTerms, ConclaveClient } from './client.js';
import { pause, type CallOptions } from './endpoints.js';
import { InputError, RefusedError } from './errors.js';
import type { LegInput } from './legs.js';
import { seal } from './seal.js';
import type { PayerSigner } from './signer.js';
import type { BundleStatus } from './status.js';
import type { WatchOptions } from './watch.js';

/** Lanes that the network lets an account use, ever. */
const LANES_MAX = 256;
/** How often a nonce that was refused is tried again, and the first pause before that. */
const NONCE_ATTEMPTS = 6;
const NONCE_PAUSE_MS = 25;

/** Which lanes a payer uses. */
export interface Lanes {
  /** The first lane. 0 by default; two programs of one payer must not share lanes. */
  readonly first?: bigint | number;
  /** How many. 16 by default, 256 at most: the network lets an account use no more, ever. */
  readonly count?: number;
}

/** A bundle that was handed in. */
export interface Submission {
  readonly bundle: SealedBundle;
  readonly admission: Admission;
}

/** A bundle on its way, and how far it has come. */
export interface Sent {
  readonly bundle: SealedBundle;
  readonly status: BundleStatus;
}

/** Terms of a bundle whose nonce the payer chooses. */
export type PayerTerms = Omit<ClientTerms, 'signer' | 'nonce'>;

interface Lane {
  readonly number: bigint;
  /** None if only the network knows. */
  next: bigint | undefined;
}

/** Submits for one payer, as many bundles at once as there are lanes; further ones wait for a lane. */
export class Payer {
  readonly #free: Lane[];
  readonly #waiting: ((lane: Lane) => void)[] = [];
  /** Who waits for one lane and no other: they come first. */
  readonly #wanted: { number: bigint; resolve: (lane: Lane) => void }[] = [];

  constructor(
    private readonly client: ConclaveClient,
    private readonly signer: PayerSigner,
    lanes: Lanes = {},
  ) {
    const { count = 16 } = lanes;
    const first = u64(lanes.first ?? 0n, 'lanes.first');
    if (!Number.isInteger(count) || count < 1 || count > LANES_MAX) {
      throw new InputError('lanes.count', `expected 1 to ${LANES_MAX}, found ${count}`);
    }
    this.#free = Array.from({ length: count }, (_, index) => ({
      number: u64(first + BigInt(index), 'lanes'),
      next: undefined,
    }));
  }

  /** Seals `legs` as one bundle and submits it. Throws what `seal` and `submit` throw. */
  async submit(
    legs: readonly LegInput[],
    terms: PayerTerms = {},
    call: CallOptions = {},
  ): Promise<Submission> {
    const lane = await this.#take();
    try {
      return await this.#submitIn(lane, legs, terms, call);
    } finally {
      this.#give(lane);
    }
  }

  /**
   * Seals `legs` as one bundle, submits it and tells every rise of its level, as `client.watch` does. What comes back
   * with the end of its era is sealed again to the new key: the same legs, under the same nonce and until the
   * same height. At most one of a nonce's bundles is ever included, whoever lies; `bundle` is the newest of them. The
   * last status says `returned` if there is no new key or no time left for it.
   *
   * Throws what {@link submit} and `client.watch` throw. `RefusedError` after a bundle came back may mean that the
   * one before was included after all: ask for the status of each `bundle` that was told.
   */
  async *send(
    legs: readonly LegInput[],
    terms: PayerTerms = {},
    options: WatchOptions = {},
  ): AsyncGenerator<Sent, void, undefined> {
    const call = { signal: options.signal };
    let { bundle } = await this.submit(legs, terms, call);
    for (;;) {
      let returned: BundleStatus | undefined;
      let lost: RefusedError | undefined;
      try {
        for await (const status of this.client.watch(bundle.id, options)) {
          if (status.returned === undefined) {
            yield { bundle, status };
          } else {
            returned = status;
          }
        }
      } catch (error) {
        // A node that was started again knows no more what it gave back.
        if (!(error instanceof RefusedError) || error.reason !== 'not-found') {
          throw error;
        }
        lost = error;
      }
      if (returned === undefined && lost === undefined) {
        return;
      }
      const again = await this.#again(bundle, legs, terms, call);
      if (again === undefined) {
        if (lost !== undefined) {
          throw lost;
        }
        if (returned !== undefined) {
          yield { bundle, status: returned };
        }
        return;
      }
      bundle = again;
    }
  }

  /** Seals a bundle again and hands it in, its lane held meanwhile; none if there is no use. */
  async #again(
    old: SealedBundle,
    legs: readonly LegInput[],
    terms: PayerTerms,
    call: CallOptions,
  ): Promise<SealedBundle | undefined> {
    const lane = await this.#takeNumber(old.header.lane);
    try {
      const bundle = await this.#sealAgain(old, legs, terms, call);
      if (bundle === undefined) {
        return undefined;
      }
      // What was pending behind it may have come back, too.
      lane.next = undefined;
      const from = Number(lane.number % BigInt(this.client.endpointCount));
      for (let attempt = 0; ; attempt += 1) {
        try {
          await this.client.submit(bundle, { ...call, from });
          return bundle;
        } catch (error) {
          // A node that is a block behind still holds the old one.
          const passes = error instanceof RefusedError && error.reason === 'not-now';
          if (!passes || attempt >= NONCE_ATTEMPTS) {
            throw error;
          }
          await pause(NONCE_PAUSE_MS * 2 ** attempt, call.signal);
        }
      }
    } finally {
      this.#give(lane);
    }
  }

  /** The same bundle under the key in force; none if that is the one that it has, or if it is too late. */
  async #sealAgain(
    { header }: SealedBundle,
    legs: readonly LegInput[],
    terms: PayerTerms,
    call: CallOptions,
  ): Promise<SealedBundle | undefined> {
    const { key, decidedHeight } = await this.client.encryptionKey(call);
    const { lane, sequence, validUntil, maxFeeGwei } = header;
    if (key.idHex === header.keyId || decidedHeight >= validUntil) {
      return undefined;
    }
    const { signer, client } = this;
    const nonce = { lane, sequence };
    const { network } = client;
    return seal(legs, { ...terms, signer, nonce, network, key, validUntil, maxFeeGwei });
  }

  async #submitIn(
    lane: Lane,
    legs: readonly LegInput[],
    terms: PayerTerms,
    call: CallOptions,
  ): Promise<Submission> {
    const from = Number(lane.number % BigInt(this.client.endpointCount));
    for (let attempt = 0; ; attempt += 1) {
      const sequence = lane.next ?? (await this.#pending(lane, from, call));
      const nonce = { lane: lane.number, sequence };
      const bundle = await this.client.seal(legs, { ...terms, signer: this.signer, nonce }, call);
      // Unknown until there is an answer.
      lane.next = undefined;
      try {
        const admission = await this.client.submit(bundle, { ...call, from });
        lane.next = sequence + 1n;
        return { bundle, admission };
      } catch (error) {
        if (!(error instanceof RefusedError) || attempt >= NONCE_ATTEMPTS) {
          throw error;
        }
        if (error.reason === 'never' && (await this.#isSealedInVain(bundle, call))) {
          lane.next = sequence;
          continue;
        }
        const other = await this.#afterRefusal(error, lane, { sequence, from, attempt }, call);
        if (other === undefined) {
          throw error;
        }
        lane.next = other;
      }
    }
  }

  /** Whether the era of the key that a bundle is sealed to is over. */
  async #isSealedInVain({ header }: SealedBundle, call: CallOptions): Promise<boolean> {
    const { key } = await this.client.encryptionKey(call);
    return key.idHex !== header.keyId;
  }

  /** The sequence to try with after a refusal; none if the nonce was not the reason. */
  async #afterRefusal(
    { reason }: RefusedError,
    lane: Lane,
    { sequence, from, attempt }: { sequence: bigint; from: number; attempt: number },
    call: CallOptions,
  ): Promise<bigint | undefined> {
    if (reason !== 'never' && reason !== 'not-now') {
      return undefined;
    }
    const pending = await this.#pending(lane, from, call);
    if (pending > sequence) {
      return pending;
    }
    if (pending === sequence || reason === 'never') {
      return undefined;
    }
    // The bundle before has not arrived there, or never will. It has half of the attempts to.
    await pause(NONCE_PAUSE_MS * 2 ** attempt, call.signal);
    return attempt < NONCE_ATTEMPTS / 2 ? sequence : pending;
  }

  async #pending(lane: Lane, from: number, call: CallOptions): Promise<bigint> {
    const { signer, client } = this;
    const account = await client.account(signer.address, lane.number, { ...call, from });
    const { nextSequence, nextSequencePending } = account;
    return nextSequence > nextSequencePending ? nextSequence : nextSequencePending;
  }

  #take(): Promise<Lane> {
    const lane = this.#free.shift();
    return lane === undefined
      ? new Promise((resolve) => this.#waiting.push(resolve))
      : Promise.resolve(lane);
  }

  /** A certain lane, when whoever has it gives it back. */
  #takeNumber(number: bigint): Promise<Lane> {
    const at = this.#free.findIndex((lane) => lane.number === number);
    const [lane] = at < 0 ? [] : this.#free.splice(at, 1);
    return lane === undefined
      ? new Promise((resolve) => this.#wanted.push({ number, resolve }))
      : Promise.resolve(lane);
  }

  #give(lane: Lane): void {
    const wanted = this.#wanted.findIndex(({ number }) => number === lane.number);
    if (wanted >= 0) {
      const [first] = this.#wanted.splice(wanted, 1);
      first?.resolve(lane);
      return;
    }
    const next = this.#waiting.shift();
    if (next === undefined) {
      // The lanes in use stay few: the one given back last is taken first.
      this.#free.unshift(lane);
    } else {
      next(lane);
    }
  }
}
