/**
 * Going on with a reader's session that another process began, from nothing but where it lies: a mount that outlives whoever made it. A storage that
 * does not answer just then is asked again, since silence would end the session, and what the mount reads may go.
 */

import { toVzvaultError, type VzvaultError } from '../../lib/errors.js';
import { openRepository, type Repository, type RepositoryEngine } from '../repository.js';
import { PassiveSession } from './passive-session.js';
import type { Sharing } from './sharing.js';

/** Where a session lies. */
export interface ReaderRecord {
  /** The repository's own directory. */
  readonly path: string;
  readonly sid: string;
}

/** Both are owned by whoever adopted. */
export interface AdoptedReader {
  readonly repository: Repository;
  readonly session: PassiveSession;
}

export interface AdoptionOptions {
  readonly engine: RepositoryEngine;
  readonly sharing: Sharing;
  /** Told why an attempt failed. Waits until the next one, and answers whether it is to come; what it throws ends the adoption. */
  readonly onFailure: (error: VzvaultError) => Promise<boolean>;
}

/** Null where the session is not there any more, or where it was given up. One attempt at a time: one that hangs is waited for. */
export async function adoptReader(options: AdoptionOptions, record: ReaderRecord): Promise<AdoptedReader | null> {
  for (;;) {
    try {
      return await adoptNow(options, record);
    } catch (error) {
      if (!(await options.onFailure(toVzvaultError(error)))) return null;
    }
  }
}

async function adoptNow(
  { engine, sharing }: AdoptionOptions,
  { path, sid }: ReaderRecord,
): Promise<AdoptedReader | null> {
  const repository = await openRepository(engine, { path });
  let session: PassiveSession | null = null;
  try {
    session = await PassiveSession.adopt(repository.blobs, repository.sealer, sharing, sid);
  } finally {
    if (session === null) await repository.close();
  }
  return session === null ? null : { repository, session };
}
