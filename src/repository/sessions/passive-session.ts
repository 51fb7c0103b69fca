/**
 * The presence of those for whom no collection waits: readers (a restore, a mount, a verification) and collectors. What the roots lead to
 * stays as long as the session's file is there.
 *
 * A reader opens it before it looks for the last time whether its snapshot is there. One that was silent for too long is ended by others;
 * from then on its reads may fail, and are never wrong.
 */

import type { MapRoot } from '../../engine/types.js';
import type { ProcessIdentity } from '../../lib/process-identity.js';
import type { BlobStore } from '../blob-store.js';
import { Exclusive } from './exclusive.js';
import type { SessionDocument } from './session-document.js';
import { SessionFiles } from './session-files.js';
import { ownerOn } from './session-owner.js';
import { SessionRemoval } from './session-removal.js';
import type { SharingSealer } from './sharing-document.js';
import type { Sharing } from './sharing.js';

export class PassiveSession {
  readonly #files: SessionFiles;
  readonly #removal: SessionRemoval;
  readonly #exclusive = new Exclusive();
  #isEnding = false;
  #isOver = false;
  #isLost = false;

  private constructor(
    store: BlobStore,
    sealer: SharingSealer,
    private readonly sharing: Sharing,
    private document: SessionDocument,
  ) {
    this.#files = new SessionFiles(store, sealer);
    this.#removal = new SessionRemoval(store, sealer, sharing);
  }

  static async open(
    store: BlobStore,
    sealer: SharingSealer,
    sharing: Sharing,
    { kind = 'reader', roots }: { readonly kind?: 'reader' | 'collector'; readonly roots: readonly MapRoot[] },
  ): Promise<PassiveSession> {
    const session = new PassiveSession(store, sealer, sharing, {
      ...{
        sid: sharing.newId(),
        kind,
        counter: 1,
        owner: ownerOn(sharing.hostname, sharing.processes, sharing.process),
      },
      ...{ snapshot: null, roots, seen: 0 },
    });
    try {
      await session.#files.put(session.document);
    } catch (error) {
      // It may be there all the same.
      await session.end().catch(() => undefined);
      throw error;
    }
    sharing.heartbeats.add(session);
    return session;
  }

  /** Goes on with a session of another process, which does not beat for it any more. Null where it is gone. */
  static async adopt(
    store: BlobStore,
    sealer: SharingSealer,
    sharing: Sharing,
    sid: string,
  ): Promise<PassiveSession | null> {
    const document = await new SessionFiles(store, sealer).read(sid);
    if (document?.kind !== 'reader') return null;
    const session = new PassiveSession(store, sealer, sharing, document);
    sharing.heartbeats.add(session);
    return session;
  }

  get id(): string {
    return this.document.sid;
  }

  /** Somebody ended it: what it reads may go. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Makes it the session of another process, which lives on after this one. */
  handOver(process: ProcessIdentity | null): Promise<void> {
    const { hostname, processes } = this.sharing;
    return this.#write({ owner: ownerOn(hostname, processes, process) });
  }

  beat(): Promise<void> {
    return this.#write({});
  }

  /** Lets it live on without heartbeats from here: another process goes on with it. */
  release(): void {
    this.sharing.heartbeats.remove(this);
  }

  /** Repeatable. Where it fails it is tried again with every heartbeat, also after its repository was closed. */
  end(): Promise<void> {
    this.#isEnding = true;
    return this.#exclusive.run(async () => {
      if (this.#isOver) return;
      await this.#removal.run(this);
      this.#isOver = true;
    });
  }

  #write(changes: Partial<SessionDocument>): Promise<void> {
    return this.#exclusive.run(async () => {
      if (this.#isOver) return;
      if (this.#isEnding) this.#isOver = await this.#removal.again(this);
      else await this.#count(changes).catch((error: unknown) => this.#rejectUnlessEnding(error));
    });
  }

  async #count(changes: Partial<SessionDocument>): Promise<void> {
    if (!(await this.#files.exists(this.id))) {
      this.#isOver = true;
      this.#isLost = true;
      this.release();
      return;
    }
    this.document = { ...this.document, ...changes, counter: this.document.counter + 1 };
    await this.#files.put(this.document);
  }

  /** Whoever ends it may have closed its repository by now. */
  #rejectUnlessEnding(error: unknown): void {
    if (!this.#isEnding) throw error;
  }
}

/** Works as long as the session protects what is worked on, and ends it then. Null: there is none. */
export async function duringSession<T>(session: PassiveSession | null, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    // Where it cannot be removed a collection ends it.
    await session?.end().catch(() => undefined);
  }
}
