import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { formatSnapshotId } from '../../../src/lib/guest.js';
import type { Snapshots } from '../../../src/repository/snapshots.js';
import { rejectsWith } from '../../support/assertions.js';
import { documentOf, idOf, SECOND } from '../../support/documents.js';
import { DIRECTORY, openSnapshots } from '../../support/opened-snapshots.js';

const id = idOf(100);

async function names(snapshots: Snapshots, filter = {}): Promise<string[]> {
  return (await snapshots.list(filter)).map((entry) => formatSnapshotId(entry.id));
}

describe('committing a snapshot', () => {
  it('makes it visible to everybody, whole', async () => {
    const { snapshots, other } = openSnapshots();
    await snapshots.commit(documentOf(id));
    assert.deepEqual(await other.read(id), documentOf(id));
    assert.deepEqual(await names(other), ['qemu/100@2026-11-22T04:17:14Z']);
  });

  it('never overwrites: of two writers of one second, one wins', async () => {
    const { snapshots, other } = openSnapshots();
    const outcomes = await Promise.allSettled([snapshots.commit(documentOf(id)), other.commit(documentOf(id))]);
    assert.deepEqual(outcomes.map((outcome) => outcome.status).sort(), ['fulfilled', 'rejected']);
    await rejectsWith('E_NAME_TAKEN', snapshots.commit(documentOf(id)));
  });

  it('refuses to write what it would refuse to read', async () => {
    const { snapshots, disk } = openSnapshots();
    const document = documentOf(id, { files: [{ name: '../x', bytes: Buffer.alloc(0) }] });
    await rejectsWith('E_SNAPSHOT_DAMAGED', snapshots.commit(document));
    assert.equal(disk.files.size, 0);
  });

  it('takes the name of what it leaves free only', async () => {
    const { snapshots, disk } = openSnapshots();
    assert.equal(await snapshots.isFree(id), true);
    disk.makeDirectory(DIRECTORY);
    assert.equal(await snapshots.isFree(id), false);
  });
});

