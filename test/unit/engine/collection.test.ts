import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  engine,
  type ChunkStore,
  type Collection,
  type CopyProgress,
  type MapRoot,
  type MarkCounters,
  type SnapshotWriter,
  type VolumeMap,
} from '../../../src/engine/index.js';
import { rejectsWith } from '../../support/assertions.js';
import { openStore, type OpenedStore } from '../../support/open-store.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const sessionId = '0123456789abcdef'.repeat(2);

async function openWriter(store: ChunkStore, excludedPacks: readonly string[] = []): Promise<SnapshotWriter> {
  return store.writer({ zstdLevel: 1, bandwidthLimitBytesPerSecond: 0, sessionId, excludedPacks });
}

/** Backs up a disk with these contents through a writer that is left open. */
async function put(
  writer: SnapshotWriter,
  fixture: OpenedStore,
  bytes: Buffer,
): Promise<VolumeMap & { reused: number }> {
  const path = join(fixture.directory, randomBytes(8).toString('hex'));
  writeFileSync(path, bytes);
  const { map, counters } = await writer.backupVolume({
    source: { kind: 'file', path },
    chunkSizeBytes: 512 * 1024,
    stallTimeoutMs: 30_000,
    incremental: null,
    discard: false,
  });
  await writer.flush();
  return { ...map, reused: counters.reusedBytes };
}

async function backUp(fixture: OpenedStore, bytes: Buffer): Promise<MapRoot> {
  const writer = await openWriter(fixture.store);
  const { reused: _, ...map } = await put(writer, fixture, bytes);
  await writer.close();
  return { kind: 'volume', ...map };
}

async function openCollection(test: TestContext, store: ChunkStore): Promise<Collection> {
  const collection = await store.collection({ sessionId, bandwidthLimitBytesPerSecond: 0, zstdLevel: 3 });
  cleanupsOf(test).add(async () => collection.close());
  return collection;
}

function packsIn(repository: string): string[] {
  const packs = join(repository, 'packs');
  return readdirSync(packs)
    .flatMap((prefix) => readdirSync(join(packs, prefix)))
    .sort();
}

function remove(repository: string, kind: 'packs' | 'index', ids: readonly string[]): void {
  for (const id of ids) unlinkSync(join(repository, kind, kind === 'packs' ? join(id.slice(0, 2), id) : id));
}

describe('SnapshotWriter.exclude', () => {
  it('stores the chunks of excluded packs again, and keeps what it refers to', async (test) => {
    const fixture = await openStore(test);
    const bytes = randomBytes(2 * MIB);
    await backUp(fixture, bytes);
    const packs = packsIn(fixture.repository);
    assert.equal(packs.length, 2);

    const reusing = await openWriter(fixture.store);
    assert.equal((await put(reusing, fixture, bytes)).reused, 2 * MIB);
    assert.deepEqual((await reusing.exclude([...packs, 'ab'.repeat(32)])).keeps.sort(), packs);
    assert.equal((await put(reusing, fixture, bytes)).reused, 2 * MIB);
    await reusing.close();

    const excluding = await openWriter(fixture.store, packs);
    assert.equal((await put(excluding, fixture, bytes)).reused, 0);
    assert.deepEqual((await excluding.exclude(packs)).keeps, []);
    const own = packsIn(fixture.repository).filter((pack) => !packs.includes(pack));
    assert.equal(own.length, 2);
    assert.deepEqual((await excluding.exclude(own)).keeps.sort(), own);
    await excluding.close();
  });

  it('refuses what is no session and no pack', async (test) => {
    const { store } = await openStore(test);
    const options = { zstdLevel: 1, bandwidthLimitBytesPerSecond: 0, excludedPacks: [] };
    await rejectsWith('E_ARGUMENT_INVALID', store.writer({ ...options, sessionId: '../x' }));
    await rejectsWith('E_ARGUMENT_INVALID', store.writer({ ...options, sessionId, excludedPacks: ['xyz'] }));
    const writer = await openWriter(store);
    await rejectsWith('E_ARGUMENT_INVALID', writer.exclude(['packs/ab']));
    await writer.close();
    await rejectsWith('E_INTERNAL', writer.exclude([]));
  });
});

