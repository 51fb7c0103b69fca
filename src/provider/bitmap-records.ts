/**
 * The records behind `incremental-proof`, one small file a guest and storage id:
 *
 *     RUN_DIRECTORY/bitmaps/<storage id>/qemu-100.json
 *
 * Invariant, for whoever answers backup.vm: before success is answered the record is that of the snapshot just committed, or there is none;
 * one that cannot be replaced or removed is an error. They lie in memory, as QEMU's bitmaps do, and are gone with them when the
 * node restarts. What does not parse counts as absent. Plain synchronous calls: the directory is root's own, and never on a mount of a storage.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import type { Guest } from '../lib/guest.js';
import { isTimeSeconds } from '../lib/time.js';
import type { BitmapRecord } from './incremental-proof.js';

const bytes = z.int().min(0);
const map = z.object({
  sizeBytes: bytes,
  chunkSizeBytes: bytes,
  levels: bytes,
  rootId: z.string().regex(/^[0-9a-f]{64}$/),
});
const recordSchema = z.object({
  storageId: z.string(),
  instance: z.string(),
  guestType: z.literal('qemu'),
  vmid: z.int(),
  repositoryId: z.string(),
  timeSeconds: z.int().refine(isTimeSeconds),
  qemu: z.object({ bootId: z.string(), pid: z.int().min(1), startTicks: bytes }),
  disks: z.record(z.string(), map),
});
const schema = z.object({ version: z.literal(1), record: recordSchema });

export interface BitmapRecords {
  /** Null where there is none that can be read. */
  read(storageId: string, guest: Guest): BitmapRecord | null;
  /** Replaces the record. Where that fails the old one is removed, since it is wrong by now; E_INTERNAL where that fails too. */
  write(record: BitmapRecord): void;
  /** Repeatable. E_INTERNAL where a record stays. */
  remove(storageId: string, guest: Guest): void;
}

export class BitmapRecordFiles implements BitmapRecords {
  readonly #directory: string;

  constructor(runDirectory: string) {
    this.#directory = join(runDirectory, 'bitmaps');
  }

  read(storageId: string, guest: Guest): BitmapRecord | null {
    try {
      const parsed = schema.safeParse(JSON.parse(readFileSync(this.#file(storageId, guest), 'utf8')));
      if (!parsed.success) return null;
      const { record } = parsed.data;
      return record.storageId === storageId && record.vmid === guest.vmid ? record : null;
    } catch {
      return null;
    }
  }

  write(record: BitmapRecord): void {
    const file = this.#file(record.storageId, record);
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(`${file}.new`, JSON.stringify({ version: 1, record }), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch {
      this.remove(record.storageId, record);
    }
  }

  remove(storageId: string, guest: Guest): void {
    const file = this.#file(storageId, guest);
    remove(file, { force: true });
    remove(`${file}.new`, { force: true });
  }

  #file(storageId: string, { guestType, vmid }: Guest): string {
    return join(this.#directory, storageId, `${guestType}-${vmid}.json`);
  }
}

function remove(path: string, options: { readonly force: true }): void {
  try {
    rmSync(path, options);
  } catch (error) {
    throw new VzvaultError('E_INTERNAL', `removing ${path}: ${toVzvaultError(error).message}`, { cause: error });
  }
}
