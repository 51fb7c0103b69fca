/** Many readers at once, much data, little memory. */
import assert from 'node:assert/strict';
import { statSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { MIB, makeRepository, mountFuse, run, specOf, writeDisk, type FuseMount } from '../../support/fuse-mounts.js';
import type { RandomReads } from '../../support/random-reader.js';
import { cleanupsOf } from '../../support/temp.js';

const READERS = 8;
const READS_EACH = 150;

function compareRandomly(reads: RandomReads): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('../../support/random-reader.js', import.meta.url), { workerData: reads });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function residentMib(mount: FuseMount, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${mount.program.pid}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)![1]) / 1024;
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

it('answers eight readers at random places with the right bytes', async (t) => {
  const cleanups = cleanupsOf(t);
  const sizeBytes = 96 * MIB + 12_345;
  const file = writeDisk(join(cleanups.directory(), 'disk'), sizeBytes, [
    { offset: 0, length: 40 * MIB },
    { offset: 50 * MIB + 100, length: 100 },
    { offset: 60 * MIB, length: sizeBytes - 60 * MIB },
  ]);
  const mount = await mountFuse(cleanups, {
    ...specOf(makeRepository(cleanups, { disk: file })),
    cacheBytes: 16 * MIB,
  });
  const seed = Math.floor(Math.random() * 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const shown = join(mount.path, 'disk.raw');
  const done = await Promise.all(
    Array.from({ length: READERS }, (_, number) =>
      compareRandomly({ shown, expected: file, sizeBytes, reads: READS_EACH, seed: seed + number }),
    ),
  );
  assert.equal(
    done.reduce((sum, reads) => sum + reads, 0),
    READERS * READS_EACH,
  );
  assert.deepEqual(mount.lines('error'), []);
});

async function figures(t: TestContext, mount: FuseMount, file: string): Promise<void> {
  const shown = join(mount.path, 'disk.raw');
  const mib = statSync(file).size / MIB;
  const raw = await seconds(() => run('dd', [`if=${file}`, 'of=/dev/null', 'bs=1M', 'status=none']));
  const mounted = await seconds(() => run('dd', [`if=${shown}`, 'of=/dev/null', 'bs=1M', 'status=none']));
  t.diagnostic(
    `dd ${mib} MiB: file ${Math.round(mib / raw)} MiB/s, mount ${Math.round(mib / mounted)} MiB/s; ` +
      `resident ${Math.round(residentMib(mount, 'VmRSS'))} MiB, at most ${Math.round(residentMib(mount, 'VmHWM'))} MiB`,
  );
}

it('stays within its memory while much is read', async (t) => {
  const cleanups = cleanupsOf(t);
  const sizeBytes = 512 * MIB;
  const file = writeDisk(join(cleanups.directory(), 'disk'), sizeBytes, [{ offset: 0, length: sizeBytes }]);
  const mount = await mountFuse(cleanups, specOf(makeRepository(cleanups, { disk: file })));
  await figures(t, mount, file);
  // Eight streams at once, each from another place, past the page cache.
  const shown = join(mount.path, 'disk.raw');
  await Promise.all(
    Array.from({ length: READERS }, (_, number) =>
      run('cmp', ['-i', String(number * 60 * MIB), '-n', String(80 * MIB), shown, file]),
    ),
  );
  assert.ok(residentMib(mount, 'VmHWM') < 250, `${residentMib(mount, 'VmHWM')} MiB resident`);
  assert.ok((await mount.statistics())['fetched_ahead']! > 0);
});
