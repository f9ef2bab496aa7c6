/** Which network this is, and what can be checked from its genesis alone. */

import { be, concat, cut, hexOf, toHex, type Hex } from './bytes.js';
import { NetworkError, VerificationError } from './errors.js';
import { verifyStrict } from './ed25519.js';
import { readGenesis, type Genesis } from './genesis.js';
import { SealingKey } from './key.js';

/** A genesis whose digest is the network id, with what follows from it. */
export class Network {
  /** The genesis. */
  readonly genesis: Genesis;
  /** The network id. @internal */
  readonly idBytes: Uint8Array;
  /**
   * The key that the genesis brings. Usually there is none: the validators make it once the network runs,
   * and `ConclaveClient.encryptionKey` learns it.
   */
  readonly genesisKey: SealingKey | undefined;
  readonly #domain: Uint8Array;

  /**
   * Reads a genesis, from a node or a file. `expected` is the network id that you know; without it you
   * trust whoever gave you the genesis.
   *
   * Throws {@link NetworkError}, or `KeyError` if it brings an encryption key that cannot be used.
   */
  constructor(genesisJson: string, expected?: Hex) {
    const { genesis, network } = readGenesis(genesisJson);
    if (expected !== undefined) {
      const [wanted, found] = [hexOf(expected, 'network', 32), toHex(network)];
      if (wanted !== found) {
        throw new NetworkError(`the genesis is of network ${found}, expected ${wanted}`);
      }
    }
    if (genesis.members.length === 0) {
      throw new NetworkError('the genesis has no validators');
    }
    const { suite, encryptionKey } = genesis;
    if (encryptionKey !== undefined && encryptionKey.suite !== suite) {
      throw new NetworkError(
        `the genesis brings a key of suite ${encryptionKey.suite}, its parameters say ${suite}`,
      );
    }
    this.genesis = genesis;
    this.idBytes = network;
    this.genesisKey = encryptionKey && new SealingKey(network, encryptionKey);
    this.#domain = concat(network, be(genesis.l1ChainId, 8), genesis.l1Contract);
  }

  /** The network id. */
  get id(): Hex {
    return toHex(this.idBytes);
  }

  /** D: what separates this network's signatures from others'. @internal */
  get domain(): Uint8Array {
    return this.#domain;
  }

  /** The voting power that decides. */
  get quorumPower(): bigint {
    const total = this.genesis.members.reduce((sum, member) => sum + member.power, 0n);
    return (total * 2n) / 3n + 1n;
  }

  /** The charge for a body of `bodyBytes`. */
  feeGwei(bodyBytes: number, priorityFeeGwei = 0n): bigint {
    const { bundleFeeGwei, byteFeeGwei } = this.genesis;
    return bundleFeeGwei + byteFeeGwei * BigInt(bodyBytes) + priorityFeeGwei;
  }

  /** Whether legs may name `rollup`. */
  hasRollup(rollup: bigint): boolean {
    return this.genesis.rollups.some(({ id }) => id === rollup);
  }

  /** Checks that the validator at `index` signed `digest`. Throws {@link VerificationError}. @internal */
  assertSigned(index: number, digest: Uint8Array, signature: Uint8Array, what: string): void {
    const member = this.genesis.members[index];
    if (member === undefined) {
      throw new VerificationError(`${what} names validator ${index}, who is not in the committee`);
    }
    if (!verifyStrict(member.consensusKey, digest, signature)) {
      throw new VerificationError(
        `the signature of validator ${index} (${cut(member.name)}) on ${what} does not verify`,
      );
    }
  }
}
