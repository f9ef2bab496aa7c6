/** A devnet for the end-to-end tests: the shipped binary, real processes, real sockets on loopback. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

import type { TestProject } from 'vitest/node';

/** What the tests need to know of it. */
export interface Devnet {
  /** The validators' APIs. */
  readonly endpoints: string[];
  /** The genesis file's text: known beforehand, as a wallet's configuration would. */
  readonly genesis: string;
  /** The JSON-RPC of rollup 901. */
  readonly rollup: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    devnet: Devnet;
  }
}

const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 50;

async function binary(): Promise<string> {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(homedir(), '.cache/conclave-target');
  const found = process.env.CONCLAVE_BIN ?? path.join(target, 'release/conclave');
  await access(found).catch(() => {
    throw new Error(`there is no ${found}; run \`make build\`, or set CONCLAVE_BIN`);
  });
  return found;
}

/** Reads a file that another process is about to write. */
async function written(file: string, isAlive: () => boolean): Promise<string> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text !== '') {
      return text;
    }
    if (!isAlive() || Date.now() > deadline) {
      throw new Error(`the devnet did not write ${file}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

async function addresses(directory: string, isAlive: () => boolean): Promise<Devnet> {
  const network = path.join(directory, 'network');
  const rollup = await written(path.join(directory, 'rollup-901/rpc.addr'), isAlive);
  const genesis = await written(path.join(network, 'genesis.json'), isAlive);
  const { members } = JSON.parse(genesis) as { members: { name: string }[] };
  const files = members.map(({ name }) => path.join(network, name, 'data/addresses.json'));
  const texts = await Promise.all(files.map((file) => written(file, isAlive)));
  const endpoints = texts.map((text) => `http://${(JSON.parse(text) as { grpc: string }).grpc}`);
  return { endpoints, genesis, rollup: `http://${rollup.trim()}` };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
}

interface Running {
  readonly devnet: Devnet;
  readonly end: () => Promise<void>;
}

async function start(): Promise<Running> {
  const program = await binary();
  const directory = await mkdtemp(path.join(tmpdir(), 'conclave-ts-'));
  const child = spawn(program, ['devnet', '--data-dir', directory], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const end = async () => {
    await stop(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    return { devnet: await addresses(directory, () => child.exitCode === null), end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** One devnet for all projects of a run, each of which loads this file anew. */
const shared = globalThis as { conclaveDevnet?: { running: Promise<Running>; users: number } };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const ours = (shared.conclaveDevnet ??= { running: start(), users: 0 });
  ours.users += 1;
  const { devnet, end } = await ours.running;
  project.provide('devnet', devnet);
  return async () => {
    ours.users -= 1;
    if (ours.users === 0) {
      await end();
    }
  };
}
