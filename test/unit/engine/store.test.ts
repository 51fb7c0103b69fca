import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  engine,
  type ChunkStore,
  type CopyProgress,
  type VolumeBackupOptions,
  type VolumeBackupResult,
  type VolumeProgress,
} from '../../../src/engine/index.js';
import { rejectsWith } from '../../support/assertions.js';
import { openStore } from '../../support/open-store.js';
import { UNLIMITED } from '../../support/writer-options.js';

const MIB = 1024 * 1024;

/** A sparse file with some data in it. */
function makeDisk(path: string, sizeBytes: number, extents: readonly [number, number][]): void {
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  const fd = openSync(path, 'r+');
  for (const [offset, length] of extents) writeSync(fd, randomBytes(length), 0, length, offset);
  closeSync(fd);
}

function fileSource(path: string): VolumeBackupOptions {
  return {
    source: { kind: 'file', path },
    chunkSizeBytes: 512 * 1024,
    stallTimeoutMs: 30_000,
    incremental: null,
    discard: false,
  };
}

async function backUp(store: ChunkStore, path: string): Promise<VolumeBackupResult & { addedBytes: number }> {
  const writer = await store.writer(UNLIMITED);
  const result = await writer.backupVolume(fileSource(path));
  const { addedBytes } = await writer.flush();
  await writer.close();
  return { ...result, addedBytes };
}

