/**
 * The snapshots of one repository: what there is, what each says, how one comes to be and goes (docs/format.md, "The directory").
 *
 * Invariants: `snapshot` is written once, and its creation is the commit; whoever sees it may rely on all it refers to. A
 * directory without it (a removal that was cut short, a commit that never happened), or with a tombstone in its place, is no snapshot and
 * is not listed. A
 * snapshot whose document cannot be read is listed as damaged: hiding it would hide the damage.
 *
 * Documents never change, so what was read of them is kept (without the files); a further listing costs the listing of directories
 * and the notes and verify states only. Nothing here waits with a deadline: callers that owe an answer race the promise.
 */

import { BoundedCache } from '../lib/bounded-cache.js';
import { mapConcurrently } from '../lib/concurrency.js';
import { hasCode, VzvaultError } from '../lib/errors.js';
import {
  compareSnapshotIds,
  formatGuest,
  formatSnapshotId,
  GUEST_TYPES,
  parseSnapshotDirectoryName,
  parseVmid,
  snapshotDirectory,
  snapshotPath,
  type Guest,
  type GuestType,
  type SnapshotId,
} from '../lib/guest.js';
import { repositoryLimits } from '../lib/limits.js';
import type { MapRoot } from '../engine/types.js';
import type { BlobStore } from './blob-store.js';
import type { DocumentSealer } from './keys/repository-access.js';
import { rootsOf } from './sessions/map-root.js';
import { isNameBuried, isTombstone } from './sessions/tombstone.js';
import {
  decodeSnapshotDocument,
  encodeSnapshotDocument,
  logicalBytes,
  type SnapshotDocument,
} from './snapshot-document.js';
import { snapshotMissing, SnapshotSidecars, type ListedVerifyState } from './snapshot-sidecars.js';

/** A document without the bytes of its files. */
export interface SnapshotSummary extends Omit<SnapshotDocument, 'files'> {
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
  /** Of all volumes and archives. */
  readonly sizeBytes: number;
}

export interface SnapshotEntry {
  readonly id: SnapshotId;
  /** Null where the document is damaged, or cannot be read without the repository's key. */
  readonly summary: SnapshotSummary | null;
  /** What is wrong with the document; null where nothing is known to be. */
  readonly damage: string | null;
  /** Empty where there are none, or where they cannot be read. */
  readonly notes: string;
  readonly protected: boolean;
  readonly hasLog: boolean;
  /** What the last verification found; null where there was none. */
  readonly verified: ListedVerifyState | null;
}

export interface SnapshotFilter {
  readonly guestType?: GuestType | undefined;
  readonly vmid?: number | undefined;
}

export class Snapshots {
  /** Notes, protection, log and verify state of each snapshot. */
  readonly sidecars: SnapshotSidecars;
  readonly #tombstones = new BoundedCache<string, true>(repositoryLimits.cachedDocuments);
  readonly #cache = new BoundedCache<string, SnapshotSummary>(repositoryLimits.cachedDocuments);

  constructor(
    private readonly store: BlobStore,
    private readonly sealer: DocumentSealer,
    private readonly repositoryId: string,
  ) {
    this.sidecars = new SnapshotSidecars(store, sealer);
  }

  /** All snapshots that pass the filter, ordered by guest type, vmid and time. */
  async list(filter: SnapshotFilter = {}): Promise<SnapshotEntry[]> {
    return await this.entries((await this.ids(filter)).sort(compareSnapshotIds));
  }

