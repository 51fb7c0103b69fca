import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { silentLogger } from '../../../src/lib/logger.js';
import { RestoreMounts } from '../../../src/provider/restore-mounts.js';
import { RestoreStateFiles } from '../../../src/provider/restore-state.js';
import { rejectsWith } from '../../support/assertions.js';
import { FakeProcesses } from '../../support/fake-processes.js';
import { cleanupsOf } from '../../support/temp.js';

const id = '0123456789abcdef0123456789abcdef';
const owner = 100;
// Beyond the largest pid of Linux (2^22): nothing is ever sent to a real process.
const fusePid = 5_000_000;

interface Left {
  readonly runDirectory: string;
  readonly files: RestoreStateFiles;
  readonly processes: FakeProcesses;
  readonly mounts: RestoreMounts;
}

/** What a daemon left that had one restore open. */
function leftOver(test: TestContext, commandLine?: (directory: string) => readonly string[]): Left {
  const runDirectory = cleanupsOf(test).directory();
  const files = new RestoreStateFiles(runDirectory);
  const processes = new FakeProcesses();
  const directory = files.mountDirectory(id);
  const arguments_ = commandLine?.(directory) ?? ['/usr/lib/vzvault/vzvault-fuse', directory];
  files.create(id);
  const mountProcess = processes.start(fusePid, arguments_);
  files.write({
    id,
    owner: processes.start(owner),
    disks: { 'drive-scsi0': 1000 },
    archives: ['root'],
    reader: null,
    mountProcess,
  });
  const mounts = new RestoreMounts({ runDirectory, processes, logger: silentLogger() });
  return { runDirectory, files, processes, mounts };
}

test('goes on with a restore whose owner and mount are alive', async (t) => {
  const { files, mounts } = leftOver(t);
  const adopted = await mounts.adopt();
  assert.deepEqual(
    adopted.map((restore) => [restore.id, restore.state, restore.owner.pid]),
    [[id, 'mounted', owner]],
  );
  assert.equal(await adopted[0]?.openDisk('drive-scsi0'), join(files.mountDirectory(id), 'drive-scsi0.raw'));
  assert.equal(await adopted[0]?.openArchive('root', 'tar'), join(files.mountDirectory(id), 'root.tar'));
});

test('goes on with a restore where it cannot be told whether owner and mount are alive', async (t) => {
  const { files, processes, mounts } = leftOver(t);
  processes.isBlind = true;
  const [restore] = await mounts.adopt();
  assert.equal(restore?.id, id);
  assert.equal(await restore.openDisk('drive-scsi0'), join(files.mountDirectory(id), 'drive-scsi0.raw'));
  processes.isBlind = false;
  processes.end(fusePid);
  await rejectsWith('E_MOUNT_FAILED', restore.openDisk('drive-scsi0'));
});

test('kills no process of which it cannot be told what it is', async (t) => {
  const { files, processes, mounts } = leftOver(t);
  const kill = t.mock.method(process, 'kill', () => true);
  const [restore] = await mounts.adopt();
  processes.isBlind = true;
  const ending = restore?.end(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(kill.mock.callCount(), 0);
  processes.isBlind = false;
  processes.end(fusePid);
  await ending;
  assert.deepEqual(readdirSync(files.directory), []);
});

test('cleans up where the owner is gone', async (t) => {
  const { runDirectory, processes, mounts } = leftOver(t, () => ['/usr/bin/sleep', '60']);
  processes.end(owner);
  assert.deepEqual(await mounts.adopt(), []);
  assert.deepEqual(readdirSync(join(runDirectory, 'mounts')), []);
});

test('cleans up where the pid of the owner belongs to another process now', async (t) => {
  const { runDirectory, processes, mounts } = leftOver(t, () => []);
  processes.start(owner);
  assert.deepEqual(await mounts.adopt(), []);
  assert.deepEqual(readdirSync(join(runDirectory, 'mounts')), []);
});

test('does not take another program, or vzvault-fuse on another directory, for the mount', async (t) => {
  for (const commandLine of [() => ['/bin/bash'], () => ['vzvault-fuse', '/mnt'], () => ['vzvault-fuse'], () => []]) {
    const { runDirectory, mounts } = leftOver(t, commandLine);
    assert.deepEqual(await mounts.adopt(), []);
    assert.deepEqual(readdirSync(join(runDirectory, 'mounts')), []);
  }
});

test('cleans up a mount of which nothing readable was written down', async (t) => {
  const { runDirectory, mounts } = leftOver(t, () => []);
  for (const text of ['', '{"version":2}', '[1,2', '{"version":1,"id":"fedcba9876543210fedcba9876543210"}']) {
    mkdirSync(join(runDirectory, 'mounts', id), { recursive: true });
    writeFileSync(join(runDirectory, 'mounts', `${id}.json`), text);
    assert.deepEqual(await mounts.adopt(), []);
    assert.deepEqual(readdirSync(join(runDirectory, 'mounts')), []);
  }
});

test('touches nothing whose name is not that of a restore', async (t) => {
  const { runDirectory, mounts } = leftOver(t, () => []);
  mkdirSync(join(runDirectory, 'mounts', 'keep'));
  await mounts.adopt();
  assert.ok(existsSync(join(runDirectory, 'mounts', 'keep')));
});

test('a run directory that is new is fine', async (t) => {
  const runDirectory = join(cleanupsOf(t).directory(), 'absent');
  const mounts = new RestoreMounts({ runDirectory, processes: new FakeProcesses(), logger: silentLogger() });
  assert.deepEqual(await mounts.adopt(), []);
});

const damage = 'vzvault-fuse: error E_CHUNK_DAMAGED: chunk 0c4f\n';

test('a restore that went on says at its end what its mount met, also before', async (t) => {
  const { runDirectory, files, processes, mounts } = leftOver(t);
  writeFileSync(files.logFile(id), damage);
  const [restore] = await mounts.adopt();
  processes.end(fusePid);
  const said: string[] = [];
  await restore?.end((level, line) => said.push(`${level}: ${line}`));
  assert.match(said.join('\n'), /^err: chunk 0c4f \(E_CHUNK_DAMAGED: /);
  assert.deepEqual(readdirSync(join(runDirectory, 'mounts')), []);
});

test('the log of a mount that was left over goes to ours, and its file with it', async (t) => {
  const { runDirectory, files, processes } = leftOver(t, () => []);
  files.remove(id);
  writeFileSync(files.logFile(id), damage);
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => lines.push(line) });
  assert.deepEqual(await new RestoreMounts({ runDirectory, processes, logger }).adopt(), []);
  assert.match(lines.join(''), /E_CHUNK_DAMAGED.*chunk 0c4f/);
  assert.deepEqual(readdirSync(join(runDirectory, 'mounts')), []);
});
