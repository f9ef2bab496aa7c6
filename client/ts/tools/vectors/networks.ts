/** Fixed secrets, and the two networks of the vectors: one whose genesis brings a key, one whose does not. */

import { create } from '@bufbuild/protobuf';
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';

import { blockId, precommitDigest } from '../../src/block.js';
import { concat, fromBe, le, toHex, type Hex } from '../../src/bytes.js';
import {
  CertificateSchema,
  type BlockHeader,
  type Certificate,
} from '../../src/gen/conclave/v1/types_pb.js';
import { keccak } from '../../src/hashing.js';
import type { SealingKey } from '../../src/key.js';
import { Network } from '../../src/network.js';
import { ORDER } from '../../src/points.js';
import { privateKeySigner } from '../../src/signer.js';

const { G1, G2 } = bls12_381;

/** Fixed and recognisable, and worth nothing. */
export const fixed = (byte: number, length = 32) => new Uint8Array(length).fill(byte);
/** The threshold secret, which no network has in one place. */
export const SECRET = fromBe(keccak(fixed(0x5e))) % ORDER;
export const PAYERS: Hex[] = [toHex(fixed(0x01)), toHex(fixed(0x02))];
export const CONSENSUS = [0x11, 0x12, 0x13, 0x14].map((byte) => fixed(byte));

/**
 * A genesis that brings a key, or none. Integers above 2^53 are spelt out: JSON allows them, and readers
 * that round them find another id.
 */
function genesisJson(brings: boolean): string {
  const integers: Record<string, string> = {};
  const exact = (value: bigint) => {
    const name = `@${Object.keys(integers).length}@`;
    integers[name] = value.toString();
    return name;
  };
  const genesis = {
    name: 'vectors: "quoted", naïve',
    time: 1_700_000_000_000_000,
    l1_chain_id: 31_337,
    l1_contract: toHex(fixed(0x22, 20)),
    l1_origin: { number: 19_000_000, hash: toHex(fixed(0x63)) },
    params: {
      fees: { bundle_fee_gwei: 1_000, byte_fee_gwei: 10 },
      limits: {
        block_bundles_max: 512,
        block_bytes_max: 4_194_304,
        bundle_lifetime_max: 10_000,
        reveal_lag_max: 16,
      },
      timing: {
        block_interval_ms: 50,
        idle_interval_ms: 500,
        propose_timeout_ms: 2_000,
        vote_timeout_ms: 500,
        timeout_step_ms: 500,
        inclusion_delay_ms: 4_000,
        clock_drift_max_ms: 500,
      },
      sharing: {
        suite: 1,
        secrecy: 2,
        stage_heights: 100,
        complaint_heights: 20,
        repair_heights: 1_000,
        epoch_heights: 100_000,
        era_epochs: 36,
        overlap_heights: 1_000,
      },
    },
    members: CONSENSUS.map((seed, index) => ({
      name: `validator-${index}`,
      consensus_key: toHex(ed25519.getPublicKey(seed)),
      network_key: toHex(ed25519.getPublicKey(fixed(0x21 + index))),
      settlement_key: toHex(G1.Point.BASE.multiply(BigInt(0x31 + index)).toBytes(false)),
      validator: index + 1,
      power: 10 + index,
    })),
    encryption_key: brings ? encryptionKey() : null,
    rollups: [
      { id: 901, name: 'rollup-901', gas_limit: 30_000_000 },
      { id: exact(2n ** 53n + 1n), name: 'rollup-wide', gas_limit: exact(2n ** 64n - 1n) },
    ],
    accounts: PAYERS.map((secret) => ({
      address: privateKeySigner(secret).address,
      balance: exact(2n ** 63n + 12_345n),
    })),
  };
  return JSON.stringify(genesis).replace(/"(@\d+@)"/g, (_, name: string) => integers[name] ?? '');
}

function encryptionKey() {
  const g2 = (scalar: bigint) => toHex(G2.Point.BASE.multiply(scalar).toBytes(true));
  return {
    suite: 1,
    era: 0,
    secrecy: 2,
    packing: 1,
    public_key: toHex(G1.Point.BASE.multiply(SECRET).toBytes(true)),
    public_key_g2: g2(SECRET),
    verification_keys: CONSENSUS.map((_, index) => g2(shareOf(BigInt(index) + 1n))),
  };
}

/** S(x) = sk + (x − d)·T(x) with the one slot d = −2 and T of two coefficients: a sharing for four. */
function shareOf(x: bigint): bigint {
  const [t0, t1] = [fromBe(keccak(fixed(0x70))), fromBe(keccak(fixed(0x71)))];
  return (SECRET + (x + 2n) * (t0 + t1 * x)) % ORDER;
}

/** The key of a genesis that must bring one. */
function keyOf({ genesisKey }: Network): SealingKey {
  if (genesisKey === undefined) {
    throw new Error('this genesis brings a key');
  }
  return genesisKey;
}

export const genesis = genesisJson(true);
export const network = new Network(genesis);
export const key = keyOf(network);
export const other = new Network(
  genesis.replace('"time":1700000000000000', '"time":1700000000000001'),
);
/** The same validators, who make the key themselves. */
export const keylessGenesis = genesisJson(false);
export const keyless = new Network(keylessGenesis);

/** A validator's signature. */
export const signedBy = (validator: number, digest: Uint8Array) =>
  ed25519.sign(digest, CONSENSUS[validator] ?? new Uint8Array());

/** By whoever has the key, in a form that only some implementations take: R is infinity. */
export function laxlySignedBy(validator: number, digest: Uint8Array): Uint8Array {
  const r = ed25519.Point.ZERO.toBytes();
  const { scalar, pointBytes } = ed25519.utils.getExtendedPublicKey(
    CONSENSUS[validator] ?? new Uint8Array(),
  );
  const k = fromBe(sha512(concat(r, pointBytes, digest)).reverse()) % ed25519.Point.Fn.ORDER;
  return concat(r, le((k * scalar) % ed25519.Point.Fn.ORDER, 32));
}

/** A certificate for any header, by these validators of `of`. */
export function certify(
  of: Network,
  header: BlockHeader,
  validators: readonly number[],
  round = 2,
): Certificate {
  const { height, epoch } = header;
  const bare = create(CertificateSchema, { epoch, height, round, blockId: blockId(header) });
  const digest = precommitDigest(of, bare);
  const signatures = validators.map((validator) => ({
    validator,
    signature: signedBy(validator, digest),
  }));
  return create(CertificateSchema, { epoch, height, round, blockId: blockId(header), signatures });
}
