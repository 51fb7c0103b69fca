/**
 * Taking a session's file away, until that has succeeded: a collection waits for hours for a writer whose process lives on.
 *
 * Invariants: the first attempt goes through the handle of the repository that the session was opened in. Later ones come when that is closed, or
 * when the storage is mounted anew: each opens the directory by its path and closes it again, so that nothing keeps a mount busy. Where another
 * repository lies under the path by then, the session's file is missing there, and that is taken for the end. One attempt at a time: the
 * session's affair.
 */

import { toVzvaultError, VzvaultError } from '../../lib/errors.js';
import type { BlobStore } from '../blob-store.js';
import type { Beating } from './heartbeats.js';
import { SessionFiles } from './session-files.js';
import type { SharingSealer } from './sharing-document.js';
import type { Sharing } from './sharing.js';

export class SessionRemoval {
  #hasFailed = false;
  #isSaid = false;

  constructor(
    private readonly store: BlobStore,
    private readonly sealer: SharingSealer,
    private readonly sharing: Pick<Sharing, 'heartbeats' | 'openDirectory'>,
  ) {}

  /** Leaves the heartbeats with success; in them it tries `again` where this fails. Errors of the storage. */
  async run(session: Beating): Promise<void> {
    const { heartbeats } = this.sharing;
    try {
      if (this.#hasFailed) await this.#removeAnew(session.id);
      else await this.#remove(session.id, this.store);
    } catch (error) {
      this.#hasFailed = true;
      heartbeats.add(session);
      throw error;
    }
    heartbeats.remove(session);
  }

  /** Answers whether it is removed. Errors of the storage, the first time only: it is tried for as long as the process lives. */
  async again(session: Beating): Promise<boolean> {
    try {
      await this.run(session);
      return true;
    } catch (thrown) {
      if (this.#isSaid) return false;
      this.#isSaid = true;
      const { code, message } = toVzvaultError(thrown);
      const doing = `ending the session ${session.id} in ${this.store.path}, which is tried until it succeeds`;
      throw new VzvaultError(code, `${doing}: ${message}`, { cause: thrown });
    }
  }

  async #removeAnew(sid: string): Promise<void> {
    const { openDirectory } = this.sharing;
    if (openDirectory === undefined) {
      await this.#remove(sid, this.store);
      return;
    }
    const directory = openDirectory(this.store.path);
    try {
      await this.#remove(sid, directory);
    } finally {
      directory.close();
    }
  }

  async #remove(sid: string, directory: BlobStore): Promise<void> {
    const files = new SessionFiles(directory, this.sealer);
    await files.remove(sid).catch(async (error: unknown) => {
      // A storage that is read-only refuses to remove even what is not there.
      if (await files.exists(sid)) throw error;
    });
  }
}
