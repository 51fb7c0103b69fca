/** Which packs were found damaged and lie in `quarantine/` now (docs/format.md, "Quarantine"). */

import type { BlobStore } from '../blob-store.js';
import { packPath } from '../pack-files.js';

export const QUARANTINE = 'quarantine';
const PACK = /^([0-9a-f]{64})\.pack(?:\.[0-9]+)?$/;

/** The ids of packs that have a file there, each once; one may be back in `packs/`. Errors of the storage. */
export async function packsInQuarantine(store: BlobStore): Promise<string[]> {
  const entries = (await store.list(QUARANTINE)) ?? [];
  return [...new Set(entries.map(({ name }) => PACK.exec(name)?.[1]).filter((pack) => pack !== undefined))];
}

/** Those of the packs that are not in `packs/` (any more). */
export async function absentOf(store: BlobStore, packs: readonly string[]): Promise<string[]> {
  const absent: string[] = [];
  for (const pack of packs) {
    if ((await store.status(packPath(pack))) === null) absent.push(pack);
  }
  return absent;
}
