import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { beforeEach, describe, it, mock, type TestContext } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { argumentLimits, storageLimits } from '../../../src/lib/limits.js';
import { formatVolumeName } from '../../../src/lib/volume-name.js';
import { plainKeyFile, writeKeyFile } from '../../../src/repository/keys/key-file.js';
import { randomKey } from '../../../src/repository/keys/key-material.js';
import { storageKeyFile } from '../../../src/repository/keys/storage-key.js';
import { createRepository, openRepository, type Repository } from '../../../src/repository/repository.js';
import { RepositoryPool } from '../../../src/storage/repository-pool.js';
import { StorageHandlers } from '../../../src/storage/storage-handlers.js';
import { rejectsWith } from '../../support/assertions.js';
import { documentOf, idOf, SECOND } from '../../support/documents.js';
import { FakeEngine } from '../../support/fake-engine.js';
import { ManualClock } from '../../support/manual-clock.js';
import { cleanupsOf } from '../../support/temp.js';

const storage = { id: 'nas', path: '/mnt/nas', isMountpoint: '' } as const;
const volume = formatVolumeName(idOf(100));

describe('the storage handlers', () => {
  let engine: FakeEngine;
  let handlers: StorageHandlers;

  /** As another node would. */
  async function elsewhere(
    work: (repository: Repository) => Promise<void>,
    path: string = storage.path,
  ): Promise<void> {
    const repository = await openRepository(engine, { path });
    await work(repository);
    await repository.close();
  }

  /** Of a path without a repository; its key files lie in a directory of the test's. */
  function encryptedSection(t: TestContext): { id: string; path: string; isMountpoint: string; encryptionKey: string } {
    process.env['VZVAULT_KEY_DIR'] = cleanupsOf(t).directory();
    t.after(() => {
      delete process.env['VZVAULT_KEY_DIR'];
    });
    engine.disk.makeDirectory('/mnt/new');
    return { id: 'nas', path: '/mnt/new', isMountpoint: '', encryptionKey: 'f'.repeat(32) };
  }

  beforeEach(async () => {
    engine = new FakeEngine();
    engine.disk.makeDirectory(storage.path);
    const clock = new ManualClock();
    handlers = new StorageHandlers(new RepositoryPool(engine, clock), clock);
    await createRepository(engine, storage, { createdAtSeconds: 0 });
    await elsewhere(({ snapshots }) => snapshots.commit(documentOf(idOf(100))));
  });

  it('make a repository once', async () => {
    engine.disk.makeDirectory('/mnt/new');
    const section = { ...storage, path: '/mnt/new', chunkSizeBytes: 1_048_576 };
    const first = await handlers.create({ storage: section });
    assert.equal(first.created, true);
    const second = await handlers.create({ storage: section });
    assert.deepEqual(second, { created: false, repositoryId: first.repositoryId });
    await elsewhere(async ({ config }) => {
      assert.equal(config.chunkSizeBytes, 1_048_576);
    }, '/mnt/new');
  });

  it('make and join an encrypted one by the key file of the storage id', async (t) => {
    const section = encryptedSection(t);
    await rejectsWith('E_KEY_MISSING', handlers.create({ storage: section }));
    await rejectsWith('E_REPOSITORY_MISSING', handlers.activate({ storage: section }));
    const facts = { repositoryId: null, createdAtSeconds: 0 };
    await writeKeyFile(storageKeyFile('nas'), plainKeyFile(randomKey(), facts));
    const { created, repositoryId } = await handlers.create({ storage: section });
    assert.equal(created, true);
    assert.deepEqual(await handlers.create({ storage: section }), { created: false, repositoryId });
    assert.deepEqual(await handlers.unlock({ storage: section }), { repositoryId });
    // Another storage joins it: by its own key file only, and by the right one.
    const second = { ...section, id: 'second' };
    await rejectsWith('E_KEY_MISSING', handlers.create({ storage: second }));
    await writeKeyFile(storageKeyFile('second'), plainKeyFile(randomKey(), facts));
    await rejectsWith('E_KEY_WRONG', handlers.create({ storage: second }));
    await rejectsWith('E_KEY_WRONG', handlers.unlock({ storage: second }));
    const { encryptionKey, ...without } = { ...section, id: 'third' };
    await rejectsWith('E_KEY_MISSING', handlers.create({ storage: without }));
    assert.equal(encryptionKey.length, 32);
    // Whatever the key: the storage can be activated, its backups can be listed.
    await handlers.activate({ storage: second });
    assert.deepEqual((await handlers.list({ storage: second })).backups, []);
    // A plain one is refused where the storage has a key.
    await rejectsWith('E_SUITE_MISMATCH', handlers.create({ storage: { ...section, path: storage.path } }));
  });

  it('list an encrypted repository with its key and, in less detail, without', async (t) => {
    const section = encryptedSection(t);
    const keyFile = storageKeyFile('nas');
    await writeKeyFile(keyFile, plainKeyFile(randomKey(), { repositoryId: null, createdAtSeconds: 0 }));
    await handlers.create({ storage: section });
    const repository = await openRepository(engine, { path: section.path, unlocking: { keyFile } });
    await repository.snapshots.commit(documentOf(idOf(100)));
    const sizes = async (): Promise<number[]> =>
      (await handlers.list({ storage: section })).backups.map(({ sizeBytes }) => sizeBytes);
    assert.deepEqual(await sizes(), [541672]);
    renameSync(keyFile, `${keyFile}.away`);
    assert.deepEqual(await sizes(), [0], 'what was read with the key is not kept');
    const [entry] = (await handlers.list({ storage: section })).backups;
    assert.equal(entry?.verifyState, 'unknown');
    await rejectsWith('E_KEY_MISSING', handlers.readConfig({ storage: section, volume, name: 'guest.conf' }));
    renameSync(`${keyFile}.away`, keyFile);
    assert.deepEqual(await sizes(), [541672]);
    assert.ok((await handlers.readConfig({ storage: section, volume, name: 'guest.conf' })).contentBase64);
  });

  it('never make one while activating', async () => {
    engine.disk.makeDirectory('/mnt/empty');
    await rejectsWith('E_REPOSITORY_MISSING', handlers.activate({ storage: { ...storage, path: '/mnt/empty' } }));
    await rejectsWith('E_PATH_MISSING', handlers.activate({ storage: { ...storage, path: '/mnt/absent' } }));
    await rejectsWith('E_NOT_MOUNTED', handlers.activate({ storage: { ...storage, isMountpoint: 'yes' } }));
    await rejectsWith('E_NOT_MOUNTED', handlers.create({ storage: { ...storage, isMountpoint: '/mnt' } }));
    engine.disk.mountPoints.add('/mnt');
    await handlers.activate({ storage: { ...storage, isMountpoint: '/mnt' } });
  });

  it('tell the space', async () => {
    assert.deepEqual(await handlers.status({ storage }), { totalBytes: 1000, availableBytes: 600, usedBytes: 400 });
  });

  it('list what there is, damaged snapshots included', async () => {
    await elsewhere(async ({ snapshots }) => {
      await snapshots.commit(documentOf(idOf(101, SECOND, 'lxc')));
      await snapshots.sidecars.setNotes(idOf(100), 'first\nsecond ü');
    });
    const directory = '/mnt/nas/vzvault/snapshots/qemu/102/20261122T041714Z';
    engine.disk.makeDirectory(directory).files.set(`${directory}/snapshot`, Buffer.from('torn'));
    const { backups, more } = await handlers.list({ storage });
    assert.equal(more, false);
    const base = { timeSeconds: SECOND, protected: false, notes: '' };
    const whole = { ...base, sizeBytes: 541672, addedBytes: 900, verifyState: 'none' };
    assert.deepEqual(backups, [
      { ...whole, volume: formatVolumeName(idOf(101, SECOND, 'lxc')), guestType: 'lxc', vmid: 101 },
      { ...whole, volume, guestType: 'qemu', vmid: 100, notes: 'first\nsecond ü' },
      {
        ...{ ...base, volume: formatVolumeName(idOf(102)), guestType: 'qemu', vmid: 102 },
        ...{ sizeBytes: 0, addedBytes: 0, verifyState: 'damaged' },
      },
    ]);
    assert.equal((await handlers.list({ storage, vmid: 101 })).backups.length, 1);
    assert.deepEqual(await handlers.info({ storage, volume }), backups[1]);
  });

  it('tell what verification found', async () => {
    await elsewhere(async ({ snapshots: { sidecars } }) => {
      await sidecars.setVerifyState(idOf(100), { state: 'ok', checkedAtSeconds: SECOND, message: '' });
    });
    assert.equal((await handlers.info({ storage, volume })).verifyState, 'ok');
    await elsewhere(async ({ snapshots: { sidecars } }) => {
      await sidecars.setVerifyState(idOf(100), { state: 'damaged', checkedAtSeconds: SECOND, message: 'why' });
    });
    const [backup] = (await handlers.list({ storage })).backups;
    assert.deepEqual([backup?.verifyState, backup?.sizeBytes], ['damaged', 541672]);
  });

  it('list in pages, in the order of volumes, where the notes are long', async () => {
    const notes = 'n'.repeat(argumentLimits.notesCharacters);
    const count = Math.ceil(storageLimits.listBytes / notes.length) * 2 + 1;
    await elsewhere(async ({ snapshots }) => {
      for (let second = 1; second <= count; second += 1) {
        await snapshots.commit(documentOf(idOf(100, SECOND + second)));
        await snapshots.sidecars.setNotes(idOf(100, SECOND + second), notes);
      }
    });
    const volumes: string[] = [];
    let pages = 0;
    for (let after: string | undefined; ; after = volumes.at(-1)) {
      const page = await handlers.list({ storage, ...(after === undefined ? {} : { after }) });
      pages += 1;
      volumes.push(...page.backups.map((backup) => backup.volume));
      if (!page.more) break;
    }
    assert.equal(volumes.length, count + 1);
    assert.deepEqual(volumes, [...new Set(volumes)].sort());
    assert.equal(pages, 3);
  });

  it('set notes and protection, and refuse to free what is protected', async () => {
    await handlers.setNotes({ storage, volume, notes: 'ünïcode ✓' });
    await handlers.setProtected({ storage, volume, protected: true });
    await handlers.setProtected({ storage, volume, protected: true });
    const { notes, protected: on } = await handlers.info({ storage, volume });
    assert.deepEqual([notes, on], ['ünïcode ✓', true]);
    await rejectsWith('E_SNAPSHOT_PROTECTED', handlers.free({ storage, volume }));
    await handlers.setProtected({ storage, volume, protected: false });
    assert.deepEqual(await handlers.free({ storage, volume }), {});
    await rejectsWith('E_SNAPSHOT_MISSING', handlers.info({ storage, volume }));
    await rejectsWith('E_SNAPSHOT_MISSING', handlers.setNotes({ storage, volume, notes: 'x' }));
    assert.deepEqual((await handlers.list({ storage })).backups, []);
  });

  it('hand out configurations byte for byte, and null for one that is not there', async () => {
    const { contentBase64 } = await handlers.readConfig({ storage, volume, name: 'guest.conf' });
    assert.equal(Buffer.from(contentBase64 ?? '', 'base64').toString(), 'memory: 512\nname: büro\n');
    assert.deepEqual(await handlers.readConfig({ storage, volume, name: 'firewall.conf' }), { contentBase64: null });
  });

  it('read each snapshot once while listing again and again', async () => {
    await handlers.list({ storage });
    const reads = (): number => engine.disk.calls.filter((call) => /^read .*\/snapshot$/.test(call)).length;
    const before = reads();
    await handlers.list({ storage });
    assert.equal(reads(), before);
  });

  it('notice another repository under the same path, and an unmounted one', async () => {
    const { repositoryId } = await handlers.activate({ storage });
    assert.equal((await handlers.list({ storage })).backups.length, 1);
    for (const name of [...engine.disk.files.keys()]) engine.disk.files.delete(name);
    await rejectsWith('E_REPOSITORY_MISSING', handlers.list({ storage }));
    for (const name of engine.disk.directories) if (name.startsWith('/mnt/nas/')) engine.disk.directories.delete(name);
    const created = await handlers.create({ storage });
    assert.notEqual(created.repositoryId, repositoryId);
    assert.deepEqual((await handlers.list({ storage })).backups, []);
    assert.deepEqual(await handlers.activate({ storage }), { repositoryId: created.repositoryId });
  });

  it('pass on what the storage reports', async () => {
    for (const code of ['E_READ_ONLY', 'E_NO_SPACE', 'E_STORAGE_IO', 'E_PERMISSION'] as const) {
      engine.disk.fault = (call) => {
        if (call === 'replace') throw new VzvaultError(code, 'writing notes');
      };
      await rejectsWith(code, handlers.setNotes({ storage, volume, notes: 'x' }));
    }
  });

  it('name a newer format', async () => {
    engine.disk.files.set('/mnt/nas/vzvault/config', Buffer.from('{"format":2}\n'));
    await rejectsWith('E_FORMAT_UNKNOWN', handlers.activate({ storage }));
    await rejectsWith('E_FORMAT_UNKNOWN', handlers.create({ storage }));
  });

  it('answer within the time where the mount hangs, and other storages are not touched by it', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      engine.disk.makeDirectory('/mnt/other');
      await createRepository(engine, { path: '/mnt/other' }, { createdAtSeconds: 0 });
      engine.disk.fault = (_call, path) => (path.startsWith('/mnt/nas') ? new Promise(() => undefined) : undefined);
      const hung = rejectsWith('E_STORAGE_TIMEOUT', handlers.status({ storage }));
      await new Promise(setImmediate);
      await handlers.status({ storage: { ...storage, id: 'other', path: '/mnt/other' } });
      mock.timers.tick(storageLimits.promptMs);
      assert.match((await hung).message, /the storage nas \(\/mnt\/nas\) did not end within/);
    } finally {
      mock.timers.reset();
    }
  });
});
