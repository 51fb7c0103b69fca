/**
 * The snapshot that the backup of a guest writes: its beginning, with the configurations, and giving it up. What lies between is the
 * guest type's (vm-backup.ts, container-backup.ts).
 */
import type { Clock } from '../lib/clock.js';
import { withDeadline, withSignal } from '../lib/deadline.js';
import { toVzvaultError } from '../lib/errors.js';
import type { SnapshotId } from '../lib/guest.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import { beginBackup, type BackupSession } from '../repository/backup-session.js';
import type { Repository } from '../repository/repository.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import type { WriterSession } from '../repository/sessions/writer-session.js';
import type { GuestBackupRequest } from './call.js';

export interface SnapshotOptions {
  readonly snapshotId: SnapshotId;
  readonly repository: Repository;
  readonly createdBy: { readonly version: string; readonly hostname: string };
  readonly clock: Clock;
  readonly sharing: Sharing;
  readonly logger: Logger;
}

/** With the configurations in it, in a session that was opened before where there is one (owned). `signal` ends the wait for it; one that comes to be all the same is given up. */
export async function beginSnapshot(
  options: SnapshotOptions,
  request: GuestBackupRequest,
  signal: AbortSignal,
  session: WriterSession | null = null,
): Promise<BackupSession> {
  const { repository, snapshotId: id, createdBy, clock, sharing } = options;
  const { configBase64, firewallBase64, bandwidthLimitBytesPerSecond } = request;
  const beginning = beginBackup(repository, {
    ...{ id, createdBy, clock, sharing, session, bandwidthLimitBytesPerSecond },
  });
  try {
    const snapshot = await withSignal(beginning, signal);
    snapshot.addFile('guest.conf', Buffer.from(configBase64, 'base64'));
    if (firewallBase64 !== null) snapshot.addFile('firewall.conf', Buffer.from(firewallBase64, 'base64'));
    return snapshot;
  } catch (error) {
    void beginning.then((late) => abortSnapshot(options, late)).catch(() => undefined);
    throw error;
  }
}

/** Never fails: what cannot be cleaned up lies in tmp/ and counts as absent. */
export async function abortSnapshot(
  { logger }: Pick<SnapshotOptions, 'logger'>,
  snapshot: BackupSession | null,
): Promise<void> {
  try {
    const aborting = snapshot?.abort() ?? Promise.resolve();
    await withDeadline(aborting, sessionLimits.endMs, 'E_STORAGE_TIMEOUT', 'removing unfinished files');
  } catch (error) {
    logger.warn(toVzvaultError(error).message);
  }
}
