/** A rollup as a wallet sees it: Ethereum JSON-RPC, through viem. */

import { createPublicClient, defineChain, http, type Hex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

/** The last of the well-known test accounts: the devnet's own users take the first ones. */
export const KEY: Hex = '0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6';

/** A rollup of the devnet. */
export class Rollup {
  readonly id = 901;
  readonly account = privateKeyToAccount(KEY);
  readonly #client;
  readonly #chain;

  constructor(url: string) {
    this.#chain = defineChain({
      id: this.id,
      name: 'rollup-901',
      nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
      rpcUrls: { default: { http: [url] } },
    });
    this.#client = createPublicClient({
      chain: this.#chain,
      transport: http(url),
      pollingInterval: 50,
    });
  }

  /** The account's next nonce. */
  async nonce(): Promise<number> {
    return this.#client.getTransactionCount({ address: this.account.address });
  }

  async balance(address: Hex): Promise<bigint> {
    return this.#client.getBalance({ address });
  }

  /** A signed transfer, not sent: that is the bundle's business. */
  async transfer(nonce: number, to: Hex, value: bigint): Promise<Hex> {
    return this.account.signTransaction({
      type: 'eip1559',
      chainId: this.id,
      nonce,
      to,
      value,
      gas: 21_000n,
      maxFeePerGas: 100_000_000_000n,
      maxPriorityFeePerGas: 1_000_000_000n,
    });
  }

  /** Whether the transaction succeeded, once it is in a block. */
  async executed(hash: Hex): Promise<boolean> {
    const receipt = await this.#client.waitForTransactionReceipt({ hash, timeout: 30_000 });
    return receipt.status === 'success';
  }
}
