/** Collection over the addon; see types.ts for the rules. */
import { awaitNative } from './addon.js';
import type { CollectionHandle, JobHandle, NativeAddon, StoreHandle } from './addon.js';
import { highestZstdLevel, requireInteger, requireSessionId } from './arguments.js';
import { runJob } from './job.js';
import type { Collection, CollectionOptions, CopyProgress, JobControl, MapRoot } from './types.js';

export async function openCollection(store: StoreHandle, options: CollectionOptions): Promise<Collection> {
  const sessionId = requireSessionId(options.sessionId);
  const limit = requireInteger('bandwidthLimitBytesPerSecond', options.bandwidthLimitBytesPerSecond, 0);
  const zstdLevel = requireInteger('zstdLevel', options.zstdLevel, 1, highestZstdLevel);
  const handle = await awaitNative(async (native) => native.storeCollection(store, sessionId, limit, zstdLevel));
  return {
    mark: async (roots, control) => {
      const plain = roots.map(nativeRoot);
      return runJob(
        control,
        (native) => native.collectionMarkProgress(handle),
        async (native, job) => native.collectionMark(handle, job, plain),
      );
    },
    packs: async () => runJob(undefined, nothing, async (native, job) => native.collectionPacks(handle, job)),
    compact: async (packs, control) =>
      move(handle, control, async (native, job) => native.collectionCompact(handle, job, packs)),
    stillNeeded: async (packs) =>
      runJob(undefined, nothing, async (native, job) => native.collectionStillNeeded(handle, job, packs)),
    mergeSegments: async (goingPacks, control) =>
      move(handle, control, async (native, job) => native.collectionMergeSegments(handle, job, goingPacks)),
    close: async () => awaitNative(async (native) => native.collectionClose(handle)),
  };
}

function nothing(): void {
  // Nobody looks at the progress of these.
}

async function move<T>(
  handle: CollectionHandle,
  control: JobControl<CopyProgress> | undefined,
  start: (native: NativeAddon, job: JobHandle) => Promise<T>,
): Promise<T> {
  return runJob(control, (native) => native.collectionMoveProgress(handle), start);
}

function nativeRoot(root: MapRoot): MapRoot {
  requireInteger('sizeBytes', root.sizeBytes, 0);
  requireInteger('levels', root.levels, 1, 0xff);
  if (root.kind === 'volume') requireInteger('chunkSizeBytes', root.chunkSizeBytes, 1, 0xffff_ffff);
  return root;
}
