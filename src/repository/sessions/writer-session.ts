/**
 * The presence of one backup in a shared repository (docs/format.md, "Sharing"):
 *
 *     open ─ writer ─ (beat …) ─ end
 *              └ fenced: nothing can be committed any more
 *
 * Invariants: a pack that a pending generation has condemned when the session opens is excluded for the session's whole life; of one that is
 * condemned later, what the session uses already is claimed before any collector decides. A claim is there before the session looks
 * whether its base is. Whoever fences the session takes the name that it reserved, so a commit tells the truth even where no
 * heartbeat told before. Where a pack that the session uses was taken out of use, what could be salvaged of it lies in packs that the session cannot
 * name: it claims all that is condemned, and commits nothing.
 *
 * One owner, who opens it before the index is refreshed and ends it after the commit. Its heartbeats come from `Heartbeats`; they and the
 * opening of the writer exclude each other.
 */

import type { MapRoot, SnapshotWriter } from '../../engine/types.js';
import { VzvaultError } from '../../lib/errors.js';
import { formatSnapshotId, snapshotDirectory, type SnapshotId } from '../../lib/guest.js';
import { sharingLimits } from '../../lib/limits.js';
import type { BlobStore } from '../blob-store.js';
import { GenerationFiles } from '../collection/generation-files.js';
import { Exclusive } from './exclusive.js';
import { absentOf, packsInQuarantine } from './quarantined.js';
import type { SessionDocument } from './session-document.js';
import { SessionFiles } from './session-files.js';
import { ownerOn } from './session-owner.js';
import { SessionRemoval } from './session-removal.js';
import type { SharingSealer } from './sharing-document.js';
import type { Sharing } from './sharing.js';
import { isNameBuried } from './tombstone.js';

export interface WriterSessionOptions {
  /** The snapshot that it will commit. Null: it stores chunks and commits nothing. */
  readonly snapshot: SnapshotId | null;
  /** Of the snapshot that it builds on; whoever gives some looks for that snapshot once more after `open`. */
  readonly roots: readonly MapRoot[];
}

type Excluding = Pick<SnapshotWriter, 'exclude'>;

export class WriterSession {
  readonly #files: SessionFiles;
  readonly #removal: SessionRemoval;
  readonly #generations: GenerationFiles;
  readonly #exclusive = new Exclusive();
  readonly #fenced = new AbortController();
  readonly #claimed = new Set<number>();
  readonly #excluded = new Set<string>();
  #document: SessionDocument;
  #writer: Excluding | null = null;
  #isCommitted = false;
  #isEnding = false;
  #isOver = false;

