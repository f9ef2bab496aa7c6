/** Which network this is, and what can be checked from its genesis. */

import { be, concat, hexOf, toHex, type Hex } from './bytes.js';
import { Committee, FIRST_ELECTED, verifyElected } from './committee.js';
import { NetworkError, VerificationError } from './errors.js';
import type { ElectedCommittee } from './gen/conclave/v1/node_pb.js';
import { readGenesis, type Genesis } from './genesis.js';
import { SealingKey } from './key.js';

/**
 * A genesis whose digest is the network id, with what follows from it.
 *
 * In a network with an L1, committees change. Each epoch's last commitment names the next committee and is
 * signed by a quorum of its own, so whoever trusts the genesis can follow them one by one.
 */
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
  readonly #first: Committee;
  /** Whether committees change at all. */
  readonly #changes: boolean;
  /** The committees from {@link FIRST_ELECTED} on, without a gap. */
  readonly #elected: Committee[] = [];

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
    this.#first = new Committee(genesis.members.entries());
    this.#changes = genesis.l1Contract.some((byte) => byte !== 0);
  }

  /** The network id. */
  get id(): Hex {
    return toHex(this.idBytes);
  }

  /** D: what separates this network's signatures from others'. @internal */
  get domain(): Uint8Array {
    return this.#domain;
  }

  /** The voting power that decides in the genesis's committee. */
  get quorumPower(): bigint {
    return this.#first.quorumPower;
  }

  /** The validators of an epoch, if it has been shown who they are. @internal */
  committeeOf(epoch: bigint): Committee | undefined {
    return !this.#changes || epoch < FIRST_ELECTED
      ? this.#first
      : this.#elected[Number(epoch - FIRST_ELECTED)];
  }

  /** The newest committee in which a validator sits. @internal */
  newestWith(validator: number): Committee | undefined {
    const known = [...this.#elected].reverse();
    return [...known, this.#first].find((committee) => committee.members.has(validator));
  }

  /** The first epoch of which it has not been shown whom L1 elected; none if committees never change. @internal */
  get nextElection(): bigint | undefined {
    return this.#changes ? FIRST_ELECTED + BigInt(this.#elected.length) : undefined;
  }

  /**
   * Takes the next committee, if the one before names it. One that is known changes nothing. Throws
   * `EncodingError` or {@link VerificationError}. @internal
   */
  elect(elected: ElectedCommittee): void {
    const next = this.nextElection;
    if (next === undefined || elected.epoch < next) {
      return;
    }
    const before = this.committeeOf(next - 1n);
    if (elected.epoch !== next || before === undefined) {
      throw new VerificationError(
        `the next epoch whose committee can be checked is ${next}, not ${elected.epoch}`,
      );
    }
    this.#elected.push(verifyElected(this.#domain, before, elected));
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
}
