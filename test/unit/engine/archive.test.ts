import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  type ArchiveBackupResult,
  type ArchiveProgress,
  type ChunkStore,
  type CopyProgress,
} from '../../../src/engine/index.js';
import { rejectsWith } from '../../support/assertions.js';
import { openStore } from '../../support/open-store.js';
import { UNLIMITED } from '../../support/writer-options.js';

/** A directory with some files, as tar writes it. */
function makeTar(directory: string): string {
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'etc'), { recursive: true });
  writeFileSync(join(tree, 'etc', 'hostname'), 'ct101\n');
  writeFileSync(join(tree, 'large'), randomBytes(3_000_000));
  const tar = join(directory, 'root.tar');
  execFileSync('tar', ['-cf', tar, '-C', tree, './']);
  return tar;
}

async function backUp(
  store: ChunkStore,
  path: string,
  onProgress?: (now: ArchiveProgress) => void,
): Promise<ArchiveBackupResult & { addedBytes: number }> {
  const fd = openSync(path, 'r');
  const writer = await store.writer(UNLIMITED);
  try {
    const result = await writer.backupArchive({ fd }, onProgress && { onProgress });
    const { addedBytes } = await writer.flush();
    return { ...result, addedBytes };
  } finally {
    closeSync(fd);
    await writer.close();
  }
}

describe('archives in the engine', () => {
  it('are stored, found again, and verified', async (test) => {
    const { directory, store } = await openStore(test);
    const tar = makeTar(directory);
    const progress: ArchiveProgress[] = [];
    const first = await backUp(store, tar, (now) => progress.push(now));
    const { archive, counters } = first;
    assert.equal(archive.members, 4);
    assert.equal(archive.data.sizeBytes, 3_000_006);
    assert.equal(archive.data.levels, 1);
    assert.match(archive.data.rootId, /^[0-9a-f]{64}$/);
    assert.ok(archive.catalogue.sizeBytes > 50 && archive.catalogue.sizeBytes < 300);
    assert.equal(counters.zeroBytes + counters.reusedBytes + counters.newBytes, archive.data.sizeBytes);
    assert.deepEqual(progress.at(-1), counters);

    const again = await backUp(store, tar);
    assert.deepEqual(again.archive, archive);
    assert.equal(again.addedBytes, 0);

    const verified: CopyProgress[] = [];
    const { chunks, damages } = await store.verifyArchive(archive, { onProgress: (now) => verified.push(now) });
    assert.ok(chunks >= 3);
    assert.deepEqual(damages, []);
    assert.equal(verified.at(-1)?.processedBytes, archive.data.sizeBytes + archive.catalogue.sizeBytes);
    const missing = { ...archive, data: { ...archive.data, rootId: 'ab'.repeat(32) } };
    assert.deepEqual(
      (await store.verifyArchive(missing)).damages.map(({ code }) => code),
      ['E_CHUNK_MISSING'],
    );
    await rejectsWith(
      'E_ARGUMENT_INVALID',
      store.verifyArchive({ ...archive, data: { ...archive.data, rootId: 'x' } }),
    );
  });

  it('are refused where they are none, with the reason', async (test) => {
    const { directory, store } = await openStore(test);
    const path = join(directory, 'none.tar');
    writeFileSync(path, 'x'.repeat(1024));
    const error = await rejectsWith('E_ARCHIVE_INVALID', backUp(store, path));
    assert.match(error.message, /byte 0 of the tar stream: the checksum/);
    await rejectsWith('E_ARGUMENT_INVALID', backUpDescriptor(store, 1_000_000));
  });

  it('stop when they are told to, though the pipe is silent', async (test) => {
    const { store } = await openStore(test);
    const silent = spawn('sleep', ['600'], { stdio: ['ignore', 'pipe', 'ignore'] });
    test.after(() => silent.kill('SIGKILL'));
    const { fd } = (silent.stdout as unknown as { _handle: { fd: number } })._handle;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      controller.abort();
    }, 200);
    const begunMs = performance.now();
    await rejectsWith('E_CANCELLED', backUpDescriptor(store, fd, controller.signal));
    clearTimeout(timer);
    assert.ok(performance.now() - begunMs < 3_000);
  });
});

async function backUpDescriptor(store: ChunkStore, fd: number, signal?: AbortSignal): Promise<ArchiveBackupResult> {
  const writer = await store.writer(UNLIMITED);
  try {
    return await writer.backupArchive({ fd }, signal && { signal });
  } finally {
    await writer.close();
  }
}
