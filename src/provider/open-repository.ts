/** Opening and closing a repository for a session: bounded in time, since the mount below may hang. */
import { withDeadline } from '../lib/deadline.js';
import { toVzvaultError } from '../lib/errors.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import { locationOfStorage } from '../repository/keys/storage-key.js';
import { openRepository, type Repository, type RepositoryEngine } from '../repository/repository.js';
import type { StorageSection } from './call.js';

/** Errors of `openRepository`; E_STORAGE_TIMEOUT. One that opens too late is closed again. */
export async function openStorage(
  engine: RepositoryEngine,
  storage: StorageSection,
  logger: Logger,
): Promise<Repository> {
  return await openedInTime(openRepository(engine, locationOfStorage(storage)), storage, logger);
}

/** The repository, where it opens in time; else E_STORAGE_TIMEOUT, and it is closed as soon as it has opened. */
export async function openedInTime(
  opening: Promise<Repository>,
  storage: Pick<StorageSection, 'id' | 'path'>,
  logger: Logger,
): Promise<Repository> {
  const doing = `opening the storage ${storage.id} (${storage.path})`;
  try {
    return await withDeadline(opening, sessionLimits.openMs, 'E_STORAGE_TIMEOUT', doing);
  } catch (error) {
    void opening.then((late) => closeRepository(late, logger)).catch(() => undefined);
    throw error;
  }
}

/** Never fails: there is nothing left to do for whoever closes. */
export async function closeRepository(repository: Repository, logger: Logger): Promise<void> {
  try {
    await withDeadline(repository.close(), sessionLimits.endMs, 'E_STORAGE_TIMEOUT', `closing ${repository.path}`);
  } catch (error) {
    logger.warn({ code: toVzvaultError(error).code }, toVzvaultError(error).message);
  }
}