describe('Collection', () => {
  it('frees what nothing refers to, and moves what is live out of its way', async (test) => {
    const fixture = await openStore(test);
    const { repository, store } = fixture;
    const bytes = randomBytes(8 * MIB);
    await backUp(fixture, bytes);
    const kept = await backUp(fixture, Buffer.concat([bytes.subarray(0, MIB), randomBytes(MIB)]));

    const collection = await openCollection(test, store);
    const seen: MarkCounters[] = [];
    const counters = await collection.mark([kept], { onProgress: (now) => seen.push(now) });
    assert.deepEqual(
      { ...counters, filesOpened: 1 },
      { nodesRead: 1, nodesRemembered: 0, filesOpened: 1, chunksMarked: 4 },
    );
    assert.deepEqual(seen.at(-1), counters);
    const packs = await collection.packs();
    assert.deepEqual(
      packs.map((pack) => pack.id),
      packsIn(repository),
    );
    const going = packs.filter((pack) => pack.liveChunks < pack.chunks).map((pack) => pack.id);
    assert.equal(going.length, 2);
    assert.equal((await collection.stillNeeded(going)).length, 1);

    const moved: CopyProgress[] = [];
    const { packs: fresh, addedBytes } = await collection.compact(going, { onProgress: (now) => moved.push(now) });
    assert.equal(fresh.length, 1);
    assert.ok(addedBytes > MIB && addedBytes < 2 * MIB);
    assert.equal(moved.at(-1)?.processedBytes, moved.at(-1)?.totalBytes);
    assert.deepEqual(await collection.stillNeeded(going), []);
    const { replaced, added } = await collection.mergeSegments(going);
    assert.equal(added.length, 1);
    remove(repository, 'index', replaced);
    remove(repository, 'packs', going);
    await collection.close();
    await collection.close();
    await rejectsWith('E_INTERNAL', collection.packs());

    await store.refresh();
    assert.ok(kept.kind === 'volume');
    assert.deepEqual((await store.verifyVolume(kept)).damages, []);
    assert.deepEqual((await store.verifyPacks({ decode: true })).damages, []);
    assert.deepEqual(readdirSync(join(repository, 'tmp')), []);

    // The second time nothing is read, and nothing is left to do.
    const again = await openCollection(test, store);
    const second = await again.mark([kept]);
    assert.deepEqual(second, { nodesRead: 0, nodesRemembered: 1, filesOpened: 0, chunksMarked: 4 });
    assert.ok((await again.packs()).every((pack) => pack.liveChunks === pack.chunks));
    assert.deepEqual(await again.mergeSegments([]), { replaced: [], added: [] });
  });

  it('says what it could not read, and stops when it is told to', async (test) => {
    const fixture = await openStore(test);
    const root = await backUp(fixture, randomBytes(MIB));
    const collection = await openCollection(test, fixture.store);
    const missing: MapRoot = { ...root, rootId: 'ab'.repeat(32) };
    const error = await rejectsWith('E_GC_INCOMPLETE', collection.mark([missing]));
    assert.match(error.message, new RegExp(missing.rootId));
    const signal = AbortSignal.abort();
    await rejectsWith('E_CANCELLED', collection.mark([root], { signal }));
    await rejectsWith('E_ARGUMENT_INVALID', collection.mark([{ ...root, rootId: 'x' }]));
    await rejectsWith('E_ARGUMENT_INVALID', collection.compact(['x']));
    assert.equal((await collection.mark([root])).chunksMarked, 2);
  });
});

describe('RepositoryDirectory.noReplace', () => {
  it('finds out how names are made, and leaves nothing behind', async (test) => {
    const cleanups = cleanupsOf(test);
    const path = cleanups.directory();
    const directory = engine.openDirectory(path);
    cleanups.add(() => {
      directory.close();
    });
    assert.equal(await directory.noReplace(), 'renameat2');
    assert.equal(await directory.noReplace(), 'renameat2');
    assert.ok(existsSync(join(path, 'tmp')));
    assert.deepEqual(readdirSync(join(path, 'tmp')), []);
  });
});
