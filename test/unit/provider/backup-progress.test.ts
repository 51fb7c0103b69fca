import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addProgress, DriveProgress, noProgress, summaryLines } from '../../../src/provider/backup-progress.js';
import { ManualClock } from '../../support/manual-clock.js';

const GIB = 1024 ** 3;
const at = (processedBytes: number, readBytes = processedBytes): typeof noProgress => ({
  ...noProgress,
  sizeBytes: 10 * GIB,
  processedBytes,
  readBytes,
});

test('says a line at each 10 %, once', () => {
  const clock = new ManualClock();
  const lines = new DriveProgress('drive-scsi0', clock);
  const said: string[] = [];
  for (let percent = 0; percent <= 100; percent += 1) {
    clock.advance(10);
    const line = lines.update(at((percent * 10 * GIB) / 100));
    if (line !== null) said.push(line);
  }
  assert.deepEqual(
    said.map((line) => /: (\d+)%/.exec(line)?.[1]),
    ['10', '20', '30', '40', '50', '60', '70', '80', '90'],
  );
});

test('says a line every 10 s where nothing moves', () => {
  const clock = new ManualClock();
  const lines = new DriveProgress('drive-scsi0', clock);
  let said = 0;
  for (let second = 0; second < 60; second += 1) {
    clock.advance(1000);
    if (lines.update(at(1)) !== null) said += 1;
  }
  assert.equal(said, 6);
});

test('a line tells drive, percent, sizes and rate', () => {
  const clock = new ManualClock();
  const lines = new DriveProgress('drive-scsi0', clock);
  clock.advance(2000);
  const line = lines.update(at(5 * GIB, 1 * GIB));
  assert.equal(line, 'drive-scsi0: 50% (5.00 GiB of 10.0 GiB), read 1.00 GiB (512 MiB/s), new 0 B');
});

test('an empty drive is finished at once', () => {
  const lines = new DriveProgress('drive-efidisk0', new ManualClock());
  assert.equal(lines.update(noProgress), null);
  assert.match(lines.finished(noProgress), /^drive-efidisk0: 100% \(0 B\) in 0\.0s/);
});

test('the summary tells what was transferred, new, reused and sparse', () => {
  const total = {
    ...noProgress,
    sizeBytes: 10 * GIB,
    readBytes: 4 * GIB,
    newBytes: GIB,
    reusedBytes: 3 * GIB,
    zeroBytes: 6 * GIB,
  };
  assert.deepEqual(summaryLines(total, GIB / 2, 4000), [
    'transferred 4.00 GiB in 4.0s (1.00 GiB/s)',
    'new 1.00 GiB, reused 3.00 GiB, sparse 6.00 GiB: 90% of 10.0 GiB needed no storing; the repository grew by 512 MiB',
  ]);
});

test('sums drives', () => {
  assert.deepEqual(addProgress(at(1), at(2)), { ...at(3), sizeBytes: 20 * GIB });
});
