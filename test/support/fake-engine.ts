/**
 * An engine without native code, for tests of what stands above it: storage in memory, documents sealed in TypeScript, and volumes
 * kept whole by their digest. Only regular files can be backed up; the archive behind a descriptor is what the test put there.
 */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { requirePath } from '../../src/engine/arguments.js';
import type {
  ArchiveBackupOptions,
  ArchiveBackupResult,
  ArchiveMap,
  ArchiveProgress,
  ChunkStore,
  Collection,
  CopyProgress,
  IncrementalOptions,
  JobControl,
  Region,
  RepositoryKey,
  SnapshotWriter,
  StoreStatistics,
  VerifyResult,
  VolumeBackupOptions,
  VolumeBackupResult,
  VolumeMap,
  VolumeProgress,
  WriterOptions,
} from '../../src/engine/types.js';
import { abortReason } from '../../src/lib/deadline.js';
import { VzvaultError } from '../../src/lib/errors.js';
import type { RepositoryEngine } from '../../src/repository/repository.js';
import { mapLevels } from '../../src/repository/snapshot-document.js';
import { FakeCollection } from './fake-collection.js';
import { MemoryDisk } from './memory-directory.js';
import { loadKey, openDocument, sealDocument } from './sealed-document.js';

const ZERO_ID = '0'.repeat(64);

export class FakeEngine implements RepositoryEngine {
  readonly disk = new MemoryDisk();
  readonly store = new FakeChunkStore();
  readonly sealDocument = sealDocument;
  readonly openDocument = openDocument;
  readonly loadKey = loadKey;
  readonly openedStores: { path: string; cacheDirectory: string; key?: RepositoryKey | null }[] = [];

  openDirectory(path: string): ReturnType<MemoryDisk['open']> {
    return this.disk.open(path);
  }

  async openStore(options: { path: string; cacheDirectory: string; key?: RepositoryKey | null }): Promise<ChunkStore> {
    this.openedStores.push(options);
    return this.store;
  }
}

export type Point =
  | 'backupVolume'
  | 'backupArchive'
  | 'verifyArchive'
  | 'flush'
  | 'restoreVolume'
  | 'verifyVolume'
  | 'verifyPacks'
  | 'salvage'
  | 'rebuildIndex'
  | 'refresh';

export class FakeChunkStore implements ChunkStore {
  readonly volumes = new Map<string, Buffer>();
  /** Runs at each of these points of work; what it throws, the work throws. */
  fault: (point: Point) => void | Promise<void> = () => undefined;
  /** What verify shall find. */
  damages: VerifyResult['damages'] = [];
  /** What the bitmap of any source marks. */
  bitmap: readonly Region[] = [];
  /** Why sources refuse discards. */
  discardRefusal: string | null = null;
  /** The options of every volume that was backed up. */
  readonly backups: VolumeBackupOptions[] = [];
  /** Data of the archives that can be read from descriptors. */
  readonly archives = new Map<number, Buffer>();
  /** The options of every archive that was backed up. */
  readonly archiveBackups: ArchiveBackupOptions[] = [];
  /** What salvaging comes to, and which packs were salvaged. */
  salvage = { chunks: 0, lost: 0 };
  readonly salvaged: string[] = [];
  /** Damages of single packs, by id. */
  readonly packDamages = new Map<string, VerifyResult['damages']>();
  /** Ids of the packs that were verified, in order. */
  readonly verifiedPacks: string[] = [];
  openWriters = 0;
  closes = 0;

  /** What every writer has referred to. */
  readonly keeps = new Set<string>();
  /** All that any writer was told to exclude, and the options of each. */
  readonly excluded: string[] = [];
  readonly writers: WriterOptions[] = [];

  /** What garbage collections do with the chunks. */
  readonly garbage = new FakeCollection();

  async collection(): Promise<Collection> {
    return this.garbage;
  }

