/**
 * Computes `tests/vectors/sealed-bundle-v1.json` from fixed secrets: two networks, bundles in one of them, one
 * block of them, the keys that nodes serve, and everything that must be refused. The Rust code checks the file
 * (`client/tests/vectors.rs`); it computes none of it. Run as `npm run vectors`; a file that changes is a
 * protocol change.
 */

import { writeFileSync } from 'node:fs';

import { format, resolveConfig } from 'prettier';

import { blockId, bundleRoot, precommitDigest } from '../src/block.js';
import { be, toHex } from '../src/bytes.js';
import { receiptDigest } from '../src/receipt.js';
import { bundles, oddBundles } from './vectors/bundles.js';
import {
  beacon,
  beaconPoint,
  certificateBy,
  draws,
  header,
  ids,
  openings,
  order,
  receipt,
  receiptBody,
} from './vectors/chain.js';
import { bundleJson, certificateJson, headerJson, receiptJson } from './vectors/json.js';
import { committees, electedJson, refusedCommittees } from './vectors/committees.js';
import { keyResponses, refusedKeyResponses } from './vectors/keys.js';
import { refusedOpenings } from './vectors/openings.js';
import {
  CONSENSUS,
  genesis,
  key,
  keyless,
  keylessGenesis,
  network,
  SECRET,
} from './vectors/networks.js';
import {
  refusedBundles,
  refusedCertificates,
  refusedKeys,
  refusedReceipts,
} from './vectors/refused.js';

const PATH = new URL('../../../tests/vectors/sealed-bundle-v1.json', import.meta.url);

const file = {
  network: {
    genesis,
    id: network.id,
    encryption_secret: toHex(be(SECRET, 32)),
    consensus_secrets: CONSENSUS.map(toHex),
    key_id: key.idHex,
    proof_base: toHex(key.proofBase.toBytes(true)),
    quorum_power: network.quorumPower.toString(),
  },
  keyless_network: { genesis: keylessGenesis, id: keyless.id },
  key_responses: keyResponses(),
  bundles: bundles.map(bundleJson),
  odd_bundles: await oddBundles(),
  receipt: { ...receiptJson(receipt), digest: toHex(receiptDigest(network, receiptBody)) },
  block: {
    header: headerJson(header),
    id: toHex(blockId(header)),
    bundle_ids: ids.map(toHex),
    precommit_digest: toHex(precommitDigest(network, certificateBy([]))),
    certificate: certificateJson(certificateBy([0, 2, 3])),
  },
  committees: committees.map(electedJson),
  reveal: {
    beacon_point: toHex(beaconPoint.toBytes(true)),
    openings: openings.map(toHex),
    beacon: toHex(beacon),
    draws,
    order: order().map(({ index, draw }) => ({ bundle: index, draw })),
  },
  roots: [0, 1, 2, 3, 5, 8].map((count) => ({
    count,
    root: toHex(bundleRoot(ids.slice(0, count))),
  })),
  refused: {
    keys: refusedKeys(),
    key_responses: refusedKeyResponses(),
    bundles: await refusedBundles(),
    receipts: refusedReceipts(),
    certificates: refusedCertificates(),
    committees: refusedCommittees(),
    openings: refusedOpenings(),
  },
};

const style = await resolveConfig(new URL('../package.json', import.meta.url));
const text = await format(JSON.stringify(file), { ...style, parser: 'json' });
writeFileSync(PATH, text);
console.log(`wrote ${PATH.pathname}: ${text.length} bytes`);
