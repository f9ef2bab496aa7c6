/** A sealed bundle as it travels: header, capsule, body, signature. */

import { concat, counted, Reader, toHex, u64, type Hex } from './bytes.js';
import { verifyCapsule, type SealedParts } from './capsule.js';
import { EncodingError, VerificationError } from './errors.js';
import { decodeHeader, encodeHeader, label, type BundleHeader } from './header.js';
import { keccak, tagged } from './hashing.js';
import type { SealingKey } from './key.js';
import { SIZE_BUCKETS, TAG_BYTES } from './legs.js';
import { recover } from './signer.js';
import { typedData, typedDataDigest } from './typed-data.js';

const SIGNATURE_BYTES = 65;

/** A sealed and signed bundle. Immutable; its id follows from its bytes. */
export class SealedBundle {
  /** What everybody can read. */
  readonly header: BundleHeader;
  /** Key encapsulation and proof. */
  readonly capsule: Uint8Array;
  /** The sealed legs. */
  readonly body: Uint8Array;
  /** The payer's: r ‖ s ‖ v. */
  readonly signature: Uint8Array;
  /** The id by which every node knows it. */
  readonly id: Hex;
  /** What is submitted. */
  readonly bytes: Uint8Array;

  private constructor(header: BundleHeader, { capsule, body }: SealedParts, signature: Uint8Array) {
    this.header = Object.freeze({ ...header });
    this.capsule = capsule;
    this.body = body;
    this.signature = signature;
    this.bytes = concat(encodeHeader(header), counted(capsule), counted(body), signature);
    this.id = toHex(
      tagged('conclave/bundle/v1', this.label, keccak(body), keccak(capsule), signature),
    );
  }

  /** The bundle of these parts. @internal */
  static of(header: BundleHeader, parts: SealedParts, signature: Uint8Array): SealedBundle {
    return new SealedBundle(header, parts, signature);
  }

  /** L: what ciphertext and proof are bound to. */
  get label(): Uint8Array {
    return label(this.header);
  }

  /** Reads a bundle's bytes; every byte must belong to it. Throws {@link EncodingError}. */
  static decode(bytes: Uint8Array): SealedBundle {
    const reader = new Reader(bytes);
    const header = decodeHeader(reader);
    const capsule = reader.counted();
    const body = reader.counted();
    const signature = reader.take(SIGNATURE_BYTES);
    if (!header || !capsule || !body || !signature) {
      throw new EncodingError(`a bundle ends early, after ${bytes.length} bytes`);
    }
    if (reader.rest.length > 0) {
      throw new EncodingError(`${reader.rest.length} bytes follow a bundle`);
    }
    return new SealedBundle(header, { capsule, body }, signature);
  }

  /**
   * Checks what a validator checks at the door and needs no state for: form, signature, proof.
   * Throws {@link EncodingError} or {@link VerificationError}.
   */
  verify(key: SealingKey): void {
    const { header, body, capsule } = this;
    if (header.network !== toHex(key.network)) {
      throw new VerificationError(`the bundle is for network ${header.network}`);
    }
    if (header.suite !== 1 || header.keyId !== key.idHex) {
      throw new VerificationError(
        `the bundle is sealed with suite ${header.suite} to key ${header.keyId}`,
      );
    }
    if (body.length !== header.bodyBytes) {
      throw new VerificationError(
        `the body has ${body.length} bytes, its header says ${header.bodyBytes}`,
      );
    }
    if (!SIZE_BUCKETS.includes(body.length - TAG_BYTES)) {
      throw new VerificationError(`a body of ${body.length} bytes is not padded to a bucket`);
    }
    const signer = recover(typedDataDigest(typedData(header, { capsule, body })), this.signature);
    if (signer !== header.payer) {
      throw new VerificationError(
        `the signature is by ${signer ?? 'nobody'} or for another bundle, expected ${header.payer}`,
      );
    }
    verifyCapsule(key, this.label, { capsule, body });
  }

  /** The place in the payer's order. */
  get nonce(): { readonly lane: bigint; readonly sequence: bigint } {
    return { lane: this.header.lane, sequence: this.header.sequence };
  }
}

/** Reads a nonce as callers may write it. */
export function readNonce(nonce: { lane: bigint | number; sequence: bigint | number }): {
  lane: bigint;
  sequence: bigint;
} {
  return { lane: u64(nonce.lane, 'nonce.lane'), sequence: u64(nonce.sequence, 'nonce.sequence') };
}
