import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  compareSnapshotIds,
  formatSnapshotId,
  parseGuest,
  parseVmid,
  snapshotDirectory,
} from '../../../src/lib/guest.js';

describe('guests', () => {
  it('reads qemu/100 and lxc/101', () => {
    assert.deepEqual(parseGuest('qemu/100'), { guestType: 'qemu', vmid: 100 });
    assert.deepEqual(parseGuest('lxc/999999999'), { guestType: 'lxc', vmid: 999999999 });
  });

  it('refuses everything else', () => {
    for (const text of [
      '',
      'qemu',
      'qemu/',
      '/100',
      'qemu/99',
      'qemu/0100',
      'qemu/1e3',
      'qemu/100/',
      'qemu/100/1',
      'QEMU/100',
      'vm/100',
      ' qemu/100',
      'qemu/100\n',
      'qemu/١٠٠',
      'constructor/100',
    ]) {
      assert.equal(parseGuest(text), null, text);
    }
  });

  it('has one spelling for a vmid', () => {
    assert.equal(parseVmid('100'), 100);
    for (const text of ['99', '1000000000', '-100', '+100', '0100', '1e3', '0x100', '100.0', ' 100', ''])
      assert.equal(parseVmid(text), null, text);
  });

  it('names a snapshot for people and for the repository', () => {
    const id = { guestType: 'qemu', vmid: 100, timeSeconds: 1795321034 } as const;
    assert.equal(formatSnapshotId(id), 'qemu/100@2026-11-22T04:17:14Z');
    assert.equal(snapshotDirectory(id), 'snapshots/qemu/100/20261122T041714Z');
  });

  it('orders snapshots by guest, by number and not by digits, then by time', () => {
    const ids = [
      { guestType: 'lxc', vmid: 101, timeSeconds: 5 },
      { guestType: 'qemu', vmid: 100, timeSeconds: 1 },
      { guestType: 'qemu', vmid: 100, timeSeconds: 2 },
      { guestType: 'qemu', vmid: 1000, timeSeconds: 0 },
    ] as const;
    assert.deepEqual([...ids].reverse().sort(compareSnapshotIds), [...ids]);
  });
});
