/**
 * The making of one snapshot, the same for the daemon and the command line:
 *
 *     begin ─ backupVolume / backupArchive / addFile … ─ commit → committed
 *        └───────────────────── abort ─────────────────────→ aborted
 *
 * Invariants: nothing of it is a snapshot until `commit` puts the document, which it does after everything the document refers to is
 * durable; once that is done nothing here takes it back, whatever fails later. A volume or archive that failed spoils the
 * session: it can only be aborted. `abort` may come at any time, also twice, also after the commit (then it does nothing).
 */

import type {
  ArchiveBackupResult,
  ArchiveProgress,
  BackupSource,
  ChunkStore,
  IncrementalOptions,
  JobControl,
  SnapshotWriter,
  VolumeBackupResult,
  VolumeProgress,
} from '../engine/types.js';
import type { Clock } from '../lib/clock.js';
import { crashPoint } from '../lib/crash-points.js';
import { abortReason } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { isTimeSeconds } from '../lib/time.js';
import type { Repository } from './repository.js';
import type { Sharing } from './sessions/sharing.js';
import { WriterSession } from './sessions/writer-session.js';
import {
  isComponentName,
  logicalBytes,
  type SnapshotArchive,
  type SnapshotDocument,
  type SnapshotFile,
  type SnapshotStats,
  type SnapshotVolume,
} from './snapshot-document.js';

export const DEFAULT_ZSTD_LEVEL = 1;

export interface BackupSessionOptions {
  readonly id: SnapshotId;
  readonly createdBy: { readonly version: string; readonly hostname: string };
  readonly clock: Pick<Clock, 'nowSeconds'>;
  /** Announces the writer in the repository. */
  readonly sharing: Sharing;
  /** One that was opened before, for this very snapshot; owned from the call on. Without it the backup opens its own. */
  readonly session?: WriterSession | null;
  /** 1 (the default) … 19. */
  readonly zstdLevel?: number;
  /** Of what is read from all sources together; 0 (the default): none. */
  readonly bandwidthLimitBytesPerSecond?: number;
}

export interface VolumeRequest {
  /** `drive-scsi0` */
  readonly name: string;
  readonly source: BackupSource;
  /** What was announced; another size is E_SOURCE_SIZE. */
  readonly expectedSizeBytes?: number;
  readonly stallTimeoutMs: number;
  /** Null (the default): the whole source is read. */
  readonly incremental?: IncrementalOptions | null;
  /** Give the source back what is durable here; false by default. Only for a source that exists for this backup. */
  readonly discard?: boolean;
}

export interface ArchiveRequest {
  /** `root` */
  readonly name: string;
  /** A tar stream is read from it to its end. The caller's: it closes it when the backup has ended. */
  readonly fd: number;
}

export interface BackupResult {
  readonly id: SnapshotId;
  /** Of all volumes and archives. */
  readonly sizeBytes: number;
  readonly stats: SnapshotStats;
  readonly volumes: readonly SnapshotVolume[];
  readonly archives: readonly SnapshotArchive[];
}

type State = 'open' | 'spoiled' | 'committing' | 'committed' | 'aborted';

/**
 * Begins a snapshot. E_NAME_TAKEN where that second has one already. Reads what other nodes stored meanwhile, so that it is
 * not stored again; after it has announced itself, since what a collection condemns from then on it hears of.
 */