describe('ChunkStore', () => {
  it('gives back what was stored, holes and all', async (test) => {
    const { directory, store } = await openStore(test);
    const disk = join(directory, 'disk');
    makeDisk(disk, 64 * MIB + 512, [
      [0, 3 * MIB + 17],
      [40 * MIB, 5 * MIB],
      [64 * MIB, 512],
    ]);
    const progress: VolumeProgress[] = [];
    const writer = await store.writer(UNLIMITED);
    const { map, counters } = await writer.backupVolume(fileSource(disk), { onProgress: (now) => progress.push(now) });
    const { addedBytes } = await writer.flush();
    await writer.close();
    assert.equal(map.sizeBytes, 64 * MIB + 512);
    assert.equal(map.levels, 1);
    assert.match(map.rootId, /^[0-9a-f]{64}$/);
    assert.equal(counters.processedBytes, counters.sizeBytes);
    assert.equal(counters.zeroBytes + counters.reusedBytes + counters.newBytes, counters.sizeBytes);
    assert.ok(counters.readBytes < 10 * MIB, `read ${counters.readBytes}`);
    assert.ok(addedBytes > 8 * MIB && addedBytes < 10 * MIB);
    assert.deepEqual(progress.at(-1), counters);

    const target = join(directory, 'restored');
    const copied: CopyProgress[] = [];
    const done = await store.restoreVolume(
      map,
      { path: target, overwrite: false },
      { onProgress: (now) => copied.push(now) },
    );
    assert.deepEqual(readFileSync(target), readFileSync(disk));
    assert.equal(done.processedBytes, done.totalBytes);
    assert.ok(done.holeBytes > 50 * MIB);
    assert.deepEqual(copied.at(-1), done);
    assert.ok(statSync(target).blocks * 512 < 12 * MIB);
    await rejectsWith('E_TARGET_EXISTS', store.restoreVolume(map, { path: target, overwrite: false }));

    assert.deepEqual(await store.verifyVolume(map), { chunks: 18, damages: [], unreadable: [] });
    const packs = await store.verifyPacks({ decode: true });
    assert.deepEqual(packs.damages, []);
    const statistics = await store.statistics();
    assert.equal(statistics.packs, packs.packs);
    assert.equal(statistics.packBytes, packs.packBytes);
    assert.equal(statistics.chunks, packs.chunks);
    assert.ok(statistics.segments >= 1 && statistics.plainBytes >= counters.newBytes);
  });

  it('stores nothing twice, also for another handle that refreshes', async (test) => {
    const { directory, repository, store } = await openStore(test);
    const disk = join(directory, 'disk');
    makeDisk(disk, 8 * MIB, [[0, 8 * MIB]]);
    const other = await engine.openStore({ path: repository, cacheDirectory: join(directory, 'cache2') });
    const first = await backUp(store, disk);
    assert.equal((await backUp(store, disk)).counters.newBytes, 0);
    await other.refresh();
    const third = await backUp(other, disk);
    assert.equal(third.counters.newBytes, 0);
    assert.equal(third.addedBytes, 0);
    assert.equal(third.map.rootId, first.map.rootId);
    await other.close();
  });

  it('stops when it is told to, and leaves nothing unfinished', async (test) => {
    const { directory, repository, store } = await openStore(test);
    const disk = join(directory, 'disk');
    makeDisk(disk, 64 * MIB, [[0, 64 * MIB]]);
    const writer = await store.writer({ ...UNLIMITED, bandwidthLimitBytesPerSecond: 2 * MIB });
    const controller = new AbortController();
    const begunMs = performance.now();
    const backup = writer.backupVolume(fileSource(disk), {
      signal: controller.signal,
      onProgress: () => {
        controller.abort();
      },
    });
    await rejectsWith('E_CANCELLED', backup);
    assert.ok(performance.now() - begunMs < 3_000);
    await rejectsWith('E_CANCELLED', writer.backupVolume(fileSource(disk), { signal: controller.signal }));
    await writer.close();
    assert.deepEqual(readdirSync(join(repository, 'tmp')), []);
    await rejectsWith('E_INTERNAL', writer.flush());
  });

  it('passes the reasons of the core on', async (test) => {
    const { directory, store } = await openStore(test);
    const writer = await store.writer(UNLIMITED);
    await rejectsWith('E_SOURCE_UNREACHABLE', writer.backupVolume(fileSource(join(directory, 'absent'))));
    const disk = join(directory, 'disk');
    makeDisk(disk, MIB, [[0, MIB]]);
    await rejectsWith('E_SOURCE_SIZE', writer.backupVolume({ ...fileSource(disk), expectedSizeBytes: 2 * MIB }));
    await rejectsWith('E_ARGUMENT_INVALID', writer.backupVolume({ ...fileSource(disk), chunkSizeBytes: 12345 }));
    await rejectsWith('E_ARGUMENT_INVALID', writer.backupVolume({ ...fileSource(disk), expectedSizeBytes: -5 }));
    await rejectsWith('E_ARGUMENT_INVALID', store.writer({ ...UNLIMITED, zstdLevel: 99 }));
    await writer.close();
    const cacheDirectory = join(directory, 'cache');
    await rejectsWith('E_PATH_MISSING', engine.openStore({ path: join(directory, 'absent'), cacheDirectory }));
    const map = { sizeBytes: MIB, chunkSizeBytes: 512 * 1024, levels: 1, rootId: 'f'.repeat(64) };
    const verified = await store.verifyVolume(map);
    assert.deepEqual(
      verified.damages.map(({ code }) => code),
      ['E_CHUNK_MISSING'],
    );
    await rejectsWith('E_CHUNK_MISSING', store.restoreVolume(map, { path: join(directory, 'r'), overwrite: false }));
    assert.equal(existsSync(join(directory, 'r')), false);
    await rejectsWith('E_ARGUMENT_INVALID', store.verifyVolume({ ...map, rootId: 'xyz' }));
    await store.close();
    await rejectsWith('E_INTERNAL', store.refresh());
  });

  it('lets several volumes through one writer at once', async (test) => {
    const { directory, store } = await openStore(test);
    const disks = [1, 2, 3].map((n) => join(directory, `disk${n}`));
    for (const disk of disks) makeDisk(disk, 6 * MIB, [[MIB, 3 * MIB]]);
    const writer = await store.writer(UNLIMITED);
    const results = await Promise.all(disks.map(async (disk) => writer.backupVolume(fileSource(disk))));
    await writer.flush();
    await writer.close();
    for (const [index, { map }] of results.entries()) {
      const target = join(directory, `restored${index}`);
      await store.restoreVolume(map, { path: target, overwrite: false });
      assert.deepEqual(readFileSync(target), readFileSync(disks[index] ?? ''));
    }
  });
});
