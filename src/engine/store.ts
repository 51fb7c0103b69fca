/** ChunkStore and SnapshotWriter over the addon. */
import { awaitNative } from './addon.js';
import type { JobHandle, NativeAddon, NativeBackupOptions, NativeVolumeMap, StoreHandle } from './addon.js';
import { requireInteger, requirePath, requireText } from './arguments.js';
import { runJob } from './job.js';
import type {
  ArchiveMap,
  ArchiveProgress,
  BackupSource,
  ChunkStore,
  CopyProgress,
  SnapshotWriter,
  StreamMap,
  VolumeBackupOptions,
  VolumeMap,
  VolumeProgress,
} from './types.js';

// What zstd offers without its long-range modes.
const highestZstdLevel = 19;

export async function openStore(options: {
  readonly path: string;
  readonly cacheDirectory: string;
}): Promise<ChunkStore> {
  const path = requirePath('path', options.path);
  const cacheDirectory = requirePath('cacheDirectory', options.cacheDirectory);
  return chunkStore(await awaitNative(async (native) => native.storeOpen(path, cacheDirectory)));
}

function chunkStore(handle: StoreHandle): ChunkStore {
  return {
    writer: async ({ zstdLevel }) => openWriter(handle, requireInteger('zstdLevel', zstdLevel, 1, highestZstdLevel)),
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
    verifyPacks: async ({ decode }, control) =>
      runJob(control, copyProgress, async (native, job) => native.storeVerifyPacks(handle, job, decode)),
    statistics: async () => awaitNative(async (native) => native.storeStatistics(handle)),
    refresh: async () => awaitNative(async (native) => native.storeRefresh(handle)),
    close: async () => awaitNative(async (native) => native.storeClose(handle)),
  };
}

async function openWriter(store: StoreHandle, zstdLevel: number): Promise<SnapshotWriter> {
  const handle = await awaitNative(async (native) => native.storeWriter(store, zstdLevel));
  return {
    backupVolume: async (options, control) => {
      const plain = backupOptions(options);
      return runJob(control, backupProgress, async (native, job) => native.writerBackupVolume(handle, job, plain));
    },
    backupArchive: async (options, control) => {
      const fd = requireInteger('descriptor', options.fd, 0, 0x7fff_ffff);
      const limit = requireInteger('bandwidthLimitBytesPerSecond', options.bandwidthLimitBytesPerSecond, 0);
      return runJob(control, archiveProgress, async (native, job) =>
        native.writerBackupArchive(handle, job, fd, limit),
      );
    },
    flush: async () => awaitNative(async (native) => native.writerFlush(handle)),
    close: async () => awaitNative(async (native) => native.writerClose(handle)),
  };
}

function backupProgress(native: NativeAddon, job: JobHandle): VolumeProgress {
  return native.jobBackupProgress(job);
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

function nativeMap(map: VolumeMap): NativeVolumeMap {
  return {
    sizeBytes: requireInteger('sizeBytes', map.sizeBytes, 0),
    chunkSizeBytes: requireInteger('chunkSizeBytes', map.chunkSizeBytes, 1, 0xffff_ffff),
    rootId: map.rootId,
  };
}

function backupOptions(options: VolumeBackupOptions): NativeBackupOptions {
  const { expectedSizeBytes } = options;
  return {
    ...sourceFields(options.source),
    expectedSizeBytes: expectedSizeBytes === undefined ? -1 : requireInteger('expectedSizeBytes', expectedSizeBytes, 0),
    chunkSizeBytes: requireInteger('chunkSizeBytes', options.chunkSizeBytes, 1, 0xffff_ffff),
    bandwidthLimitBytesPerSecond: requireInteger(
      'bandwidthLimitBytesPerSecond',
      options.bandwidthLimitBytesPerSecond,
      0,
    ),
    stallTimeoutMs: requireInteger('stallTimeoutMs', options.stallTimeoutMs, 1, 0x7fff_ffff),
  };
}

function sourceFields(source: BackupSource): Pick<NativeBackupOptions, 'sourceKind' | 'sourceAddress' | 'exportName'> {
  switch (source.kind) {
    case 'nbd':
      return {
        sourceKind: 'nbd',
        sourceAddress: requirePath('socketPath', source.socketPath),
        exportName: requireText('exportName', source.exportName),
      };
    case 'nbd-uri':
      return { sourceKind: 'nbd-uri', sourceAddress: requireText('uri', source.uri), exportName: '' };
    case 'file':
      return { sourceKind: 'file', sourceAddress: requirePath('path', source.path), exportName: '' };
  }
}
