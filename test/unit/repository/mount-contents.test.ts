import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { mountLimits } from '../../../src/lib/limits.js';
import { allNodes, oneSnapshot } from '../../../src/repository/mount-contents.js';
import { RepositoryAccess } from '../../../src/repository/keys/repository-access.js';
import { Snapshots } from '../../../src/repository/snapshots.js';
import { rejectsWith } from '../../support/assertions.js';
import { ARCHIVE, documentOf, idOf, SECOND } from '../../support/documents.js';
import { FakeEngine } from '../../support/fake-engine.js';
import type { MemoryDisk } from '../../support/memory-directory.js';

interface World {
  readonly disk: MemoryDisk;
  readonly snapshots: Snapshots;
  readonly said: string[];
  readonly leftOut: (what: string) => void;
}

function setUp(): World {
  const engine = new FakeEngine();
  engine.disk.makeDirectory('/r');
  const said: string[] = [];
  const snapshots = new Snapshots(engine.disk.open('/r'), RepositoryAccess.plain(engine), 'f'.repeat(32));
  return { disk: engine.disk, snapshots, said, leftOut: (what) => said.push(what) };
}

const logs = (nodes: readonly { path: string }[]): string[] =>
  nodes.map(({ path }) => path).filter((path) => path.endsWith('backup.log'));

describe('a mount of one snapshot', () => {
  it('shows its log where there is one', async () => {
    const { snapshots, said, leftOut } = setUp();
    await snapshots.commit(documentOf(idOf(100)));
    assert.deepEqual(logs(await oneSnapshot(snapshots, 'qemu/100@latest', leftOut)), []);
    await snapshots.sidecars.setLog(idOf(100), Buffer.from('INFO: done\n'));
    const nodes = await oneSnapshot(snapshots, 'qemu/100@latest', leftOut);
    assert.deepEqual(logs(nodes), ['backup.log']);
    assert.equal(Buffer.from(nodes.at(-1)?.contentBase64 ?? '', 'base64').toString(), 'INFO: done\n');
    assert.deepEqual(said, []);
  });

  it('shows the disks where the log cannot be read or is too long, and says so', async () => {
    const { snapshots, disk, said, leftOut } = setUp();
    await snapshots.commit(documentOf(idOf(100)));
    const path = '/r/snapshots/qemu/100/20261122T041714Z/log';
    disk.files.set(path, Buffer.from('rubbish'));
    assert.equal((await oneSnapshot(snapshots, 'qemu/100@latest', leftOut)).length, 3);
    assert.match(said.pop() ?? '', /^the log of qemu\/100@2026-11-22T04:17:14Z: reading the log of .*too short/);
    await snapshots.sidecars.setLog(idOf(100), Buffer.alloc(mountLimits.fileBytes + 1));
    assert.equal((await oneSnapshot(snapshots, 'qemu/100@latest', leftOut)).length, 3);
    assert.match(said.pop() ?? '', /^the log of .*: it is too long$/);
    disk.fault = (call, at) => {
      if (call === 'read' && at === path) throw new VzvaultError('E_STORAGE_TIMEOUT', 'the mount hangs');
    };
    await rejectsWith('E_STORAGE_TIMEOUT', oneSnapshot(snapshots, 'qemu/100@latest', leftOut));
  });
});

describe("a mount of a container's snapshot", () => {
  it('shows its files as a tar file and as a directory', async () => {
    const { snapshots, leftOut } = setUp();
    const id = idOf(101, SECOND, 'lxc');
    await snapshots.commit(documentOf(id, { volumes: [], archives: [ARCHIVE] }));
    const { data, catalogue } = ARCHIVE;
    const [tar, tree, config] = await oneSnapshot(snapshots, 'lxc/101@latest', leftOut);
    assert.deepEqual(tar, { path: 'root.tar', archiveTar: { data, catalogue }, modifiedSeconds: SECOND });
    assert.deepEqual(tree, { path: 'root', archiveTree: { data, catalogue }, modifiedSeconds: SECOND });
    assert.equal(config?.path, 'guest.conf');
    const paths = (await allNodes(snapshots, leftOut, await snapshots.list())).map(({ path }) => path);
    assert.equal(paths[0], 'lxc/101/2026-11-22T04:17:14Z/root.tar');
  });
});

describe('a mount of all snapshots', () => {
  it('shows each below its guest and time, and names what is damaged', async () => {
    const { snapshots, disk, said, leftOut } = setUp();
    for (const id of [idOf(100), idOf(101, SECOND, 'lxc'), idOf(102)]) await snapshots.commit(documentOf(id));
    await snapshots.sidecars.setLog(idOf(100), Buffer.from('x'));
    disk.files.set('/r/snapshots/qemu/102/20261122T041714Z/snapshot', Buffer.from('rubbish'));
    const paths = (await allNodes(snapshots, leftOut, await snapshots.list())).map(({ path }) => path).sort();
    const inside = ['drive-efidisk0.raw', 'drive-scsi0.raw', 'guest.conf'];
    assert.deepEqual(paths, [
      ...inside.map((name) => `lxc/101/2026-11-22T04:17:14Z/${name}`),
      ...['backup.log', ...inside].map((name) => `qemu/100/2026-11-22T04:17:14Z/${name}`),
    ]);
    assert.deepEqual(said.length, 1);
    assert.match(said[0] ?? '', /^qemu\/102@2026-11-22T04:17:14Z: /);
  });

  it('shows the newest logs where there are more than it has room for', async () => {
    const { snapshots, said, leftOut } = setUp();
    const ids = [0, 1, 2, 3].map((second) => idOf(100, SECOND + second));
    for (const id of ids) {
      await snapshots.commit(documentOf(id));
      await snapshots.sidecars.setLog(id, Buffer.alloc(mountLimits.fileBytes));
    }
    const shown = logs(await allNodes(snapshots, leftOut, await snapshots.list()));
    assert.deepEqual(
      shown,
      ['17', '16'].map((second) => `qemu/100/2026-11-22T04:17:${second}Z/backup.log`),
    );
    assert.deepEqual(said, ['the logs of the 2 oldest snapshots that have one: they are too many']);
  });

  it('is refused where there are none', async () => {
    const { snapshots, leftOut } = setUp();
    await rejectsWith('E_SNAPSHOT_MISSING', allNodes(snapshots, leftOut, await snapshots.list()));
  });
});