  async writer(options: WriterOptions): Promise<SnapshotWriter> {
    this.writers.push(options);
    this.openWriters += 1;
    let open = true;
    let addedBytes = 0;
    return {
      backupVolume: async (volume, control) => {
        await this.fault('backupVolume');
        const result = await this.#backup(volume, control);
        addedBytes += result.counters.newBytes;
        return result;
      },
      backupArchive: async (archive, control) => {
        await this.fault('backupArchive');
        const result = this.#backupArchive(archive, control);
        addedBytes += result.counters.newBytes;
        return result;
      },
      exclude: async (packs) => {
        this.excluded.push(...packs);
        return { keeps: packs.filter((pack) => this.keeps.has(pack)) };
      },
      salvage: async (packs) => {
        await this.fault('salvage');
        this.salvaged.push(...packs);
        return this.salvage;
      },
      flush: async () => {
        await this.fault('flush');
        return { addedBytes };
      },
      close: async () => {
        if (open) this.openWriters -= 1;
        open = false;
      },
    };
  }

  async #backup(options: VolumeBackupOptions, control?: JobControl<VolumeProgress>): Promise<VolumeBackupResult> {
    const { source, chunkSizeBytes, expectedSizeBytes } = options;
    if (source.kind !== 'file') throw new VzvaultError('E_UNSUPPORTED', `the fake engine knows no ${source.kind}`);
    this.backups.push(options);
    const whole = await readFile(requirePath('path', source.path)).catch(() => {
      throw new VzvaultError('E_SOURCE_UNREACHABLE', `opening ${source.path}`);
    });
    if (control?.signal?.aborted === true) throw abortReason(control.signal);
    const sizeBytes = whole.length;
    if (expectedSizeBytes !== undefined && expectedSizeBytes !== sizeBytes) {
      throw new VzvaultError('E_SOURCE_SIZE', `${source.path} has ${sizeBytes} bytes, not ${expectedSizeBytes}`);
    }
    const { incremental } = options;
    const regions = incremental === null ? [[0, sizeBytes] as const] : await this.#regions(incremental);
    const bytes = incremental === null ? whole : overlaid(this.#bytes(incremental.base), whole, regions);
    const readBytes = regions.reduce((sum, [, length]) => sum + length, 0);
    const isZero = bytes.every((byte) => byte === 0);
    const rootId = isZero ? ZERO_ID : createHash('sha256').update(bytes).digest('hex');
    const isKnown = this.volumes.has(rootId);
    this.volumes.set(rootId, bytes);
    const newBytes = !isZero && !isKnown ? readBytes : 0;
    const counters = {
      ...{ sizeBytes, processedBytes: sizeBytes, readBytes, unchangedBytes: sizeBytes - readBytes },
      zeroBytes: isZero ? readBytes : 0,
      reusedBytes: !isZero && isKnown ? readBytes : 0,
      ...{ newBytes, writtenBytes: newBytes, discardedBytes: 0 },
    };
    control?.onProgress?.(counters);
    const map = { sizeBytes, chunkSizeBytes, levels: mapLevels(sizeBytes, chunkSizeBytes), rootId };
    return { map, counters, discardRefusal: options.discard ? this.discardRefusal : null };
  }

