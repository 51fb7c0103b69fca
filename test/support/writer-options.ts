/** The options of a writer that nothing limits. */
import type { WriterOptions } from '../../src/engine/types.js';

export const UNLIMITED: WriterOptions = {
  ...{ zstdLevel: 1, bandwidthLimitBytesPerSecond: 0, sessionId: '5'.repeat(32), excludedPacks: [] },
};