export async function beginBackup(repository: Repository, options: BackupSessionOptions): Promise<BackupSession> {
  const { id, zstdLevel = DEFAULT_ZSTD_LEVEL, bandwidthLimitBytesPerSecond = 0, sharing } = options;
  let session = options.session ?? null;
  try {
    if (!isTimeSeconds(id.timeSeconds)) {
      throw new VzvaultError('E_ARGUMENT_INVALID', `${String(id.timeSeconds)} is not a time that a snapshot can have`);
    }
    if (!(await repository.snapshots.isFree(id))) {
      throw new VzvaultError('E_NAME_TAKEN', `there is a snapshot ${formatSnapshotId(id)} already`);
    }
    repository.access.require();
    session ??= await WriterSession.open(repository.blobs, repository.sealer, sharing, { snapshot: id, roots: [] });
    const { id: sessionId } = session;
    const store: ChunkStore = await repository.openStore();
    await store.refresh();
    crashPoint('backup-started');
    const writer = await session.openWriter((excludedPacks) =>
      store.writer({ zstdLevel, bandwidthLimitBytesPerSecond, sessionId, excludedPacks }),
    );
    return new BackupSession(repository, options, session, writer);
  } catch (error) {
    await session?.end().catch(ignore);
    throw error;
  }
}

export class BackupSession {
  #state: State = 'open';
  #committing: Promise<void> | null = null;
  readonly #volumes = new Map<string, VolumeBackupResult | null>();
  readonly #archives = new Map<string, ArchiveBackupResult | null>();
  readonly #files = new Map<string, Buffer>();

  /** Use `beginBackup`. Owns `session` and `writer`. */
  constructor(
    private readonly repository: Repository,
    private readonly options: BackupSessionOptions,
    private readonly session: WriterSession,
    private readonly writer: SnapshotWriter,
  ) {}

  get id(): SnapshotId {
    return this.options.id;
  }

  get isCommitted(): boolean {
    return this.#state === 'committed';
  }

  /** Backs one disk up. Several may run at once. Any failure spoils the session. */
  async backupVolume(request: VolumeRequest, control?: JobControl<VolumeProgress>): Promise<VolumeBackupResult> {
    this.#require('open', 'backing up a volume');
    this.#requireNewName(request.name, this.#volumes);
    const { name, incremental = null, discard = false, ...rest } = request;
    const { chunkSizeBytes } = this.repository.config;
    return await this.#store(name, this.#volumes, () =>
      this.writer.backupVolume({ ...rest, incremental, discard, chunkSizeBytes }, this.#controlOf(control)),
    );
  }

  /** Backs a container's files up. Any failure spoils the session. */
  async backupArchive(request: ArchiveRequest, control?: JobControl<ArchiveProgress>): Promise<ArchiveBackupResult> {
    this.#require('open', 'backing up an archive');
    this.#requireNewName(request.name, this.#archives);
    const { name, fd } = request;
    return await this.#store(name, this.#archives, () => this.writer.backupArchive({ fd }, this.#controlOf(control)));
  }

  /** Stores a configuration with the snapshot, byte for byte. */
  addFile(name: string, bytes: Buffer): void {
    this.#require('open', 'adding a file');
    this.#requireNewName(name, this.#files);
    this.#files.set(name, bytes);
  }

