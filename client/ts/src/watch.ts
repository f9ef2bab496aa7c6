/**
 * Following a bundle across nodes: a stream that breaks or goes silent is opened again at the next node,
 * and what was told already is not told twice.
 */

import type { Endpoints } from './endpoints.js';
import { exhausted, refusal } from './endpoints.js';
import { ConclaveError } from './errors.js';
import type { WatchBundleResponse } from './gen/conclave/v1/submit_pb.js';
import { fromHex, type Hex } from './bytes.js';
import { LEVELS, levelCode, reaches, readStatus, type BundleStatus, type Level } from './status.js';

/** How to follow a bundle. */
export interface WatchOptions {
  /** The level at which the watch ends. `revealed` by default. */
  readonly until?: Exclude<Level, 'unknown'>;
  /** Ends the watch with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A stream that says nothing for this long is opened again elsewhere: nobody else would notice a dead host. */
const SILENCE_MS = 15_000;

type Turn =
  | { readonly kind: 'status'; readonly status: BundleStatus }
  | { readonly kind: 'over' }
  | { readonly kind: 'silent' };

/** One stream of one node, which can be given up at any time. */
class Stream {
  readonly #controller = new AbortController();
  readonly #answers: AsyncIterator<WatchBundleResponse>;
  readonly #stop: () => void;

  constructor(
    endpoints: Endpoints,
    index: number,
    private readonly id: Hex,
    until: Level,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.#stop = () => {
      this.#controller.abort(signal?.reason);
    };
    signal?.addEventListener('abort', this.#stop, { once: true });
    const request = { bundleId: fromHex(id, 'id', 32), until: levelCode(until) };
    const options = { signal: this.#controller.signal };
    const { submit } = endpoints.at(index);
    this.#answers = submit.watchBundle(request, options)[Symbol.asyncIterator]();
  }

  async next(): Promise<Turn> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<'silent'>((resolve) => {
      timer = setTimeout(() => {
        resolve('silent');
      }, SILENCE_MS);
    });
    const answer = this.#answers.next();
    try {
      const turn = await Promise.race([answer, silence]);
      if (turn === 'silent') {
        // It will end with the abort that follows; nobody waits for it any more.
        answer.catch(() => undefined);
        return { kind: 'silent' };
      }
      return turn.done === true
        ? { kind: 'over' }
        : { kind: 'status', status: readStatus(turn.value.status, this.id) };
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.signal?.removeEventListener('abort', this.#stop);
    this.#controller.abort();
  }
}

/** Every rise of a bundle's level until it is at the wanted one. */
export async function* watch(
  endpoints: Endpoints,
  id: Hex,
  { until = 'revealed', signal }: WatchOptions,
): AsyncGenerator<BundleStatus, void, undefined> {
  let told: Level | undefined;
  let from = endpoints.preferred;
  let failures: unknown[] = [];
  for (;;) {
    await endpoints.pause(failures.length, signal);
    signal?.throwIfAborted();
    const stream = new Stream(endpoints, from, id, until, signal);
    try {
      for (;;) {
        const turn = await attempt(stream, signal);
        if (turn.kind === 'failed') {
          failures.push(turn.error);
          break;
        }
        if (turn.kind === 'silent') {
          break;
        }
        failures = [];
        const { status } = turn;
        const isNews = told === undefined || LEVELS.indexOf(status.level) > LEVELS.indexOf(told);
        if (isNews || status.returned !== undefined) {
          told = status.level;
          yield status;
        }
        if (status.returned !== undefined || (told !== undefined && reaches(told, until))) {
          return;
        }
      }
    } finally {
      stream.close();
    }
    if (failures.length >= endpoints.attemptsMax) {
      throw exhausted(failures);
    }
    from += 1;
  }
}

type Attempt =
  Exclude<Turn, { kind: 'over' }> | { readonly kind: 'failed'; readonly error: unknown };

/** The next turn; throws only what another node would not change. */
async function attempt(stream: Stream, signal: AbortSignal | undefined): Promise<Attempt> {
  try {
    const turn = await stream.next();
    return turn.kind === 'over'
      ? { kind: 'failed', error: new Error('the stream ended early') }
      : turn;
  } catch (error) {
    signal?.throwIfAborted();
    const refused = error instanceof ConclaveError ? undefined : refusal(error);
    if (refused !== undefined) {
      throw refused;
    }
    return { kind: 'failed', error };
  }
}
