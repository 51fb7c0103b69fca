/**
 * What backup.container does: a tar stream into a new snapshot, tar's word on how it went, and the commit. Rejects with nothing committed.
 *
 * A stream that looks whole proves nothing about what tar could not read: only its exit status does, and that the caller has, whose child
 * tar is. So it is asked for after the ends of both the stream and the messages, before the commit.
 */
import type { ArchiveBackupResult } from '../engine/types.js';
import { withDeadline, withSignal } from '../lib/deadline.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { formatGuest } from '../lib/guest.js';
import { containerLimits } from '../lib/limits.js';
import type { BackupResult, BackupSession } from '../repository/backup-session.js';
import type { ContainerCall, GuestBackupRequest, TarEnd } from './call.js';
import { ContainerProgress } from './container-progress.js';
import { abortSnapshot, beginSnapshot, type SnapshotOptions } from './guest-snapshot.js';
import { followMessages } from './tar-messages.js';

/** The archive of a container's files. */
export const ROOT_ARCHIVE = 'root';

/** A container's files changed while tar read them. */
const exitChanged = 1;
/** By which a tar ends whose stream nobody reads any more. */
const signalPipe = 13;

/** Backs the container up and commits. `signal` ends it with nothing committed, unless it is past ending. */
export async function backUpContainer(
  options: SnapshotOptions,
  request: GuestBackupRequest,
  call: ContainerCall,
  signal: AbortSignal,
): Promise<BackupResult> {
  const progress = new ContainerProgress(ROOT_ARCHIVE, options.clock);
  let snapshot: BackupSession | null = null;
  try {
    const said = followMessages(call.messages, (line) => {
      call.log('warn', line);
    });
    snapshot = await beginSnapshot(options, request, signal);
    const { counters } = await ingest(options, snapshot, { call, signal, progress, said });
    await withSignal(said, signal);
    requireSuccess(options, await withSignal(call.archiveEnd(), signal), call);
    const result = await snapshot.commit(signal);
    for (const line of progress.summary(counters, result.sizeBytes, result.stats.addedBytes)) call.log('info', line);
    return result;
  } catch (error) {
    await abortSnapshot(options, snapshot);
    throw error;
  }
}

interface Ingest {
  readonly call: ContainerCall;
  readonly signal: AbortSignal;
  readonly progress: ContainerProgress;
  readonly said: Promise<void>;
}

async function ingest(
  options: SnapshotOptions,
  snapshot: BackupSession,
  { call, signal, progress, said }: Ingest,
): Promise<ArchiveBackupResult> {
  try {
    const archive = { name: ROOT_ARCHIVE, fd: call.archiveFd };
    return await snapshot.backupArchive(archive, {
      signal,
      onProgress: (counters) => {
        const line = progress.update(counters);
        if (line !== null) call.log('info', line);
      },
    });
  } catch (thrown) {
    const error = toVzvaultError(thrown);
    if (error.code !== 'E_ARCHIVE_INVALID' || signal.aborted) throw error;
    throw (await explanation(options, call, said)) ?? error;
  } finally {
    call.closeArchive();
  }
}

/** Why tar ended early, where it did: that is behind most streams that are cut short. Null where tar had no trouble of its own. */
async function explanation(
  options: SnapshotOptions,
  call: ContainerCall,
  said: Promise<void>,
): Promise<VzvaultError | null> {
  call.closeArchive();
  try {
    const ending = said.then(() => call.archiveEnd());
    const end = await withDeadline(ending, containerLimits.explanationMs, 'E_DEADLINE', 'the end of tar');
    return end.signal === signalPipe ? null : failureOf(options, end);
  } catch {
    return null;
  }
}

function requireSuccess(options: SnapshotOptions, end: TarEnd, call: ContainerCall): void {
  const failure = failureOf(options, end);
  if (failure !== null) throw failure;
  if (end.exitCode === exitChanged)
    call.log('warn', 'files changed while they were read; they are stored as tar found them');
}

function failureOf({ snapshotId }: SnapshotOptions, { exitCode, signal }: TarEnd): VzvaultError | null {
  if (exitCode === 0 || exitCode === exitChanged) return null;
  const how = exitCode === null ? `by signal ${signal ?? 'unknown'}` : `with exit code ${exitCode}`;
  return new VzvaultError('E_ARCHIVE_SOURCE', `reading the files of ${formatGuest(snapshotId)}: tar ended ${how}`);
}
