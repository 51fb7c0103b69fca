import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { ERROR_LINE, STORE, withSnapshot, type World } from '../../support/command-world.js';

const DAY_SECONDS = 86_400;

/** Snapshots of qemu/100 on three days and one of qemu/101. */
async function withSnapshots(t: Parameters<typeof withSnapshot>[0]): Promise<World> {
  const world = await withSnapshot(t);
  const { cli, disk } = world;
  for (const guest of ['qemu/100', 'qemu/100', 'qemu/101']) {
    cli.nowSeconds += DAY_SECONDS;
    assert.equal((await cli.run('backup', STORE, '--guest', guest, '--disk', `drive-scsi0=${disk}`)).code, 0);
  }
  return world;
}

async function snapshots({ cli }: World): Promise<string[]> {
  const listed = JSON.parse((await cli.run('list', STORE, '--json')).out) as { snapshot: string }[];
  return listed.map(({ snapshot }) => snapshot);
}

const [FIRST, SECOND, THIRD, OTHER] = [
  'qemu/100@2026-11-22T04:17:14Z',
  'qemu/100@2026-11-23T04:17:14Z',
  'qemu/100@2026-11-24T04:17:14Z',
  'qemu/101@2026-11-25T04:17:14Z',
];

describe('vzvault prune', () => {
  it('removes what the rules do not keep, guest by guest', async (t) => {
    const world = await withSnapshots(t);
    const { code, out } = await world.cli.run('prune', STORE, '--keep-last', '1');
    assert.equal(code, 0);
    assert.match(out, /2 of 4 to remove\n$/);
    assert.deepEqual(await snapshots(world), [THIRD, OTHER]);
  });

  it('says what it would do, and does not do it', async (t) => {
    const world = await withSnapshots(t);
    const { out } = await world.cli.run('prune', STORE, '--keep-daily', '2', '--dry-run', '--json');
    assert.deepEqual(JSON.parse(out), [
      { snapshot: FIRST, mark: 'remove' },
      { snapshot: SECOND, mark: 'keep' },
      { snapshot: THIRD, mark: 'keep' },
      { snapshot: OTHER, mark: 'keep' },
    ]);
    assert.equal((await snapshots(world)).length, 4);
  });

  it('leaves protected and damaged ones, and does not count them', async (t) => {
    const world = await withSnapshots(t);
    const files = world.cli.engine.disk.files;
    files.set(`${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z/protected`, Buffer.alloc(0));
    files.set(`${STORE}/vzvault/snapshots/qemu/100/20261124T041714Z/snapshot`, Buffer.from('x'));
    assert.equal((await world.cli.run('prune', STORE, '--keep-last', '1', '--guest', 'qemu/100')).code, 0);
    assert.deepEqual(await snapshots(world), [FIRST, SECOND, THIRD, OTHER]);
  });

  it('goes on behind one that cannot be removed, and fails', async (t) => {
    const world = await withSnapshots(t);
    const { disk } = world.cli.engine;
    disk.fault = (call, path) => {
      if (call === 'remove' && path.endsWith('20261122T041714Z/snapshot'))
        throw new VzvaultError('E_STORAGE_IO', 'an I/O error');
    };
    const { code, err } = await world.cli.run('prune', STORE, '--keep-last', '1');
    assert.equal(code, 1);
    assert.match(err, ERROR_LINE);
    assert.deepEqual(await snapshots(world), [FIRST, THIRD, OTHER]);
  });

  it('wants to be told what to keep', async (t) => {
    const world = await withSnapshots(t);
    for (const args of [[], ['--keep-all', '--keep-last', '1'], ['--keep-last', '-1'], ['--keep-last', 'x']]) {
      const { code, err } = await world.cli.run('prune', STORE, ...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, ERROR_LINE);
    }
    assert.equal((await world.cli.run('prune', STORE, '--keep-all')).code, 0);
    assert.equal((await snapshots(world)).length, 4);
  });
});
