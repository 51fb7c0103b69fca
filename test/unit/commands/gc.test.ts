import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ERROR_LINE, setUp, STORE, withSnapshot } from '../../support/command-world.js';
import { FakeCollection } from '../../support/fake-collection.js';

const PACK = `${STORE}/vzvault/packs/aa/${'a'.repeat(64)}`;

describe('vzvault gc', () => {
  it('deletes what is not needed and says how much', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.store.garbage.uses = [FakeCollection.pack('a', 0), FakeCollection.pack('b', 900)];
    cli.engine.disk.files.set(PACK, Buffer.alloc(1000));
    const { code, out, err } = await cli.run('gc', STORE, '--grace', '0');
    assert.equal(code, 0, err);
    assert.match(out, /^deleted 1 packs with 1000 B in /);
    assert.match(err, /garbage: 1 dead packs with 1000 B/);
    assert.equal(cli.engine.disk.files.has(PACK), false);
    assert.match((await cli.run('gc', STORE, '--grace', '0')).out, /^nothing to delete|^deleted 0/);
  });

  it('only says what it would do with --dry-run', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.store.garbage.uses = [FakeCollection.pack('a', 0), FakeCollection.pack('b', 100)];
    const { out } = await cli.run('gc', STORE, '--dry-run');
    assert.match(out, /1 of them are not needed: 1000 B\n1 would be packed anew, which frees 900 B/);
    assert.deepEqual(await cli.json('gc', STORE, '--dry-run'), {
      ...{ packs: 2, packBytes: 2000, deadPacks: 1, deadBytes: 1000, compactPacks: 1, compactBytes: 900 },
    });
  });

  it('prints JSON where it is asked to', async (t) => {
    const { cli } = await setUp(t);
    assert.deepEqual(await cli.json('gc', STORE, '--grace', '0'), { generations: [], packs: 0, freedBytes: 0 });
  });

  it('refuses times that make no sense', async (t) => {
    const { cli } = await setUp(t);
    assert.equal((await cli.run('gc', STORE, '--fence-after', '0')).code, 2);
    assert.equal((await cli.run('gc', STORE, '--grace', 'soon')).code, 2);
  });

  it('needs the key of an encrypted repository, and says so in one line', async (t) => {
    const { cli, directory } = await setUp(t);
    const [keyFile, otherKey] = [join(directory, 'one.key'), join(directory, 'other.key')];
    for (const [store, file] of [
      ['/mnt/one', keyFile],
      ['/mnt/other', otherKey],
    ] as const) {
      cli.engine.disk.makeDirectory(store);
      assert.equal((await cli.run('init', store, '--encryption-key', file)).code, 0);
    }
    const files = [...cli.engine.disk.files.keys()];
    for (const more of [[], ['--dry-run']]) {
      const missing = await cli.run('gc', '/mnt/one', '--grace', '0', ...more);
      assert.equal(missing.code, 1);
      assert.match(missing.err, ERROR_LINE);
      assert.match(missing.err, /E_KEY_MISSING/);
      const wrong = await cli.run('gc', '/mnt/one', '--grace', '0', '--key-file', otherKey, ...more);
      assert.match(wrong.err, ERROR_LINE);
      assert.match(wrong.err, /E_KEY_WRONG/);
    }
    assert.deepEqual([...cli.engine.disk.files.keys()], files);
    const { code, err } = await cli.run('gc', '/mnt/one', '--grace', '0', '--key-file', keyFile);
    assert.equal(code, 0, err);
    assert.equal(cli.engine.store.garbage.closes, 1);
  });
});
