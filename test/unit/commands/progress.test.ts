import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Progress } from '../../../src/commands/progress.js';
import { formatFacts, formatTable, printable } from '../../../src/commands/table.js';

class Screen {
  text = '';
  nowMs = 0;
  readonly progress: Progress;

  constructor(isInteractive: boolean, columns = 80) {
    const terminal = {
      out: () => undefined,
      err: (text: string) => {
        this.text += text;
      },
      isInteractive,
      columns,
      drained: () => Promise.resolve(),
      isOutputGone: false,
    };
    this.progress = new Progress('drive-scsi0', {
      terminal,
      clock: { nowSeconds: () => 0, monotonicMs: () => this.nowMs, sleep: async () => undefined },
    });
  }

  get lines(): string[] {
    return this.text.split('\n').filter(Boolean);
  }

  at(ms: number, done: number, total: number): void {
    this.nowMs = ms;
    this.progress.update(done, total);
  }
}

const MIB = 1048576;

describe('progress in a log', () => {
  it('is one line per 10 %, however often it is updated', () => {
    const screen = new Screen(false);
    for (let step = 0; step <= 1000; step += 1) screen.at(step, step * MIB, 1000 * MIB);
    assert.equal(screen.lines.length, 9);
    assert.match(screen.lines[4] ?? '', /^drive-scsi0: 50% \(500 MiB of 1000 MiB, 1000 MiB\/s, ETA 0\.5s\)$/);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(screen.text, /[\r\x1b]/);
  });

  it('is one line per 10 s where it is slow', () => {
    const screen = new Screen(false);
    for (let second = 0; second <= 60; second += 1) screen.at(second * 1000, second, 10_000);
    assert.equal(screen.lines.length, 6);
  });
});

describe('progress on a terminal', () => {
  it('redraws one line with a bar, rate and ETA, at most five times a second', () => {
    const screen = new Screen(true);
    for (let step = 0; step <= 1000; step += 1) screen.at(step, step * MIB, 1000 * MIB);
    assert.equal(screen.text.split('\r').length - 1, 6);
    assert.match(screen.text, /\rdrive-scsi0 \[#{6,9}\.{9,15}\] {2}40% 400 MiB of 1000 MiB, 1000 MiB\/s, ETA 0\.6s/);
    assert.ok(!screen.text.includes('\n'));
  });

  it('never fills the line, which would scroll', () => {
    const screen = new Screen(true, 40);
    screen.at(500, 1, 2);
    assert.ok((screen.text.replace('\r', '').split('\x1b')[0] ?? '').length < 40);
  });

  it('leaves its last line, and ends one that was given up', () => {
    const finished = new Screen(true);
    finished.at(500, 1, 2);
    finished.progress.finish('all done');
    assert.match(finished.text, /\rdrive-scsi0: all done\x1b\[K\n$/); // eslint-disable-line no-control-regex
    const abandoned = new Screen(true);
    abandoned.at(500, 1, 2);
    abandoned.progress.abandon();
    abandoned.progress.abandon();
    assert.ok(abandoned.text.endsWith('\n') && !abandoned.text.endsWith('\n\n'));
  });
});

describe('tables', () => {
  it('aligns columns and leaves no blanks at the end', () => {
    const table = formatTable(
      [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }],
      [
        ['ä', '1'],
        ['long name', '20000'],
      ],
    );
    assert.equal(table, 'NAME        SIZE\nä              1\nlong name  20000\n');
  });

  it('puts values below each other', () => {
    assert.equal(
      formatFacts([
        ['a', '1'],
        ['long', '2'],
      ]),
      'a:     1\nlong:  2\n',
    );
  });

  it('makes text from elsewhere harmless', () => {
    assert.equal(printable('a\x1b[31mb\nc\u202ed\0'), 'a [31mb c d ');
  });
});
