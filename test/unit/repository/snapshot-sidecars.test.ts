import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rejectsWith } from '../../support/assertions.js';
import { documentOf, idOf, SECOND } from '../../support/documents.js';
import { DIRECTORY, openSnapshots } from '../../support/opened-snapshots.js';

const id = idOf(100);

describe('the sidecars of a snapshot', () => {
  it('keeps notes, replaces them, and removes them when they are empty', async () => {
    const { snapshots, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    assert.equal(await snapshots.sidecars.notes(id), '');
    await snapshots.sidecars.setNotes(id, 'eins');
    await snapshots.sidecars.setNotes(id, 'zwei\n');
    assert.equal(await snapshots.sidecars.notes(id), 'zwei\n');
    await snapshots.sidecars.setNotes(id, '');
    assert.equal(disk.files.has(`${DIRECTORY}/notes`), false);
    await snapshots.sidecars.setNotes(id, '');
  });

  it('protects and unprotects, repeatedly', async () => {
    const { snapshots } = openSnapshots();
    await snapshots.commit(documentOf(id));
    for (const wanted of [true, true, false, false, true]) {
      await snapshots.sidecars.setProtected(id, wanted);
      assert.equal(await snapshots.sidecars.isProtected(id), wanted);
    }
  });

  it('keeps a log, byte for byte', async () => {
    const { snapshots } = openSnapshots();
    await snapshots.commit(documentOf(id));
    assert.equal(await snapshots.sidecars.log(id), null);
    const log = Buffer.from([...Buffer.from('INFO: done\n'), 0xff, 0x00, 0xc3, 0x0a]);
    await snapshots.sidecars.setLog(id, log);
    assert.deepEqual(await snapshots.sidecars.log(id), log);
    assert.equal((await snapshots.get(id)).hasLog, true);
  });

  it('writes nothing beside a snapshot that does not exist', async () => {
    const { snapshots, disk } = openSnapshots();
    const { sidecars } = snapshots;
    for (const call of [
      sidecars.setNotes(id, 'x'),
      sidecars.setProtected(id, true),
      sidecars.setLog(id, Buffer.from('x')),
      sidecars.notes(id),
      sidecars.isProtected(id),
      sidecars.log(id),
      sidecars.setVerifyState(id, { state: 'ok', checkedAtSeconds: SECOND, message: '' }),
      sidecars.verifyState(id),
    ]) {
      await rejectsWith('E_SNAPSHOT_MISSING', call);
    }
    assert.equal(disk.files.size, 0);
  });

  it('leaves nothing beside a snapshot that was removed while it wrote', async () => {
    const { snapshots, other, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    let isArmed = true;
    disk.fault = async (call) => {
      if (!isArmed || (call !== 'replace' && call !== 'putIfAbsent')) return;
      isArmed = false;
      await other.remove(id);
    };
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.sidecars.setProtected(id, true));
    assert.deepEqual([...disk.files.keys()], []);
    assert.equal(disk.directories.has(DIRECTORY), false);
  });
});
