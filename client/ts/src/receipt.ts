/** A validator's signed word that it has a bundle and by when it will be included. */

import { be, toHex, type Hex } from './bytes.js';
import { EncodingError, VerificationError } from './errors.js';
import type { Receipt as ReceiptMessage } from './gen/conclave/v1/submit_pb.js';
import { tagged } from './hashing.js';
import type { Network } from './network.js';

/** A receipt whose signature verifies. Keep `signature` with it: together they show who broke a promise. */
export interface Receipt {
  readonly bundleId: Hex;
  /** Index of the validator that signed. */
  readonly validator: number;
  /** That validator's clock, microseconds since the Unix epoch. */
  readonly receivedMicros: bigint;
  /** Included by this height, if it keeps its word. */
  readonly deadlineHeight: bigint;
  /** ed25519. */
  readonly signature: Hex;
}

/** What a receipt signs. */
export function receiptDigest(
  network: Network,
  receipt: { bundleId: Uint8Array; receivedMicros: bigint; deadlineHeight: bigint },
): Uint8Array {
  return tagged(
    'conclave/receipt/v1',
    network.domain,
    receipt.bundleId,
    be(receipt.receivedMicros, 8),
    be(receipt.deadlineHeight, 8),
  );
}

/**
 * Checks that a receipt is for `expected` and signed by the validator that it names.
 * Throws {@link EncodingError} or {@link VerificationError}.
 */
export function verifyReceipt(
  network: Network,
  receipt: ReceiptMessage | undefined,
  expected: Hex,
): Receipt {
  if (receipt?.bundleId.length !== 32) {
    throw new EncodingError('the answer holds no receipt');
  }
  const bundleId = toHex(receipt.bundleId);
  if (bundleId !== expected) {
    throw new VerificationError(`the receipt is for bundle ${bundleId}, handed in was ${expected}`);
  }
  const { validator, receivedMicros, deadlineHeight, signature } = receipt;
  const committee = network.newestWith(validator);
  if (committee === undefined) {
    throw new VerificationError(`the receipt names validator ${validator}, whom nobody knows`);
  }
  committee.assertSigned(validator, receiptDigest(network, receipt), signature, 'a receipt');
  return { bundleId, validator, receivedMicros, deadlineHeight, signature: toHex(signature) };
}
