/** What a collection writes down: the documents of kinds 6, 7, 8 and 10 (docs/format.md, "Collection"). Pure. */

import { z } from 'zod';
import type { MapRoot } from '../../engine/types.js';
import { sharingLimits } from '../../lib/limits.js';
import { digestSchema, idSchema, utcTimeSchema } from '../schemas.js';
import { mapRootsSchema } from '../sessions/map-root.js';
import { countSchema, SharingCodec } from '../sessions/sharing-document.js';

/** What generation `generation` wants to delete. */
export interface Condemned {
  readonly generation: number;
  /** The collector's session. */
  readonly sid: string;
  readonly packs: readonly string[];
}

/** What a writer that takes the generation into account still needs. */
export interface Claim {
  readonly generation: number;
  readonly sid: string;
  /** Of the condemned packs those that the session has referred to or written. */
  readonly keeps: readonly string[];
  readonly roots: readonly MapRoot[];
}

/** The decision: what goes. */
export interface Verdict {
  readonly generation: number;
  readonly sid: string;
  readonly packs: readonly string[];
}

/** What came of it. */
export interface Collected {
  readonly generation: number;
  readonly sid: string;
  readonly hostname: string;
  readonly finishedAt: string;
  readonly packs: number;
  /** Of the files that were deleted; those of new packs and segments are not taken off. */
  readonly freedBytes: number;
}

const generation = countSchema.min(1);
const packs = z.array(digestSchema).max(sharingLimits.condemnedPacks);
const common = { generation, sid: idSchema };

export const condemnedCodec = new SharingCodec<Condemned>('condemned', z.object({ ...common, packs }));
export const claimCodec = new SharingCodec<Claim>(
  'claim',
  z.object({ ...common, keeps: packs, roots: mapRootsSchema }),
);
export const verdictCodec = new SharingCodec<Verdict>('verdict', z.object({ ...common, packs }));
export const collectedCodec = new SharingCodec<Collected>(
  'collected',
  z.object({
    ...common,
    hostname: z.string().max(sharingLimits.ownerCharacters),
    finishedAt: utcTimeSchema,
    packs: countSchema,
    freedBytes: countSchema,
  }),
);
