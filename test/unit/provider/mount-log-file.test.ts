import assert from 'node:assert/strict';
import { appendFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { mountLimits } from '../../../src/lib/limits.js';
import { MountLogFile } from '../../../src/provider/mount-log-file.js';
import { cleanupsOf } from '../../support/temp.js';

function begun(test: TestContext): { path: string; log: MountLogFile } {
  const path = join(cleanupsOf(test).directory(), 'log');
  return { path, log: new MountLogFile(path) };
}

test('gives out each line once, when it is whole', (t) => {
  const { path, log } = begun(t);
  assert.deepEqual(log.take(), []);
  writeFileSync(path, 'one\ntwo\nthr');
  assert.deepEqual(log.take(), ['one', 'two']);
  assert.deepEqual(log.take(), []);
  appendFileSync(path, 'ee\n\nfour\n');
  assert.deepEqual(log.take(), ['three', 'four']);
});

test('keeps what was not given out beyond the end of the file', (t) => {
  const { path, log } = begun(t);
  writeFileSync(path, 'one\ntwo\nthree');
  log.keepRest();
  rmSync(path);
  log.keepRest();
  assert.deepEqual(log.take(), ['one', 'two', 'three']);
  assert.deepEqual(log.take(), []);
});

test('leaves out the earlier part of what is too much, and says so', (t) => {
  const { path, log } = begun(t);
  const line = 'x'.repeat(99);
  writeFileSync(path, `${line}\n`.repeat(1000));
  const lines = log.take();
  const shown = Math.floor(mountLimits.logReadBytes / 100);
  assert.equal(lines[0], `(${100 * (1000 - shown)} bytes were left out here)`);
  assert.deepEqual(lines.slice(1), Array(shown).fill(line));
  assert.deepEqual(log.take(), []);
});

test('empties a file that grew long, and goes on with it', (t) => {
  const { path, log } = begun(t);
  writeFileSync(path, 'x\n'.repeat(mountLimits.logFileBytes));
  log.take();
  assert.equal(statSync(path).size, 0);
  appendFileSync(path, 'more\n');
  assert.deepEqual(log.take(), ['more']);
});

test('a line without an end does not hold up what comes after it', (t) => {
  const { path, log } = begun(t);
  writeFileSync(path, 'x'.repeat(2 * mountLimits.logReadBytes));
  log.take();
  appendFileSync(path, '\nafter\n');
  assert.deepEqual(log.take().slice(-1), ['after']);
});
