/** The habits of a collection where nobody asks for others. */

import { collectionLimits, sharingLimits } from '../../lib/limits.js';
import type { PackChoiceLimits } from './pack-choice.js';

export const DEFAULT_PACK_CHOICE: PackChoiceLimits = {
  compactBelowPercent: collectionLimits.compactBelowPercent,
  smallPackBytes: collectionLimits.smallPackBytes,
  smallPacks: collectionLimits.smallPacks,
  compactBytes: collectionLimits.compactBytes,
  packs: sharingLimits.condemnedPacks,
};

/** Compacted once, read many times: a little denser than what backups write in a hurry. */
export const DEFAULT_COLLECTION_ZSTD_LEVEL = 3;
