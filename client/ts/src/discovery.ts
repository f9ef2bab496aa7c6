/**
 * The key that a node serves, and who vouches for it.
 *
 * Whoever serves a key of its own could read what is sealed to it. So a key counts only if the genesis
 * brings it, or if a quorum of validators decided a block whose header names it: they make the key
 * together, on the chain, and sign every block that it opens.
 */

import { toHex, type Hex } from './bytes.js';
import { verifyHeader } from './block.js';
import { EncodingError, KeyError } from './errors.js';
import type { GetEncryptionKeyResponse } from './gen/conclave/v1/submit_pb.js';
import { keyId, SealingKey } from './key.js';
import type { Network } from './network.js';

/**
 * Checks the key that a node serves.
 *
 * Throws {@link KeyError} if it is not the network's or does not hold together, {@link EncodingError} or
 * `VerificationError` if the block that should vouch for it is missing or was not decided.
 */
export function verifyServedKey(network: Network, served: GetEncryptionKeyResponse): SealingKey {
  const { networkId, suite } = served;
  if (toHex(networkId) !== network.id) {
    throw new KeyError(`the node serves a key of network ${toHex(networkId)}`);
  }
  if (suite !== network.genesis.suite) {
    throw new KeyError(
      `the node serves a key of suite ${suite}, the network's is ${network.genesis.suite}`,
    );
  }
  const [named, found] = [toHex(served.keyId), toHex(keyId(network.idBytes, served))];
  if (named !== found) {
    throw new KeyError(`the node serves a key under the id ${named}; its id is ${found}`);
  }
  const expected = network.genesisKey?.idHex ?? certifiedId(network, served);
  if (found !== expected) {
    throw new KeyError(`the node serves key ${found}, the network's is ${expected}`);
  }
  return network.genesisKey ?? new SealingKey(network.idBytes, served);
}

/** The key that a quorum's block names. */
function certifiedId(network: Network, { header, certificate }: GetEncryptionKeyResponse): Hex {
  if (header === undefined || certificate === undefined) {
    throw new EncodingError(
      'the answer lacks the block that vouches for the key, or its certificate',
    );
  }
  verifyHeader(network, header, certificate);
  return toHex(header.keyId);
}
