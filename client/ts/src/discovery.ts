/**
 * The key that a node serves, and who vouches for it.
 *
 * Whoever serves a key of its own could read what is sealed to it. So a key counts only if the genesis
 * brings it, or if a quorum of validators decided a block whose header names it: they make the key
 * together, on the chain, and sign every block that it opens, and those before in which it is fixed.
 */

import { equalBytes, toHex, type Hex } from './bytes.js';
import { verifyHeader } from './block.js';
import { EncodingError, KeyError } from './errors.js';
import type { GetEncryptionKeyResponse } from './gen/conclave/v1/submit_pb.js';
import { tagged } from './hashing.js';
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
  const first = network.genesisKey;
  const isLater = first === undefined || served.era > first.era;
  const expected = isLater ? certifiedId(network, served) : first.idHex;
  if (found !== expected) {
    throw new KeyError(`the node serves key ${found}, the network's is ${expected}`);
  }
  return isLater ? new SealingKey(network.idBytes, served) : first;
}

/** What a block's sharing root is if it names the key of the next era. */
export function nextKeyRoot(keyId: Uint8Array, messagesRoot: Uint8Array): Uint8Array {
  return tagged('conclave/next-key/v1', keyId, messagesRoot);
}

/** The key that a quorum's block names; the one that is served, if it names that as the next era's. */
function certifiedId(network: Network, served: GetEncryptionKeyResponse): Hex {
  const { header, certificate, messagesRoot } = served;
  if (header === undefined || certificate === undefined) {
    throw new EncodingError(
      'the answer lacks the block that vouches for the key, or its certificate',
    );
  }
  if (messagesRoot.length !== 0 && messagesRoot.length !== 32) {
    throw new EncodingError(`messages_root has ${messagesRoot.length} bytes, expected 32 or none`);
  }
  verifyHeader(network, header, certificate);
  const isNext =
    messagesRoot.length > 0 &&
    equalBytes(header.sharingRoot, nextKeyRoot(served.keyId, messagesRoot));
  return toHex(isNext ? served.keyId : header.keyId);
}
