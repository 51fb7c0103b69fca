/**
 * What every implementation of the blob store has to do (src/engine/types.ts, RepositoryDirectory). One suite; each implementation
 * runs it.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { BlobStore } from '../../src/repository/blob-store.js';
import { rejectsWith } from './assertions.js';

export interface BlobStoreMaker {
  readonly name: string;
  /** An empty store, closed and removed when the test ends. */
  make(test: TestContext): BlobStore;
}

export function describeBlobStore({ name, make }: BlobStoreMaker): void {
  describe(`the blob store: ${name}`, () => {
    it('answers null for whatever is absent', async (t) => {
      const store = make(t);
      assert.equal(await store.read('a/b', 10), null);
      assert.equal(await store.status('a/b'), null);
      assert.equal(await store.list('a'), null);
      assert.equal(await store.remove('a/b'), false);
    });

    it('reads back what was put, and makes the directories above it', async (t) => {
      const store = make(t);
      const bytes = Buffer.from([0, 1, 2, 255]);
      await store.putIfAbsent('a/b/c', bytes);
      assert.deepEqual(await store.read('a/b/c', 4), bytes);
      const status = await store.status('a/b/c');
      assert.equal(status?.kind, 'file');
      assert.equal(status.sizeBytes, 4);
      assert.equal((await store.status('a/b'))?.kind, 'directory');
    });

    it('keeps an empty file apart from an absent one', async (t) => {
      const store = make(t);
      await store.putIfAbsent('empty', Buffer.alloc(0));
      assert.equal((await store.read('empty', 0))?.length, 0);
      assert.equal((await store.status('empty'))?.sizeBytes, 0);
    });

    it('never overwrites with putIfAbsent', async (t) => {
      const store = make(t);
      await store.putIfAbsent('x', Buffer.from('first'));
      await rejectsWith('E_NAME_TAKEN', store.putIfAbsent('x', Buffer.from('second')));
      assert.equal((await store.read('x', 10))?.toString(), 'first');
    });

    it('lets exactly one of many concurrent creators win', async (t) => {
      const store = make(t);
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, (_, n) => store.putIfAbsent('d/x', Buffer.from(`writer ${n}`))),
      );
      const winners = outcomes.flatMap((outcome, n) => (outcome.status === 'fulfilled' ? [n] : []));
      assert.equal(winners.length, 1);
      assert.equal((await store.read('d/x', 100))?.toString(), `writer ${winners[0] ?? -1}`);
    });

    it('overwrites with replace, and creates with it', async (t) => {
      const store = make(t);
      await store.replace('d/n', Buffer.from('one'));
      await store.replace('d/n', Buffer.from('three'));
      assert.equal((await store.read('d/n', 10))?.toString(), 'three');
    });

    it('refuses to read more than was asked for, before it reads', async (t) => {
      const store = make(t);
      await store.putIfAbsent('x', Buffer.alloc(11));
      await rejectsWith('E_ARGUMENT_INVALID', store.read('x', 10));
      assert.equal((await store.read('x', 11))?.length, 11);
    });

    it('lists a directory by name, without what lies deeper', async (t) => {
      const store = make(t);
      await store.putIfAbsent('d/b', Buffer.alloc(1));
      await store.putIfAbsent('d/a/deep', Buffer.alloc(1));
      await store.putIfAbsent('d/C', Buffer.alloc(1));
      assert.deepEqual(await store.list('d'), [
        { name: 'C', kind: 'file' },
        { name: 'a', kind: 'directory' },
        { name: 'b', kind: 'file' },
      ]);
    });

    it('leaves no unfinished file where names are listed', async (t) => {
      const store = make(t);
      await store.putIfAbsent('d/x', Buffer.alloc(10));
      await rejectsWith('E_NAME_TAKEN', store.putIfAbsent('d/x', Buffer.alloc(10)));
      await store.replace('d/x', Buffer.alloc(20));
      assert.deepEqual(
        (await store.list('d'))?.map((entry) => entry.name),
        ['x'],
      );
    });

    it('makes directories, repeatedly', async (t) => {
      const store = make(t);
      await store.makeDirectories('p/q');
      await store.makeDirectories('p/q');
      assert.deepEqual(await store.list('p/q'), []);
    });

    it('removes files and empty directories, and says whether there was one', async (t) => {
      const store = make(t);
      await store.putIfAbsent('d/x', Buffer.alloc(1));
      await assert.rejects(store.remove('d'));
      assert.equal(await store.remove('d/x'), true);
      assert.equal(await store.remove('d/x'), false);
      assert.equal(await store.remove('d'), true);
      assert.equal(await store.list('d'), null);
    });

    it('refuses names that leave it', async (t) => {
      const store = make(t);
      for (const escape of ['', './x', 'a//b', '../x', 'a/../../x', '/etc/passwd', '..']) {
        await rejectsWith('E_ARGUMENT_INVALID', store.read(escape, 10));
        await rejectsWith('E_ARGUMENT_INVALID', store.putIfAbsent(escape, Buffer.alloc(1)));
        await rejectsWith('E_ARGUMENT_INVALID', store.remove(escape));
      }
    });

    it('tells how much room there is', async (t) => {
      const space = await make(t).space();
      assert.ok(space.totalBytes > 0 && space.availableBytes >= 0 && space.usedBytes >= 0);
      assert.ok(space.availableBytes <= space.totalBytes);
    });

    it('knows that a plain directory is no mount point', async (t) => {
      assert.equal(await make(t).isMounted(), false);
    });

    it('answers many calls at once', async (t) => {
      const store = make(t);
      const names = Array.from({ length: 32 }, (_, n) => `many/${n}`);
      for (const name of names) await store.putIfAbsent(name, Buffer.from(name));
      const read = await Promise.all(names.map((name) => store.read(name, 100)));
      assert.deepEqual(read.map(String), names);
    });
  });
}
