/** The backup of one volume over the addon: its options, and the dirty regions that are brought to it while it runs. */
import { VzvaultError } from '../lib/errors.js';
import { callNative } from './addon.js';
import type { JobHandle, NativeAddon, NativeBackupOptions, WriterHandle } from './addon.js';
import { nativeMap, requireInteger, requirePath, requireText } from './arguments.js';
import { runJob, settledSoon } from './job.js';
import type {
  BackupSource,
  DirtyRegions,
  IncrementalOptions,
  JobControl,
  Region,
  VolumeBackupOptions,
  VolumeBackupResult,
  VolumeProgress,
} from './types.js';

const highestFd = 0x7fff_ffff;

type NextRegions = Extract<DirtyRegions, { kind: 'batches' }>['next'];

export async function backUpVolume(
  writer: WriterHandle,
  options: VolumeBackupOptions,
  control: JobControl<VolumeProgress> | undefined,
): Promise<VolumeBackupResult> {
  const plain = backupOptions(options);
  const dirty = options.incremental?.dirty;
  if (dirty?.kind !== 'batches') {
    return runJob(control, backupProgress, async (native, job) => native.writerBackupVolume(writer, job, plain));
  }
  let failure: { readonly error: unknown } | undefined;
  try {
    return await runJob(control, backupProgress, async (native, job) => {
      const backup = native.writerBackupVolume(writer, job, plain);
      const fed = feedRegions(native, job, dirty.next).catch(async (error: unknown) => {
        failure = { error };
        native.jobCancel(job);
        await settledSoon(backup);
        throw error;
      });
      // Fed to the end, or no longer wanted: then it is the backup that has the last word.
      return Promise.race([backup, fed.then(async () => backup)]);
    });
  } catch (error) {
    // What stopped the job, not that it was stopped.
    throw failure ? failure.error : error;
  }
}

/** Brings batches for as long as the job wants them. Rejects with what `next` rejects with. */
async function feedRegions(native: NativeAddon, job: JobHandle, next: NextRegions): Promise<void> {
  while (await native.jobRegionsWanted(job)) {
    const { regions, done } = await next();
    const pairs = flatRegions(regions);
    callNative(() => {
      native.jobOfferRegions(job, pairs, done);
    });
  }
}

function flatRegions(regions: readonly Region[]): Float64Array {
  for (const number of regions.flat()) {
    if (Number.isSafeInteger(number) && number >= 0) continue;
    throw new VzvaultError('E_SOURCE_BITMAP', `a dirty region makes no sense: ${number} is no offset and no length`);
  }
  return Float64Array.from(regions.flat());
}

function backupProgress(native: NativeAddon, job: JobHandle): VolumeProgress {
  return native.jobBackupProgress(job);
}

function backupOptions(options: VolumeBackupOptions): NativeBackupOptions {
  const { expectedSizeBytes } = options;
  return {
    source: checkedSource(options.source),
    expectedSizeBytes: expectedSizeBytes === undefined ? -1 : requireInteger('expectedSizeBytes', expectedSizeBytes, 0),
    chunkSizeBytes: requireInteger('chunkSizeBytes', options.chunkSizeBytes, 1, 0xffff_ffff),
    stallTimeoutMs: requireInteger('stallTimeoutMs', options.stallTimeoutMs, 1, 0x7fff_ffff),
    incremental: options.incremental && incrementalOptions(options.incremental, options.source),
    discard: options.discard,
  };
}

function checkedSource(source: BackupSource): BackupSource {
  switch (source.kind) {
    case 'nbd':
      requirePath('socketPath', source.socketPath);
      requireText('exportName', source.exportName);
      break;
    case 'nbd-uri':
      requireText('uri', source.uri);
      break;
    case 'file':
      requirePath('path', source.path);
      break;
    case 'descriptor':
      requireInteger('descriptor', source.fd, 0, highestFd);
      requireText('name', source.name);
      break;
  }
  return source;
}

function incrementalOptions(
  { base, dirty }: IncrementalOptions,
  source: BackupSource,
): NonNullable<NativeBackupOptions['incremental']> {
  if (dirty.kind === 'batches') return { base: nativeMap(base), bitmapName: null };
  if (source.kind !== 'nbd') {
    throw new VzvaultError('E_ARGUMENT_INVALID', `a source of the kind ${source.kind} has no dirty bitmap`);
  }
  return { base: nativeMap(base), bitmapName: requireText('bitmapName', dirty.bitmapName) };
}