  /**
   * What could be a snapshot and passes the filter, in no order: one look at each guest's directory, none into a snapshot's. So the remains of a
   * removal are among them.
   */
  async ids(filter: SnapshotFilter = {}): Promise<SnapshotId[]> {
    const guests = await this.#guests(filter);
    return (await mapConcurrently(guests, repositoryLimits.concurrentCalls, (guest) => this.#times(guest))).flat();
  }

  /** The entries of those that are snapshots, in the order given. */
  async entries(ids: readonly SnapshotId[]): Promise<SnapshotEntry[]> {
    const entries = await mapConcurrently(ids, repositoryLimits.concurrentCalls, (id) => this.#entry(id));
    return entries.filter((entry) => entry !== null);
  }

  /** One entry as `list` has it; E_SNAPSHOT_MISSING. */
  async get(id: SnapshotId): Promise<SnapshotEntry> {
    const entry = await this.#entry(id);
    if (entry === null) throw snapshotMissing(id);
    return entry;
  }

  /** The whole document with its files; E_SNAPSHOT_MISSING, E_SNAPSHOT_DAMAGED. */
  async read(id: SnapshotId): Promise<SnapshotDocument> {
    const doing = `reading the snapshot ${formatSnapshotId(id)}`;
    const sealed = await this.store
      .read(snapshotPath(id), repositoryLimits.sealedDocumentBytes)
      .catch((error: unknown) => {
        // The only argument that can be unacceptable is the length of what was found.
        if (hasCode(error, 'E_ARGUMENT_INVALID')) {
          throw new VzvaultError('E_SNAPSHOT_DAMAGED', `${doing}: ${error.message}`, { cause: error });
        }
        throw error;
      });
    if (sealed === null || isTombstone(sealed)) throw snapshotMissing(id);
    return decodeSnapshotDocument(this.#open(id, sealed, doing), id, this.repositoryId);
  }

  /** Whether the name is free for a commit: no snapshot, and no remains of one, has it. */
  async isFree(id: SnapshotId): Promise<boolean> {
    return (await this.store.status(snapshotDirectory(id))) === null;
  }

  /** The newest snapshot of a guest; E_SNAPSHOT_MISSING where it has none. A damaged one counts: silently taking an older would deceive. */
  async latest(guest: Guest): Promise<SnapshotId> {
    const ids = (await this.#times(guest)).sort(compareSnapshotIds).reverse();
    for (const id of ids) {
      const isThere = (await this.store.status(snapshotPath(id))) !== null;
      if (isThere && !(await isNameBuried(this.store, id))) return id;
    }
    throw new VzvaultError('E_SNAPSHOT_MISSING', `there is no snapshot of ${formatGuest(guest)} in ${this.store.path}`);
  }

  /** What a snapshot refers to; null where there is no such snapshot (any more). E_SNAPSHOT_DAMAGED. */
  async roots(id: SnapshotId): Promise<MapRoot[] | null> {
    if ((await this.store.status(snapshotPath(id))) === null) return null;
    try {
      const known = this.#cache.get(snapshotDirectory(id));
      const summary = known ?? summarize(await this.read(id));
      if (known === undefined) this.#cache.set(snapshotDirectory(id), summary);
      return rootsOf(summary);
    } catch (error) {
      if (hasCode(error, 'E_SNAPSHOT_MISSING')) return null;
      throw error;
    }
  }

  /**
   * The commit. REQUIRES: all that the document refers to is durable. E_NAME_TAKEN where that second has a snapshot already,
   * E_SESSION_FENCED where nothing may be committed under the name.
   */
  async commit(document: SnapshotDocument): Promise<void> {
    const plain = encodeSnapshotDocument(document, this.repositoryId);
    // What we would refuse to read must not be written.
    decodeSnapshotDocument(plain, document.id, this.repositoryId);
    const name = snapshotPath(document.id);
    const sealed = this.sealer.sealDocument('snapshot', plain, name);
    try {
      await this.store.putIfAbsent(name, sealed);
    } catch (error) {
      if (!hasCode(error, 'E_NAME_TAKEN')) throw error;
      const there = await this.store.read(name, repositoryLimits.sealedDocumentBytes);
      // The reply to a first attempt, somewhere below, was lost: every document has a salt of its own.
      if (there?.equals(sealed) === true) return;
      if (there === null || !isTombstone(there)) throw error;
      throw new VzvaultError('E_SESSION_FENCED', `committing ${formatSnapshotId(document.id)}: its session was fenced`);
    }
  }

  /**
   * Removes one snapshot, `snapshot` first, so that a removal cut short leaves no snapshot. E_SNAPSHOT_MISSING,
   * E_SNAPSHOT_PROTECTED. The data that it referred to stays until a collection.
   */
  async remove(id: SnapshotId): Promise<void> {
    const directory = snapshotDirectory(id);
    const names = await this.#fileNames(id);
    if (!names.has('snapshot')) throw snapshotMissing(id);
    if (await this.#isSeenBuried(id)) throw snapshotMissing(id);
    if (names.has('protected'))
      throw new VzvaultError('E_SNAPSHOT_PROTECTED', `the snapshot ${formatSnapshotId(id)} cannot be removed`);
    this.#cache.delete(directory);
    if (!(await this.store.remove(`${directory}/snapshot`))) throw snapshotMissing(id);
    names.delete('snapshot');
    for (const name of names) await this.store.remove(`${directory}/${name}`);
    // The snapshot is gone, so this is no failure: NFS keeps a file that somebody still reads in the directory under a name of its own,
    // and a sidecar that is written right now is taken back by whoever writes it.
    await this.store.remove(directory).catch(() => false);
  }

  /** Opens a sealed snapshot document; the message of what is wrong with it begins with `doing`. */
  #open(id: SnapshotId, sealed: Buffer, doing: string): Buffer {
    try {
      return this.sealer.openDocument('snapshot', sealed, snapshotPath(id));
    } catch (error) {
      if (!(error instanceof VzvaultError)) throw error;
      throw new VzvaultError(error.code, `${doing}: ${error.message}`, { cause: error });
    }
  }

  /** Whether it must not be unlinked: a tombstone, or what cannot be told from one. Too long for a tombstone is none. */
  async #isSeenBuried(id: SnapshotId): Promise<boolean> {
    const name = snapshotPath(id);
    const there = await this.store.read(name, repositoryLimits.sealedDocumentBytes).catch((error: unknown) => {
      if (hasCode(error, 'E_ARGUMENT_INVALID')) return Buffer.alloc(0);
      throw error;
    });
    return there === null || isTombstone(there);
  }

  async #guests(filter: SnapshotFilter): Promise<Guest[]> {
    const types = filter.guestType === undefined ? GUEST_TYPES : [filter.guestType];
    const found = await Promise.all(
      types.map(async (guestType): Promise<Guest[]> => {
        if (filter.vmid !== undefined) return [{ guestType, vmid: filter.vmid }];
        const entries = (await this.store.list(`snapshots/${guestType}`)) ?? [];
        const vmids = entries.filter((entry) => entry.kind === 'directory').map((entry) => parseVmid(entry.name));
        return vmids.filter((vmid) => vmid !== null).map((vmid) => ({ guestType, vmid }));
      }),
    );
    return found.flat();
  }

  /** All that could be a snapshot of the guest, in no order. */
  async #times(guest: Guest): Promise<SnapshotId[]> {
    const entries = (await this.store.list(`snapshots/${formatGuest(guest)}`)) ?? [];
    const times = entries
      .filter((entry) => entry.kind === 'directory')
      .map((entry) => parseSnapshotDirectoryName(entry.name));
    const { guestType, vmid } = guest;
    return times.filter((time) => time !== null).map((timeSeconds) => ({ guestType, vmid, timeSeconds }));
  }

  async #fileNames(id: SnapshotId): Promise<Set<string>> {
    const entries = (await this.store.list(snapshotDirectory(id))) ?? [];
    return new Set(entries.map((entry) => entry.name));
  }

  /** Null where there is no such snapshot (any more). */
  async #entry(id: SnapshotId): Promise<SnapshotEntry | null> {
    const names = await this.#fileNames(id);
    if (!names.has('snapshot') || this.#tombstones.get(snapshotDirectory(id)) === true) return null;
    const read = await this.#summaryOrDamage(id);
    if (read === null) return null;
    return {
      id,
      ...read,
      notes: names.has('notes') ? await this.sidecars.notesOrEmpty(id) : '',
      protected: names.has('protected'),
      hasLog: names.has('log'),
      verified: names.has('verify-state') ? await this.sidecars.verifyStateOrDamaged(id) : null,
    };
  }

  async #summaryOrDamage(id: SnapshotId): Promise<Pick<SnapshotEntry, 'summary' | 'damage'> | null> {
    const directory = snapshotDirectory(id);
    const cached = this.#cache.get(directory);
    if (cached !== undefined) return { summary: cached, damage: null };
    if (this.sealer.problem !== null)
      return (await isNameBuried(this.store, id)) ? null : { summary: null, damage: null };
    try {
      const summary = summarize(await this.read(id));
      this.#cache.set(directory, summary);
      return { summary, damage: null };
    } catch (error) {
      // It was removed meanwhile, or is a tombstone, which stays one.
      if (hasCode(error, 'E_SNAPSHOT_MISSING')) {
        if (await isNameBuried(this.store, id)) this.#tombstones.set(directory, true);
        return null;
      }
      // An unreadable sector under one document must not hide all other snapshots.
      if (hasCode(error, 'E_SNAPSHOT_DAMAGED', 'E_STORAGE_IO')) return { summary: null, damage: error.message };
      throw error;
    }
  }
}

/** Whether there is more to tell, which nobody can read without the key. */
export function isLocked({ summary, damage }: SnapshotEntry): boolean {
  return summary === null && damage === null;
}

/** What verification has to say of a snapshot, or that its document cannot be read; `unknown`: without the key nobody can tell. */
export function verifyStateOf(entry: SnapshotEntry): 'none' | 'ok' | 'damaged' | 'unknown' {
  if (entry.damage !== null) return 'damaged';
  return isLocked(entry) ? 'unknown' : (entry.verified?.state ?? 'none');
}

function summarize(document: SnapshotDocument): SnapshotSummary {
  return {
    ...document,
    files: document.files.map((file) => ({ name: file.name, sizeBytes: file.bytes.length })),
    sizeBytes: logicalBytes(document),
  };
}
