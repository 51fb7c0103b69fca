import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { engine, type RepositoryDirectory } from '../../../src/engine/index.js';
import { rejectsWith } from '../../support/assertions.js';
import { cleanupsOf } from '../../support/temp.js';

function opened(test: TestContext): { path: string; directory: RepositoryDirectory } {
  const cleanups = cleanupsOf(test);
  const path = cleanups.directory();
  const directory = engine.openDirectory(path);
  cleanups.add(() => {
    directory.close();
  });
  return { path, directory };
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** The collector that `--expose-gc` gives, without a flag on the command line. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

describe('RepositoryDirectory', () => {
  it('creates, reads, replaces, lists and removes', async (test) => {
    const { path, directory } = opened(test);
    assert.equal(await directory.read('a/b', 10), null);
    assert.equal(await directory.status('a'), null);
    assert.equal(await directory.list('a'), null);
    await directory.putIfAbsent('a/b', Buffer.from('one'));
    await rejectsWith('E_NAME_TAKEN', directory.putIfAbsent('a/b', Buffer.from('two')));
    assert.equal(readFileSync(join(path, 'a/b'), 'utf8'), 'one');
    await directory.replace('a/b', Buffer.from('three'));
    assert.deepEqual(await directory.read('a/b', 5), Buffer.from('three'));
    await directory.makeDirectories('a/deep/er');
    await directory.makeDirectories('a/deep/er');
    assert.deepEqual(await directory.list('a'), [
      { name: 'b', kind: 'file' },
      { name: 'deep', kind: 'directory' },
    ]);
    const status = await directory.status('a/b');
    assert.equal(status?.kind, 'file');
    assert.equal(status.sizeBytes, 5);
    assert.ok(Math.abs(status.modifiedMs - Date.now()) < 60_000);
    assert.equal(await directory.remove('a/b'), true);
    assert.equal(await directory.remove('a/b'), false);
    assert.equal(await directory.remove('a/deep/er'), true);
  });

  it('leaves nothing unfinished behind', async (test) => {
    const { path, directory } = opened(test);
    await directory.putIfAbsent('name', Buffer.from('x'));
    await rejectsWith('E_NAME_TAKEN', directory.putIfAbsent('name', Buffer.from('y')));
    assert.deepEqual(
      readdirSync(path).filter((name) => name !== 'tmp'),
      ['name'],
    );
    assert.deepEqual(await directory.list('tmp'), []);
  });

  it('does not read more than it is told to', async (test) => {
    const { path, directory } = opened(test);
    writeFileSync(join(path, 'large'), Buffer.alloc(1001));
    await rejectsWith('E_ARGUMENT_INVALID', directory.read('large', 1000));
    assert.equal((await directory.read('large', 1001))?.length, 1001);
  });

  it('refuses names that leave the directory', async (test) => {
    const { path, directory } = opened(test);
    mkdirSync(join(path, 'sub'));
    for (const name of ['../x', '/etc/passwd', 'sub/../../x', 'a//b', '.', 'sub/.', 'x\0y']) {
      await rejectsWith('E_ARGUMENT_INVALID', directory.read(name, 10));
      await rejectsWith('E_ARGUMENT_INVALID', directory.putIfAbsent(name, Buffer.from('x')));
      await rejectsWith('E_ARGUMENT_INVALID', directory.remove(name));
    }
    await rejectsWith('E_ARGUMENT_INVALID', directory.read('x', -1));
    await rejectsWith('E_ARGUMENT_INVALID', directory.read('x', 0.5));
  });

  it('says E_PATH_MISSING until the path is there', async (test) => {
    const { path } = opened(test);
    const directory = engine.openDirectory(join(path, 'later'));
    await rejectsWith('E_PATH_MISSING', directory.read('x', 10));
    mkdirSync(join(path, 'later'));
    assert.equal(await directory.read('x', 10), null);
    directory.close();
  });

  it('stays with the directory that it opened, whatever takes its name later', async (test) => {
    const { path } = opened(test);
    const name = join(path, 'mnt');
    mkdirSync(name);
    const directory = engine.openDirectory(name);
    await directory.putIfAbsent('before', Buffer.from('x'));
    renameSync(name, `${name}.moved`);
    mkdirSync(name);
    await directory.putIfAbsent('after', Buffer.from('x'));
    assert.deepEqual(readdirSync(name), []);
    assert.deepEqual(
      readdirSync(`${name}.moved`).filter((entry) => entry !== 'tmp'),
      ['after', 'before'],
    );
    directory.close();
  });

  it('knows its space and whether it is a mount point', async (test) => {
    const { path, directory } = opened(test);
    const space = await directory.space();
    assert.ok(space.totalBytes > 0 && space.availableBytes <= space.totalBytes && space.usedBytes <= space.totalBytes);
    assert.equal(await directory.isMounted(), false);
    assert.equal(await directory.isMounted('/proc'), true);
    assert.equal(await directory.isMounted('/proc/'), true);
    assert.equal(await directory.isMounted('/proc/self'), false);
    assert.equal(await directory.isMounted(join(path, 'absent')), false);
    symlinkSync('/proc', join(path, 'link'));
    assert.equal(await directory.isMounted(join(path, 'link')), true);
    await rejectsWith('E_ARGUMENT_INVALID', directory.isMounted('proc'));
  });

  it('takes many calls at once, in any order', async (test) => {
    const { directory } = opened(test);
    const names = Array.from({ length: 200 }, (_, i) => `n/${i}`);
    await Promise.all(names.map(async (name) => directory.putIfAbsent(name, Buffer.from(name))));
    const contents = await Promise.all(names.map(async (name) => directory.read(name, 100)));
    assert.deepEqual(
      contents.map((content) => content?.toString()),
      names,
    );
  });

  it('ends the calls that it took before it was closed, and takes none after', async (test) => {
    const { directory } = opened(test);
    const calls = Array.from({ length: 50 }, async (_, i) => directory.putIfAbsent(`n/${i}`, Buffer.alloc(10)));
    directory.close();
    directory.close();
    await Promise.all(calls);
    await rejectsWith('E_INTERNAL', directory.read('n/1', 100));
  });

  it('needs no close to be forgotten', async (test) => {
    const { path } = opened(test);
    const before = openDescriptors();
    for (let i = 0; i < 200; i += 1) await engine.openDirectory(path).status('');
    const collectGarbage = garbageCollector();
    for (let round = 0; round < 100 && openDescriptors() > before + 10; round += 1) {
      collectGarbage();
      await delay(20);
    }
    assert.ok(openDescriptors() <= before + 10, `${openDescriptors()} descriptors, ${before} before`);
  });
});

describe('documents', () => {
  it('seal and open what was given, and nothing else', () => {
    const plain = Buffer.from('Zürich '.repeat(1000));
    const sealed = engine.sealDocument('notes', plain);
    assert.ok(sealed.length < plain.length);
    assert.deepEqual(engine.openDocument('notes', sealed), plain);
    for (let at = 0; at < sealed.length; at += 7) {
      const flipped = Buffer.from(sealed);
      flipped[at] = (flipped[at] ?? 0) ^ 0x40;
      assert.throws(() => engine.openDocument('notes', flipped), /./);
    }
    assert.throws(
      () => engine.openDocument('log', sealed),
      (error: { code?: string }) => error.code === 'E_SNAPSHOT_DAMAGED',
    );
    assert.throws(
      () => engine.sealDocument('snapshot', Buffer.alloc(16 * 1024 * 1024 + 1)),
      (error: { code?: string }) => error.code === 'E_ARGUMENT_INVALID',
    );
  });
});
