/**
 * Several nodes as one: a call goes to the one that answered last, and on to the next when it does not
 * answer or is full. Only what does no harm when done twice comes through here: reads, and submissions,
 * which are idempotent by bundle id.
 */

import { Code, ConnectError, createClient, type Client, type Transport } from '@connectrpc/connect';

import { ConclaveError, RefusedError, UnavailableError, type RefusalReason } from './errors.js';
import { NodeService } from './gen/conclave/v1/node_pb.js';
import { SequenceService } from './gen/conclave/v1/sequence_pb.js';
import { SubmitService } from './gen/conclave/v1/submit_pb.js';

/** How often and how fast to try again. */
export interface Retry {
  /** Rounds over all endpoints before giving up. */
  readonly rounds: number;
  /** Pause after the first round, in milliseconds; it doubles after each further one. */
  readonly pauseFirstMs: number;
  /** No pause is longer. */
  readonly pauseMaxMs: number;
}

/** About six seconds in all: longer than a node takes to restart. */
export const DEFAULT_RETRY: Retry = { rounds: 10, pauseFirstMs: 25, pauseMaxMs: 1_000 };

/** One node's services. */
export interface Endpoint {
  readonly submit: Client<typeof SubmitService>;
  readonly sequence: Client<typeof SequenceService>;
  readonly node: Client<typeof NodeService>;
}

/** How a call is made. */
export interface CallOptions {
  /** Ends the call with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const REASONS: Partial<Record<Code, RefusalReason>> = {
  [Code.InvalidArgument]: 'never',
  [Code.OutOfRange]: 'never',
  [Code.FailedPrecondition]: 'not-now',
  [Code.AlreadyExists]: 'included',
  [Code.NotFound]: 'not-found',
  [Code.Unimplemented]: 'unsupported',
  [Code.PermissionDenied]: 'unsupported',
  [Code.Unauthenticated]: 'unsupported',
};

/** The refusal that `error` is; none if another node, or this one a little later, may do it. */
export function refusal(error: unknown): RefusedError | undefined {
  const { code, rawMessage } = ConnectError.from(error);
  const reason = REASONS[code];
  return reason && new RefusedError(reason, rawMessage, { cause: error });
}

/** Whether a node answered that it cannot do it yet. Who was not reached at all is an error with a cause. */
export function isNotReady(error: unknown): boolean {
  return (
    error instanceof ConnectError && error.code === Code.Unavailable && error.cause === undefined
  );
}

/** How one of the requests of a call is made. */
export interface CallTerms {
  signal?: AbortSignal;
  timeoutMs: number;
}

/** The nodes that a client talks to. */
export class Endpoints {
  readonly #endpoints: readonly Endpoint[];
  readonly #retry: Retry;
  readonly #timeoutMs: number;
  #preferred = 0;

  constructor(transports: readonly Transport[], retry: Retry, timeoutMs: number) {
    this.#endpoints = transports.map((transport) => ({
      submit: createClient(SubmitService, transport),
      sequence: createClient(SequenceService, transport),
      node: createClient(NodeService, transport),
    }));
    this.#retry = retry;
    this.#timeoutMs = timeoutMs;
  }

  get count(): number {
    return this.#endpoints.length;
  }

  /** The endpoint that answered last. */
  get preferred(): number {
    return this.#preferred;
  }

  /** Rounds over all endpoints before giving up. */
  get attemptsMax(): number {
    return this.count * Math.max(1, this.#retry.rounds);
  }

  /** The endpoint number `index`, counted round and round. */
  at(index: number): Endpoint {
    const endpoint = this.#endpoints[index % this.count];
    if (endpoint === undefined) {
      throw new RangeError(`there is no endpoint ${index}`);
    }
    return endpoint;
  }

  /** Waits between two rounds; not before the first one is over. */
  async pause(attempts: number, signal: AbortSignal | undefined): Promise<void> {
    if (attempts > 0 && attempts % this.count === 0) {
      const { pauseFirstMs, pauseMaxMs } = this.#retry;
      await pause(Math.min(pauseFirstMs * 2 ** (attempts / this.count - 1), pauseMaxMs), signal);
    }
  }

  /**
   * Calls `what` on one endpoint after the other until one answers, or refuses for good. An endpoint whose
   * answer `what` finds to be wrong, such as a receipt that does not verify, is not asked again. While
   * nodes answer that they are not ready, more rounds than usual are made, for `patienceMs`.
   */
  async call<T>(
    what: (endpoint: Endpoint, options: CallTerms) => Promise<T>,
    { signal, from, patienceMs = 0 }: CallOptions & { from?: number; patienceMs?: number } = {},
  ): Promise<T> {
    const failures: unknown[] = [];
    const patientUntil = Date.now() + patienceMs;
    const isPatient = () =>
      Date.now() < patientUntil && failures.slice(-this.count).some(isNotReady);
    const liars = new Set<number>();
    const first = from ?? this.#preferred;
    const options = { timeoutMs: this.#timeoutMs, ...(signal && { signal }) };
    for (let attempt = 0; attempt < this.attemptsMax || isPatient(); attempt += 1) {
      await this.pause(attempt, signal);
      signal?.throwIfAborted();
      const index = (first + attempt) % this.count;
      if (liars.has(index)) {
        continue;
      }
      try {
        const answer = await what(this.at(index), options);
        if (from === undefined) {
          this.#preferred = index;
        }
        return answer;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof ConclaveError) {
          liars.add(index);
        } else {
          const refused = refusal(error);
          if (refused !== undefined) {
            throw refused;
          }
        }
        failures.push(error);
        if (liars.size === this.count) {
          break;
        }
      }
    }
    throw exhausted(failures);
  }
}

/** What is thrown when every attempt failed: a wrong answer rather than that somebody was away. */
export function exhausted(failures: readonly unknown[]): ConclaveError {
  const broken = failures.find((failure) => failure instanceof ConclaveError);
  const last = failures.at(-1);
  const why = last instanceof Error ? last.message : String(last);
  return broken ?? new UnavailableError(`no endpoint answered; the last one: ${why}`, failures);
}

/** Waits. Throws the signal's reason once it fires. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
