import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';

/** Nothing of the browser's own that talks to anybody, and what a container needs. */
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const browser = () => ({
  enabled: true,
  headless: true,
  screenshotFailures: false,
  api: { host: '127.0.0.1' },
  provider: playwright({
    launchOptions: {
      executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
      args: CHROMIUM_FLAGS,
    },
  }),
  instances: [{ browser: 'chromium' as const }],
});

const unit = ['test/*.test.ts'];
const e2e = ['test/e2e/bundles.test.ts'];
const globalSetup = ['test/e2e/devnet.ts'];

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 90_000,
    projects: [
      { extends: true, test: { name: 'node', include: unit } },
      { extends: true, test: { name: 'browser', include: unit, browser: browser() } },
      {
        extends: true,
        test: { name: 'e2e-node', include: [...e2e, 'test/e2e/example.test.ts'], globalSetup },
      },
      {
        extends: true,
        test: { name: 'e2e-browser', include: e2e, globalSetup, browser: browser() },
      },
    ],
  },
});
