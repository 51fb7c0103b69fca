import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { BitmapRecordFiles } from '../../../src/provider/bitmap-records.js';
import type { BitmapRecord } from '../../../src/provider/incremental-proof.js';
import { throwsWith } from '../../support/assertions.js';
import { cleanupsOf } from '../../support/temp.js';

const guest = { guestType: 'qemu', vmid: 100 } as const;
const record: BitmapRecord = {
  ...guest,
  ...{ storageId: 'nas', instance: '', repositoryId: 'r1', timeSeconds: 1_795_321_034 },
  qemu: { bootId: 'boot', pid: 4711, startTicks: 99 },
  disks: { 'drive-scsi0': { sizeBytes: 8, chunkSizeBytes: 4, levels: 1, rootId: 'ab'.repeat(32) } },
};

function setUp(t: TestContext): { records: BitmapRecordFiles; file: string } {
  const directory = cleanupsOf(t).directory();
  return { records: new BitmapRecordFiles(directory), file: join(directory, 'bitmaps/nas/qemu-100.json') };
}

test('a record is read as it was written, by a later daemon too, and only for its storage and guest', (t) => {
  const { records, file } = setUp(t);
  assert.equal(records.read('nas', guest), null);
  records.write(record);
  assert.deepEqual(new BitmapRecordFiles(join(file, '../../..')).read('nas', guest), record);
  assert.equal(records.read('nas2', guest), null);
  assert.equal(records.read('nas', { ...guest, vmid: 101 }), null);
  assert.deepEqual(readdirSync(join(file, '..')), ['qemu-100.json']);
});

test('a later record replaces it, removing takes it away, also twice', (t) => {
  const { records } = setUp(t);
  records.write(record);
  records.write({ ...record, timeSeconds: record.timeSeconds + 1 });
  assert.equal(records.read('nas', guest)?.timeSeconds, record.timeSeconds + 1);
  records.remove('nas', guest);
  records.remove('nas', guest);
  assert.equal(records.read('nas', guest), null);
});

for (const [what, spoil] of Object.entries({
  'cut short': (text: string) => text.slice(0, 40),
  empty: () => '',
  'of another version': (text: string) => text.replace('"version":1', '"version":2'),
  'of another storage': (text: string) => text.replace('"nas"', '"nas3"'),
  'without an identity': (text: string) => text.replace('"pid":4711', '"pid":0'),
})) {
  test(`a record that is ${what} counts as none`, (t) => {
    const { records, file } = setUp(t);
    records.write(record);
    writeFileSync(file, spoil(readFileSync(file, 'utf8')));
    assert.equal(records.read('nas', guest), null);
  });
}

test('where a record cannot be replaced the old one is removed, since it is wrong by then', (t) => {
  const { records, file } = setUp(t);
  records.write(record);
  mkdirSync(`${file}.new/x`, { recursive: true });
  throwsWith('E_INTERNAL', () => {
    records.write({ ...record, timeSeconds: record.timeSeconds + 1 });
  });
  assert.equal(records.read('nas', guest), null);
});
