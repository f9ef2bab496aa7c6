/**
 * The genesis: what a network's members agreed on before its first block. Its digest is the network id,
 * so a client that knows the id can take the genesis from anybody.
 */

import { be, concat, counted, cut, fromHex, le, utf8 } from './bytes.js';
import { ConclaveError, NetworkError } from './errors.js';
import { tagged } from './hashing.js';

/** A validator of the committee. */
export interface Member {
  readonly name: string;
  /** ed25519: signs receipts and votes. */
  readonly consensusKey: Uint8Array;
  readonly networkKey: Uint8Array;
  /** BLS12-381, x ‖ y in G1: signs commitments for L1. */
  readonly settlementKey: Uint8Array;
  /** Its number in the stake contract; 0 if there is none. */
  readonly validator: number;
  /** Voting power. */
  readonly power: bigint;
}

/** A threshold key as a genesis or a node writes it, unchecked. */
export interface EncodedKey {
  readonly suite: number;
  readonly era: number;
  readonly publicKey: Uint8Array;
  readonly publicKeyG2: Uint8Array;
}

/** A registered rollup. */
export interface Rollup {
  readonly id: bigint;
  readonly name: string;
  readonly gasLimit: bigint;
}

/** What a client needs of a genesis. */
export interface Genesis {
  readonly name: string;
  /** Microseconds since the Unix epoch. */
  readonly timeMicros: bigint;
  readonly l1ChainId: bigint;
  readonly l1Contract: Uint8Array;
  readonly bundleFeeGwei: bigint;
  readonly byteFeeGwei: bigint;
  readonly bundleLifetimeMax: bigint;
  /** The suite of the network's keys. */
  readonly suite: number;
  readonly members: readonly Member[];
  /** Usually there is none: the validators make the key once the network runs. */
  readonly encryptionKey: EncodedKey | undefined;
  readonly rollups: readonly Rollup[];
}

/** A genesis with the network id that it has. */
export interface IdentifiedGenesis {
  readonly genesis: Genesis;
  readonly network: Uint8Array;
}

/** Reads a genesis and computes its network id. Throws {@link NetworkError}. */
export function readGenesis(json: string): IdentifiedGenesis {
  let root: unknown;
  try {
    root = parseExactly(json);
  } catch (cause) {
    throw new NetworkError('the genesis is not JSON', { cause });
  }
  const encoder = new Encoder();
  const genesis = read(new Node(root, 'genesis', encoder));
  const encoded = encoder.finish();
  return {
    genesis,
    network: tagged('conclave/genesis/v1', be(encoded.length, 8), encoded),
  };
}

/** Walks the genesis in borsh order: every field is read and encoded in one go, so that none is forgotten. */
function read(root: Node): Genesis {
  const name = root.field('name').string();
  const timeMicros = root.field('time').integer(8);
  const l1ChainId = root.field('l1_chain_id').integer(8);
  const l1Contract = root.field('l1_contract').bytes(20);
  const origin = root.field('l1_origin');
  origin.field('number').integer(8);
  origin.field('hash').bytes(32);
  const params = root.field('params');
  const fees = params.field('fees');
  const bundleFeeGwei = fees.field('bundle_fee_gwei').integer(8);
  const byteFeeGwei = fees.field('byte_fee_gwei').integer(8);
  const limits = params.field('limits');
  limits.field('block_bundles_max').integer(4);
  limits.field('block_bytes_max').integer(4);
  const bundleLifetimeMax = limits.field('bundle_lifetime_max').integer(8);
  limits.field('reveal_lag_max').integer(8);
  const timing = params.field('timing');
  for (const wait of WAITS) {
    timing.field(wait).integer(8);
  }
  const sharing = params.field('sharing');
  const suite = Number(sharing.field('suite').integer(1));
  sharing.field('secrecy').integer(2);
  for (const span of SPANS) {
    sharing.field(span).integer(8);
  }
  const members = root.field('members').list((member) => ({
    name: member.field('name').string(),
    consensusKey: member.field('consensus_key').bytes(32),
    networkKey: member.field('network_key').bytes(32),
    settlementKey: member.field('settlement_key').bytes(96),
    validator: Number(member.field('validator').integer(4)),
    power: member.field('power').integer(8),
  }));
  const encryptionKey = root.optional('encryption_key', readKey);
  const rollups = root.field('rollups').list((rollup) => ({
    id: rollup.field('id').integer(8),
    name: rollup.field('name').string(),
    gasLimit: rollup.field('gas_limit').integer(8),
  }));
  root.field('accounts').list((account) => {
    account.field('address').bytes(20);
    account.field('balance').integer(8);
  });
  return {
    name,
    timeMicros,
    l1ChainId,
    l1Contract,
    bundleFeeGwei,
    byteFeeGwei,
    bundleLifetimeMax,
    suite,
    members,
    encryptionKey,
    rollups,
  };
}

