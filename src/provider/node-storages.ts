/**
 * The storages that this node has, by Proxmox VE's storage.cfg. The file lies in pmxcfs, a FUSE file system of this node, so it is read beside the event
 * loop: pmxcfs can hang. The storages themselves are not touched.
 */
import { readFile } from 'node:fs/promises';
import type { StorageWithKey } from '../repository/keys/storage-key.js';
import { STORAGE_CONFIG_PATH, storagesOfNode } from '../repository/locate.js';

/** Null where there is no storage.cfg that can be read, as on any machine without Proxmox VE. */
export async function readNodeStorages(
  hostname: string,
  storageConfigPath = STORAGE_CONFIG_PATH,
): Promise<readonly StorageWithKey[] | null> {
  try {
    return storagesOfNode(await readFile(storageConfigPath, 'utf8'), nodeNameOf(hostname));
  } catch {
    return null;
  }
}

/** pve-common INotify.pm, nodename: the host name without its domain. */
function nodeNameOf(hostname: string): string {
  return hostname.replace(/\..*$/, '');
}
