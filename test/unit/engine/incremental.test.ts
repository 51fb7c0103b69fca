/** Incremental backups, discards and the bandwidth limit through the addon. What they do in detail is tested in native/test. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BackupSource,
  type ChunkStore,
  type DirtyRegions,
  type Region,
  type VolumeBackupOptions,
  type VolumeMap,
} from '../../../src/engine/index.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import { rejectsWith } from '../../support/assertions.js';
import { openStore } from '../../support/open-store.js';
import { UNLIMITED } from '../../support/writer-options.js';

const MIB = 1024 * 1024;

interface Fixture {
  readonly directory: string;
  readonly disk: string;
  readonly store: ChunkStore;
  readonly base: VolumeMap;
}

function options(source: BackupSource, changes: Partial<VolumeBackupOptions> = {}): VolumeBackupOptions {
  return {
    source,
    chunkSizeBytes: 512 * 1024,
    stallTimeoutMs: 10_000,
    incremental: null,
    discard: false,
    ...changes,
  };
}

/** A disk of 40 MiB and a bit, and a full backup of it. */
async function prepare(test: TestContext): Promise<Fixture> {
  const { directory, store } = await openStore(test);
  const disk = join(directory, 'disk');
  writeFileSync(disk, randomBytes(40 * MIB + 512));
  const writer = await store.writer(UNLIMITED);
  const { map } = await writer.backupVolume(options({ kind: 'file', path: disk }));
  await writer.flush();
  await writer.close();
  return { directory, disk, store, base: map };
}

function writeAt(path: string, offset: number, bytes: Buffer): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** Batches out of a list. */
function batches(...lists: (readonly Region[])[]): DirtyRegions & { kind: 'batches' } {
  let asked = 0;
  return {
    kind: 'batches',
    next: async () => {
      await sleep(1);
      const regions = lists[asked++];
      assert.ok(regions, 'a batch was asked for after the last');
      return { regions, done: asked === lists.length };
    },
  };
}

async function backUp(
  { store, base }: Fixture,
  source: BackupSource,
  dirty: DirtyRegions,
  signal?: AbortSignal,
): ReturnType<Awaited<ReturnType<ChunkStore['writer']>>['backupVolume']> {
  const writer = await store.writer(UNLIMITED);
  try {
    const result = await writer.backupVolume(
      options(source, { incremental: { base, dirty } }),
      signal === undefined ? {} : { signal },
    );
    await writer.flush();
    return result;
  } finally {
    await writer.close();
  }
}

