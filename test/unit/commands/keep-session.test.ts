import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { CommandContext } from '../../../src/commands/context.js';
import { pause } from '../../../src/lib/deadline.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import { repositoryLimits, sharingLimits } from '../../../src/lib/limits.js';
import { openRepository } from '../../../src/repository/repository.js';
import type { SnapshotVolume } from '../../../src/repository/snapshot-document.js';
import { setUp, STORE, withSnapshot, type World } from '../../support/command-world.js';
import { documentOf, idOf } from '../../support/documents.js';

function sessions({ cli }: World): string[] {
  return [...cli.engine.disk.files.keys()].filter((path) => path.includes('/sessions/'));
}

/** vzvault-fuse that never ends by itself. */
function mountOf(pid: number): CommandContext['startMount'] {
  return async () => ({
    ...{ pid, ended: new Promise<void>(() => undefined) },
    stop: async () => undefined,
    release: () => undefined,
  });
}

/** Disks that no other guest has. */
function volumesOf(vmid: number, count: number): SnapshotVolume[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{ name: `drive-scsi${index}`, sizeBytes: 1000, chunkSizeBytes: 524_288, levels: 1 },
    rootId: (vmid * count + index).toString(16).padStart(64, '0'),
  }));
}

/** A mount by the process 77 that is left to its keeper, and the arguments of that. Waiting takes a moment only. */
async function withMount(t: TestContext): Promise<{ world: World; args: readonly string[] }> {
  const world = await withSnapshot(t);
  const { cli } = world;
  cli.processes.start(77);
  cli.startMount = mountOf(77);
  cli.sleep = (_ms, signal) => pause(1, signal);
  assert.equal((await cli.run('mount', STORE, 'qemu/100@latest', '/mnt/restore')).code, 0);
  const [args = []] = cli.keepers;
  return { world, args };
}

describe('the session of a mount', () => {
  it('is left to a program that ends it when vzvault-fuse has ended', async (t) => {
    const world = await withSnapshot(t);
    const { cli } = world;
    cli.processes.start(77);
    cli.startMount = mountOf(77);
    const { code, err } = await cli.run('mount', STORE, 'qemu/100@latest', '/mnt/restore');
    assert.equal(code, 0, err);
    assert.equal(sessions(world).length, 1);
    const [args = []] = cli.keepers;
    const keeping = cli.run(...args);
    setTimeout(() => {
      cli.processes.end(77);
    }, 200);
    assert.equal((await keeping).code, 0);
    assert.deepEqual(sessions(world), []);
  });

  it('is not there where the mount could not be made', async (t) => {
    const world = await withSnapshot(t);
    assert.equal((await world.cli.run('mount', STORE, '/mnt/restore')).code, 1);
    assert.deepEqual(sessions(world), []);
  });

  it('is refused where it would have to keep more than a session can say: one snapshot is to be named', async (t) => {
    const world = await setUp(t);
    const { cli } = world;
    const repository = await openRepository(cli.engine, { path: STORE });
    const volumes = Math.ceil(sharingLimits.roots / repositoryLimits.volumes);
    for (let vmid = 100; vmid <= 100 + volumes; vmid += 1) {
      await repository.snapshots.commit(documentOf(idOf(vmid), { volumes: volumesOf(vmid, repositoryLimits.volumes) }));
    }
    await repository.close();
    cli.processes.start(77);
    cli.startMount = mountOf(77);
    const { code, err } = await cli.run('mount', STORE, '/mnt/restore');
    assert.equal(code, 2);
    assert.match(
      err,
      /257 snapshots are too many for one mount.* 65792 .* 65536 .*name one snapshot \(E_ARGUMENT_INVALID/,
    );
    assert.deepEqual(sessions(world), []);
    assert.equal((await cli.run('mount', STORE, 'qemu/100@latest', '/mnt/restore')).code, 0);
    assert.equal(sessions(world).length, 1);
  });

  it('is gone on with once its storage answers, as long as vzvault-fuse runs', async (t) => {
    const { world, args } = await withMount(t);
    const { cli } = world;
    let refusals = 3;
    cli.engine.disk.fault = (call, path) => {
      if (call !== 'read' || !path.includes('/sessions/')) return;
      refusals -= 1;
      if (refusals >= 0) throw new VzvaultError('E_STORAGE_IO', 'the link is down');
      // It goes on from now on.
      setTimeout(() => {
        cli.processes.end(77);
      }, 20);
    };
    assert.equal((await cli.run(...args)).code, 0);
    assert.equal(refusals, -1);
    assert.deepEqual(sessions(world), []);
  });

  it('is given up where vzvault-fuse ends before its storage answers', async (t) => {
    const { world, args } = await withMount(t);
    const { cli } = world;
    cli.engine.disk.fault = () => {
      throw new VzvaultError('E_STORAGE_IO', 'the link is down');
    };
    setTimeout(() => {
      cli.processes.end(77);
    }, 100);
    const { code, err } = await cli.run(...args);
    assert.equal(code, 1);
    assert.match(err, /the link is down \(E_STORAGE_IO/);
  });

  it('is none of a keeper that comes too late', async (t) => {
    const { cli } = await setUp(t);
    const { code } = await cli.run('keep-session', `${STORE}/vzvault`, 'a'.repeat(32), '77', '1');
    assert.equal(code, 0);
  });
});
