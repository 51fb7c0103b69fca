/**
 * An engine without native code, for tests of what stands above it: storage in memory, documents sealed in TypeScript, and volumes
 * kept whole by their digest. Only regular files can be backed up.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import type {
  ArchiveBackupOptions,
  ArchiveBackupResult,
  ArchiveMap,
  ArchiveProgress,
  ChunkStore,
  CopyProgress,
  JobControl,
  SnapshotWriter,
  StoreStatistics,
  VerifyResult,
  VolumeBackupOptions,
  VolumeBackupResult,
  VolumeMap,
  VolumeProgress,
} from '../../src/engine/types.js';
import { abortReason } from '../../src/lib/deadline.js';
import { VzvaultError } from '../../src/lib/errors.js';
import type { RepositoryEngine } from '../../src/repository/repository.js';
import { mapLevels } from '../../src/repository/snapshot-document.js';
import { MemoryDisk } from './memory-directory.js';
import { openDocument, sealDocument } from './sealed-document.js';

const ZERO_ID = '0'.repeat(64);

export class FakeEngine implements RepositoryEngine {
  readonly disk = new MemoryDisk();
  readonly store = new FakeChunkStore();
  readonly sealDocument = sealDocument;
  readonly openDocument = openDocument;
  readonly openedStores: { path: string; cacheDirectory: string }[] = [];

  openDirectory(path: string): ReturnType<MemoryDisk['open']> {
    return this.disk.open(path);
  }

  async openStore(options: { path: string; cacheDirectory: string }): Promise<ChunkStore> {
    this.openedStores.push(options);
    return this.store;
  }
}

export type Point =
  | 'backupVolume'
  | 'backupArchive'
  | 'flush'
  | 'restoreVolume'
  | 'verifyVolume'
  | 'verifyArchive'
  | 'verifyPacks'
  | 'refresh';

export class FakeChunkStore implements ChunkStore {
  readonly volumes = new Map<string, Buffer>();
  /** Tar streams as they came, by the root of their data. */
  readonly archives = new Map<string, Buffer>();
  /** Runs at each of these points of work; what it throws, the work throws. */
  fault: (point: Point) => void | Promise<void> = () => undefined;
  /** What verify shall find. */
  damages: VerifyResult['damages'] = [];
  openWriters = 0;
  closes = 0;

  async writer(): Promise<SnapshotWriter> {
    this.openWriters += 1;
    let open = true;
    let addedBytes = 0;
    return {
      backupVolume: async (options, control) => {
        await this.fault('backupVolume');
        const result = await this.#backup(options, control);
        addedBytes += result.counters.newBytes;
        return result;
      },
      backupArchive: async (options, control) => {
        await this.fault('backupArchive');
        const result = await this.#backupArchive(options, control);
        addedBytes += result.counters.newBytes;
        return result;
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
    const bytes = await readFile(source.path).catch(() => {
      throw new VzvaultError('E_SOURCE_UNREACHABLE', `opening ${source.path}`);
    });
    if (control?.signal?.aborted === true) throw abortReason(control.signal);
    const sizeBytes = bytes.length;
    if (expectedSizeBytes !== undefined && expectedSizeBytes !== sizeBytes) {
      throw new VzvaultError('E_SOURCE_SIZE', `${source.path} has ${sizeBytes} bytes, not ${expectedSizeBytes}`);
    }
    const isZero = bytes.every((byte) => byte === 0);
    const rootId = isZero ? ZERO_ID : createHash('sha256').update(bytes).digest('hex');
    const isKnown = this.volumes.has(rootId);
    this.volumes.set(rootId, bytes);
    const counters = {
      sizeBytes,
      processedBytes: sizeBytes,
      readBytes: sizeBytes,
      zeroBytes: isZero ? sizeBytes : 0,
      reusedBytes: !isZero && isKnown ? sizeBytes : 0,
      newBytes: !isZero && !isKnown ? sizeBytes : 0,
    };
    control?.onProgress?.(counters);
    return { map: { sizeBytes, chunkSizeBytes, levels: mapLevels(sizeBytes, chunkSizeBytes), rootId }, counters };
  }

  /** Takes any bytes for a tar stream of one member. */
  async #backupArchive(
    options: ArchiveBackupOptions,
    control?: JobControl<ArchiveProgress>,
  ): Promise<ArchiveBackupResult> {
    const bytes = await buffer(createReadStream('', { fd: options.fd, autoClose: false, signal: control?.signal }));
    const rootId = createHash('sha256').update(bytes).digest('hex');
    const isKnown = this.archives.has(rootId);
    this.archives.set(rootId, bytes);
    const readBytes = bytes.length;
    const newBytes = isKnown ? 0 : readBytes;
    const counters = { members: 1, readBytes, zeroBytes: 0, reusedBytes: readBytes - newBytes, newBytes };
    control?.onProgress?.(counters);
    const stream = { sizeBytes: readBytes, levels: 1, rootId };
    return { archive: { members: 1, data: stream, catalogue: stream }, counters };
  }

  async restoreVolume(
    map: VolumeMap,
    target: { path: string; overwrite: boolean },
    control?: JobControl<CopyProgress>,
  ): Promise<CopyProgress> {
    await this.fault('restoreVolume');
    if (control?.signal?.aborted === true) throw abortReason(control.signal);
    await writeFile(target.path, this.#bytes(map), { flag: target.overwrite ? 'w' : 'wx' }).catch((error: unknown) => {
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
    return { chunks: 1, damages: isThere ? [] : [damage] };
  }

  async verifyArchive({ data }: ArchiveMap): ReturnType<ChunkStore['verifyArchive']> {
    await this.fault('verifyArchive');
    const damage = { code: 'E_CHUNK_MISSING', message: `map node ${data.rootId} is missing` };
    return { chunks: 2, damages: this.archives.has(data.rootId) ? [] : [damage] };
  }

  async verifyPacks(): Promise<VerifyResult> {
    await this.fault('verifyPacks');
    const { packs, packBytes, chunks } = await this.statistics();
    return { packs, packBytes, chunks, damages: this.damages };
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
