/**
 * What may change about a committed snapshot: its notes, its protection, its log. Small files beside the document.
 *
 * A sidecar is written only beside a snapshot that exists; one that was removed while we wrote leaves nothing behind.
 */

import type { Engine } from '../engine/types.js';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, snapshotDirectory, type SnapshotId } from '../lib/guest.js';
import { repositoryLimits } from '../lib/limits.js';
import type { BlobStore } from './blob-store.js';

export type DocumentSealer = Pick<Engine, 'sealDocument' | 'openDocument'>;

type TextKind = 'notes' | 'log';

export class SnapshotSidecars {
  constructor(
    private readonly store: BlobStore,
    private readonly sealer: DocumentSealer,
  ) {}

  /** Empty where there are none; E_SNAPSHOT_MISSING, E_SNAPSHOT_DAMAGED. */
  async notes(id: SnapshotId): Promise<string> {
    await this.#requireSnapshot(id);
    return (await this.#readText(id, 'notes')) ?? '';
  }

  /** For listings, which damaged notes must not break. */
  async notesOrEmpty(id: SnapshotId): Promise<string> {
    try {
      return (await this.#readText(id, 'notes')) ?? '';
    } catch (error) {
      if (error instanceof VzvaultError && (error.code === 'E_SNAPSHOT_DAMAGED' || error.code === 'E_STORAGE_IO'))
        return '';
      throw error;
    }
  }

  /** Empty notes are removed. E_SNAPSHOT_MISSING. */
  async setNotes(id: SnapshotId, notes: string): Promise<void> {
    await this.#requireSnapshot(id);
    const name = sidecar(id, 'notes');
    if (notes === '') {
      await this.store.remove(name);
      return;
    }
    await this.store.replace(name, this.sealer.sealDocument('notes', Buffer.from(notes, 'utf8')));
    await this.#requireStillThere(id, name);
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
      if (!(error instanceof VzvaultError) || error.code !== 'E_NAME_TAKEN') throw error;
    }
    await this.#requireStillThere(id, name);
  }

  /** Null where none was kept; E_SNAPSHOT_MISSING, E_SNAPSHOT_DAMAGED. */
  async log(id: SnapshotId): Promise<string | null> {
    await this.#requireSnapshot(id);
    return await this.#readText(id, 'log');
  }

  /** E_SNAPSHOT_MISSING. */
  async setLog(id: SnapshotId, log: string): Promise<void> {
    await this.#requireSnapshot(id);
    const name = sidecar(id, 'log');
    await this.store.replace(name, this.sealer.sealDocument('log', Buffer.from(log, 'utf8')));
    await this.#requireStillThere(id, name);
  }

  async #readText(id: SnapshotId, kind: TextKind): Promise<string | null> {
    const sealed = await this.store.read(sidecar(id, kind), repositoryLimits.sealedDocumentBytes);
    if (sealed === null) return null;
    try {
      return this.sealer.openDocument(kind, sealed).toString('utf8');
    } catch (error) {
      if (!(error instanceof VzvaultError)) throw error;
      throw new VzvaultError(error.code, `reading the ${kind} of ${formatSnapshotId(id)}: ${error.message}`, {
        cause: error,
      });
    }
  }

  async #requireSnapshot(id: SnapshotId): Promise<void> {
    if ((await this.store.status(sidecar(id, 'snapshot'))) === null) throw snapshotMissing(id);
  }

  /** Takes back what was written beside a snapshot that somebody removed at the same time. */
  async #requireStillThere(id: SnapshotId, written: string): Promise<void> {
    if ((await this.store.status(sidecar(id, 'snapshot'))) !== null) return;
    await this.store.remove(written);
    await this.store.remove(snapshotDirectory(id)).catch(() => false);
    throw snapshotMissing(id);
  }
}

function sidecar(id: SnapshotId, name: 'snapshot' | 'notes' | 'protected' | 'log'): string {
  return `${snapshotDirectory(id)}/${name}`;
}

export function snapshotMissing(id: SnapshotId): VzvaultError {
  return new VzvaultError('E_SNAPSHOT_MISSING', `there is no snapshot ${formatSnapshotId(id)}`);
}
