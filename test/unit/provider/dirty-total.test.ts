import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireWhole } from '../../../src/provider/dirty-total.js';
import { throwsWith } from '../../support/assertions.js';

const granule = 4 * 1024 * 1024;
const device = 'drive-scsi0';

const whole: Record<string, Parameters<typeof requireWhole>[0]> = {
  'some granules': { device, sizeBytes: 16 * granule, seenBytes: 3 * granule, countedBytes: 3 * granule },
  'nothing dirty': { device, sizeBytes: 16 * granule, seenBytes: 0, countedBytes: 0 },
  'all dirty, which QEMU clips to the size': { device, sizeBytes: 5000, seenBytes: 5000, countedBytes: 5000 },
  'a short last granule, which QEMU counts whole': {
    ...{ device, sizeBytes: 3 * granule + 512 },
    ...{ seenBytes: granule + 512, countedBytes: 2 * granule },
  },
  'an unknown count': { device, sizeBytes: 16 * granule, seenBytes: granule, countedBytes: null },
};

for (const [what, total] of Object.entries(whole)) {
  test(`accepts ${what}`, () => {
    assert.doesNotThrow(() => {
      requireWhole(total);
    });
  });
}

const short: Record<string, Parameters<typeof requireWhole>[0]> = {
  'a list that lacks a granule': { device, sizeBytes: 16 * granule, seenBytes: granule, countedBytes: 2 * granule },
  'a list that lacks the short last granule': {
    ...{ device, sizeBytes: 3 * granule + 512 },
    ...{ seenBytes: granule, countedBytes: 2 * granule },
  },
  'an empty list where something is dirty': { device, sizeBytes: granule + 512, seenBytes: 0, countedBytes: granule },
  'more than was counted': { device, sizeBytes: 16 * granule, seenBytes: 2 * granule, countedBytes: granule },
};

for (const [what, total] of Object.entries(short)) {
  test(`refuses ${what}`, () => {
    throwsWith('E_SOURCE_BITMAP', () => {
      requireWhole(total);
    });
  });
}
