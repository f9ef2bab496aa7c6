/** What the payer signs, by EIP-712: the form that wallets take, and the digest itself. */

import { be, concat, fromHex, toHex, utf8, type Hex } from './bytes.js';
import type { BundleHeader } from './header.js';
import { keccak } from './hashing.js';

const FIELDS = [
  { name: 'keyId', type: 'bytes32' },
  { name: 'suite', type: 'uint8' },
  { name: 'payer', type: 'address' },
  { name: 'lane', type: 'uint64' },
  { name: 'sequence', type: 'uint64' },
  { name: 'maxFeeGwei', type: 'uint64' },
  { name: 'priorityFeeGwei', type: 'uint64' },
  { name: 'validUntil', type: 'uint64' },
  { name: 'bodyBytes', type: 'uint32' },
  { name: 'bodyHash', type: 'bytes32' },
  { name: 'capsuleHash', type: 'bytes32' },
] as const;

/** The fields that a wallet shows. */
export interface BundleMessage extends Record<string, unknown> {
  readonly keyId: Hex;
  readonly suite: number;
  readonly payer: Hex;
  readonly lane: bigint;
  readonly sequence: bigint;
  readonly maxFeeGwei: bigint;
  readonly priorityFeeGwei: bigint;
  readonly validUntil: bigint;
  readonly bodyBytes: number;
  readonly bodyHash: Hex;
  readonly capsuleHash: Hex;
}

/** A bundle as `signTypedData` takes it. */
export interface BundleTypedData {
  readonly domain: { readonly name: 'Conclave'; readonly version: '1'; readonly salt: Hex };
  readonly types: { readonly SealedBundle: typeof FIELDS };
  readonly primaryType: 'SealedBundle';
  readonly message: BundleMessage;
}

/** The typed data of a header with what it was sealed with. */
export function typedData(
  header: BundleHeader,
  { capsule, body }: { capsule: Uint8Array; body: Uint8Array },
): BundleTypedData {
  const { network, keyId, suite, payer, lane, sequence } = header;
  const { maxFeeGwei, priorityFeeGwei, validUntil, bodyBytes } = header;
  return {
    domain: { name: 'Conclave', version: '1', salt: network },
    types: { SealedBundle: FIELDS },
    primaryType: 'SealedBundle',
    message: {
      keyId,
      suite,
      payer,
      lane,
      sequence,
      maxFeeGwei,
      priorityFeeGwei,
      validUntil,
      bodyBytes,
      bodyHash: toHex(keccak(body)),
      capsuleHash: toHex(keccak(capsule)),
    },
  };
}

/** The digest that is signed. */
export function typedDataDigest({ domain, message }: BundleTypedData): Uint8Array {
  const type = `SealedBundle(${FIELDS.map(({ name, type }) => `${type} ${name}`).join(',')})`;
  const domainHash = keccak(
    keccak(utf8('EIP712Domain(string name,string version,bytes32 salt)')),
    keccak(utf8(domain.name)),
    keccak(utf8(domain.version)),
    fromHex(domain.salt, 'network', 32),
  );
  const words = FIELDS.map(({ name }) => {
    const value = message[name];
    return be(typeof value === 'string' ? BigInt(value) : value, 32);
  });
  return keccak(
    Uint8Array.of(0x19, 0x01),
    domainHash,
    keccak(keccak(utf8(type)), concat(...words)),
  );
}
