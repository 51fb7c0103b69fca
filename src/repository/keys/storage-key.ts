/**
 * The key file of a storage in Proxmox VE: `/etc/pve/priv/storage/STORAGE-ID.enc`, where PVE keeps such files of its own. The storage plugin writes it,
 * the daemon and the command line read it. `VZVAULT_KEY_DIR` overrides the directory, in the Perl modules as well.
 */

import { join } from 'node:path';
import { keyInFile, readKeyFile } from './key-file.js';
import type { Unlocking } from './unlock.js';

const KEY_DIRECTORY = '/etc/pve/priv/storage';

/** REQUIRES: a storage id of PVE, which has no slash. */
export function storageKeyFile(storageId: string, environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment['VZVAULT_KEY_DIR'] ?? KEY_DIRECTORY, `${storageId}.enc`);
}

/** The key of a storage, for a new repository. E_KEY_MISSING, E_KEY_WRONG, E_PERMISSION. The caller's to wipe. */
export async function keyOfStorage(storageId: string): Promise<Buffer> {
  const path = storageKeyFile(storageId);
  return await keyInFile(await readKeyFile(path), path, async () => null);
}

/** A section of storage.cfg, as far as keys are concerned. */
export interface StorageWithKey {
  readonly id: string;
  readonly path: string;
  readonly isMountpoint: string;
  /** The section's `encryption-key`: the fingerprint of its key. Absent: its backups need not be encrypted. */
  readonly encryptionKey?: string | undefined;
}

/** Where a storage is, and how it is opened: by its key file, without asking anybody. */
export function locationOfStorage({ id, path, isMountpoint, encryptionKey }: StorageWithKey): {
  path: string;
  isMountpoint: string;
  unlocking: Unlocking;
} {
  const mustBeEncrypted = encryptionKey !== undefined;
  return { path, isMountpoint, unlocking: { keyFile: storageKeyFile(id), mustBeEncrypted } };
}
