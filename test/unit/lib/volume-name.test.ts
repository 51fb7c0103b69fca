import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatSnapshotId, type SnapshotId } from '../../../src/lib/guest.js';
import {
  formatArchiveName,
  formatVolumeName,
  parseArchiveName,
  parseVolumeName,
} from '../../../src/lib/volume-name.js';
import { snapshotIds } from '../../support/arbitraries.js';
import { projectRoot } from '../../support/project.js';

interface Vectors {
  valid: ({ volume: string } & SnapshotId)[];
  invalid: { volume: string; why: string }[];
}

const vectors = JSON.parse(readFileSync(join(projectRoot, 'test/contract/archive-names.json'), 'utf8')) as Vectors;

describe('the names of archives', () => {
  for (const { volume, guestType, vmid, timeSeconds } of vectors.valid) {
    it(`accepts ${volume}, and writes it the same way`, () => {
      assert.deepEqual(parseVolumeName(volume), { guestType, vmid, timeSeconds });
      assert.equal(formatVolumeName({ guestType, vmid, timeSeconds }), volume);
    });
  }

  for (const { volume, why } of vectors.invalid) {
    it(`refuses ${JSON.stringify(volume)}: ${why}`, () => {
      assert.equal(parseVolumeName(volume), null);
    });
  }

  it('writes for every snapshot a name that it reads back, within the 255 characters of a volid', () => {
    fc.assert(
      fc.property(snapshotIds, (id) => {
        assert.deepEqual(parseArchiveName(formatArchiveName(id)), id, formatSnapshotId(id));
        assert.match(formatVolumeName(id), /^([a-zA-Z0-9\-.+=_]|\/|:)+$/);
        assert.ok(formatVolumeName(id).length < 100);
      }),
    );
  });
});
