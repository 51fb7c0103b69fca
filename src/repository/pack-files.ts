/** Where packs lie, and what else lies in `packs/`. */

import { mapConcurrently } from '../lib/concurrency.js';
import { repositoryLimits } from '../lib/limits.js';
import type { BlobStore } from './blob-store.js';

export interface PackList {
  /** Ids, in order. */
  readonly packs: readonly string[];
  /** Names of what is there and can be no pack, such as one below another prefix. Its chunks count as absent. */
  readonly strays: readonly string[];
}

/** `packs/ab/ab12…` */
export function packPath(pack: string): string {
  return `packs/${pack.slice(0, 2)}/${pack}`;
}

const PREFIX = /^[0-9a-f]{2}$/;
const PACK = /^[0-9a-f]{64}$/;

export async function listPacks(store: BlobStore): Promise<PackList> {
  const packs: string[] = [];
  const strays: string[] = [];
  const prefixes = (await store.list('packs')) ?? [];
  await mapConcurrently(prefixes, repositoryLimits.concurrentCalls, async ({ name: prefix, kind }) => {
    if (kind !== 'directory' || !PREFIX.test(prefix)) {
      strays.push(`packs/${prefix}`);
      return;
    }
    for (const { name } of (await store.list(`packs/${prefix}`)) ?? []) {
      if (PACK.test(name) && name.startsWith(prefix)) packs.push(name);
      // What NFS keeps of a file that was removed while somebody read it is nobody's.
      else if (!name.startsWith('.nfs')) strays.push(`packs/${prefix}/${name}`);
    }
  });
  return { packs: packs.sort(), strays: strays.sort() };
}
