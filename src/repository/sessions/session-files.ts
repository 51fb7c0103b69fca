/** The files of sessions in a repository: `sessions/<sid>`, seen through one directory handle. */

import { mapConcurrently } from '../../lib/concurrency.js';
import { toVzvaultError, VzvaultError } from '../../lib/errors.js';
import { collectionLimits, repositoryLimits } from '../../lib/limits.js';
import type { BlobStore } from '../blob-store.js';
import { sessionCodec, type SessionDocument } from './session-document.js';
import type { SharingSealer } from './sharing-document.js';

/** A session that was listed. */
export type ListedSession =
  | { readonly sid: string; readonly document: SessionDocument; readonly damage: null }
  /** What is wrong with it is all that is known; it may have ended since it was listed. */
  | { readonly sid: string; readonly document: null; readonly damage: string };

const DIRECTORY = 'sessions';
const SESSION_ID = /^[0-9a-f]{32}$/;

export class SessionFiles {
  constructor(
    private readonly store: BlobStore,
    private readonly sealer: SharingSealer,
  ) {}

  /** Makes or replaces it, durably. */
  async put(document: SessionDocument): Promise<void> {
    await this.store.replace(nameOf(document.sid), sessionCodec.seal(this.sealer, document));
  }

  async exists(sid: string): Promise<boolean> {
    return (await this.store.status(nameOf(sid))) !== null;
  }

  /** Null where it is not there (any more). E_SNAPSHOT_DAMAGED. */
  async read(sid: string): Promise<SessionDocument | null> {
    const name = nameOf(sid);
    const sealed = await this.store.read(name, repositoryLimits.sealedDocumentBytes);
    if (sealed === null) return null;
    const document = sessionCodec.open(this.sealer, name, sealed);
    if (document.sid === sid) return document;
    throw new VzvaultError('E_SNAPSHOT_DAMAGED', `reading ${name}: it is the document of the session ${document.sid}`);
  }

  /** The ids of all that are there, in order. */
  async ids(): Promise<string[]> {
    const entries = (await this.store.list(DIRECTORY)) ?? [];
    return entries.map(({ name }) => name).filter((name) => SESSION_ID.test(name));
  }

  /**
   * All of them, also those that cannot be read: one that is not there any more and one that this machine does not see yet look the same, and the latter
   * must not be overlooked.
   */
  async list(): Promise<ListedSession[]> {
    return await mapConcurrently(await this.ids(), collectionLimits.concurrentCalls, (sid) => this.#listed(sid));
  }

  /** Repeatable. */
  async remove(sid: string): Promise<void> {
    await this.store.remove(nameOf(sid));
  }

  async #listed(sid: string): Promise<ListedSession> {
    try {
      const document = await this.read(sid);
      if (document !== null) return { sid, document, damage: null };
      return { sid, document, damage: `reading ${nameOf(sid)}: it is listed, but not there` };
    } catch (thrown) {
      const { code, message } = toVzvaultError(thrown);
      if (code !== 'E_SNAPSHOT_DAMAGED' && code !== 'E_ARGUMENT_INVALID') throw thrown;
      return { sid, document: null, damage: message };
    }
  }
}

function nameOf(sid: string): string {
  return `${DIRECTORY}/${sid}`;
}
