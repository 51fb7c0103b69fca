import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { isAlive, parseStat, processTable, systemProcesses } from '../../../src/lib/process-identity.js';

const fields = (state: string, name: string): string =>
  `7 (${name}) ${state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 271828 9 10`;

/** What the kernel says instead of the content of a file. */
function refusing(code: string): (path: string) => string {
  return (path) => {
    throw Object.assign(new Error(`${code}: ${path}`), { code });
  };
}

test('reads the start time whatever the name of the process holds', () => {
  for (const name of ['bash', 'a b', ') S 1 (', '((']) {
    assert.deepEqual(parseStat(fields('S', name)), { startTicks: 271828 });
  }
});

test('takes a zombie and a dead process for ended, and nonsense for nothing', () => {
  for (const state of ['Z', 'X', 'x']) {
    assert.deepEqual(parseStat(fields(state, 'bash')), { startTicks: null, hasEnded: true });
  }
  for (const text of ['', '7', '7 (bash)', '7 (bash) S 1']) {
    assert.deepEqual(parseStat(text), { startTicks: null, hasEnded: false });
  }
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
  assert.equal(systemProcesses.commandLine(process.pid)?.[0], process.argv0);
});

test('there is no process 0, -1 or NaN', () => {
  for (const pid of [0, -1, Number.NaN, 1.5]) {
    assert.equal(systemProcesses.identify(pid), null);
    assert.ok(systemProcesses.hasEnded({ pid, startTicks: 1 }));
  }
});

test('believes that a process has ended only where the kernel says so', () => {
  for (const code of ['ENOENT', 'ESRCH']) {
    const table = processTable(refusing(code));
    assert.ok(!isAlive({ pid: 7, startTicks: 271828 }, table), code);
    assert.deepEqual(table.commandLine(7), [], code);
  }
  for (const code of ['EMFILE', 'ENFILE', 'ENOMEM', 'EACCES', 'EIO', 'EINTR']) {
    const table = processTable(refusing(code));
    assert.ok(isAlive({ pid: 7, startTicks: 271828 }, table), code);
    assert.equal(table.identify(7), null, code);
    assert.equal(table.commandLine(7), null, code);
    assert.equal(table.bootId(), null, code);
  }
});
