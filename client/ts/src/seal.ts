/** Sealing: legs to a bundle that only a quorum can open, signed by whoever pays. Needs no connection. */

import { randomBytes } from '@noble/hashes/utils.js';

import { SealedBundle, readNonce } from './bundle.js';
import { equalBytes, toHex, u64 } from './bytes.js';
import { assertCoins, sealPadded } from './capsule.js';
import { InputError, KeyError } from './errors.js';
import { label, type BundleHeader } from './header.js';
import { SUITE, type SealingKey } from './key.js';
import { TAG_BYTES, bucketFor, encodeLegs, encodedBytes, pad, readLegs } from './legs.js';
import type { Leg, LegInput } from './legs.js';
import type { Network } from './network.js';
import { readAddress, signBundle, type PayerSigner } from './signer.js';
import { typedData } from './typed-data.js';

/** Place of a bundle in its payer's order. */
export interface Nonce {
  /** Any number; bundles of different lanes are independent. */
  readonly lane: bigint | number;
  /** 0, 1, 2, … within the lane. */
  readonly sequence: bigint | number;
}

/** On which terms a bundle is sealed. */
export interface SealTerms {
  /** The network, checked. */
  readonly network: Network;
  /** Who pays. */
  readonly signer: PayerSigner;
  /** Place in the payer's order. */
  readonly nonce: Nonce;
  /** The last height of inclusion. */
  readonly validUntil: bigint | number;
  /** The most that may be charged, priority fee included. Twice the present charge by default. */
  readonly maxFeeGwei?: bigint | number;
  /** Paid on top, for a better chance of inclusion; it buys no position. None by default. */
  readonly priorityFeeGwei?: bigint | number;
  /** The key to seal to, of `ConclaveClient.encryptionKey`. By default the genesis', if it brings one. */
  readonly key?: SealingKey;
  /**
   * Seal for rollups that the genesis does not name, too. Such a bundle is charged and has no effect,
   * unless the network has learned of the rollup since.
   */
  readonly allowUnknownRollups?: boolean;
}

/**
 * Seals `legs` as one bundle: all of them in one block, or none.
 *
 * Throws `InputError` for what cannot work, `KeyError` for a key of another network, `SignerError` if the
 * payer does not sign.
 */
export async function seal(legs: readonly LegInput[], terms: SealTerms): Promise<SealedBundle> {
  return sealWithCoins(legs, terms, randomBytes(32));
}

/** Sealing with given coins, for the vectors: two bundles of the same coins are safe only if they differ. */
export async function sealWithCoins(
  legs: readonly LegInput[],
  terms: SealTerms,
  coins: Uint8Array,
): Promise<SealedBundle> {
  assertCoins(coins);
  const parsed = readLegs(legs);
  const key = terms.key ?? terms.network.genesisKey;
  if (key === undefined) {
    throw new InputError('key', 'the genesis brings none; give that of client.encryptionKey()');
  }
  assertSameNetwork(terms.network, key);
  if (terms.allowUnknownRollups !== true) {
    assertKnownRollups(terms.network, parsed);
  }
  const header = headerFor(terms, key, bucketFor(encodedBytes(parsed)) + TAG_BYTES);
  const padded = pad(encodeLegs(parsed));
  const parts = sealPadded(key, label(header), padded, coins);
  padded.fill(0);
  const signature = await signBundle(terms.signer, typedData(header, parts));
  return SealedBundle.of(header, parts, signature);
}

function headerFor(terms: SealTerms, key: SealingKey, bodyBytes: number): BundleHeader {
  const { network, signer } = terms;
  const priorityFeeGwei = u64(terms.priorityFeeGwei ?? 0, 'priorityFeeGwei');
  const fee = network.feeGwei(bodyBytes, priorityFeeGwei);
  const maxFeeGwei = u64(terms.maxFeeGwei ?? 2n * fee, 'maxFeeGwei');
  if (fee > maxFeeGwei) {
    throw new InputError(
      'maxFeeGwei',
      `the bundle is charged ${fee} gwei, the limit is ${maxFeeGwei}`,
    );
  }
  return {
    network: network.id,
    suite: SUITE,
    keyId: key.idHex,
    payer: readAddress(signer.address, 'signer.address'),
    ...readNonce(terms.nonce),
    maxFeeGwei,
    priorityFeeGwei,
    validUntil: u64(terms.validUntil, 'validUntil'),
    bodyBytes,
  };
}

function assertSameNetwork(network: Network, key: SealingKey): void {
  if (!equalBytes(key.network, network.idBytes)) {
    throw new KeyError(`the key is of network ${toHex(key.network)}, expected ${network.id}`);
  }
}

function assertKnownRollups(network: Network, legs: readonly Leg[]): void {
  const unknown = legs.find((leg) => !network.hasRollup(leg.rollup));
  if (unknown !== undefined) {
    const known = network.genesis.rollups.map(({ id }) => id).join(', ');
    throw new InputError(
      'legs',
      `rollup ${unknown.rollup} is not registered (registered: ${known}); the bundle would be charged without effect`,
    );
  }
}
