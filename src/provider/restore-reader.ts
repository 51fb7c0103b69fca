/**
 * What keeps the data of a restore in the repository: a reader's session, and the handle that its heartbeats go through.
 *
 *     begin ─────────────────────────→ held ── end ──→ ended
 *     adopt ── adopting (again …) ──────┘ └── the session is gone: nothing is held
 *
 * Once the mount is there the session is that of vzvault-fuse, which outlives the daemon: a daemon that is restarted leaves the session as it is,
 * and the next one goes on with it. Where the storage does not answer just then it is asked again for as long as the restore lives.
 */
import { withDeadline } from '../lib/deadline.js';
import { toVzvaultError, type ErrorCode } from '../lib/errors.js';
import { sessionLimits, sharingLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { ProcessIdentity } from '../lib/process-identity.js';
import type { Repository, RepositoryEngine } from '../repository/repository.js';
import { adoptReader, type ReaderRecord } from '../repository/sessions/adopted-reader.js';
import type { PassiveSession } from '../repository/sessions/passive-session.js';
import { openReader } from '../repository/sessions/reading.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import type { SnapshotDocument } from '../repository/snapshot-document.js';
import { closeRepository } from './open-repository.js';

interface Held {
  readonly repository: Repository;
  /** Null where the repository cannot be written. */
  readonly session: PassiveSession | null;
}

export class RestoreReader {
  readonly #ended = new AbortController();

  private constructor(
    private readonly logger: Logger,
    private held: Held | null,
  ) {}

  /** Owns the repository from its success on. E_SNAPSHOT_MISSING where the snapshot went meanwhile. */
  static async begin(
    repository: Repository,
    sharing: Sharing,
    document: SnapshotDocument,
    logger: Logger,
  ): Promise<RestoreReader> {
    return new RestoreReader(logger, { repository, session: await openReader(repository, sharing, document) });
  }

  /** Goes on with the session of an earlier daemon, as soon as its storage answers. Never fails. */
  static adopt(engine: RepositoryEngine, sharing: Sharing, record: ReaderRecord, logger: Logger): RestoreReader {
    const reader = new RestoreReader(logger, null);
    void reader.#adopt(engine, sharing, record);
    return reader;
  }

  get record(): ReaderRecord | null {
    const { repository, session } = this.held ?? {};
    if (repository === undefined || session === undefined || session === null) return null;
    return { path: repository.path, sid: session.id };
  }

  /** Makes the session that of the program that reads. Never fails: until then it is ours. */
  async handOver(process: ProcessIdentity | null): Promise<void> {
    if (process === null) return;
    await this.held?.session?.handOver(process).catch((error: unknown) => {
      this.logger.warn(`handing a session over: ${toVzvaultError(error).message}`);
    });
  }

  /** Repeatable. Never fails: what cannot be ended here a collection ends. */
  async end(): Promise<void> {
    this.#ended.abort();
    const { held } = this;
    this.held = null;
    if (held === null) return;
    const { repository, session } = held;
    try {
      const doing = `ending a session in ${repository.path}`;
      await withDeadline(session?.end() ?? Promise.resolve(), sessionLimits.endMs, 'E_STORAGE_TIMEOUT', doing);
    } catch (error) {
      this.logger.warn(toVzvaultError(error).message);
    }
    await closeRepository(repository, this.logger);
  }

  async #adopt(engine: RepositoryEngine, sharing: Sharing, record: ReaderRecord): Promise<void> {
    const { path, sid: session } = record;
    const { signal } = this.#ended;
    let said: ErrorCode | null = null;
    const held = await adoptReader(
      {
        ...{ engine, sharing },
        onFailure: async ({ code, message }) => {
          if (code !== said) this.logger.warn({ session, code }, `going on with a session in ${path}: ${message}`);
          said = code;
          await sharing.clock.sleep(sharingLimits.heartbeatMs, signal);
          return !signal.aborted;
        },
      },
      record,
    );
    this.held = held;
    if (signal.aborted) await this.end();
    else if (held === null)
      this.logger.warn({ session }, `the session of a restore is gone from ${path}: its data may go`);
    else if (said !== null) this.logger.info({ session }, `went on with a session in ${path}`);
  }
}