describe('listing snapshots', () => {
  it('lists none in a new repository', async () => {
    assert.deepEqual(await names(openSnapshots().snapshots), []);
  });

  it('orders by guest and time, and filters by guest', async () => {
    const { snapshots } = openSnapshots();
    for (const one of [idOf(1000), idOf(100, SECOND + 1), id, idOf(100, SECOND, 'lxc')])
      await snapshots.commit(documentOf(one));
    const all = [
      'lxc/100@2026-11-22T04:17:14Z',
      'qemu/100@2026-11-22T04:17:14Z',
      'qemu/100@2026-11-22T04:17:15Z',
      'qemu/1000@2026-11-22T04:17:14Z',
    ];
    assert.deepEqual(await names(snapshots), all);
    assert.deepEqual(await names(snapshots, { guestType: 'qemu', vmid: 100 }), all.slice(1, 3));
    assert.deepEqual(await names(snapshots, { vmid: 100 }), all.slice(0, 3));
    assert.deepEqual(await names(snapshots, { guestType: 'lxc' }), all.slice(0, 1));
    assert.deepEqual(await names(snapshots, { vmid: 555 }), []);
  });

  it('tells sizes, notes, protection and log of each', async () => {
    const { snapshots } = openSnapshots();
    await snapshots.commit(documentOf(id));
    await snapshots.sidecars.setNotes(id, 'vor dem Umbau 🚧\nzweite Zeile');
    await snapshots.sidecars.setProtected(id, true);
    const [entry] = await snapshots.list();
    assert.equal(entry?.notes, 'vor dem Umbau 🚧\nzweite Zeile');
    assert.equal(entry.protected, true);
    assert.equal(entry.hasLog, false);
    assert.equal(entry.damage, null);
    assert.equal(entry.summary?.sizeBytes, 541672);
    assert.deepEqual(entry.summary.files, [{ name: 'guest.conf', sizeBytes: 24 }]);
  });

  it('ignores what is not a snapshot: other names, files, and a directory without its document', async () => {
    const { snapshots, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    disk.makeDirectory('/r/snapshots/qemu/100/20261122T999999Z');
    disk.makeDirectory('/r/snapshots/qemu/100/20261122T041715Z');
    disk.makeDirectory('/r/snapshots/qemu/lost+found');
    disk.makeDirectory('/r/snapshots/other/100/20261122T041714Z');
    disk.files.set('/r/snapshots/qemu/200', Buffer.from('a file'));
    disk.files.set('/r/snapshots/qemu/100/20261122T041715Z/notes', Buffer.from('left over'));
    assert.deepEqual(await names(snapshots), ['qemu/100@2026-11-22T04:17:14Z']);
  });

  it('lists a damaged snapshot as damaged, and the others beside it', async () => {
    const { snapshots, disk } = openSnapshots();
    for (const one of [id, idOf(101), idOf(102), idOf(103)]) await snapshots.commit(documentOf(one));
    const path = (vmid: number): string => `/r/snapshots/qemu/${vmid}/20261122T041714Z/snapshot`;
    disk.files.set(path(100), Buffer.alloc(0));
    disk.files.set(path(101), Buffer.alloc(20 * 1024 * 1024));
    disk.fault = (call, at) => {
      if (call === 'read' && at === path(102)) throw new VzvaultError('E_STORAGE_IO', 'Input/output error');
    };
    const entries = await snapshots.list();
    assert.deepEqual(
      entries.map((entry) => [entry.id.vmid, entry.damage !== null, entry.summary !== null]),
      [
        [100, true, false],
        [101, true, false],
        [102, true, false],
        [103, false, true],
      ],
    );
    assert.match(entries[0]?.damage ?? '', /qemu\/100@2026-11-22T04:17:14Z: it is too short/);
    await rejectsWith('E_SNAPSHOT_DAMAGED', snapshots.read(idOf(101)));
  });

  it('still lists a snapshot whose notes are damaged', async () => {
    const { snapshots, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    await snapshots.sidecars.setNotes(id, 'x');
    disk.files.set(`${DIRECTORY}/notes`, Buffer.from('rubbish'));
    const [entry] = await snapshots.list();
    assert.equal(entry?.notes, '');
    assert.equal(entry.damage, null);
    await rejectsWith('E_SNAPSHOT_DAMAGED', snapshots.sidecars.notes(id));
  });

  it('fails where the storage fails, and does not take that for an empty repository', async () => {
    const { snapshots, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    disk.fault = () => {
      throw new VzvaultError('E_STORAGE_TIMEOUT', 'the mount hangs');
    };
    await rejectsWith('E_STORAGE_TIMEOUT', snapshots.list());
  });

  it('reads a document once, and only those that are new', async () => {
    const { snapshots, other, disk } = openSnapshots();
    for (const one of [id, idOf(101)]) await other.commit(documentOf(one));
    const reads = async (): Promise<string[]> => {
      disk.calls.length = 0;
      await snapshots.list();
      return disk.calls.filter((call) => call.startsWith('read '));
    };
    assert.equal((await reads()).length, 2);
    assert.deepEqual(await reads(), []);
    await other.commit(documentOf(idOf(102)));
    assert.deepEqual(await reads(), ['read snapshots/qemu/102/20261122T041714Z/snapshot']);
  });

  it('does not remember damage, which may have been the line to the storage', async () => {
    const { snapshots, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    const good = disk.files.get(`${DIRECTORY}/snapshot`) ?? Buffer.alloc(0);
    disk.files.set(`${DIRECTORY}/snapshot`, Buffer.from('x'));
    assert.notEqual((await snapshots.get(id)).damage, null);
    disk.files.set(`${DIRECTORY}/snapshot`, good);
    assert.equal((await snapshots.get(id)).damage, null);
  });
});

describe('finding a snapshot', () => {
  it('finds the newest of a guest, with no regard to what is half removed', async () => {
    const { snapshots, disk } = openSnapshots();
    for (const one of [id, idOf(100, SECOND + 5), idOf(1000, SECOND + 9)]) await snapshots.commit(documentOf(one));
    disk.makeDirectory('/r/snapshots/qemu/100/20270101T000000Z');
    assert.deepEqual(await snapshots.latest({ guestType: 'qemu', vmid: 100 }), idOf(100, SECOND + 5));
  });

  it('says which one is missing', async () => {
    const { snapshots } = openSnapshots();
    assert.match(
      (await rejectsWith('E_SNAPSHOT_MISSING', snapshots.get(id))).message,
      /qemu\/100@2026-11-22T04:17:14Z/,
    );
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.read(id));
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.latest({ guestType: 'lxc', vmid: 100 }));
  });
});

describe('removing a snapshot', () => {
  it('leaves nothing of it, and everything of others', async () => {
    const { snapshots, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    await snapshots.commit(documentOf(idOf(101)));
    await snapshots.sidecars.setNotes(id, 'x');
    await snapshots.sidecars.setLog(id, Buffer.from('y'));
    await snapshots.remove(id);
    assert.deepEqual([...disk.files.keys()], ['/r/snapshots/qemu/101/20261122T041714Z/snapshot']);
    assert.equal(disk.directories.has(DIRECTORY), false);
    assert.deepEqual(await names(snapshots), ['qemu/101@2026-11-22T04:17:14Z']);
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.remove(id));
  });

  it('refuses a protected one and touches nothing', async () => {
    const { snapshots, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    await snapshots.sidecars.setProtected(id, true);
    const before = [...disk.files.keys()];
    await rejectsWith('E_SNAPSHOT_PROTECTED', snapshots.remove(id));
    assert.deepEqual([...disk.files.keys()], before);
    await snapshots.sidecars.setProtected(id, false);
    await snapshots.remove(id);
  });

  it('removes the document first, so that one cut short at any point is no snapshot', async () => {
    for (let allowed = 0; allowed < 3; allowed += 1) {
      const { snapshots, other, disk } = openSnapshots();
      await snapshots.commit(documentOf(id));
      await snapshots.sidecars.setNotes(id, 'x');
      await snapshots.sidecars.setLog(id, Buffer.from('y'));
      let removals = 0;
      disk.fault = (call) => {
        if (call !== 'remove') return;
        if (removals >= allowed) throw new VzvaultError('E_STORAGE_IO', 'cut');
        removals += 1;
      };
      await rejectsWith('E_STORAGE_IO', snapshots.remove(id));
      const isThere = allowed === 0;
      assert.equal((await names(other)).length, isThere ? 1 : 0);
      assert.equal((await names(snapshots)).length, isThere ? 1 : 0);
    }
  });

  it('counts as done where only its directory stays, as it does on NFS while somebody reads', async () => {
    const { snapshots, other, disk } = openSnapshots();
    await snapshots.commit(documentOf(id));
    disk.fault = (call, path) => {
      if (call === 'remove' && path === DIRECTORY) throw new VzvaultError('E_STORAGE_IO', 'Directory not empty');
    };
    await snapshots.remove(id);
    assert.deepEqual(await names(other), []);
    await rejectsWith('E_SNAPSHOT_MISSING', snapshots.remove(id));
  });

  it('can remove a damaged one', async () => {
    const { snapshots, disk } = openSnapshots();
    disk.makeDirectory(DIRECTORY);
    disk.files.set(`${DIRECTORY}/snapshot`, Buffer.from('rubbish'));
    await snapshots.remove(id);
    assert.deepEqual(await names(snapshots), []);
  });
});
