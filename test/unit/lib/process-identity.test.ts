import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { isAlive, parseStartTicks, systemProcesses } from '../../../src/lib/process-identity.js';

const fields = (state: string, name: string): string =>
  `7 (${name}) ${state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 271828 9 10`;

test('reads the start time whatever the name of the process holds', () => {
  for (const name of ['bash', 'a b', ') S 1 (', '((']) assert.equal(parseStartTicks(fields('S', name)), 271828);
});

test('takes a zombie, a dead process and nonsense for ended', () => {
  for (const state of ['Z', 'X', 'x']) assert.equal(parseStartTicks(fields(state, 'bash')), null);
  for (const text of ['', '7', '7 (bash)', '7 (bash) S 1']) assert.equal(parseStartTicks(text), null);
});

test('knows a process while it runs, and not afterwards', async () => {
  const child = spawn('sleep', ['60']);
  const identity = systemProcesses.identify(child.pid ?? -1);
  assert.ok(identity !== null);
  assert.ok(isAlive(identity, systemProcesses));
  assert.ok(!isAlive({ ...identity, startTicks: identity.startTicks - 1 }, systemProcesses));
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(!isAlive(identity, systemProcesses));
  assert.deepEqual(systemProcesses.commandLine(identity.pid), []);
});

test('tells the arguments of a process', () => {
  assert.equal(systemProcesses.commandLine(process.pid)[0], process.argv0);
});

test('there is no process 0, -1 or NaN', () => {
  for (const pid of [0, -1, Number.NaN, 1.5]) assert.equal(systemProcesses.identify(pid), null);
});
