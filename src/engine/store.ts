/** ChunkStore and SnapshotWriter over the addon. */
import { awaitNative } from './addon.js';
import type { JobHandle, NativeAddon, StoreHandle } from './addon.js';
import { highestZstdLevel, nativeMap, requireInteger, requirePath, requireSessionId } from './arguments.js';
import { backUpVolume } from './backup-volume.js';
import { openCollection } from './collection.js';
import { runJob } from './job.js';
import { keyHandle } from './keys.js';
import type {
  ArchiveMap,
  ArchiveProgress,
  ChunkStore,
  CopyProgress,
  RepositoryKey,
  SnapshotWriter,
  StreamMap,
  WriterOptions,
} from './types.js';

export async function openStore(options: {
  readonly path: string;
  readonly cacheDirectory: string;
  readonly key?: RepositoryKey | null;
}): Promise<ChunkStore> {
  const path = requirePath('path', options.path);
  const cacheDirectory = requirePath('cacheDirectory', options.cacheDirectory);
  const key = keyHandle(options.key);
  return chunkStore(await awaitNative(async (native) => native.storeOpen(path, cacheDirectory, key)));
}

function chunkStore(handle: StoreHandle): ChunkStore {
  return {
    writer: async (options) => openWriter(handle, options),
    restoreVolume: async (map, target, control) => {
      const path = requirePath('target', target.path);
      return runJob(control, copyProgress, async (native, job) =>
        native.storeRestoreVolume(handle, job, nativeMap(map), path, target.overwrite),
      );
    },
    verifyVolume: async (map, control) =>
      runJob(control, copyProgress, async (native, job) => native.storeVerifyVolume(handle, job, nativeMap(map))),
    verifyArchive: async (archive, control) => {
      const plain = nativeArchive(archive);
      return runJob(control, copyProgress, async (native, job) => native.storeVerifyArchive(handle, job, plain));
    },
    verifyPacks: async ({ decode, packs = null, segments = true }, control) =>
      runJob(control, copyProgress, async (native, job) =>
        native.storeVerifyPacks(handle, job, decode, packs, segments),
      ),
    unreadableChunks: async (chunks, control) =>
      runJob(control, copyProgress, async (native, job) => native.storeUnreadableChunks(handle, job, chunks)),
    rebuildIndex: async ({ sessionId, isEncrypted }, control) => {
      const session = requireSessionId(sessionId);
      return runJob(control, copyProgress, async (native, job) =>
        native.storeRebuildIndex(handle, job, session, isEncrypted),
      );
    },
    collection: async (options) => openCollection(handle, options),
    statistics: async () => awaitNative(async (native) => native.storeStatistics(handle)),
    refresh: async () => awaitNative(async (native) => native.storeRefresh(handle)),
    close: async () => awaitNative(async (native) => native.storeClose(handle)),
  };
}

async function openWriter(store: StoreHandle, options: WriterOptions): Promise<SnapshotWriter> {
  const zstdLevel = requireInteger('zstdLevel', options.zstdLevel, 1, highestZstdLevel);
  const limit = requireInteger('bandwidthLimitBytesPerSecond', options.bandwidthLimitBytesPerSecond, 0);
  const sessionId = requireSessionId(options.sessionId);
  const handle = await awaitNative(async (native) =>
    native.storeWriter(store, zstdLevel, limit, sessionId, options.excludedPacks),
  );
  return {
    backupVolume: async (volume, control) => backUpVolume(handle, volume, control),
    backupArchive: async (options, control) => {
      const fd = requireInteger('descriptor', options.fd, 0, 0x7fff_ffff);
      return runJob(control, archiveProgress, async (native, job) => native.writerBackupArchive(handle, job, fd));
    },
    exclude: async (packs) => ({ keeps: await awaitNative(async (native) => native.writerExclude(handle, packs)) }),
    salvage: async (packs, control) =>
      runJob(control, copyProgress, async (native, job) => native.writerSalvage(handle, job, packs)),
    flush: async () => awaitNative(async (native) => native.writerFlush(handle)),
    close: async () => awaitNative(async (native) => native.writerClose(handle)),
  };
}

function archiveProgress(native: NativeAddon, job: JobHandle): ArchiveProgress {
  return native.jobArchiveProgress(job);
}

function copyProgress(native: NativeAddon, job: JobHandle): CopyProgress {
  return native.jobCopyProgress(job);
}

function nativeArchive({ members, data, catalogue }: ArchiveMap): ArchiveMap {
  return {
    members: requireInteger('members', members, 0),
    data: nativeStream(data),
    catalogue: nativeStream(catalogue),
  };
}

function nativeStream({ sizeBytes, levels, rootId }: StreamMap): StreamMap {
  return {
    sizeBytes: requireInteger('sizeBytes', sizeBytes, 0),
    levels: requireInteger('levels', levels, 1, 0xff),
    rootId,
  };
}
