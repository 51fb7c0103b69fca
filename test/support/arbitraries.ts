/** Random values of our own kinds, for properties. */
import fc from 'fast-check';
import { GUEST_TYPES, MAX_VMID, MIN_VMID, type SnapshotId } from '../../src/lib/guest.js';
import { LAST_TIME_SECONDS } from '../../src/lib/time.js';

export const snapshotIds: fc.Arbitrary<SnapshotId> = fc.record(
  {
    guestType: fc.constantFrom(...GUEST_TYPES),
    vmid: fc.integer({ min: MIN_VMID, max: MAX_VMID }),
    timeSeconds: fc.integer({ min: 0, max: LAST_TIME_SECONDS }),
  },
  { noNullPrototype: true },
);
