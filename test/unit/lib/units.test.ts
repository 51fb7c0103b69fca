import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatBytes,
  formatDuration,
  formatRate,
  formatRatio,
  GIB,
  parseBytes,
  percent,
} from '../../../src/lib/units.js';

describe('sizes', () => {
  it('reads 512K, 4M and 1GiB in any case, and plain bytes', () => {
    const sizes: [string, number][] = [
      ['0', 0],
      ['42', 42],
      ['42B', 42],
      ['512K', 524288],
      ['512k', 524288],
      ['4M', 4194304],
      ['4 MiB', 4194304],
      ['1GiB', GIB],
      ['1gb', GIB],
      ['2T', 2 * 1024 * GIB],
    ];
    for (const [text, bytes] of sizes) assert.equal(parseBytes(text), bytes, text);
  });

  it('refuses what is no size or no exact number', () => {
    for (const text of [
      '',
      'K',
      '-1',
      '+1',
      '1e3',
      '0x10',
      '1,5G',
      '4 M M',
      '99999999999999999',
      '9007199254740993',
      '١',
    ]) {
      assert.equal(parseBytes(text), undefined, text);
    }
  });

  it('writes at most three significant digits, and never 1024 of a unit', () => {
    assert.deepEqual([0, 1, 1023, 1024, 1536, 10240, 1048575, 1048576, 68719476736].map(formatBytes), [
      '0 B',
      '1 B',
      '1023 B',
      '1.00 KiB',
      '1.50 KiB',
      '10.0 KiB',
      '1.00 MiB',
      '1.00 MiB',
      '64.0 GiB',
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (bytes) => {
        assert.match(formatBytes(bytes), /^(\d{1,4}|\d\.\d\d|\d\d\.\d) [KMGTP]?i?B$/);
        assert.ok(!formatBytes(bytes).startsWith('1024'), String(bytes));
      }),
    );
  });
});

describe('rates, durations and shares', () => {
  it('has no rate where no time has passed', () => {
    assert.equal(formatRate(1048576, 1000), '1.00 MiB/s');
    assert.equal(formatRate(1048576, 0), '-');
  });

  it('writes durations with the two units that matter', () => {
    assert.deepEqual([0, 400, 59_000, 75_000, 3_600_000, 7_260_000].map(formatDuration), [
      '0.0s',
      '0.4s',
      '59.0s',
      '1m 15s',
      '1h 0m',
      '2h 1m',
    ]);
  });

  it('says 100 % only when all is done', () => {
    assert.equal(percent(999, 1000), 99);
    assert.equal(percent(1000, 1000), 100);
    assert.equal(percent(0, 0), 100);
    assert.equal(percent(2000, 1000), 100);
  });

  it('has no ratio to nothing', () => {
    assert.equal(formatRatio(100, 0), '-');
    assert.equal(formatRatio(100, 50), '2.00x');
    assert.equal(formatRatio(123456, 1000), '123x');
  });
});