describe('An incremental backup', () => {
  it('reads what the batches say, and takes the rest from its base', async (test) => {
    const fixture = await prepare(test);
    const { disk, store, directory } = fixture;
    writeAt(disk, 8 * MIB, randomBytes(MIB));
    writeAt(disk, 20 * MIB, Buffer.alloc(4 * MIB));
    writeAt(disk, 40 * MIB, randomBytes(512));
    const { map, counters, discardRefusal } = await backUp(
      fixture,
      { kind: 'file', path: disk },
      batches([[8 * MIB, 4 * MIB]], [], [[20 * MIB, 4 * MIB]], [[40 * MIB, 512]]),
    );
    assert.equal(discardRefusal, null);
    assert.equal(counters.readBytes, 8 * MIB + 512);
    assert.equal(counters.unchangedBytes, 32 * MIB);
    assert.equal(counters.zeroBytes, 4 * MIB);
    assert.equal(counters.newBytes, MIB + 512);
    assert.ok(counters.writtenBytes >= counters.newBytes && counters.writtenBytes < counters.newBytes + 4096);
    assert.equal(counters.processedBytes, counters.sizeBytes);
    const target = join(directory, 'restored');
    await store.restoreVolume(map, { path: target, overwrite: false });
    assert.deepEqual(readFileSync(target), readFileSync(disk));
  });

  it('without a dirty region is its base', async (test) => {
    const fixture = await prepare(test);
    const { map, counters } = await backUp(fixture, { kind: 'file', path: fixture.disk }, batches([]));
    assert.deepEqual(map, fixture.base);
    assert.equal(counters.readBytes, 0);
    assert.equal(counters.unchangedBytes, counters.sizeBytes);
  });

  it('ends with exactly the error that bringing regions ended with', async (test) => {
    const fixture = await prepare(test);
    const lost = new VzvaultError('E_CONNECTION_LOST', 'the caller went away');
    let asked = 0;
    const dirty: DirtyRegions = {
      kind: 'batches',
      next: async () => {
        await sleep(1);
        if (asked++ === 0) return { regions: [[0, 4 * MIB]], done: false };
        throw lost;
      },
    };
    await assert.rejects(backUp(fixture, { kind: 'file', path: fixture.disk }, dirty), (error) => error === lost);
  });

  it('refuses regions that make no sense', async (test) => {
    const fixture = await prepare(test);
    const nonsense: (readonly Region[])[] = [
      [[4096, 4 * MIB]],
      [[0, 4 * MIB + 1]],
      [[0, 0]],
      [[0, 80 * MIB]],
      [[-1, 4 * MIB]],
      [[0.5, 4 * MIB]],
      [[0, Number.NaN]],
      [[0, Infinity]],
      [
        [8 * MIB, 4 * MIB],
        [8 * MIB, 4 * MIB],
      ],
    ];
    for (const regions of nonsense) {
      await rejectsWith('E_SOURCE_BITMAP', backUp(fixture, { kind: 'file', path: fixture.disk }, batches(regions)));
    }
  });

  it('stops while it waits for regions, and stalls where none come', async (test) => {
    const fixture = await prepare(test);
    const never: DirtyRegions = { kind: 'batches', next: async () => new Promise(() => undefined) };
    const controller = new AbortController();
    const source: BackupSource = { kind: 'file', path: fixture.disk };
    const stopped = backUp(fixture, source, never, controller.signal);
    setTimeout(() => {
      controller.abort();
    }, 100);
    await rejectsWith('E_CANCELLED', stopped);
    const writer = await fixture.store.writer(UNLIMITED);
    const incremental = { base: fixture.base, dirty: never };
    await rejectsWith('E_SOURCE_STALLED', writer.backupVolume(options(source, { incremental, stallTimeoutMs: 200 })));
    await writer.close();
  });

  it('asks for a bitmap only where there can be one, and for a base that fits', async (test) => {
    const fixture = await prepare(test);
    const source: BackupSource = { kind: 'file', path: fixture.disk };
    await rejectsWith('E_ARGUMENT_INVALID', backUp(fixture, source, { kind: 'bitmap', bitmapName: 'b' }));
    const other = { ...fixture, base: { ...fixture.base, sizeBytes: 41 * MIB } };
    await rejectsWith('E_ARGUMENT_INVALID', backUp(other, source, batches([])));
  });
});

describe('A descriptor', () => {
  it('is read with O_DIRECT, also when its owner closed it meanwhile', async (test) => {
    const fixture = await prepare(test);
    const fd = openSync(fixture.disk, constants.O_RDONLY | constants.O_DIRECT);
    const writer = await fixture.store.writer(UNLIMITED);
    const backup = writer.backupVolume(options({ kind: 'descriptor', fd, name: 'drive-scsi0' }));
    closeSync(fd);
    const { map, counters } = await backup;
    assert.equal(map.rootId, fixture.base.rootId);
    assert.equal(counters.reusedBytes, counters.sizeBytes);
    await rejectsWith('E_ARGUMENT_INVALID', writer.backupVolume(options({ kind: 'descriptor', fd: 9_999, name: 'x' })));
    await writer.close();
  });

  it('shrinks while it is backed up with discards, one that is read-only refuses them', async (test) => {
    const fixture = await prepare(test);
    const writer = await fixture.store.writer(UNLIMITED);
    for (const flags of ['r', 'r+']) {
      const fd = openSync(fixture.disk, flags);
      const { map, counters, discardRefusal } = await writer.backupVolume(
        options({ kind: 'descriptor', fd, name: 'drive-scsi0' }, { discard: true }),
      );
      closeSync(fd);
      assert.equal(map.rootId, fixture.base.rootId);
      assert.equal(counters.discardedBytes, flags === 'r' ? 0 : 40 * MIB + 512);
      if (flags === 'r') assert.match(discardRefusal ?? '', /^drive-scsi0: /);
      else assert.equal(discardRefusal, null);
    }
    await writer.close();
    assert.ok(statSync(fixture.disk).blocks * 512 < MIB);
  });
});

describe('The bandwidth limit', () => {
  it('holds for all volumes of a writer together', async (test) => {
    const { disk, store } = await prepare(test);
    const writer = await store.writer({ ...UNLIMITED, bandwidthLimitBytesPerSecond: 40 * MIB });
    const begunMs = performance.now();
    await Promise.all([1, 2].map(async () => writer.backupVolume(options({ kind: 'file', path: disk }))));
    const tookMs = performance.now() - begunMs;
    await writer.close();
    assert.ok(tookMs > 1_900, `80 MiB at 40 MiB/s took ${tookMs} ms`);
  });
});