  private constructor(
    private readonly store: BlobStore,
    sealer: SharingSealer,
    private readonly sharing: Sharing,
    private readonly options: WriterSessionOptions,
  ) {
    this.#files = new SessionFiles(store, sealer);
    this.#removal = new SessionRemoval(store, sealer, sharing);
    this.#generations = new GenerationFiles(store, sealer);
    this.#document = {
      ...{ sid: sharing.newId(), kind: 'writer', counter: 1, seen: 0 },
      owner: ownerOn(sharing.hostname, sharing.processes, sharing.process),
      ...{ snapshot: options.snapshot === null ? null : snapshotDirectory(options.snapshot), roots: options.roots },
    };
  }

  /**
   * Announces a writer. When it answers the writer is seen by every collector that could hurt it, and it knows of every generation that does not see
   * it. The index must be refreshed after it.
   */
  static async open(
    store: BlobStore,
    sealer: SharingSealer,
    sharing: Sharing,
    options: WriterSessionOptions,
  ): Promise<WriterSession> {
    const session = new WriterSession(store, sealer, sharing, options);
    try {
      await session.#files.put(session.#document);
      await session.#takePresentIntoAccount();
    } catch (error) {
      // It may be there all the same.
      await session.end().catch(() => undefined);
      throw error;
    }
    sharing.heartbeats.add(session);
    return session;
  }

  get id(): string {
    return this.#document.sid;
  }

  /** Aborted with E_SESSION_FENCED once that is known. */
  get signal(): AbortSignal {
    return this.#fenced.signal;
  }

  /** The snapshot that it reserves, if any. */
  get snapshot(): SnapshotId | null {
    return this.options.snapshot;
  }

  /** Opens the writer of this session, which `make` gets the packs for that must not be used. Once only. */
  openWriter<Writer extends Excluding>(make: (excludedPacks: readonly string[]) => Promise<Writer>): Promise<Writer> {
    return this.#exclusive.run(async () => {
      const writer = await make([...this.#excluded]);
      this.#writer = writer;
      return writer;
    });
  }

  /** Counts on and takes new generations into account. Errors of the storage; a session that was fenced says so by its signal. */
  beat(): Promise<void> {
    return this.#exclusive.run(async () => {
      if (this.#isOver) return;
      if (this.#isEnding) this.#isOver = await this.#removal.again(this);
      else if (!this.#isCommitted) await this.#count().catch((error: unknown) => this.#rejectUnlessEnding(error));
    });
  }

  /** Takes into account what was condemned until now. Errors of the storage. */
  catchUp(): Promise<void> {
    return this.#exclusive.run(() => this.#takePresentIntoAccount());
  }

  /**
   * Runs `put`, which creates the snapshot, as the last thing of a session that is still there. E_SESSION_FENCED, E_PACK_MISSING where a
   * pack that the session uses was taken out of use, errors of `put`.
   */
  commit(put: () => Promise<void>): Promise<void> {
    return this.#exclusive.run(async () => {
      await this.#requireThere('committing');
      const [gone] = await this.#takenAway();
      if (gone !== undefined) {
        throw new VzvaultError(
          'E_PACK_MISSING',
          `committing: the pack ${gone}, which ${this.#what} refers to, was found damaged and taken out of use meanwhile`,
        );
      }
      await put();
      this.#isCommitted = true;
    });
  }

  /**
   * Runs `change`, after which others rely on what this session stored, and `undo` where that failed or the session is not there
   * afterwards: who fenced it may have let go what it stored. E_SESSION_FENCED, errors of both.
   */
  attempt(change: () => Promise<void>, undo: () => Promise<void>): Promise<void> {
    return this.#exclusive.run(async () => {
      await this.#requireThere('changing something');
      try {
        await change();
        if (!(await this.#files.exists(this.id))) this.#fence();
        this.#fenced.signal.throwIfAborted();
      } catch (error) {
        await undo();
        throw error;
      }
    });
  }

  /**
   * Takes the session away, committed or not; after it nothing may be committed. Repeatable. Where that fails it is tried again with
   * every heartbeat, also after its repository was closed.
   */
  end(): Promise<void> {
    this.#isEnding = true;
    return this.#exclusive.run(async () => {
      if (this.#isOver) return;
      await this.#removal.run(this);
      this.#isOver = true;
    });
  }

  get #what(): string {
    const { snapshot } = this.options;
    return snapshot === null ? 'a repair' : `the backup of ${formatSnapshotId(snapshot)}`;
  }

  async #count(): Promise<void> {
    if (await this.#isFenced()) {
      this.#fence();
      return;
    }
    await this.#takeIntoAccount();
    this.#document = { ...this.#document, counter: this.#document.counter + 1 };
    await this.#files.put(this.#document);
  }

  /** Whoever ends it may have closed its repository by now. */
  #rejectUnlessEnding(error: unknown): void {
    if (!this.#isEnding) throw error;
  }

  /** E_SESSION_FENCED. */
  async #requireThere(doing: string): Promise<void> {
    if (!this.#isOver && !(await this.#files.exists(this.id))) this.#fence();
    if (this.#isEnding)
      throw new VzvaultError('E_SESSION_STATE', `${doing} in the session ${this.id}, which has ended`);
    this.#fenced.signal.throwIfAborted();
  }

  /** What a listing shows may be seen by nobody else for some time yet. */
  async #takePresentIntoAccount(): Promise<void> {
    for (let attempt = 1; !(await this.#takeIntoAccount()); attempt += 1) {
      if (attempt === sharingLimits.catchUpAttempts) {
        throw new VzvaultError(
          'E_STORAGE_TIMEOUT',
          `reading the list of condemned packs in ${this.store.path}: it does not appear`,
        );
      }
      await this.sharing.clock.sleep(sharingLimits.catchUpMs);
    }
  }

  /**
   * Excludes what is condemned and claims what is used of it; what failed is done at the next heartbeat. False where a generation is listed that cannot
   * be read, because it ended meanwhile or because this machine's view of the directory is old.
   */
  async #takeIntoAccount(): Promise<boolean> {
    const { pending } = await this.#generations.ledger();
    if (pending === null || this.#claimed.has(pending.number)) return true;
    const condemned = await this.#generations.condemned(pending.number);
    if (condemned === null) return false;
    for (const pack of condemned.packs) this.#excluded.add(pack);
    const used = (await this.#writer?.exclude(condemned.packs)) ?? { keeps: [] };
    const keeps = (await this.#takenAway()).length > 0 ? condemned.packs : used.keeps;
    const { id: sid } = this;
    // A claim that is there already is this session's: its reply was lost.
    await this.#generations.putClaim({ generation: pending.number, sid, keeps, roots: this.options.roots });
    this.#claimed.add(pending.number);
    this.#document = { ...this.#document, seen: pending.number };
    return true;
  }

  /** Packs that the writer has used and that lie in quarantine now. */
  async #takenAway(): Promise<string[]> {
    const packs = this.#writer === null ? [] : await packsInQuarantine(this.store);
    if (packs.length === 0) return [];
    const { keeps } = (await this.#writer?.exclude(packs)) ?? { keeps: [] };
    return await absentOf(this.store, keeps);
  }

  /** Its file is gone, or its name is: what removes the file takes the name first. */
  async #isFenced(): Promise<boolean> {
    const { snapshot } = this.options;
    if (!(await this.#files.exists(this.id))) return true;
    return snapshot !== null && (await isNameBuried(this.store, snapshot));
  }

  #fence(): void {
    this.#isOver = true;
    this.sharing.heartbeats.remove(this);
    this.#fenced.abort(new VzvaultError('E_SESSION_FENCED', `${this.#what} lost its session ${this.id}`));
  }
}
