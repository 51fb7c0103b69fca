/** Where the walk over what a session or a snapshot needs begins: the roots of its maps, in documents and for the engine. Pure. */

import { z } from 'zod';
import type { MapRoot } from '../../engine/types.js';
import { sharingLimits } from '../../lib/limits.js';
import { isChunkSize } from '../config.js';
import { digestSchema } from '../schemas.js';
import type { SnapshotDocument } from '../snapshot-document.js';
import { countSchema } from './sharing-document.js';

const EMPTY_ROOT = '0'.repeat(64);
const levels = z.number().int().min(1).max(8);

const volumeRoot = z.object({
  kind: z.literal('volume'),
  sizeBytes: countSchema,
  chunkSizeBytes: z.number().refine(isChunkSize, 'not a chunk size'),
  levels,
  rootId: digestSchema,
});
const streamRoot = z.object({
  kind: z.literal('stream'),
  type: z.enum(['data', 'catalogue']),
  sizeBytes: countSchema,
  levels,
  rootId: digestSchema,
});

export const mapRootsSchema: z.ZodType<readonly MapRoot[]> = z
  .array(z.discriminatedUnion('kind', [volumeRoot, streamRoot]))
  .max(sharingLimits.roots);

/** All that a snapshot refers to, each root once; empty maps have nothing to walk. */
export function rootsOf({ volumes, archives }: Pick<SnapshotDocument, 'volumes' | 'archives'>): MapRoot[] {
  const ofVolumes = volumes.map(({ sizeBytes, chunkSizeBytes, levels: count, rootId: id }): MapRoot => ({
    ...{ kind: 'volume', sizeBytes, chunkSizeBytes, levels: count, rootId: id },
  }));
  const ofArchives = archives.flatMap(({ data, catalogue }): MapRoot[] => [
    { kind: 'stream', type: 'data', ...data },
    { kind: 'stream', type: 'catalogue', ...catalogue },
  ]);
  return uniqueRoots([...ofVolumes, ...ofArchives]);
}

/** Without repetition and without those of nothing. */
export function uniqueRoots(roots: readonly MapRoot[]): MapRoot[] {
  const byKey = new Map<string, MapRoot>();
  for (const root of roots) {
    if (root.rootId === EMPTY_ROOT) continue;
    const kind = root.kind === 'volume' ? `volume ${root.chunkSizeBytes}` : root.type;
    byKey.set(`${kind} ${root.levels} ${root.sizeBytes} ${root.rootId}`, root);
  }
  return [...byKey.values()];
}
