import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { repositoryLimits } from '../../../src/lib/limits.js';
import { RepositoryAccess } from '../../../src/repository/keys/repository-access.js';
import { Snapshots, verifyStateOf } from '../../../src/repository/snapshots.js';
import { decodeVerifyState, encodeVerifyState, type VerifyState } from '../../../src/repository/verify-state.js';
import { rejectsWith, throwsWith } from '../../support/assertions.js';
import { documentOf, idOf, SECOND } from '../../support/documents.js';
import { FakeEngine } from '../../support/fake-engine.js';
import type { MemoryDisk } from '../../support/memory-directory.js';
import { sealDocument } from '../../support/sealed-document.js';

const id = idOf(100);
const PATH = '/r/snapshots/qemu/100/20261122T041714Z/verify-state';
const ok: VerifyState = { state: 'ok', checkedAtSeconds: SECOND, message: '' };
const damaged: VerifyState = { state: 'damaged', checkedAtSeconds: SECOND, message: 'E_CHUNK_MISSING drive-scsi0: …' };

async function setUp(): Promise<{ disk: MemoryDisk; snapshots: Snapshots }> {
  const engine = new FakeEngine();
  engine.disk.makeDirectory('/r');
  const snapshots = new Snapshots(engine.disk.open('/r'), RepositoryAccess.plain(engine), 'f'.repeat(32));
  await snapshots.commit(documentOf(id));
  return { disk: engine.disk, snapshots };
}

describe('what verification found', () => {
  it('is written with the fields of the format page', () => {
    assert.equal(encodeVerifyState(ok).toString(), '{"state":"ok","checkedAt":"2026-11-22T04:17:14Z","message":""}');
    for (const state of [ok, damaged]) assert.deepEqual(decodeVerifyState(encodeVerifyState(state), id), state);
  });

  it('is refused where it is not of that form, and read with fields of later versions', () => {
    const read = (text: string): VerifyState => decodeVerifyState(Buffer.from(text, 'latin1'), id);
    for (const text of [
      '',
      'ok',
      '[]',
      '{}',
      '{"state":"fine","checkedAt":"2026-11-22T04:17:14Z","message":""}',
      '{"state":"ok","checkedAt":"2026-02-30T04:17:14Z","message":""}',
      '{"state":"ok","checkedAt":"2026-11-22T04:17:14Z"}',
      '{"state":"ok","checkedAt":"2026-11-22T04:17:14Z","message":"\xff"}',
    ]) {
      throwsWith('E_SNAPSHOT_DAMAGED', () => read(text));
    }
    assert.deepEqual(read('{"state":"ok","checkedAt":"2026-11-22T04:17:14Z","message":"","by":"x"}'), ok);
  });

  it('names the chunks that are missing, where they are not too many', () => {
    const missing = Array.from(
      { length: repositoryLimits.missingChunks },
      (_, n) => `data:${String(n).padStart(64, '0')}`,
    );
    const few = { ...damaged, missing };
    assert.deepEqual(decodeVerifyState(encodeVerifyState(few), id), few);
    const many = encodeVerifyState({ ...damaged, missing: [...missing, `map-node:${'a'.repeat(64)}`] });
    assert.equal((JSON.parse(many.toString()) as Record<string, unknown>)['missing'], 'many');
    assert.deepEqual(decodeVerifyState(many, id), damaged);
    assert.ok(encodeVerifyState({ ...few, message: '\u0001'.repeat(5_000) }).length < 40 * 1024);
    throwsWith('E_SNAPSHOT_DAMAGED', () =>
      decodeVerifyState(
        Buffer.from('{"state":"damaged","checkedAt":"2026-11-22T04:17:14Z","message":"","missing":["x"]}'),
        id,
      ),
    );
  });

  it('has a message that always fits', () => {
    const message = '\u0001🚧'.repeat(repositoryLimits.verifyMessageCharacters);
    const encoded = encodeVerifyState({ ...damaged, message });
    assert.ok(encoded.length < repositoryLimits.sealedVerifyStateBytes / 2);
    const read = decodeVerifyState(encoded, id).message;
    assert.ok(message.startsWith(read));
    assert.ok(read.length > 4000);
    assert.equal(Buffer.from(read).toString(), read, 'no half character');
  });
});

describe('the verify state of a snapshot', () => {
  it('is none, then what was found last', async () => {
    const { snapshots } = await setUp();
    assert.equal(await snapshots.sidecars.verifyState(id), null);
    assert.equal(verifyStateOf(await snapshots.get(id)), 'none');
    for (const state of [ok, damaged, ok]) {
      await snapshots.sidecars.setVerifyState(id, state);
      assert.deepEqual(await snapshots.sidecars.verifyState(id), state);
      const entry = await snapshots.get(id);
      assert.deepEqual(entry.verified, state);
      assert.equal(verifyStateOf(entry), state.state);
    }
  });

  it('is damaged where the document is', async () => {
    const { snapshots, disk } = await setUp();
    await snapshots.sidecars.setVerifyState(id, ok);
    disk.files.set(PATH.replace(/verify-state$/, 'snapshot'), Buffer.from('rubbish'));
    const entry = await snapshots.get(id);
    assert.equal(verifyStateOf(entry), 'damaged');
    assert.notEqual(entry.damage, null);
  });

  it('counts as damaged in a listing where it cannot be read, and breaks none', async () => {
    const { snapshots, disk } = await setUp();
    const unreadable = [
      Buffer.from('rubbish'),
      Buffer.alloc(repositoryLimits.sealedVerifyStateBytes + 1),
      sealDocument('notes', encodeVerifyState(ok)),
      sealDocument('verify-state', Buffer.from('{}')),
    ];
    for (const bytes of unreadable) {
      disk.files.set(PATH, bytes);
      const [entry] = await snapshots.list();
      assert.equal(entry?.damage, null);
      assert.equal(entry.verified?.state, 'damaged');
      assert.equal(entry.verified.checkedAtSeconds, null);
      assert.match(entry.verified.message, /reading the verify-state of qemu\/100@2026-11-22T04:17:14Z: ./);
      await rejectsWith('E_SNAPSHOT_DAMAGED', snapshots.sidecars.verifyState(id));
    }
    await snapshots.sidecars.setVerifyState(id, ok);
    assert.deepEqual((await snapshots.list())[0]?.verified, ok);
  });

  it('fails where the storage fails, and does not take that for a state', async () => {
    const { snapshots, disk } = await setUp();
    await snapshots.sidecars.setVerifyState(id, ok);
    disk.fault = (call, path) => {
      if (call === 'read' && path === PATH) throw new VzvaultError('E_STORAGE_TIMEOUT', 'the mount hangs');
    };
    await rejectsWith('E_STORAGE_TIMEOUT', snapshots.list());
  });

  it('goes with its snapshot', async () => {
    const { snapshots, disk } = await setUp();
    await snapshots.sidecars.setVerifyState(id, damaged);
    await snapshots.remove(id);
    assert.deepEqual([...disk.files.keys()], []);
  });
});
