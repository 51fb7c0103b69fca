/**
 * Loaded into vzvault and vzvaultd before they begin (`node --import`), by tests only: what sessions and collections wait for comes in fractions of
 * a second. All of it goes by the limits, which everything reads when it needs them. On a local file system, where listings are never old, that is
 * as safe as it is in production.
 */
import { collectionLimits, sharingLimits } from '../../src/lib/limits.js';
import { quickGraceMs } from './quick-programs.js';

Object.assign(sharingLimits, { heartbeatMs: 200, catchUpMs: 50 });
Object.assign(collectionLimits, {
  ...{ graceMs: quickGraceMs(process.env), pollMs: 100 },
  ...{ scheduleMs: 200, delayMs: 300, intervalMs: 1_000 },
});
