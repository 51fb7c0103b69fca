import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proveBitmap, type BitmapRecord, type Present } from '../../../src/provider/incremental-proof.js';

const device = 'drive-scsi0';
const sizeBytes = 64 * 1024 * 1024;
const map = { sizeBytes, chunkSizeBytes: 524_288, levels: 1, rootId: 'ab'.repeat(32) };
const qemu = { pid: 4711, startTicks: 99, bootId: 'boot' };
const record: BitmapRecord = {
  ...{ guestType: 'qemu', vmid: 100, timeSeconds: 1_795_321_034 },
  ...{ storageId: 'nas', instance: '', repositoryId: 'r1', qemu, disks: { [device]: map } },
};
const present: Present = {
  ...{ repositoryId: 'r1', qemu },
  base: { state: 'present', volumes: [{ name: device, ...map }] },
};

test('uses the bitmap where everything is as it was when the last snapshot was committed', () => {
  const since = { guestType: 'qemu', vmid: 100, timeSeconds: 1_795_321_034 } as const;
  assert.deepEqual(proveBitmap(record, present, device, sizeBytes), { mode: 'incremental', since, base: map });
});

const otherVolume = { name: device, ...map, rootId: 'cd'.repeat(32) };
const differences = {
  'no record': [{ record: null }, 'no-record'],
  'another repository': [{ present: { ...present, repositoryId: 'r2' } }, 'repository-changed'],
  'no process': [{ present: { ...present, qemu: null } }, 'qemu-unknown'],
  'another pid': [{ present: { ...present, qemu: { ...qemu, pid: 4712 } } }, 'qemu-restarted'],
  'the same pid, given to a later process': [
    { present: { ...present, qemu: { ...qemu, startTicks: 100 } } },
    'qemu-restarted',
  ],
  'the same pid and ticks after a reboot': [
    { present: { ...present, qemu: { ...qemu, bootId: 'other' } } },
    'qemu-restarted',
  ],
  'a snapshot that was removed': [{ present: { ...present, base: { state: 'missing' } } }, 'snapshot-missing'],
  'a snapshot that is damaged': [{ present: { ...present, base: { state: 'damaged' } } }, 'snapshot-damaged'],
  'another snapshot under its name': [
    { present: { ...present, base: { state: 'present', volumes: [otherVolume] } } },
    'snapshot-missing',
  ],
  'a snapshot without the disk': [
    { present: { ...present, base: { state: 'present', volumes: [] } } },
    'snapshot-missing',
  ],
  'a disk that had no bitmap': [{ record: { ...record, disks: {} } }, 'disk-new'],
  'a disk that grew': [{ sizeBytes: sizeBytes * 2 }, 'disk-resized'],
  'TPM state': [{ device: 'drive-tpmstate0-backup' }, 'tpm-state'],
} as const satisfies Record<
  string,
  [{ record?: BitmapRecord | null; present?: Present; device?: string; sizeBytes?: number }, string]
>;

for (const [what, [change, reason]] of Object.entries(differences)) {
  test(`reads in full with ${what}`, () => {
    const facts = { record, present, device, sizeBytes, ...change };
    assert.deepEqual(proveBitmap(facts.record, facts.present, facts.device, facts.sizeBytes), { mode: 'full', reason });
  });
}

test('one disk that is not proved does not keep another from being', () => {
  const disks = { [device]: map, 'drive-scsi1': { ...map, sizeBytes: 1024 } };
  const both = { ...record, disks };
  const volumes = Object.entries(disks).map(([name, volume]) => ({ name, ...volume }));
  const now: Present = { ...present, base: { state: 'present', volumes } };
  assert.equal(proveBitmap(both, now, device, sizeBytes).mode, 'incremental');
  assert.deepEqual(proveBitmap(both, now, 'drive-scsi1', 2048), { mode: 'full', reason: 'disk-resized' });
});
