/**
 * The beginning of a restore (docs/protocol.md, "Restore"): the snapshot is read, its data announced as needed, and only then there is a session.
 * Nothing is left behind where that fails; what hangs is left to itself after a deadline.
 */
import { abortReason, withDeadline } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId } from '../lib/guest.js';
import { randomId } from '../lib/ids.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { ProcessIdentity } from '../lib/process-identity.js';
import { parseVolumeName } from '../lib/volume-name.js';
import { repositorySpec, snapshotNodes } from '../repository/mount-spec.js';
import type { RepositoryEngine } from '../repository/repository.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import type { Call, StorageSection } from './call.js';
import { closeRepository, openStorage } from './open-repository.js';
import { RestoreReader } from './restore-reader.js';
import { RestoreSession, type RestoreMounter, type RestoreRecord } from './restore-session.js';

export interface RestoreOptions {
  readonly engine: RepositoryEngine;
  readonly mounter: RestoreMounter;
  readonly sharing: Sharing;
  readonly logger: Logger;
}

/** What the client is told. */
export interface BegunRestore {
  readonly restoreId: string;
  readonly disks: Record<string, { sizeBytes: number }>;
  readonly archives: { name: string; sizeBytes: number }[];
}

/** E_SNAPSHOT_MISSING, E_SNAPSHOT_DAMAGED, E_KEY_MISSING, E_KEY_WRONG, errors of the storage, or the reason of the call's signal. */
export async function beginRestore(
  { engine, mounter, sharing, logger }: RestoreOptions,
  owner: ProcessIdentity,
  { storage, volume }: { readonly storage: StorageSection; readonly volume: string },
  call: Pick<Call, 'signal'>,
): Promise<{ session: RestoreSession; begun: BegunRestore }> {
  const snapshotId = parseVolumeName(volume);
  if (snapshotId === null) throw new VzvaultError('E_ARGUMENT_INVALID', `'${volume}' is not the name of a backup`);
  const repository = await openStorage(engine, storage, logger);
  try {
    const doing = `reading the snapshot ${formatSnapshotId(snapshotId)}`;
    const reading = repository.snapshots.read(snapshotId);
    const document = await withDeadline(reading, sessionLimits.openMs, 'E_STORAGE_TIMEOUT', doing);
    const announcing = RestoreReader.begin(repository, sharing, document, logger);
    const reader = await withDeadline(announcing, sessionLimits.openMs, 'E_STORAGE_TIMEOUT', doing).catch(
      (error: unknown) => {
        void announcing.then((late) => late.end()).catch(() => undefined);
        throw error;
      },
    );
    if (call.signal.aborted) {
      await reader.end();
      throw abortReason(call.signal);
    }
    const sizes = document.volumes.map(({ name, sizeBytes }) => [name, sizeBytes] as const);
    const archives = document.archives.map(({ name, data }) => ({ name, sizeBytes: data.sizeBytes }));
    const record: RestoreRecord = {
      ...{ id: randomId(), owner },
      ...{ disks: Object.fromEntries(sizes), archives: archives.map(({ name }) => name) },
      reader: reader.record,
    };
    const spec = { ...repositorySpec(repository), allowOther: true, nodes: snapshotNodes(document) };
    const disks = Object.fromEntries(sizes.map(([name, sizeBytes]) => [name, { sizeBytes }]));
    return {
      session: RestoreSession.begin({ record, logger, reader }, spec, mounter),
      begun: { restoreId: record.id, disks, archives },
    };
  } catch (error) {
    void closeRepository(repository, logger);
    throw error;
  }
}
