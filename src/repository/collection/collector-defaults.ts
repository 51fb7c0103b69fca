/** The habits of a collection where nobody asks for others. */

import { collectionLimits, sharingLimits } from '../../lib/limits.js';
import type { CollectorOptions } from './collector-context.js';
import type { PackChoiceLimits } from './pack-choice.js';

const PACK_CHOICE: PackChoiceLimits = {
  compactBelowPercent: collectionLimits.compactBelowPercent,
  smallPackBytes: collectionLimits.smallPackBytes,
  smallPacks: collectionLimits.smallPacks,
  compactBytes: collectionLimits.compactBytes,
  packs: sharingLimits.condemnedPacks,
};

/** Compacted once, read many times: a little denser than what backups write in a hurry. */
export const DEFAULT_COLLECTION_ZSTD_LEVEL = 3;

export const DEFAULT_COLLECTION: Omit<CollectorOptions, 'sharing' | 'sightings' | 'signal' | 'report'> = {
  graceMs: collectionLimits.graceMs,
  fenceAfterMs: collectionLimits.fenceAfterMs,
  pollMs: collectionLimits.pollMs,
  bandwidthLimitBytesPerSecond: 0,
  zstdLevel: DEFAULT_COLLECTION_ZSTD_LEVEL,
  packChoice: PACK_CHOICE,
};
