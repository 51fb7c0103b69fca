import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setUp, STORE, withSnapshot, type World } from '../../support/command-world.js';

function sessions({ cli }: World): string[] {
  return [...cli.engine.disk.files.keys()].filter((path) => path.includes('/sessions/'));
}

describe('the session of a mount', () => {
  it('is left to a program that ends it when vzvault-fuse has ended', async (t) => {
    const world = await withSnapshot(t);
    const { cli } = world;
    cli.processes.start(77);
    cli.startMount = async () => ({
      ...{ pid: 77, ended: new Promise<void>(() => undefined) },
      stop: async () => undefined,
      release: () => undefined,
    });
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

  it('is none of a keeper that comes too late', async (t) => {
    const { cli } = await setUp(t);
    const { code } = await cli.run('keep-session', `${STORE}/vzvault`, 'a'.repeat(32), '77', '1');
    assert.equal(code, 0);
  });
});
