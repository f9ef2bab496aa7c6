/** Following the committees that L1 elects, from the genesis's to the one that is needed. */

import type { CallTerms, Endpoint } from './endpoints.js';
import { VerificationError } from './errors.js';
import type { Network } from './network.js';

/**
 * Learns from a node who is in the committees up to that of `epoch`: each is checked against the one before.
 * Throws `EncodingError` or {@link VerificationError} if the node makes one up.
 */
export async function followCommittees(
  network: Network,
  { node }: Endpoint,
  epoch: bigint,
  call: CallTerms,
): Promise<void> {
  while (network.nextElection !== undefined && network.nextElection <= epoch) {
    const next = network.nextElection;
    const { committees } = await node.getCommittees({ fromEpoch: next }, call);
    for (const elected of committees) {
      network.elect(elected);
    }
    if (network.committeeOf(next) === undefined) {
      throw new VerificationError(`the node was asked for the committee of epoch ${next}`);
    }
  }
}
