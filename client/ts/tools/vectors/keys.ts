/**
 * Keys as nodes serve them. `network` says whose answer it is: that of the network whose genesis brings the
 * key, or of the one whose validators make it (`keyless_network`). Each refused answer has one thing wrong.
 */

import { create } from '@bufbuild/protobuf';
import { bls12_381 } from '@noble/curves/bls12-381.js';

import { precommitDigest } from '../../src/block.js';
import { fromBe, toHex } from '../../src/bytes.js';
import { nextKeyRoot } from '../../src/discovery.js';
import {
  BlockHeaderSchema,
  type BlockHeader,
  type Certificate,
} from '../../src/gen/conclave/v1/types_pb.js';
import type { EncodedKey } from '../../src/genesis.js';
import { keccak } from '../../src/hashing.js';
import { keyId } from '../../src/key.js';
import type { Network } from '../../src/network.js';
import { ORDER } from '../../src/points.js';
import { certificateJson, headerJson } from './json.js';
import {
  certify,
  fixed,
  keyless,
  laxlySignedBy,
  network,
  other,
  SECRET,
  signedBy,
} from './networks.js';
import { compress, outside } from './strangers.js';

const { G1, G2 } = bls12_381;

/** What a node answers, and of which network. */
interface Answer {
  readonly of: Network;
  readonly key: EncodedKey;
  readonly header: BlockHeader | undefined;
  readonly certificate: Certificate | undefined;
  /** Where the block names the key as that of the next era. */
  readonly messagesRoot?: Uint8Array;
}

/** What is wrong: bytes, the proof that a quorum decided the block, the key itself, or whose key it is. */
type Fault = 'Encoding' | 'Verification' | 'Key' | 'ForeignKey';

function keyOf(secret: bigint, era = 0): EncodedKey {
  return {
    suite: 1,
    era,
    publicKey: G1.Point.BASE.multiply(secret).toBytes(true),
    publicKeyG2: G2.Point.BASE.multiply(secret).toBytes(true),
  };
}

const made = keyOf(SECRET);
const madeId = keyId(keyless.idBytes, made);
const foreign = keyOf(fromBe(keccak(fixed(0x5f))) % ORDER);

/** The first block of the first epoch with a key: no bundles, and the last messages that made the key. */
function headerWith(change: Partial<BlockHeader> = {}): BlockHeader {
  const header = create(BlockHeaderSchema, {
    networkId: keyless.idBytes,
    height: 41n,
    parent: fixed(0x71),
    parentCertificate: fixed(0x72),
    proposer: 1,
    timeMicros: 1_700_000_000_500_000n,
    epoch: 1n,
    l1Origin: { number: 19_000_000n, hash: fixed(0x63) },
    l1EntriesRoot: fixed(0x76),
    keyId: madeId,
    sharingRoot: fixed(0x73),
    bundleRoot: fixed(0),
    bundleCount: 0,
    revealedHeight: 40n,
    revealDigest: fixed(0x74),
    ledgerDigest: fixed(0x75),
  });
  return { ...header, ...change };
}

/** An answer whose block a quorum decided, whatever it says. */
function decided(key: EncodedKey, change: Partial<BlockHeader> = {}): Answer {
  const header = headerWith(change);
  return { of: keyless, key, header, certificate: certify(keyless, header, [0, 1, 2]) };
}

const MESSAGES = fixed(0x7a);

/** The key of the next era, which a quorum's block of this one names. */
function announced(key: EncodedKey, change: Partial<BlockHeader> = {}): Answer {
  const sharingRoot = nextKeyRoot(keyId(keyless.idBytes, key), MESSAGES);
  return { ...decided(key, { sharingRoot, ...change }), messagesRoot: MESSAGES };
}

/** A key under its own id, which a quorum's block names. */
const named = (key: EncodedKey) => decided(key, { keyId: keyId(keyless.idBytes, key) });

function json({ of, key, header, certificate, messagesRoot }: Answer) {
  return {
    network: of === keyless ? 'keyless_network' : 'network',
    response: {
      network_id: of.id,
      key_id: toHex(keyId(of.idBytes, key)),
      suite: key.suite,
      era: key.era,
      public_key: toHex(key.publicKey),
      public_key_g2: toHex(key.publicKeyG2),
      header: header ? headerJson(header) : null,
      certificate: certificate ? certificateJson(certificate) : null,
      messages_root: messagesRoot ? toHex(messagesRoot) : null,
    },
  };
}

/** Answers that are accepted. */
export function keyResponses() {
  const header = headerWith();
  const by = (validators: number[]) => certify(keyless, header, validators);
  const rows: [string, Answer][] = [
    ['a key that a quorum vouches for: 33 of 46', { ...decided(made), certificate: by([0, 1, 2]) }],
    ['a key that all vouch for', { ...decided(made), certificate: by([0, 1, 2, 3]) }],
    ['a key of a later era, which a quorum vouches for', named(keyOf(SECRET, 3))],
    ['the key of the next era, before it is in force', announced({ ...foreign, era: 1 })],
    ['a key of a later era than that which the genesis brings', certifiedBeside(1)],
    [
      'the key that the genesis brings, without a block',
      { of: network, key: made, header: undefined, certificate: undefined },
    ],
  ];
  return rows.map(([about, answer]) => ({ about, ...json(answer) }));
}

