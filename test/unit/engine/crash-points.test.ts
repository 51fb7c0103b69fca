/** The native crash points: the process is gone at once, and what lies there then is what the order of writing promises. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanupsOf } from '../../support/temp.js';

const engineFile = fileURLToPath(new URL('../../../src/engine/index.js', import.meta.url));

/** A backup of one small disk, in a process of its own. */
const script = `
  const [engineFile, directory] = process.argv.slice(1);
  const { engine } = await import(engineFile);
  const store = await engine.openStore({ path: directory + '/vzvault', cacheDirectory: directory + '/cache' });
  const writer = await store.writer({
    ...{ zstdLevel: 1, bandwidthLimitBytesPerSecond: 0, sessionId: '5'.repeat(32), excludedPacks: [] },
  });
  await writer.backupVolume({
    source: { kind: 'file', path: directory + '/disk' },
    chunkSizeBytes: 524288, stallTimeoutMs: 10000, incremental: null, discard: false,
  });
  await writer.flush();
  await writer.close();
  await store.close();
`;

interface Left {
  readonly signal: NodeJS.Signals | null;
  readonly unfinished: number;
  readonly packs: number;
  readonly segments: number;
}

async function crashAt(directory: string, point: string): Promise<Left> {
  for (const name of ['packs', 'index', 'tmp']) mkdirSync(join(directory, 'vzvault', name), { recursive: true });
  writeFileSync(join(directory, 'disk'), randomBytes(1024 * 1024));
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', engineFile, directory], {
    env: { ...process.env, VZVAULT_CRASH_AT: point },
    stdio: 'inherit',
  });
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  assert.ok(code === null || code === 0, `the backup ended with ${code}`);
  const packs = join(directory, 'vzvault', 'packs');
  return {
    signal,
    unfinished: readdirSync(join(directory, 'vzvault', 'tmp')).length,
    packs: readdirSync(packs).reduce((sum, prefix) => sum + readdirSync(join(packs, prefix)).length, 0),
    segments: readdirSync(join(directory, 'vzvault', 'index')).length,
  };
}

describe('A native crash point', () => {
  // The data pack is finished before that of the map, which is begun by then.
  const expected: readonly (readonly [string, Left])[] = [
    ['pack-created', { signal: 'SIGKILL', unfinished: 1, packs: 0, segments: 0 }],
    ['pack-synced', { signal: 'SIGKILL', unfinished: 2, packs: 0, segments: 0 }],
    ['pack-published', { signal: 'SIGKILL', unfinished: 1, packs: 1, segments: 0 }],
    ['segment-synced', { signal: 'SIGKILL', unfinished: 1, packs: 2, segments: 0 }],
    ['segment-published', { signal: 'SIGKILL', unfinished: 0, packs: 2, segments: 1 }],
    ['one-that-is-not-native', { signal: null, unfinished: 0, packs: 2, segments: 1 }],
  ];
  for (const [point, left] of expected) {
    it(`ends the process at ${point}`, async (test) => {
      assert.deepEqual(await crashAt(cleanupsOf(test).directory(), point), left);
    });
  }
});
