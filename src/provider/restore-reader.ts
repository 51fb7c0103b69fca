/**
 * What keeps the data of a restore in the repository: a reader's session, and the handle that its heartbeats go through.
 *
 * Once the mount is there the session is that of vzvault-fuse, which outlives the daemon: a daemon that is restarted leaves the session as it is,
 * and the next one goes on with it.
 */
import { withDeadline } from '../lib/deadline.js';
import { toVzvaultError } from '../lib/errors.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { ProcessIdentity } from '../lib/process-identity.js';
import { openRepository, type Repository, type RepositoryEngine } from '../repository/repository.js';
import { PassiveSession } from '../repository/sessions/passive-session.js';
import { openReader } from '../repository/sessions/reading.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import type { SnapshotDocument } from '../repository/snapshot-document.js';
import { closeRepository } from './open-repository.js';

/** Where the session lies, for the next daemon. */
export interface ReaderRecord {
  /** The repository's own directory. */
  readonly path: string;
  readonly sid: string;
}

export class RestoreReader {
  private constructor(
    private readonly repository: Repository,
    private readonly session: PassiveSession | null,
    private readonly logger: Logger,
  ) {}

  /** Owns the repository from its success on. E_SNAPSHOT_MISSING where the snapshot went meanwhile. */
  static async begin(
    repository: Repository,
    sharing: Sharing,
    document: SnapshotDocument,
    logger: Logger,
  ): Promise<RestoreReader> {
    return new RestoreReader(repository, await openReader(repository, sharing, document), logger);
  }

  /** Goes on with the session of an earlier daemon. Null where there is none any more. Never fails. */
  static async adopt(
    engine: RepositoryEngine,
    sharing: Sharing,
    { path, sid }: ReaderRecord,
    logger: Logger,
  ): Promise<RestoreReader | null> {
    try {
      const repository = await openRepository(engine, { path });
      const session = await PassiveSession.adopt(repository.blobs, repository.sealer, sharing, sid);
      return new RestoreReader(repository, session, logger);
    } catch (error) {
      logger.warn({ session: sid }, `going on with a session in ${path}: ${toVzvaultError(error).message}`);
      return null;
    }
  }

  get record(): ReaderRecord | null {
    return this.session === null ? null : { path: this.repository.path, sid: this.session.id };
  }

  /** Makes the session that of the program that reads. Never fails: until then it is ours. */
  async handOver(process: ProcessIdentity | null): Promise<void> {
    if (process === null) return;
    await this.session?.handOver(process).catch((error: unknown) => {
      this.logger.warn(`handing a session over: ${toVzvaultError(error).message}`);
    });
  }

  /** Never fails: what cannot be ended here a collection ends. */
  async end(): Promise<void> {
    try {
      const ending = this.session?.end() ?? Promise.resolve();
      await withDeadline(
        ending,
        sessionLimits.endMs,
        'E_STORAGE_TIMEOUT',
        `ending a session in ${this.repository.path}`,
      );
    } catch (error) {
      this.logger.warn(toVzvaultError(error).message);
    }
    await closeRepository(this.repository, this.logger);
  }
}
