import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { VolumeProgress } from '../../../src/engine/types.js';
import { BackupProgress, driveLine, type ProgressDisk } from '../../../src/provider/backup-progress.js';
import type { FullReason } from '../../../src/provider/incremental-proof.js';
import { rejectsWith } from '../../support/assertions.js';
import { idOf } from '../../support/documents.js';
import { ManualClock } from '../../support/manual-clock.js';
import { projectRoot } from '../../support/project.js';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

function counters(sizeBytes: number, changes: Partial<VolumeProgress> = {}): VolumeProgress {
  return {
    ...{ sizeBytes, processedBytes: 0, unchangedBytes: 0, readBytes: 0, zeroBytes: 0, reusedBytes: 0, newBytes: 0 },
    ...{ writtenBytes: 0, discardedBytes: 0, ...changes },
  };
}

const full = (device: string, sizeBytes: number): ProgressDisk => ({
  ...{ device, sizeBytes, bitmapMode: 'new', dirtyBytes: sizeBytes },
});
const incremental = (device: string, sizeBytes: number, dirtyBytes: number | null): ProgressDisk => ({
  ...{ device, sizeBytes, bitmapMode: 'reuse', dirtyBytes },
});

describe('the line at the beginning of a drive', () => {
  it('says since when only changes are read', () => {
    const line = driveLine('drive-scsi0', 32 * GIB, { mode: 'incremental', since: idOf(100) });
    assert.equal(
      line,
      'drive-scsi0: 32.0 GiB, mode incremental: only what changed since qemu/100@2026-11-22T04:17:14Z is read',
    );
  });

  it('says why all is read', () => {
    const line = driveLine('drive-scsi0', 32 * GIB, { mode: 'full', reason: 'disk-resized' });
    assert.equal(line, 'drive-scsi0: 32.0 GiB, mode full: the disk has another size than in the last backup');
  });
});

