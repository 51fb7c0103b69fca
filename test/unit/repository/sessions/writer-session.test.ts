import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GenerationFiles } from '../../../../src/repository/collection/generation-files.js';
import { generationName } from '../../../../src/repository/collection/ledger.js';
import { buryName } from '../../../../src/repository/sessions/tombstone.js';
import { rejectsWith } from '../../../support/assertions.js';
import { documentOf, idOf } from '../../../support/documents.js';
import { SharingWorld } from '../../../support/sharing-world.js';

const [A, B, C] = ['a'.repeat(64), 'b'.repeat(64), 'c'.repeat(64)];

/** A writer that has used `keeps`. */
function writerThatUsed(keeps: readonly string[]): {
  exclude: (packs: readonly string[]) => Promise<{ keeps: string[] }>;
} {
  return { exclude: async (packs) => ({ keeps: packs.filter((pack) => keeps.includes(pack)) }) };
}

describe('the session of a writer', () => {
  it('is there before the list of condemned packs is looked at', async () => {
    const world = await SharingWorld.create();
    world.engine.disk.calls.splice(0);
    await world.openWriter();
    const calls = world.engine.disk.calls.map((call) => call.replace(/[0-9a-f]{32}/, 'SID'));
    const order = calls.filter((call) => /^(replace|list) .*(sessions|condemned)/.test(call));
    assert.deepEqual(
      order.map((call) => call.split(' ')[0]),
      ['replace', 'list'],
    );
  });

  it('excludes what is condemned already, and claims it', async () => {
    const world = await SharingWorld.create();
    await world.condemn(1, [A, B]);
    const session = await world.openWriter();
    assert.deepEqual(world.names('condemned'), [generationName(1), `${generationName(1)}.claim.${session.id}`]);
    let excluded: readonly string[] = [];
    await session.openWriter(async (packs) => {
      excluded = packs;
      return writerThatUsed([]);
    });
    assert.deepEqual(excluded, [A, B]);
  });

  it('claims what it has used of what is condemned later, once', async () => {
    const world = await SharingWorld.create();
    const session = await world.openWriter();
    await session.openWriter(async () => writerThatUsed([B]));
    await world.condemn(1, [A, B]);
    await session.beat();
    await session.beat();
    const { blobs, sealer } = world.repository;
    const claim = await new GenerationFiles(blobs, sealer).claim(1, session.id);
    assert.deepEqual(claim?.keeps, [B]);
  });

  it('takes no generation for pending that is over', async () => {
    const world = await SharingWorld.create();
    await world.condemn(1, [A]);
    await world.condemn(2, [B]);
    await world.repository.blobs.putIfAbsent(`condemned/${generationName(2)}.done`, Buffer.alloc(0));
    const session = await world.openWriter();
    assert.equal(
      world.names('condemned').some((name) => name.includes(session.id)),
      false,
    );
  });

  it('waits for a generation that is listed and not there yet', async () => {
    const world = await SharingWorld.create();
    await world.condemn(1, [A]);
    let refusals = 3;
    const { disk } = world.engine;
    const path = [...disk.files.keys()].find((name) => name.endsWith(generationName(1))) ?? '';
    const bytes = disk.files.get(path) ?? Buffer.alloc(0);
    disk.fault = (call, name) => {
      if (call !== 'read' || !name.endsWith(generationName(1))) return;
      refusals -= 1;
      if (refusals > 0) disk.files.delete(path);
      else disk.files.set(path, bytes);
    };
    const opening = world.openWriter();
    disk.files.set(path, bytes);
    const session = await world.until(opening, 1_000);
    assert.ok(session.id.length === 32);
  });

  it('counts with every heartbeat', async () => {
    const world = await SharingWorld.create();
    const session = await world.openWriter();
    const before = world.engine.disk.files.get(`/mnt/backup/vzvault/sessions/${session.id}`);
    await session.beat();
    assert.notDeepEqual(world.engine.disk.files.get(`/mnt/backup/vzvault/sessions/${session.id}`), before);
  });

  it('is fenced where its file is gone, says so, and commits nothing', async () => {
    const world = await SharingWorld.create();
    const session = await world.openWriter();
    await world.repository.blobs.remove(`sessions/${session.id}`);
    await session.beat();
    assert.equal(session.signal.aborted, true);
    assert.deepEqual(world.names('sessions'), []);
    await rejectsWith(
      'E_SESSION_FENCED',
      session.commit(async () => assert.fail('it commits')),
    );
  });

  it('commits nothing, and keeps all that is condemned, once a pack that it uses was taken out of use', async () => {
    const world = await SharingWorld.create();
    const { blobs, sealer } = world.repository;
    const session = await world.openWriter();
    await session.openWriter(async () => writerThatUsed([C]));
    await blobs.putIfAbsent(`quarantine/${C}.pack`, Buffer.from('x'));
    // It may be back where it was.
    await blobs.putIfAbsent(`packs/cc/${C}`, Buffer.from('x'));
    await world.condemn(1, [A]);
    await session.beat();
    assert.deepEqual((await new GenerationFiles(blobs, sealer).claim(1, session.id))?.keeps, []);
    await blobs.remove(`packs/cc/${C}`);
    await blobs.putIfAbsent(`condemned/${generationName(1)}.done`, Buffer.alloc(0));
    await world.condemn(2, [A, B]);
    await session.beat();
    assert.deepEqual((await new GenerationFiles(blobs, sealer).claim(2, session.id))?.keeps, [A, B]);
    await rejectsWith(
      'E_PACK_MISSING',
      session.commit(async () => assert.fail('it commits')),
    );
  });

  it('takes back what it changed where it was fenced meanwhile, or where that failed', async () => {
    const world = await SharingWorld.create();
    const session = await world.openWriter();
    const done: string[] = [];
    const undo = async (): Promise<void> => {
      done.push('undo');
    };
    await session.attempt(async () => {
      done.push('change');
    }, undo);
    await assert.rejects(
      session.attempt(() => Promise.reject(new Error('lost')), undo),
      /lost/,
    );
    const fencing = session.attempt(async () => {
      await world.repository.blobs.remove(`sessions/${session.id}`);
    }, undo);
    await rejectsWith('E_SESSION_FENCED', fencing);
    await rejectsWith('E_SESSION_FENCED', session.attempt(undo, undo));
    assert.deepEqual(done, ['change', 'undo', 'undo']);
  });

  it('is fenced where its name is taken by a tombstone', async () => {
    const world = await SharingWorld.create();
    const session = await world.openWriter();
    const { blobs, sealer, snapshots } = world.repository;
    const tombstone = { sid: session.id, by: session.id, fencedAt: '2026-11-22T04:17:14Z' };
    assert.equal(await buryName(blobs, sealer, idOf(100), tombstone), true);
    await rejectsWith(
      'E_SESSION_FENCED',
      session.commit(() => snapshots.commit(documentOf(idOf(100)))),
    );
    await session.beat();
    assert.equal(session.signal.aborted, true);
  });

  it('ends with its file, and again without harm', async () => {
    const world = await SharingWorld.create();
    const session = await world.openWriter();
    await session.end();
    await session.end();
    await session.beat();
    assert.deepEqual(world.names('sessions'), []);
  });
});

describe('a tombstone', () => {
  it('is no snapshot, and is never removed', async () => {
    const world = await SharingWorld.create();
    const { blobs, sealer, snapshots } = world.repository;
    const id = idOf(100);
    await buryName(blobs, sealer, id, { sid: 'a'.repeat(32), by: 'b'.repeat(32), fencedAt: '2026-11-22T04:17:14Z' });
    assert.deepEqual(await snapshots.list(), []);
    assert.deepEqual(await snapshots.list(), []);
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.read(id));
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.latest(id));
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.remove(id));
    assert.equal(await snapshots.roots(id), null);
    assert.equal(await snapshots.isFree(id), false);
    assert.equal(world.names('snapshots').length, 1);
  });

  it('does not take the place of a snapshot', async () => {
    const world = await SharingWorld.create();
    const { blobs, sealer, snapshots } = world.repository;
    await snapshots.commit(documentOf(idOf(100)));
    const tombstone = { sid: 'a'.repeat(32), by: 'b'.repeat(32), fencedAt: '2026-11-22T04:17:14Z' };
    assert.equal(await buryName(blobs, sealer, idOf(100), tombstone), false);
    assert.equal((await snapshots.list()).length, 1);
  });
});