/** Answers that are refused. */
export function refusedKeyResponses() {
  const good = decided(made);
  const rows: [string, Fault, Answer][] = [
    ['no header', 'Encoding', { ...good, header: undefined }],
    ['no certificate', 'Encoding', { ...good, certificate: undefined }],
    [
      'a header whose key id is too short',
      'Encoding',
      { ...good, header: headerWith({ keyId: madeId.slice(1) }) },
    ],
    ...badCertificates(good),
    [
      'a block of an epoch whose committee L1 elects',
      'Verification',
      decided(made, { height: 100_041n, epoch: 2n }),
    ],
    ['a block of another network', 'Verification', decided(made, { networkId: other.idBytes })],
    [
      'a header that was changed to name the key',
      'Verification',
      {
        ...good,
        certificate: certify(keyless, headerWith({ keyId: fixed(0) }), [0, 1, 2]),
      },
    ],
    ['a block before there was a key', 'ForeignKey', decided(made, { keyId: fixed(0) })],
    ['a block under another key', 'ForeignKey', decided(made, { keyId: fixed(0x77) })],
    ['the node’s own key behind the network’s block', 'ForeignKey', { ...good, key: foreign }],
    ['the key in another era', 'ForeignKey', { ...good, key: { ...made, era: 1 } }],
    [
      'the node’s own key where the genesis brings one',
      'ForeignKey',
      { of: network, key: foreign, header: undefined, certificate: undefined },
    ],
    [
      'a key that a quorum vouches for where the genesis brings another',
      'ForeignKey',
      certifiedBeside(0),
    ],
    [
      'the node’s own key beside a block that names the next era’s',
      'ForeignKey',
      { ...announced({ ...foreign, era: 1 }), key: { ...foreign, era: 2 } },
    ],
    [
      'a key that a block names as the next era’s, over other messages',
      'ForeignKey',
      { ...announced({ ...foreign, era: 1 }), messagesRoot: fixed(0x7b) },
    ],
    [
      'a messages root that is too short',
      'Encoding',
      { ...announced({ ...foreign, era: 1 }), messagesRoot: MESSAGES.slice(1) },
    ],
    ['another suite', 'Key', named({ ...made, suite: 2 })],
    [
      'PK and X₂ of different secrets, which a quorum vouches for',
      'Key',
      named({ ...made, publicKeyG2: foreign.publicKeyG2 }),
    ],
    ['PK is infinity', 'Key', named({ ...made, publicKey: G1.Point.ZERO.toBytes(true) })],
    ['PK is outside of the subgroup', 'Key', named({ ...made, publicKey: compress(outside) })],
  ];
  return rows.map(([about, fault, answer]) => ({ about, fault, ...json(answer) }));
}

/** Another key than the genesis', of an era, under a block of that network that names it. */
function certifiedBeside(era: number): Answer {
  const key = { ...foreign, era };
  const header = headerWith({ networkId: network.idBytes, keyId: keyId(network.idBytes, key) });
  return { of: network, key, header, certificate: certify(network, header, [0, 1, 2]) };
}

/** Certificates that do not prove that the block was decided. */
function badCertificates(good: Answer): [string, Fault, Answer][] {
  const header = headerWith();
  const certificate = certify(keyless, header, [0, 1, 2]);
  const [one, two, three] = certificate.signatures;
  const digest = precommitDigest(keyless, certificate);
  const lax = three && { ...three, signature: laxlySignedBy(three.validator, digest) };
  const of = (signatures: (typeof one)[]) => ({
    ...certificate,
    signatures: signatures.flatMap((signature) => signature ?? []),
  });
  const rows: [string, Certificate][] = [
    ['too little power: 25 of 46, a quorum is 31', certify(keyless, header, [2, 3])],
    ['no signatures', of([])],
    ['one signer twice', of([one, two, two, three])],
    ['signers out of order', of([two, one, three])],
    ['a signature of another validator', of([one, two, three && { ...three, validator: 3 }])],
    ['a signer that does not exist', of([one, two, three, three && { ...three, validator: 4 }])],
    ['a signature that only a laxer rule accepts', of([one, two, lax])],
    ['signatures of another round', { ...certificate, round: 3 }],
    ['signatures for another network', certify(other, header, [0, 1, 2])],
    ['a certificate for another height', certify(keyless, headerWith({ height: 42n }), [0, 1, 2])],
    [
      'a certificate that puts the block at another height',
      recertified({ height: 42n }, [0, 1, 2]),
    ],
    ['a certificate that puts the block in another epoch', recertified({ epoch: 2n }, [0, 1, 2])],
  ];
  return rows.map(([about, wrong]) => [about, 'Verification', { ...good, certificate: wrong }]);
}

/** Signed by a quorum for this very block, at a place where it does not stand. */
function recertified(
  place: { height?: bigint; epoch?: bigint },
  validators: number[],
): Certificate {
  const moved = { ...certify(keyless, headerWith(), []), ...place };
  const digest = precommitDigest(keyless, moved);
  const signatures = certify(keyless, headerWith(), validators).signatures.map((signature) => ({
    ...signature,
    signature: signedBy(signature.validator, digest),
  }));
  return { ...moved, signatures };
}
