/**
 * Who pays: anything that signs EIP-712 typed data with an Ethereum key. A viem account fits as it is;
 * for ethers and for browser wallets there are adapters.
 */

import { secp256k1 } from '@noble/curves/secp256k1.js';

import { concat, equalBytes, fromBe, fromHex, be, toHex, type Hex } from './bytes.js';
import { InputError, SignerError } from './errors.js';
import { keccak } from './hashing.js';
import { typedDataDigest, type BundleTypedData } from './typed-data.js';

/** Signs for the payer. viem's `LocalAccount` is one. */
export interface PayerSigner {
  /** The address that is charged. */
  readonly address: Hex;
  /** 65 bytes: r ‖ s ‖ v. */
  signTypedData(data: BundleTypedData): Promise<Hex>;
}

const ORDER = secp256k1.Point.Fn.ORDER;

/** The address of an uncompressed public key. */
function addressOf(publicKey: Uint8Array): Hex {
  return toHex(keccak(publicKey.subarray(1)).subarray(12));
}

/**
 * A key held in memory: for servers and tests. It cannot be erased from memory reliably; keys of people
 * belong in a wallet. Throws {@link InputError}, without repeating the key.
 */
export function privateKeySigner(privateKey: Hex | Uint8Array): PayerSigner {
  const refused = () =>
    new InputError('privateKey', 'expected 32 bytes of a secp256k1 key, not zero, below the order');
  const isText = typeof privateKey === 'string';
  if (isText && !/^0x[0-9a-fA-F]{64}$/.test(privateKey)) {
    throw refused();
  }
  const secret = isText ? fromHex(privateKey, 'privateKey') : privateKey.slice();
  if (!secp256k1.utils.isValidSecretKey(secret)) {
    throw refused();
  }
  const address = addressOf(secp256k1.getPublicKey(secret, false));
  const sign = (data: BundleTypedData): Hex => {
    const options = { prehash: false, lowS: true, format: 'recovered' } as const;
    const [recovery = 0, ...rest] = secp256k1.sign(typedDataDigest(data), secret, options);
    return toHex(Uint8Array.of(...rest, 27 + recovery));
  };
  return { address, signTypedData: (data) => Promise.resolve(sign(data)) };
}

/** The part of an ethers v6 signer that is needed. */
export interface EthersSigner {
  getAddress(): Promise<string>;
  signTypedData(
    domain: BundleTypedData['domain'],
    types: Record<string, { name: string; type: string }[]>,
    value: Record<string, unknown>,
  ): Promise<string>;
}

/** An ethers v6 signer as a payer. */
export async function ethersSigner(signer: EthersSigner): Promise<PayerSigner> {
  const address = toHex(fromHex(await signer.getAddress(), 'address', 20));
  return {
    address,
    signTypedData: async ({ domain, types, message }) => {
      const fields = types.SealedBundle.map((field) => ({ ...field }));
      const signature = await signer.signTypedData(domain, { SealedBundle: fields }, message);
      return signature as Hex;
    },
  };
}

/** A browser wallet (EIP-1193), such as `window.ethereum`. */
export interface Eip1193Provider {
  request(request: { method: string; params: unknown[] }): Promise<unknown>;
}

/** The account `address` of a browser wallet as a payer. */
export function eip1193Signer(provider: Eip1193Provider, address: Hex): PayerSigner {
  const own = toHex(fromHex(address, 'address', 20));
  return {
    address: own,
    signTypedData: async (data) => {
      const params = [own, walletJson(data)];
      const signature = await provider.request({ method: 'eth_signTypedData_v4', params });
      if (typeof signature !== 'string') {
        throw new SignerError('the wallet returned no signature');
      }
      return signature as Hex;
    },
  };
}

/** Typed data as `eth_signTypedData_v4` takes it: the domain's type written out, integers in decimal. */
function walletJson({ domain, types, primaryType, message }: BundleTypedData): string {
  const EIP712Domain = [
    { name: 'name', type: 'string' },
    { name: 'version', type: 'string' },
    { name: 'salt', type: 'bytes32' },
  ];
  const data = { domain, types: { EIP712Domain, ...types }, primaryType, message };
  return JSON.stringify(data, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}

/**
 * Has `signer` sign, and checks what comes back: by the payer, over exactly this, in the one form that
 * validators take. Throws {@link SignerError}.
 */
export async function signBundle(signer: PayerSigner, data: BundleTypedData): Promise<Uint8Array> {
  let answer: Hex;
  try {
    answer = await signer.signTypedData(data);
  } catch (cause) {
    throw new SignerError('the signer refused or failed', { cause });
  }
  const signature = canonical(answer);
  const signed = signature && recover(typedDataDigest(data), signature);
  if (signature === undefined || signed === undefined) {
    throw new SignerError(
      'the signer returned no secp256k1 signature of 65 bytes; contract wallets cannot pay',
    );
  }
  if (signed !== data.message.payer) {
    throw new SignerError(
      `the signature is by ${signed} or over something else, expected ${data.message.payer}`,
    );
  }
  return signature;
}

/** r ‖ s ‖ v with s in the lower half and v 27 or 28; wallets differ in both. */
function canonical(answer: string): Uint8Array | undefined {
  if (!/^0x[0-9a-fA-F]{130}$/.test(answer)) {
    return undefined;
  }
  const bytes = fromHex(answer, 'signature', 65);
  const s = fromBe(bytes.subarray(32, 64));
  const last = bytes[64] ?? 0;
  const v = last < 27 ? last + 27 : last;
  if (s >= ORDER || (v !== 27 && v !== 28)) {
    return undefined;
  }
  const isHigh = s > ORDER / 2n;
  const low = be(isHigh ? ORDER - s : s, 32);
  return concat(bytes.subarray(0, 32), low, Uint8Array.of(isHigh ? 55 - v : v));
}

/** Who signed `digest`; none if it is no signature in the form that validators take. */
export function recover(digest: Uint8Array, signature: Uint8Array): Hex | undefined {
  const form = canonical(toHex(signature));
  if (form === undefined || !equalBytes(form, signature)) {
    return undefined;
  }
  const recovered = concat(Uint8Array.of((signature[64] ?? 0) - 27), signature.subarray(0, 64));
  try {
    const publicKey = secp256k1.recoverPublicKey(recovered, digest, { prehash: false });
    return addressOf(secp256k1.Point.fromBytes(publicKey).toBytes(false));
  } catch {
    return undefined;
  }
}

/** The address that `text` writes, in lower case. */
export function readAddress(text: string, what: string): Hex {
  return toHex(fromHex(text, what, 20));
}
