/**
 * What may change about a committed snapshot: its notes, its protection, its log, what verification found. Small files beside the
 * document.
 *
 * A sidecar is written only beside a snapshot that exists; one that was removed while we wrote leaves nothing behind.
 */

import type { DocumentKind } from '../engine/types.js';
import { hasCode, VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, snapshotDirectory, snapshotPath, type SnapshotId } from '../lib/guest.js';
import { repositoryLimits } from '../lib/limits.js';
import type { BlobStore } from './blob-store.js';
import type { DocumentSealer } from './keys/repository-access.js';
import { decodeVerifyState, encodeVerifyState, type VerifyState } from './verify-state.js';

/** Kinds of documents that lie beside a snapshot, under the name of their kind. */
type SidecarKind = Exclude<DocumentKind, 'snapshot'>;

/** As `VerifyState`, or that there is one which cannot be read: then nobody knows when it was written. */
export type ListedVerifyState =
  VerifyState | { readonly state: 'damaged'; readonly checkedAtSeconds: null; readonly message: string };

export class SnapshotSidecars {
  constructor(
    private readonly store: BlobStore,
    private readonly sealer: DocumentSealer,
  ) {}

  /** Empty where there are none; E_SNAPSHOT_MISSING, E_SNAPSHOT_DAMAGED. */
  async notes(id: SnapshotId): Promise<string> {
    await this.#requireSnapshot(id);
    return await this.#notes(id);
  }

  /** For listings, which damaged notes, or encrypted ones, must not break. */
  async notesOrEmpty(id: SnapshotId): Promise<string> {
    if (this.sealer.problem !== null) return '';
    try {
      return await this.#notes(id);
    } catch (error) {
      if (isUnreadable(error)) return '';
      throw error;
    }
  }

  /** Empty notes are removed. E_SNAPSHOT_MISSING. */
  async setNotes(id: SnapshotId, notes: string): Promise<void> {
    await this.#requireSnapshot(id);
    if (notes === '') await this.store.remove(sidecar(id, 'notes'));
    else await this.#write(id, 'notes', Buffer.from(notes, 'utf8'));
  }

  /** E_SNAPSHOT_MISSING. */
  async isProtected(id: SnapshotId): Promise<boolean> {
    await this.#requireSnapshot(id);
    return (await this.store.status(sidecar(id, 'protected'))) !== null;
  }

  /** Repeatable. E_SNAPSHOT_MISSING. */
  async setProtected(id: SnapshotId, isProtected: boolean): Promise<void> {
    await this.#requireSnapshot(id);
    const name = sidecar(id, 'protected');
    if (!isProtected) {
      await this.store.remove(name);
      return;
    }
    try {
      await this.store.putIfAbsent(name, Buffer.alloc(0));
    } catch (error) {
      if (!hasCode(error, 'E_NAME_TAKEN')) throw error;
    }
    await this.#requireStillThere(id, name);
  }

  /** The task's log, byte for byte; null where none was kept. E_SNAPSHOT_MISSING, E_SNAPSHOT_DAMAGED. */
  async log(id: SnapshotId): Promise<Buffer | null> {
    await this.#requireSnapshot(id);
    return await this.#read(id, 'log', repositoryLimits.sealedDocumentBytes);
  }

  /** At most repositoryLimits.documentBytes. E_SNAPSHOT_MISSING. */
  async setLog(id: SnapshotId, log: Buffer): Promise<void> {
    await this.#requireSnapshot(id);
    await this.#write(id, 'log', log);
  }

  /** What the last verification found; null where there was none. E_SNAPSHOT_MISSING, E_SNAPSHOT_DAMAGED. */
  async verifyState(id: SnapshotId): Promise<VerifyState | null> {
    await this.#requireSnapshot(id);
    return await this.#verifyState(id);
  }

  /** For listings: a state that cannot be read counts as damaged, since it may have said so; without the key there is none. */
  async verifyStateOrDamaged(id: SnapshotId): Promise<ListedVerifyState | null> {
    if (this.sealer.problem !== null) return null;
    try {
      return await this.#verifyState(id);
    } catch (error) {
      if (isUnreadable(error)) return { state: 'damaged', checkedAtSeconds: null, message: error.message };
      throw error;
    }
  }

  /** Replaces what was found before. E_SNAPSHOT_MISSING. */
  async setVerifyState(id: SnapshotId, state: VerifyState): Promise<void> {
    await this.#requireSnapshot(id);
    await this.#write(id, 'verify-state', encodeVerifyState(state));
  }

  async #notes(id: SnapshotId): Promise<string> {
    return (await this.#read(id, 'notes', repositoryLimits.sealedDocumentBytes))?.toString('utf8') ?? '';
  }

  async #verifyState(id: SnapshotId): Promise<VerifyState | null> {
    const plain = await this.#read(id, 'verify-state', repositoryLimits.sealedVerifyStateBytes);
    return plain === null ? null : decodeVerifyState(plain, id);
  }

  async #read(id: SnapshotId, kind: SidecarKind, maxBytes: number): Promise<Buffer | null> {
    const doing = `reading the ${kind} of ${formatSnapshotId(id)}`;
    try {
      const name = sidecar(id, kind);
      const sealed = await this.store.read(name, maxBytes);
      return sealed === null ? null : this.sealer.openDocument(kind, sealed, name);
    } catch (error) {
      // The only argument that can be unacceptable is the length of what was found.
      if (!hasCode(error, 'E_ARGUMENT_INVALID', 'E_SNAPSHOT_DAMAGED')) throw error;
      throw new VzvaultError('E_SNAPSHOT_DAMAGED', `${doing}: ${error.message}`, { cause: error });
    }
  }

  async #write(id: SnapshotId, kind: SidecarKind, plain: Buffer): Promise<void> {
    const name = sidecar(id, kind);
    await this.store.replace(name, this.sealer.sealDocument(kind, plain, name));
    await this.#requireStillThere(id, name);
  }

  async #requireSnapshot(id: SnapshotId): Promise<void> {
    if ((await this.store.status(snapshotPath(id))) === null) throw snapshotMissing(id);
  }

  /** Takes back what was written beside a snapshot that somebody removed at the same time. */
  async #requireStillThere(id: SnapshotId, written: string): Promise<void> {
    if ((await this.store.status(snapshotPath(id))) !== null) return;
    await this.store.remove(written);
    await this.store.remove(snapshotDirectory(id)).catch(() => false);
    throw snapshotMissing(id);
  }
}

function sidecar(id: SnapshotId, name: 'protected' | SidecarKind): string {
  return `${snapshotDirectory(id)}/${name}`;
}

function isUnreadable(error: unknown): error is VzvaultError {
  return hasCode(error, 'E_SNAPSHOT_DAMAGED', 'E_STORAGE_IO');
}

export function snapshotMissing(id: SnapshotId): VzvaultError {
  return new VzvaultError('E_SNAPSHOT_MISSING', `there is no snapshot ${formatSnapshotId(id)}`);
}