const WAITS = [
  'block_interval_ms',
  'idle_interval_ms',
  'propose_timeout_ms',
  'vote_timeout_ms',
  'timeout_step_ms',
  'inclusion_delay_ms',
  'clock_drift_max_ms',
];

const SPANS = [
  'stage_heights',
  'complaint_heights',
  'repair_heights',
  'epoch_heights',
  'era_epochs',
  'overlap_heights',
];

function readKey(key: Node): EncodedKey {
  const suite = Number(key.field('suite').integer(1));
  const era = Number(key.field('era').integer(4));
  key.field('secrecy').integer(2);
  key.field('packing').integer(2);
  const publicKey = key.field('public_key').bytes(48);
  const publicKeyG2 = key.field('public_key_g2').bytes(96);
  key.field('verification_keys').list((share) => share.bytes(96));
  return { suite, era, publicKey, publicKeyG2 };
}

/** An integer of a JSON text, exact. */
class Integer {
  constructor(readonly value: bigint) {}
}

/** JSON with integers of any size: `JSON.parse` alone rounds those above 2⁵³. */
function parseExactly(json: string): unknown {
  const mark = '\u0000integer:';
  const marked = new RegExp(`^${mark}\\d+$`);
  const outsideStrings = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  // A string that spells the mark is read as the integer it names: the digest covers either way.
  const exact = json.replace(outsideStrings, (token) =>
    /^\d+$/.test(token) ? JSON.stringify(mark + token) : token,
  );
  return JSON.parse(exact, (_, value: unknown) =>
    typeof value === 'string' && marked.test(value)
      ? new Integer(BigInt(value.slice(mark.length)))
      : value,
  );
}

class Encoder {
  readonly #parts: Uint8Array[] = [];

  push(part: Uint8Array): void {
    this.#parts.push(part);
  }

  finish(): Uint8Array {
    return concat(...this.#parts);
  }
}

/** A value of the genesis, with its path for errors. */
class Node {
  constructor(
    private readonly value: unknown,
    private readonly path: string,
    private readonly encoder: Encoder,
  ) {}

  field(name: string): Node {
    const { value } = this;
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) {
      throw new NetworkError(`${this.path}.${name} is missing`);
    }
    const found = (value as Record<string, unknown>)[name];
    return new Node(found, `${this.path}.${name}`, this.encoder);
  }

  /** A field that may be null or left out, which are the same. */
  optional<T>(name: string, read: (value: Node) => T): T | undefined {
    const { value } = this;
    const isThere =
      typeof value === 'object' &&
      value !== null &&
      ((value as Record<string, unknown>)[name] ?? null) !== null;
    this.encoder.push(Uint8Array.of(isThere ? 1 : 0));
    return isThere ? read(this.field(name)) : undefined;
  }

  list<T>(read: (element: Node) => T): T[] {
    if (!Array.isArray(this.value)) {
      throw this.unexpected('a list');
    }
    const elements: unknown[] = this.value;
    this.encoder.push(le(elements.length, 4));
    return elements.map((value, index) =>
      read(new Node(value, `${this.path}[${index}]`, this.encoder)),
    );
  }

  integer(width: number): bigint {
    const { value } = this;
    if (!(value instanceof Integer) || value.value >> BigInt(8 * width) !== 0n) {
      throw this.unexpected(`an integer of ${8 * width} bits`);
    }
    this.encoder.push(le(value.value, width));
    return value.value;
  }

  string(): string {
    if (typeof this.value !== 'string') {
      throw this.unexpected('a string');
    }
    this.encoder.push(counted(utf8(this.value)));
    return this.value;
  }

  bytes(length: number): Uint8Array {
    if (typeof this.value !== 'string') {
      throw this.unexpected('hexadecimal digits');
    }
    try {
      const bytes = fromHex(this.value, this.path, length);
      this.encoder.push(bytes);
      return bytes;
    } catch (cause) {
      if (cause instanceof ConclaveError) {
        throw new NetworkError(cause.message, { cause });
      }
      throw cause;
    }
  }

  private unexpected(expected: string): NetworkError {
    const { value } = this;
    const found = value instanceof Integer ? `${value.value}` : cut(JSON.stringify(value));
    return new NetworkError(`${this.path}: expected ${expected}, found ${found}`);
  }
}
