/** What a session says of itself: the document of kind 5 in `sessions/<sid>` (docs/format.md, "Sharing"). Pure. */

import { z } from 'zod';
import type { MapRoot } from '../../engine/types.js';
import { parseSnapshotPath, type SnapshotId } from '../../lib/guest.js';
import { idSchema } from '../schemas.js';
import { mapRootsSchema } from './map-root.js';
import { ownerSchema, type SessionOwner } from './session-owner.js';
import { countSchema, SharingCodec } from './sharing-document.js';

export type SessionKind = 'writer' | 'reader' | 'collector';

export interface SessionDocument {
  readonly sid: string;
  readonly kind: SessionKind;
  /** One more with each heartbeat. */
  readonly counter: number;
  readonly owner: SessionOwner;
  /** What a writer will commit, `snapshots/qemu/100/20261122T041714Z`; null for all others, and for one that only mends. */
  readonly snapshot: string | null;
  /** What must stay as long as the session does. */
  readonly roots: readonly MapRoot[];
  /** The highest generation that a writer has taken into account. */
  readonly seen: number;
}

export const sessionCodec = new SharingCodec<SessionDocument>(
  'session',
  z
    .object({
      sid: idSchema,
      kind: z.enum(['writer', 'reader', 'collector']),
      counter: countSchema,
      owner: ownerSchema,
      snapshot: z
        .string()
        .refine((path) => parseSnapshotPath(path) !== null, 'not the path of a snapshot')
        .nullable(),
      roots: mapRootsSchema,
      seen: countSchema,
    })
    .refine(({ kind, snapshot }) => kind === 'writer' || snapshot === null, 'only a writer reserves a snapshot'),
);

/** What it reserves; null where that is nothing. */
export function reservedBy({ snapshot }: SessionDocument): SnapshotId | null {
  return snapshot === null ? null : parseSnapshotPath(snapshot);
}
