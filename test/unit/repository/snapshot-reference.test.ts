import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatSnapshotId } from '../../../src/lib/guest.js';
import { formatArchiveName, formatVolumeName } from '../../../src/lib/volume-name.js';
import { parseSnapshotReference } from '../../../src/repository/snapshot-reference.js';
import { snapshotIds } from '../../support/arbitraries.js';
import { throwsWith } from '../../support/assertions.js';

describe('naming a snapshot', () => {
  it('accepts every spelling of one snapshot', () => {
    fc.assert(
      fc.property(snapshotIds, (id) => {
        const spellings = [
          formatSnapshotId(id),
          formatArchiveName(id),
          formatVolumeName(id),
          `my-store.2:${formatVolumeName(id)}`,
        ];
        for (const text of spellings) assert.deepEqual(parseSnapshotReference(text), { kind: 'exact', id }, text);
      }),
    );
  });

  it('accepts the newest of a guest', () => {
    assert.deepEqual(parseSnapshotReference('lxc/101@latest'), {
      kind: 'latest',
      guest: { guestType: 'lxc', vmid: 101 },
    });
  });

  it('says how to write one where it is none', () => {
    const name = 'vzdump-qemu-100-2026_11_22-04_17_14.vzv';
    for (const text of [
      '',
      'qemu/100',
      '@latest',
      'qemu/100@',
      'qemu/100@newest',
      'qemu/100@2026-11-22',
      'latest',
      `x/${name}`,
      `:backup/${name}`,
      `store:${name}`,
      `/mnt/${name}`,
      `${name}\n`,
    ]) {
      const error = throwsWith('E_ARGUMENT_INVALID', () => parseSnapshotReference(text));
      assert.match(error.message, /qemu\/100@latest/);
    }
  });
});
