/**
 * What STORE on the command line means: a storage id, a storage's path, or the repository itself.
 *
 * The section of a storage id is read from PVE's storage.cfg, in its own format (pve-common SectionConfig.pm) and with its own notion
 * of booleans. The file is local (pmxcfs), so it is read with node:fs.
 */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { VzvaultError } from '../lib/errors.js';
import { storageKeyFile, type StorageWithKey } from './keys/storage-key.js';
import type { StorageLocation } from './repository.js';

export const STORAGE_CONFIG_PATH = '/etc/pve/storage.cfg';

export interface StorageSection {
  readonly type: string;
  readonly id: string;
  readonly properties: ReadonlyMap<string, string>;
}

const STORAGE_ID = /^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$/;
const TRUE = /^(1|on|yes|true)$/i;
const FALSE = /^(0|off|no|false)$/i;

/** The sections of a storage.cfg. Lines that are none of its are left out: PVE has the last word on them. */
export function parseStorageConfig(text: string): StorageSection[] {
  const sections: { type: string; id: string; properties: Map<string, string> }[] = [];
  let open = false;
  for (const line of text.split('\n')) {
    if (line.trim() === '') {
      open = false;
      continue;
    }
    if (line.startsWith('#')) continue;
    const property = /^\s+(\S+)(?:\s+(.*\S))?\s*$/.exec(line);
    const header = /^(\S+):\s*(\S+)\s*$/.exec(line);
    if (property !== null && open) sections.at(-1)?.properties.set(property[1] ?? '', property[2] ?? '');
    else if (header !== null) {
      sections.push({ type: header[1] ?? '', id: header[2] ?? '', properties: new Map() });
      open = true;
    }
  }
  return sections;
}

/**
 * Where STORE is. A storage id goes before a directory of that name; write `./name` for the directory. E_PATH_MISSING for an id that no
 * section has and that is no directory is found by whoever opens it. E_UNSUPPORTED for a storage of another type.
 */
export function locateStore(store: string, storageConfigPath = STORAGE_CONFIG_PATH): StorageLocation {
  if (store === '') throw new VzvaultError('E_ARGUMENT_INVALID', 'the storage is empty; name its id or its path');
  const section = findSection(store, storageConfigPath);
  if (section === undefined) return { path: resolve(store) };
  if (section.type !== 'vzvault') {
    throw new VzvaultError('E_UNSUPPORTED', `the storage ${store} is of type ${section.type}, not vzvault`);
  }
  const path = section.properties.get('path');
  if (path === undefined)
    throw new VzvaultError('E_PATH_MISSING', `the storage ${store} has no path in ${storageConfigPath}`);
  const isMountpoint = mountpointOf(section.properties.get('is_mountpoint'));
  if (!section.properties.has('encryption-key')) return { path, isMountpoint };
  return { path, isMountpoint, unlocking: { keyFile: storageKeyFile(section.id), mustBeEncrypted: true } };
}

/** What the section of a storage id says under `prune-backups`; undefined where it does not, and for a path. */
export function retentionOfStore(store: string, storageConfigPath = STORAGE_CONFIG_PATH): string | undefined {
  return findSection(store, storageConfigPath)?.properties.get('prune-backups');
}

/** The storages of our type that a node uses: those that are not disabled, and not left to other nodes (pve-storage Storage.pm, storage_check_enabled). */
export function storagesOfNode(text: string, node: string): StorageWithKey[] {
  return parseStorageConfig(text).flatMap(({ type, id, properties }) => {
    const path = properties.get('path');
    if (type !== 'vzvault' || path === undefined || isFlagSet(properties.get('disable'))) return [];
    const nodes = properties.get('nodes')?.split(/[,;\s]+/);
    if (nodes?.includes(node) === false) return [];
    const isMountpoint = mountpointOf(properties.get('is_mountpoint'));
    return [{ id, path, isMountpoint, encryptionKey: properties.get('encryption-key') }];
  });
}

/** A flag without a value is set (pve-common SectionConfig.pm, check_value). */
function isFlagSet(value: string | undefined): boolean {
  return value !== undefined && !FALSE.test(value);
}

/** pve-storage DirPlugin.pm, parse_is_mountpoint. */
function mountpointOf(value = ''): string {
  if (TRUE.test(value)) return 'yes';
  return FALSE.test(value) ? '' : value;
}

function findSection(id: string, storageConfigPath: string): StorageSection | undefined {
  if (!STORAGE_ID.test(id)) return undefined;
  let text: string;
  try {
    text = readFileSync(storageConfigPath, 'utf8');
  } catch {
    // Any Linux box but a PVE node.
    return undefined;
  }
  return parseStorageConfig(text).find((section) => section.id === id);
}
