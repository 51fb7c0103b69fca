import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { mountLimits, serverLimits } from '../../../src/lib/limits.js';
import { silentLogger } from '../../../src/lib/logger.js';
import { MountFaults } from '../../../src/provider/mount-faults.js';

function reported(lines: readonly string[]): string[] {
  const faults = new MountFaults(silentLogger());
  faults.addLines(lines);
  const said: string[] = [];
  for (const _ of [1, 2]) faults.report((level, line) => said.push(`${level}: ${line}`));
  return said;
}

const { hint } = new VzvaultError('E_CHUNK_DAMAGED', '');

test('an error of vzvault-fuse is one line with its code and hint, however often it comes', () => {
  const line = 'vzvault-fuse: error E_CHUNK_DAMAGED: reading bytes 0 to 4096 of root.tar: chunk 0c4f';
  assert.deepEqual(reported([line, line]), [
    `err: reading bytes 0 to 4096 of root.tar: chunk 0c4f (E_CHUNK_DAMAGED: ${hint})`,
  ]);
});

test('anything else is for the log of the daemon only', () => {
  const others = ['vzvault-fuse: info: stats reads=1', 'vzvault-fuse: error E_NONE: x', 'terminate called', ''];
  assert.deepEqual(reported(others), []);
});

test('text of a backup can neither steer a terminal nor grow without end', () => {
  const [line = ''] = reported([`vzvault-fuse: error E_CHUNK_DAMAGED: a\u001b[31m\u009bb\u007f${'x'.repeat(9000)}`]);
  assert.match(line, /^err: a \[31m b x+ \(E_CHUNK_DAMAGED: /);
  assert.ok(line.length < serverLimits.logLineCharacters);
});

test('more errors than anybody reads are counted', () => {
  const lines = Array.from({ length: mountLimits.faults + 3 }, (_, n) => `vzvault-fuse: error E_CHUNK_DAMAGED: ${n}`);
  const said = reported(lines);
  assert.equal(said.length, mountLimits.faults + 1);
  assert.equal(said.at(-1), 'err: and 3 more errors, which the log of vzvaultd has');
});
