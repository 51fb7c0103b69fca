import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../../src/lib/errors.js';
import { assessGarbage, collectGarbage } from '../../../../src/repository/collection/collector.js';
import { generationName } from '../../../../src/repository/collection/ledger.js';
import { rejectsWith } from '../../../support/assertions.js';
import { documentOf, idOf } from '../../../support/documents.js';
import { FakeCollection } from '../../../support/fake-collection.js';
import { SharingWorld } from '../../../support/sharing-world.js';

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)];

/** A repository with a dead pack, one mostly dead, and one in use. */
async function setUp(): Promise<SharingWorld> {
  const world = await SharingWorld.create();
  const { garbage } = world.engine.store;
  garbage.uses = [FakeCollection.pack('a', 0), FakeCollection.pack('b', 100), FakeCollection.pack('d', 900)];
  const { blobs } = world.repository;
  for (const { id } of garbage.uses) await blobs.putIfAbsent(`packs/${id.slice(0, 2)}/${id}`, Buffer.alloc(1000));
  return world;
}

const done = `${generationName(1)}.done`;

describe('a collection', () => {
  it('deletes what is dead and what was moved, and leaves a line in the ledger', async () => {
    const world = await setUp();
    const report = await collectGarbage(world.repository, world.collector());
    assert.deepEqual(report, {
      generations: [{ generation: 1, packs: 2, freedBytes: 2000 }],
      ...{ packs: 2, freedBytes: 2000 },
    });
    assert.deepEqual(world.names('packs'), [`dd/${'d'.repeat(64)}`]);
    assert.deepEqual(world.names('condemned'), [done]);
    assert.deepEqual(world.names('sessions'), []);
    assert.deepEqual(world.engine.store.garbage.compacted, [A, B]);
    assert.equal(world.engine.store.garbage.closes, 1);
  });

  it('does nothing where there is no garbage', async () => {
    const world = await setUp();
    world.engine.store.garbage.uses = [FakeCollection.pack('d', 900)];
    assert.deepEqual((await collectGarbage(world.repository, world.collector())).generations, []);
    assert.deepEqual(world.names('condemned'), []);
  });

  it('only says what it would free in a dry run, and writes nothing', async () => {
    const world = await setUp();
    const before = [...world.engine.disk.files.keys()];
    assert.deepEqual(await assessGarbage(world.repository, world.collector()), {
      ...{ packs: 3, packBytes: 3000, deadPacks: 1, deadBytes: 1000, compactPacks: 1, compactBytes: 900 },
    });
    assert.deepEqual([...world.engine.disk.files.keys()], before);
  });

  it('takes back what is still needed, and what a writer keeps', async () => {
    const world = await setUp();
    world.engine.store.garbage.needed = [A];
    const session = await world.openWriter();
    await session.openWriter(async () => ({ exclude: async () => ({ keeps: [B] }) }));
    const collecting = collectGarbage(world.repository, world.collector());
    const report = await world.until(collecting);
    assert.equal(report.packs, 0);
    assert.equal(world.names('packs').length, 3);
    await session.end();
  });

  it('waits for the claim of a writer that counts', async () => {
    const world = await setUp();
    const session = await world.openWriter();
    await world.until(collectGarbage(world.repository, world.collector()));
    assert.equal(
      world.lines.some((line) => line.includes('waits for the writer on node1')),
      true,
    );
    assert.equal(session.signal.aborted, false);
    await session.end();
  });

  it('fences a writer that does not count any more, and takes its name', async () => {
    const world = await setUp();
    const sharing = world.sharing();
    const session = await world.openWriter(sharing);
    sharing.heartbeats.remove(session);
    const report = await world.until(collectGarbage(world.repository, world.collector()), 60_000);
    assert.equal(report.packs, 2);
    assert.deepEqual(world.names('sessions'), []);
    await rejectsWith(
      'E_SESSION_FENCED',
      session.commit(() => world.repository.snapshots.commit(documentOf(idOf(100)))),
    );
  });

  it('ends the session of a process of this machine that is gone without waiting', async () => {
    const world = await setUp();
    const sharing = world.sharing(42);
    const session = await world.openWriter(sharing);
    sharing.heartbeats.remove(session);
    world.processes.end(42);
    const report = await collectGarbage(world.repository, world.collector());
    assert.equal(report.packs, 2);
    assert.equal(world.names('snapshots').length, 1);
  });

  it('deletes nothing where something cannot be read', async () => {
    const world = await setUp();
    const missing = new VzvaultError('E_GC_INCOMPLETE', 'a map node is missing');
    world.engine.store.garbage.markFailures.push(missing, missing, missing);
    world.repository.snapshots.roots = async () => [
      { kind: 'volume', sizeBytes: 1, chunkSizeBytes: 524_288, levels: 1, rootId: 'e'.repeat(64) },
    ];
    await rejectsWith('E_GC_INCOMPLETE', collectGarbage(world.repository, world.collector()));
    assert.equal(world.names('packs').length, 3);
    assert.deepEqual(world.names('sessions'), []);
  });

  it('deletes nothing beside a snapshot whose document is damaged', async () => {
    const world = await setUp();
    await world.repository.snapshots.commit(documentOf(idOf(100)));
    const [path = ''] = [...world.engine.disk.files.keys()].filter((name) => name.endsWith('/snapshot'));
    world.engine.disk.files.set(path, Buffer.from('nonsense'));
    await rejectsWith('E_GC_INCOMPLETE', collectGarbage(world.repository, world.collector()));
    assert.equal(world.names('packs').length, 3);
  });

  it('refuses a storage that cannot create names atomically, where backups go on', async () => {
    const world = await setUp();
    world.engine.disk.noReplace = 'none';
    await rejectsWith('E_UNSUPPORTED', collectGarbage(world.repository, world.collector()));
    await (await world.openWriter()).end();
  });

  it('resumes what somebody left unfinished, wherever that was', async () => {
    for (let last = 1; last < 60; last += 1) {
      const world = await setUp();
      let calls = 0;
      world.engine.disk.fault = () => {
        calls += 1;
        if (calls > last) throw new VzvaultError('E_STORAGE_IO', 'cut off');
      };
      const first = await collectGarbage(world.repository, world.collector()).catch(() => null);
      world.engine.disk.fault = () => undefined;
      const { garbage } = world.engine.store;
      garbage.uses = garbage.uses.filter(({ id }) => world.names('packs').some((name) => name.endsWith(id)));
      await world.until(collectGarbage(world.repository, world.collector({ fenceAfterMs: 1 })));
      assert.deepEqual(world.names('packs'), [`dd/${'d'.repeat(64)}`], `cut off after call ${last}`);
      const unfinished = world.names('condemned').filter((name) => !name.endsWith('.done'));
      assert.deepEqual(unfinished, [], `cut off after call ${last}`);
      if (first !== null) return;
    }
    assert.fail('it never went through');
  });

  it('says what it has freed, also where somebody else had found it', async () => {
    const world = await setUp();
    const { garbage } = world.engine.store;
    let removed = 0;
    world.engine.disk.fault = (call, path) => {
      if (call === 'remove' && path.includes('/packs/')) removed += 1;
      if (removed === 2) throw new VzvaultError('E_STORAGE_IO', 'cut off');
    };
    await rejectsWith('E_STORAGE_IO', collectGarbage(world.repository, world.collector()));
    world.engine.disk.fault = () => undefined;
    // Nothing was marked yet.
    garbage.uses = [];
    const { generations } = await world.until(collectGarbage(world.repository, world.collector({ fenceAfterMs: 1 })));
    assert.deepEqual(generations, [{ generation: 1, packs: 1, freedBytes: 1000 }]);
  });

  it('needs the key of an encrypted repository before it does anything', async () => {
    const world = await setUp();
    const before = [...world.engine.disk.files.keys()];
    for (const code of ['E_KEY_MISSING', 'E_KEY_WRONG'] as const) {
      const require = (): never => {
        throw new VzvaultError(code, 'no key');
      };
      const { blobs, sealer, snapshots } = world.repository;
      const openStore = (): never => assert.fail('its chunks are of no use');
      const locked = { blobs, sealer, snapshots, openStore, access: { require } };
      await rejectsWith(code, collectGarbage(locked, world.collector()));
      await rejectsWith(code, assessGarbage(locked, world.collector()));
    }
    assert.deepEqual([...world.engine.disk.files.keys()], before);
  });

  it('stops when it is told to, and says why', async () => {
    const world = await setUp();
    const stop = new AbortController();
    await world.openWriter();
    const collecting = collectGarbage(world.repository, world.collector({ signal: stop.signal }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort(new VzvaultError('E_CANCELLED', 'interrupted'));
    await rejectsWith('E_CANCELLED', collecting);
    assert.equal(world.names('packs').length, 3);
  });

  it('removes unfinished files of sessions that are gone, and only those', async () => {
    const world = await setUp();
    const session = await world.openWriter();
    const { blobs } = world.repository;
    for (const name of [`${'9'.repeat(32)}-x`, `${session.id}-x`, 'unknown']) {
      await blobs.putIfAbsent(`tmp/${name}`, Buffer.alloc(1));
    }
    await world.until(collectGarbage(world.repository, world.collector()));
    assert.deepEqual(world.names('tmp'), [`${session.id}-x`, 'unknown'].sort());
    await session.end();
  });
});