  /** The stream is taken for the data of one file. */
  #backupArchive(options: ArchiveBackupOptions, control?: JobControl<ArchiveProgress>): ArchiveBackupResult {
    if (control?.signal?.aborted === true) throw abortReason(control.signal);
    this.archiveBackups.push(options);
    const bytes = this.archives.get(options.fd) ?? Buffer.alloc(0);
    const sizeBytes = bytes.length;
    if (sizeBytes === 0) throw new VzvaultError('E_ARCHIVE_INVALID', 'the stream ends before its first header');
    const rootId = createHash('sha256').update(bytes).digest('hex');
    const isKnown = this.volumes.has(rootId);
    this.volumes.set(rootId, bytes);
    const data = { sizeBytes, levels: 1, rootId };
    const counters = {
      ...{ members: 1, readBytes: sizeBytes + 1536, zeroBytes: 0 },
      ...{ reusedBytes: isKnown ? sizeBytes : 0, newBytes: isKnown ? 0 : sizeBytes },
    };
    control?.onProgress?.(counters);
    return { archive: { members: 1, data, catalogue: { ...data, sizeBytes: 40 } }, counters };
  }

  async #regions({ dirty }: IncrementalOptions): Promise<readonly Region[]> {
    if (dirty.kind === 'bitmap') return this.bitmap;
    const regions: Region[] = [];
    for (let done = false; !done;) {
      const batch = await dirty.next();
      regions.push(...batch.regions);
      ({ done } = batch);
    }
    return regions;
  }

  async restoreVolume(
    map: VolumeMap,
    target: { path: string; overwrite: boolean },
    control?: JobControl<CopyProgress>,
  ): Promise<CopyProgress> {
    await this.fault('restoreVolume');
    if (control?.signal?.aborted === true) throw abortReason(control.signal);
    await writeFile(requirePath('target', target.path), this.#bytes(map), {
      flag: target.overwrite ? 'w' : 'wx',
    }).catch((error: unknown) => {
      throw new VzvaultError('E_TARGET_EXISTS', String(error));
    });
    const progress = { totalBytes: map.sizeBytes, processedBytes: map.sizeBytes, holeBytes: 0 };
    control?.onProgress?.(progress);
    return progress;
  }

  async verifyVolume(map: VolumeMap): ReturnType<ChunkStore['verifyVolume']> {
    await this.fault('verifyVolume');
    const isThere = map.rootId === ZERO_ID || this.volumes.has(map.rootId);
    const damage = { code: 'E_CHUNK_MISSING', message: `map node ${map.rootId} is missing` };
    return { chunks: 1, damages: isThere ? [] : [damage], unreadable: isThere ? [] : [`map-node:${map.rootId}`] };
  }

  async verifyArchive({ data, catalogue }: ArchiveMap): ReturnType<ChunkStore['verifyArchive']> {
    await this.fault('verifyArchive');
    const missing = [data, catalogue].filter(({ rootId }) => rootId !== ZERO_ID && !this.volumes.has(rootId));
    const damages = missing.map(({ rootId }) => ({
      code: 'E_CHUNK_MISSING',
      message: `map node ${rootId} is missing`,
    }));
    return { chunks: 2, damages, unreadable: missing.map(({ rootId }) => `map-node:${rootId}`) };
  }

  async verifyPacks({ packs = [], segments = true }: Parameters<ChunkStore['verifyPacks']>[0]): Promise<VerifyResult> {
    await this.fault('verifyPacks');
    this.verifiedPacks.push(...packs);
    const damages = packs.flatMap((pack) => this.packDamages.get(pack) ?? []);
    const packBytes = 1000 * packs.length;
    return { packs: packs.length, packBytes, chunks: packs.length, damages: segments ? this.damages : damages };
  }

  async unreadableChunks(chunks: readonly string[]): Promise<string[]> {
    return chunks.filter((chunk) => !this.volumes.has(chunk.replace(/^.*:/, '')));
  }

  async rebuildIndex(): ReturnType<ChunkStore['rebuildIndex']> {
    await this.fault('rebuildIndex');
    return { packs: 0, chunks: 0, added: [], replaced: [], damages: [] };
  }

  async statistics(): Promise<StoreStatistics> {
    const plainBytes = [...this.volumes].reduce((sum, [id, bytes]) => sum + (id === ZERO_ID ? 0 : bytes.length), 0);
    return { packs: this.volumes.size, packBytes: plainBytes, segments: 1, chunks: this.volumes.size, plainBytes };
  }

  async refresh(): Promise<void> {
    await this.fault('refresh');
  }

  async close(): Promise<void> {
    this.closes += 1;
  }

  #bytes(map: VolumeMap): Buffer {
    if (map.rootId === ZERO_ID) return Buffer.alloc(map.sizeBytes);
    const bytes = this.volumes.get(map.rootId);
    if (bytes === undefined) throw new VzvaultError('E_CHUNK_MISSING', `map node ${map.rootId} is missing`);
    return bytes;
  }
}

function overlaid(base: Buffer, changed: Buffer, regions: readonly Region[]): Buffer {
  const bytes = Buffer.from(base);
  for (const [offset, length] of regions) changed.copy(bytes, offset, offset, offset + length);
  return bytes;
}
