/** The key to seal to, checked before anything is sealed to it. */

import { be, concat, toHex, utf8, type Hex } from './bytes.js';
import { KeyError } from './errors.js';
import type { EncodedKey } from './genesis.js';
import { hashToScalar, tagged } from './hashing.js';
import {
  GENERATOR,
  GENERATOR_G2,
  hashToG1,
  pairingsAgree,
  validG1,
  validG2,
  type G1Point,
  type G2Point,
} from './points.js';

/** The suite that this client seals under: packed threshold ElGamal. */
export const SUITE = 1;

const PROOF_BASE_DST = 'CONCLAVE-V1-CS01-PROOF-BASE-BLS12381G1_XMD:SHA-256_SSWU_RO_';

/** A network's threshold public key. Valid by construction. */
export class SealingKey {
  /** Its id: what a bundle's header names. */
  readonly id: Uint8Array;
  /** Which key of the network this is. */
  readonly era: number;
  /** PK as a point. @internal */
  readonly point: G1Point;
  /** X₂ as a point. @internal */
  readonly pointG2: G2Point;
  /** ḡ, the second base of the proofs. @internal */
  readonly proofBase: G1Point;
  readonly #binding: Uint8Array;

  /** Checks the key of `network`. Throws {@link KeyError}. */
  constructor(
    /** The network that the key belongs to. */
    readonly network: Uint8Array,
    key: EncodedKey,
  ) {
    if (key.suite !== SUITE) {
      throw new KeyError(`the key is of suite ${key.suite}, this client knows suite ${SUITE}`);
    }
    const point = validG1(key.publicKey);
    const pointG2 = validG2(key.publicKeyG2);
    if (point === undefined || point.is0()) {
      throw new KeyError('the public key is not an acceptable point of G1');
    }
    if (pointG2 === undefined || pointG2.is0()) {
      throw new KeyError('the public key is not an acceptable point of G2');
    }
    if (!pairingsAgree([point, GENERATOR_G2], [GENERATOR, pointG2])) {
      throw new KeyError('the public key in G1 and the one in G2 are of different secrets');
    }
    this.era = key.era;
    this.id = keyId(network, key);
    this.point = point;
    this.pointG2 = pointG2;
    this.proofBase = hashToG1(concat(network, this.id, key.publicKey), PROOF_BASE_DST);
    this.#binding = concat(Uint8Array.of(SUITE), network, this.id, key.publicKey);
  }

  /** H(tag; parts): a scalar that is bound to suite, network and key. @internal */
  scalar(tag: string, ...parts: Uint8Array[]): bigint {
    return hashToScalar(utf8(tag), this.#binding, ...parts);
  }

  /** H32(tag; parts): 32 bytes of the same preimage. @internal */
  digest(tag: string, ...parts: Uint8Array[]): Uint8Array {
    return tagged(tag, this.#binding, ...parts);
  }

  /** Whether `multiple` is sk·`point`. Neither may be infinity. @internal */
  isMultiple(multiple: G1Point, point: G1Point): boolean {
    return pairingsAgree([multiple, GENERATOR_G2], [point, this.pointG2]);
  }

  /** The id in hexadecimal. */
  get idHex(): Hex {
    return toHex(this.id);
  }
}

/** A key's id in `network`. */
export function keyId(network: Uint8Array, key: EncodedKey): Uint8Array {
  return tagged('conclave/key/v1', network, be(key.era, 4), key.publicKey, key.publicKeyG2);
}