describe('the reasons for reading all', () => {
  const reasons: Readonly<Record<FullReason, true>> = {
    ...{ 'no-record': true, 'qemu-unknown': true, 'qemu-restarted': true, 'repository-changed': true },
    ...{ 'snapshot-missing': true, 'snapshot-damaged': true, 'disk-new': true, 'disk-resized': true },
    ...{ 'tpm-state': true, 'bitmap-lost': true, 'bitmap-none': true },
  };
  const page = readFileSync(join(projectRoot, 'docs/operations.md'), 'utf8');

  for (const reason of Object.keys(reasons) as FullReason[]) {
    it(`are explained to an administrator: ${reason}`, () => {
      const line = driveLine('drive-scsi0', GIB, { mode: 'full', reason });
      const text = line.replace(/^.*mode full: /, '').replace(/ \(.*$/, '');
      assert.ok(page.includes(`\n| ${text} |`), text);
    });
  }
});

describe('the progress of a drive', () => {
  it('is said at each 10 %, once', () => {
    const clock = new ManualClock();
    const progress = new BackupProgress([full('drive-scsi0', 10 * GIB)], clock);
    progress.begin('drive-scsi0');
    const said: string[] = [];
    for (let percent = 0; percent <= 100; percent += 1) {
      clock.advance(10);
      const line = progress.update('drive-scsi0', counters(10 * GIB, { processedBytes: (percent * 10 * GIB) / 100 }));
      if (line !== null) said.push(line);
    }
    assert.deepEqual(
      said.map((line) => /: (\d+)%/.exec(line)?.[1]),
      ['10', '20', '30', '40', '50', '60', '70', '80', '90'],
    );
  });

  it('is said every 10 s where nothing moves', () => {
    const clock = new ManualClock();
    const progress = new BackupProgress([full('drive-scsi0', GIB)], clock);
    let said = 0;
    for (let second = 0; second < 60; second += 1) {
      clock.advance(1000);
      if (progress.update('drive-scsi0', counters(GIB, { processedBytes: 1 })) !== null) said += 1;
    }
    assert.equal(said, 6);
  });

  it('tells percent, amounts, and rates since the line before', () => {
    const clock = new ManualClock();
    const progress = new BackupProgress([full('drive-scsi0', 10 * GIB)], clock);
    clock.advance(2000);
    const first = { processedBytes: 5 * GIB, readBytes: GIB, writtenBytes: 512 * MIB };
    assert.equal(
      progress.update('drive-scsi0', counters(10 * GIB, first)),
      'drive-scsi0: 50% (5.00 GiB of 10.0 GiB), read 1.00 GiB (512 MiB/s), written 512 MiB (256 MiB/s)',
    );
    clock.advance(10_000);
    const second = { processedBytes: 5 * GIB + 1000 * MIB, readBytes: GIB + 1000 * MIB, writtenBytes: 512 * MIB };
    assert.equal(
      progress.update('drive-scsi0', counters(10 * GIB, second)),
      'drive-scsi0: 59% (5.98 GiB of 10.0 GiB), read 1.98 GiB (100 MiB/s), written 512 MiB (0 B/s)',
    );
  });

  it('is of the dirty data where only that is read', () => {
    const clock = new ManualClock();
    const progress = new BackupProgress([incremental('drive-scsi0', 64 * GIB, 16 * MIB)], clock);
    const half = { processedBytes: 40 * GIB, unchangedBytes: 40 * GIB - 8 * MIB, readBytes: 8 * MIB };
    assert.equal(
      progress.update('drive-scsi0', counters(64 * GIB, { ...half, processedBytes: half.unchangedBytes })),
      null,
    );
    clock.advance(1000);
    assert.match(
      progress.update('drive-scsi0', counters(64 * GIB, half)) ?? '',
      /^drive-scsi0: 50% \(8\.00 MiB of 16\.0 MiB\), read 8\.00 MiB \(8\.00 MiB\/s\)/,
    );
    const all = { processedBytes: 64 * GIB, unchangedBytes: 64 * GIB - 16 * MIB, readBytes: 16 * MIB };
    clock.advance(1000);
    assert.match(
      progress.finish('drive-scsi0', counters(64 * GIB, all)),
      /^drive-scsi0: 100% \(16\.0 MiB dirty of 64\.0 GiB\) in 2\.0s, read 16\.0 MiB \(8\.00 MiB\/s\), written 0 B/,
    );
  });

  it('is of the whole disk where the count of dirty data is not known, or is no bitmap that is used', () => {
    for (const disk of [incremental('drive-scsi0', GIB, null), { ...full('drive-scsi0', GIB), dirtyBytes: 0 }]) {
      const progress = new BackupProgress([disk], new ManualClock());
      const line = progress.update('drive-scsi0', counters(GIB, { processedBytes: GIB / 2 }));
      assert.match(line ?? '', /^drive-scsi0: 50% \(512 MiB of 1\.00 GiB\)/);
    }
  });

  it('has an end that tells averages', () => {
    const clock = new ManualClock();
    const progress = new BackupProgress([full('drive-scsi0', GIB)], clock);
    clock.advance(60_000);
    progress.begin('drive-scsi0');
    clock.advance(4000);
    const done = counters(GIB, { processedBytes: GIB, readBytes: GIB, writtenBytes: 100 * MIB });
    assert.equal(
      progress.finish('drive-scsi0', done),
      'drive-scsi0: 100% (1.00 GiB) in 4.0s, read 1.00 GiB (256 MiB/s), written 100 MiB (25.0 MiB/s)',
    );
  });

  it('is finished at once where there is nothing to do', () => {
    const disks = [full('drive-efidisk0', 0), incremental('drive-scsi0', GIB, 0)];
    const progress = new BackupProgress(disks, new ManualClock());
    assert.equal(progress.update('drive-efidisk0', counters(0)), null);
    assert.match(
      progress.finish('drive-efidisk0', counters(0)),
      /^drive-efidisk0: 100% \(0 B\) in 0\.0s, read 0 B \(-\)/,
    );
    const unchanged = counters(GIB, { processedBytes: GIB, unchangedBytes: GIB });
    assert.equal(progress.update('drive-scsi0', unchanged), null);
    assert.match(progress.finish('drive-scsi0', unchanged), /^drive-scsi0: 100% \(0 B dirty of 1\.00 GiB\)/);
  });

  it('is of no more than the disk, though QEMU counts a whole granule at its end', () => {
    const progress = new BackupProgress([incremental('drive-efidisk0', 540_672, 4 * MIB)], new ManualClock());
    const line = progress.update('drive-efidisk0', counters(540_672, { processedBytes: 270_336 }));
    assert.match(line ?? '', /^drive-efidisk0: 50% \(264 KiB of 528 KiB\)/);
  });

  it('is never beyond 100 % where the source moves more than was counted', () => {
    const progress = new BackupProgress([incremental('a', GIB, MIB), full('b', GIB)], new ManualClock());
    assert.equal(progress.update('a', counters(GIB, { processedBytes: 2 * MIB })), null);
  });

  it('is refused for a drive that nobody announced', async () => {
    const progress = new BackupProgress([], new ManualClock());
    await rejectsWith(
      'E_INTERNAL',
      Promise.resolve().then(() => progress.update('drive-scsi0', counters(1))),
    );
  });
});

describe('the progress of several drives', () => {
  const disks = [full('drive-scsi0', GIB), incremental('drive-scsi1', 100 * GIB, GIB)];

  it('is that of each and of all', () => {
    const clock = new ManualClock();
    const progress = new BackupProgress(disks, clock);
    clock.advance(1000);
    const first = counters(GIB, { processedBytes: GIB / 2, readBytes: GIB / 2 });
    assert.match(
      progress.update('drive-scsi0', first) ?? '',
      /^drive-scsi0: 50% \(512 MiB of 1\.00 GiB\); all drives: 25% \(512 MiB of 2\.00 GiB\), read 512 MiB \(512 MiB\/s\)/,
    );
    clock.advance(1000);
    progress.finish('drive-scsi0', counters(GIB, { processedBytes: GIB, readBytes: GIB }));
    progress.begin('drive-scsi1');
    clock.advance(1000);
    const second = { processedBytes: 50 * GIB, unchangedBytes: 49.5 * GIB, readBytes: GIB / 2 };
    assert.match(
      progress.update('drive-scsi1', counters(100 * GIB, second)) ?? '',
      /^drive-scsi1: 50% .*; all drives: 75% \(1\.50 GiB of 2\.00 GiB\), read 1\.50 GiB \(512 MiB\/s\)/,
    );
  });

  it('has a line each 10 % of the sum, so that many drives do not make many lines', () => {
    const clock = new ManualClock();
    const many = Array.from({ length: 20 }, (_, n) => full(`drive-scsi${n}`, GIB));
    const progress = new BackupProgress(many, clock);
    let said = 0;
    for (const { device } of many) {
      progress.begin(device);
      for (let percent = 0; percent <= 100; percent += 5) {
        clock.advance(1);
        if (progress.update(device, counters(GIB, { processedBytes: (percent * GIB) / 100 })) !== null) said += 1;
      }
      progress.finish(device, counters(GIB, { processedBytes: GIB }));
    }
    assert.ok(said <= 10, `${said} lines`);
  });

  it('ends with what was transferred, reused, sparse and new', () => {
    const clock = new ManualClock();
    const progress = new BackupProgress(disks, clock);
    progress.finish('drive-scsi0', counters(GIB, { readBytes: GIB, zeroBytes: GIB / 2, reusedBytes: GIB / 2 }));
    const second = { unchangedBytes: 99 * GIB, readBytes: GIB, newBytes: GIB, writtenBytes: GIB / 4 };
    progress.finish('drive-scsi1', counters(100 * GIB, second));
    clock.advance(4000);
    const summary = [
      'transferred 2.00 GiB in 4.0s (512 MiB/s)',
      'reused 99.5 GiB (98%): 99.0 GiB unchanged and not read, 512 MiB read and stored already',
      'sparse 512 MiB (0%)',
      'new 1.00 GiB (0%), written 256 MiB; the repository grew by 257 MiB',
    ];
    assert.deepEqual(progress.summary(257 * MIB), summary);
    progress.finish('drive-scsi1', counters(100 * GIB, { ...second, discardedBytes: 900 * MIB }));
    assert.deepEqual(progress.summary(257 * MIB), [...summary, 'gave 900 MiB of the fleecing images back']);
  });
});
