import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatCompactTime,
  formatIsoTime,
  formatUnderscoredTime,
  isTimeSeconds,
  LAST_TIME_SECONDS,
  parseCompactTime,
  parseIsoTime,
  parseUnderscoredTime,
} from '../../../src/lib/time.js';

describe('times', () => {
  it('writes one second in three spellings', () => {
    assert.equal(formatIsoTime(1795321034), '2026-11-22T04:17:14Z');
    assert.equal(formatCompactTime(1795321034), '20261122T041714Z');
    assert.equal(formatUnderscoredTime(1795321034), '2026_11_22-04_17_14');
  });

  it('reads back what it writes, for every second that it can write', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: LAST_TIME_SECONDS }), (seconds) => {
        assert.equal(parseIsoTime(formatIsoTime(seconds)), seconds);
        assert.equal(parseCompactTime(formatCompactTime(seconds)), seconds);
        assert.equal(parseUnderscoredTime(formatUnderscoredTime(seconds)), seconds);
      }),
    );
  });

  it('keeps the order of times in the names of directories', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: LAST_TIME_SECONDS }),
        fc.integer({ min: 0, max: LAST_TIME_SECONDS }),
        (a, b) => {
          assert.equal(a < b, formatCompactTime(a) < formatCompactTime(b));
        },
      ),
    );
  });

  it('refuses days and hours that do not exist, and any other spelling', () => {
    const refused = [
      '2026-02-29T00:00:00Z',
      '2026-13-01T00:00:00Z',
      '2026-11-31T00:00:00Z',
      '2026-11-22T24:00:00Z',
      '2026-11-22T23:59:60Z',
      '1969-12-31T23:59:59Z',
      '2026-11-22T04:17:14',
      '2026-11-22T04:17:14+00:00',
      '2026-11-22T04:17:14.000Z',
      '2026-11-22 04:17:14Z',
      '2026-11-22T04:17:14Z\n',
      '+02026-11-22T04:17:14Z',
      '',
    ];
    for (const text of refused) assert.equal(parseIsoTime(text), null, text);
  });

  it('knows which numbers are times', () => {
    for (const good of [0, 1, LAST_TIME_SECONDS]) assert.equal(isTimeSeconds(good), true);
    for (const bad of [-1, 0.5, Number.NaN, Infinity, LAST_TIME_SECONDS + 1]) assert.equal(isTimeSeconds(bad), false);
  });
});
