import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { taskLogLimits } from '../../../src/lib/limits.js';
import { formatLocalTime, TaskLog } from '../../../src/provider/task-log.js';

/** 2026-11-22 04:17:14 in UTC. */
const SECOND = 1_795_321_034;

class WallClock {
  constructor(public seconds = SECOND) {}

  nowSeconds(): number {
    return this.seconds;
  }
}

/** Times of day of SECOND's minute. */
function lines(...seconds: number[]): string {
  return seconds.map((second) => `2026-11-22 04:17:${second} INFO: theirs ${second}\n`).join('');
}

function inZone(zone: string): void {
  const before = process.env['TZ'];
  beforeEach(() => {
    process.env['TZ'] = zone;
  });
  afterEach(() => {
    if (before === undefined) Reflect.deleteProperty(process.env, 'TZ');
    else process.env['TZ'] = before;
  });
}

/** A log that got `ours` at these seconds of the minute. */
function logWith(...seconds: number[]): TaskLog {
  const clock = new WallClock();
  const log = new TaskLog(clock);
  for (const second of seconds) {
    clock.seconds = SECOND - 14 + second;
    log.add('info', `ours ${second}`);
  }
  return log;
}

function orderOf(merged: Buffer): string[] {
  return merged
    .toString('latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.replace(/^.*: /, ''));
}

describe('our lines in the log of a task', () => {
  inZone('UTC');

  it('look as those of Proxmox VE', () => {
    const log = new TaskLog(new WallClock());
    log.add('info', 'drive-scsi0: 10%');
    log.add('warn', 'no discard');
    log.add('err', 'two\n lines, büro');
    assert.equal(
      log.merge(Buffer.alloc(0)).toString(),
      '2026-11-22 04:17:14 INFO: drive-scsi0: 10%\n' +
        '2026-11-22 04:17:14 WARN: no discard\n' +
        '2026-11-22 04:17:14 ERROR: two lines, büro\n',
    );
  });

  it('stand where they were said, behind what Proxmox VE said in the same second', () => {
    const merged = logWith(15, 16, 20).merge(Buffer.from(lines(14, 16, 18, 20, 21)));
    assert.deepEqual(orderOf(merged), [
      ...['theirs 14', 'ours 15', 'theirs 16', 'ours 16', 'theirs 18', 'theirs 20', 'ours 20', 'theirs 21'],
    ]);
  });

  it('stand before what Proxmox VE said in the same second, once the disks had been read', () => {
    const said = ['starting', 'adding NBD export for drive-scsi0', 'adding NBD export for drive-scsi1', 'tearing down'];
    const file = said.map((text) => `2026-11-22 04:17:16 INFO: ${text}\n`).join('') + lines(16, 17);
    assert.deepEqual(orderOf(logWith(16, 16).merge(Buffer.from(file))), [
      ...[...said.slice(0, 3), 'ours 16', 'ours 16', 'tearing down', 'theirs 16', 'theirs 17'],
    ]);
  });

  it('leave a file as it is where there are none, but for the newline at its end', () => {
    const file = Buffer.from(lines(14, 15));
    assert.deepEqual(new TaskLog(new WallClock()).merge(file), file);
    assert.deepEqual(new TaskLog(new WallClock()).merge(file.subarray(0, -1)), file);
    assert.equal(new TaskLog(new WallClock()).merge(Buffer.alloc(0)).length, 0);
  });

  it('never come between a line and what belongs to it', () => {
    const file = 'a beginning\n' + lines(14) + 'more of it\n2026-99-99 04:17:16 no time\n\n' + lines(18);
    const merged = logWith(13, 15, 18).merge(Buffer.from(file)).toString();
    assert.equal(
      merged,
      'a beginning\n2026-11-22 04:17:13 INFO: ours 13\n' +
        (lines(14) + 'more of it\n2026-99-99 04:17:16 no time\n\n2026-11-22 04:17:15 INFO: ours 15\n') +
        (lines(18) + '2026-11-22 04:17:18 INFO: ours 18\n'),
    );
  });

  it('leave bytes that are no text as they are', () => {
    const file = Buffer.concat([
      Buffer.from(lines(14)),
      Buffer.from([0xff, 0xfe, 0, 0x0d, 0x0a]),
      Buffer.from(lines(16)),
    ]);
    const merged = logWith(15).merge(file);
    const ours = Buffer.from('2026-11-22 04:17:15 INFO: ours 15\n');
    const at = merged.indexOf(ours);
    assert.deepEqual(Buffer.concat([merged.subarray(0, at), merged.subarray(at + ours.length)]), file);
    assert.equal(at, lines(14).length + 5);
  });

  it('keep their order where the clock is set back, ours and theirs', () => {
    const merged = logWith(20, 10, 21).merge(Buffer.from(lines(19, 12, 13, 21)));
    assert.deepEqual(orderOf(merged), [
      ...['theirs 19', 'theirs 12', 'theirs 13', 'ours 20', 'ours 10', 'theirs 21', 'ours 21'],
    ]);
  });
});

describe('a task in the night when clocks are set back', () => {
  inZone('Europe/Berlin');
  /** 2026-10-25 02:30:00, the first of two. */
  const first = Date.UTC(2026, 9, 25, 0, 30) / 1000;

  function merge(startSeconds: number, theirs: number[], ours: number[]): string[] {
    const clock = new WallClock(startSeconds);
    const log = new TaskLog(clock);
    for (const seconds of ours) {
      clock.seconds = seconds;
      log.add('info', `ours ${seconds - first}`);
    }
    const file = theirs.map((seconds) => `${formatLocalTime(seconds)} INFO: theirs ${seconds - first}\n`).join('');
    return orderOf(log.merge(Buffer.from(file)));
  }

  it('names two moments alike', () => {
    assert.equal(formatLocalTime(first), '2026-10-25 02:30:00');
    assert.equal(formatLocalTime(first + 3600), '2026-10-25 02:30:00');
  });

  it('keeps the order across the hour', () => {
    const order = merge(
      first,
      [first, first + 1740, first + 2000, first + 5000, first + 9000],
      [first + 10, first + 1900, first + 4000],
    );
    assert.deepEqual(order, [
      ...['theirs 0', 'ours 10', 'theirs 1740', 'ours 1900', 'theirs 2000', 'ours 4000', 'theirs 5000', 'theirs 9000'],
    ]);
  });

  it('keeps the order within the second of the two hours', () => {
    const later = first + 3600;
    const order = merge(later, [later - 1, later + 5, later + 20], [later + 1, later + 10]);
    assert.deepEqual(order, ['theirs 3599', 'ours 3601', 'theirs 3605', 'ours 3610', 'theirs 3620']);
  });
});

describe('a log that is too long', () => {
  inZone('UTC');

  it('keeps the first and the last of our lines and says how many are missing', () => {
    const clock = new WallClock();
    const log = new TaskLog(clock);
    const count = 50_000;
    for (let n = 0; n < count; n += 1) {
      clock.seconds += 1;
      log.add('info', `line ${n} ${'x'.repeat(40)}`);
    }
    const merged = log.merge(Buffer.alloc(0));
    assert.ok(merged.length <= taskLogLimits.headBytes + taskLogLimits.tailBytes + 100);
    const numbers = [...merged.toString().matchAll(/line (\d+) /g)].map((match) => Number(match[1]));
    assert.equal(numbers[0], 0);
    assert.equal(numbers.at(-1), count - 1);
    const leftOut = Number(/INFO: \((\d+) lines were left out here\)/.exec(merged.toString())?.[1]);
    assert.equal(numbers.length + leftOut, count);
    assert.ok(leftOut > 0);
  });

  it('cuts a line', () => {
    const log = new TaskLog(new WallClock());
    log.add('info', 'y'.repeat(1_000_000));
    assert.equal(
      log.merge(Buffer.alloc(0)).length,
      '2026-11-22 04:17:14 INFO: \n'.length + taskLogLimits.lineCharacters,
    );
  });

  it('loses nothing of a file as long as the plugin sends, and is bounded whatever comes', () => {
    const whole = Buffer.from(lines(14).repeat(100_000));
    const merged = logWith(13, 15).merge(whole);
    assert.equal(merged.length, whole.length + 2 * '2026-11-22 04:17:15 INFO: ours 15\n'.length);

    const huge = Buffer.from(`${lines(14).repeat(300_000)}2026-11-22 04:17:59 INFO: the end\n`);
    const cut = logWith(13, 59).merge(huge).toString();
    assert.ok(cut.length <= taskLogLimits.mergedBytes);
    assert.match(cut, /^2026-11-22 04:17:13 INFO: ours 13\n/);
    assert.match(cut, /\n\(the middle of this log was left out: .*\)\n2026-11-22 04:17:14 /);
    assert.ok(cut.endsWith('INFO: the end\n2026-11-22 04:17:59 INFO: ours 59\n'));
    for (const line of cut.split('\n')) assert.match(line, /^(2026-11-22 04:17:\d\d INFO: .*|\(the middle .*|)$/);
  });

  it('takes a file in which each second differs from the one before', () => {
    const whole = Buffer.from(lines(14, 15).repeat(200_000));
    const merged = logWith(13, 15).merge(whole);
    assert.ok(merged.length <= taskLogLimits.mergedBytes);
    assert.deepEqual(orderOf(merged.subarray(0, 200)).slice(0, 3), ['ours 13', 'theirs 14', 'theirs 15']);
  });

  it('is bounded where there is no line to cut at', () => {
    const merged = logWith(14).merge(Buffer.alloc(20 * 1024 * 1024, 0x7a));
    assert.ok(merged.length <= taskLogLimits.mergedBytes);
    assert.ok(merged.includes('(the middle of this log was left out'));
    assert.ok(merged.toString('latin1').endsWith('ours 14\n'));
  });
});

describe('any file with any lines of ours', () => {
  inZone('Europe/Berlin');
  const stamps = fc
    .integer({ min: SECOND - 100, max: SECOND + 100 })
    .map((seconds) => `${formatLocalTime(seconds)} INFO: x`);
  const pieces = fc.oneof(
    stamps.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 30 }),
  );
  const files = fc.array(pieces, { maxLength: 30 }).map((parts) => parts.flatMap((part) => [...part, 0x0a]));

  it('come out whole, each in its own order', () => {
    fc.assert(
      fc.property(files, fc.array(fc.integer({ min: -100, max: 100 }), { maxLength: 20 }), (bytes, seconds) => {
        const clock = new WallClock();
        const log = new TaskLog(clock);
        for (const [n, second] of seconds.entries()) {
          clock.seconds = SECOND + second;
          log.add('info', `vzvault ${n}.`);
        }
        const file = Buffer.from(bytes);
        const merged = log.merge(file).toString('latin1');
        const isOurs = /^.{19} INFO: vzvault (\d+)\.$/;
        const all = merged.split('\n');
        assert.deepEqual(all.filter((line) => !isOurs.test(line)).join('\n'), file.toString('latin1'));
        const numbers = all.map((line) => isOurs.exec(line)?.[1]).filter((number) => number !== undefined);
        assert.deepEqual(numbers.map(Number), [...seconds.keys()]);
      }),
    );
  });
});
