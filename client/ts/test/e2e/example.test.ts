/** The example of the README, as its own process, against a real devnet. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { expect, inject, test } from 'vitest';

import { Network } from '../../src/index.js';
import { KEY } from './rollup.js';

const EXAMPLE = 'examples/submit.ts';

test('the README shows the example as it is', async () => {
  const [readme, example] = await Promise.all([
    readFile('README.md', 'utf8'),
    readFile(EXAMPLE, 'utf8'),
  ]);
  expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``);
});

test('the example submits a bundle and follows it to its place', async () => {
  const { endpoints, genesis } = inject('devnet');
  const { stdout } = await promisify(execFile)('npx', ['tsx', EXAMPLE], {
    env: {
      ...process.env,
      ENDPOINTS: endpoints.join(','),
      NETWORK: new Network(genesis).id,
      PAYER_KEY: KEY,
      TRANSACTION: '0x00',
    },
  });
  expect(stdout).toMatch(/^(revealed|certified|settled) at height \d+$/m);
  expect(stdout).toMatch(/^place \d+, decided by validators \d, \d, \d/m);
});