  /**
   * Makes everything durable, then the snapshot. A signal that is aborted before the snapshot exists ends it with nothing committed.
   */
  async commit(signal?: AbortSignal): Promise<BackupResult> {
    this.#require('open', 'committing');
    for (const [name, result] of [...this.#volumes, ...this.#archives]) {
      if (result === null) throw new VzvaultError('E_SESSION_STATE', `the backup of ${name} has not ended`);
    }
    this.#state = 'committing';
    const committing = this.#commit(signal);
    this.#committing = committing.then(ignore, ignore);
    return await committing;
  }

  /**
   * Gives up what is not committed and removes its unfinished files. Repeatable. A commit that is under way is ended, or waited for
   * where it is past ending; `isCommitted` tells.
   */
  async abort(): Promise<void> {
    if (this.#state === 'committed' || this.#state === 'aborted') return;
    this.#state = 'aborted';
    await this.writer.close();
    await this.#committing;
    // Where it cannot be removed a collection ends it.
    await this.session.end().catch(ignore);
  }

  /** Stops also where the session is fenced: nothing could be committed. */
  #controlOf<Progress>(control: JobControl<Progress> | undefined): JobControl<Progress> {
    const { signal } = this.session;
    return { ...control, signal: control?.signal === undefined ? signal : AbortSignal.any([control.signal, signal]) };
  }

  /** Runs what stores a volume or archive; the name is taken from then on. */
  async #store<T>(name: string, results: Map<string, T | null>, work: () => Promise<T>): Promise<T> {
    results.set(name, null);
    try {
      const result = await work();
      crashPoint('volume-stored');
      results.set(name, result);
      return result;
    } catch (error) {
      if (this.#is('open')) this.#state = 'spoiled';
      throw this.session.signal.aborted ? abortReason(this.session.signal) : error;
    }
  }

  async #commit(signal: AbortSignal | undefined): Promise<BackupResult> {
    try {
      const { addedBytes } = await this.writer.flush();
      crashPoint('chunks-durable');
      if (signal?.aborted === true) throw abortReason(signal);
      // Read anew: `abort` may have come while we waited.
      if (!this.#is('committing'))
        throw new VzvaultError('E_CANCELLED', `the backup ${formatSnapshotId(this.id)} was given up`);
      const document = this.#document(addedBytes);
      await this.session.commit(() => this.repository.snapshots.commit(document));
      crashPoint('snapshot-committed');
      this.#state = 'committed';
      // All that it could still clean lies in tmp/ and counts as absent; the snapshot is there whether or not it succeeds.
      await this.writer.close().catch(ignore);
      await this.session.end().catch(ignore);
      const { stats, volumes, archives } = document;
      return { id: this.id, sizeBytes: logicalBytes(document), stats, volumes, archives };
    } catch (error) {
      if (this.#is('committing')) this.#state = 'spoiled';
      throw error;
    }
  }

  #document(addedBytes: number): SnapshotDocument {
    const volumes = finished(this.#volumes);
    const archives = finished(this.#archives);
    const results = [...volumes, ...archives].map(([, { counters }]) => counters);
    const sum = (field: 'readBytes' | 'zeroBytes' | 'reusedBytes' | 'newBytes'): number =>
      results.reduce((total, counters) => total + counters[field], 0);
    const files: SnapshotFile[] = [...this.#files].map(([name, bytes]) => ({ name, bytes }));
    return {
      id: this.id,
      finishedAtSeconds: this.options.clock.nowSeconds(),
      createdBy: this.options.createdBy,
      volumes: volumes.map(([name, { map }]) => ({ name, ...map })),
      archives: archives.map(([name, { archive }]) => ({ name, ...archive })),
      files,
      stats: {
        readBytes: sum('readBytes'),
        unchangedBytes: volumes.reduce((total, [, { counters }]) => total + counters.unchangedBytes, 0),
        zeroBytes: sum('zeroBytes'),
        reusedBytes: sum('reusedBytes'),
        newBytes: sum('newBytes'),
        addedBytes,
      },
    };
  }

  #is(state: State): boolean {
    return this.#state === state;
  }

  #require(state: State, doing: string): void {
    if (this.#is(state)) return;
    throw new VzvaultError(
      'E_SESSION_STATE',
      `${doing} of ${formatSnapshotId(this.id)}: the session is ${this.#state}`,
    );
  }

  #requireNewName(name: string, taken: ReadonlyMap<string, unknown>): void {
    if (!isComponentName(name))
      throw new VzvaultError('E_ARGUMENT_INVALID', `'${name}' cannot be the name of a disk or file`);
    if (taken.has(name)) throw new VzvaultError('E_ARGUMENT_INVALID', `there are two disks or files called ${name}`);
  }
}

function finished<T>(results: ReadonlyMap<string, T | null>): [string, T][] {
  return [...results].filter((entry): entry is [string, T] => entry[1] !== null);
}

function ignore(): void {
  // For promises whose outcome somebody else handles or nobody needs.
}
