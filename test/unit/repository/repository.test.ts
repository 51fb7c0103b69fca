import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { cacheDirectoryOf } from '../../../src/repository/cache-directory.js';
import { createRepository, openRepository } from '../../../src/repository/repository.js';
import { rejectsWith } from '../../support/assertions.js';
import { documentOf, idOf, SECOND } from '../../support/documents.js';
import { FakeEngine } from '../../support/fake-engine.js';
import { Cleanups } from '../../support/temp.js';

const PATH = '/mnt/backup';
const CONFIG = `${PATH}/vzvault/config`;
const created = { createdAtSeconds: SECOND };

function setUp(): FakeEngine {
  const engine = new FakeEngine();
  engine.disk.makeDirectory(PATH);
  return engine;
}

describe('making a repository', () => {
  it('makes one that can be opened, with the chunk size that was asked for', async () => {
    const engine = setUp();
    const made = await createRepository(engine, { path: PATH }, { ...created, chunkSizeBytes: 1048576 });
    const opened = await openRepository(engine, { path: PATH });
    assert.deepEqual(opened.config, made.config);
    assert.equal(opened.config.chunkSizeBytes, 1048576);
    assert.equal(opened.path, '/mnt/backup/vzvault');
  });

  it('uses 512 KiB where nothing was asked for', async () => {
    assert.equal((await createRepository(setUp(), { path: PATH }, created)).config.chunkSizeBytes, 524288);
  });

  it('does not make the path: an unmounted storage must not grow a repository', async () => {
    await rejectsWith('E_PATH_MISSING', createRepository(new FakeEngine(), { path: '/mnt/absent' }, created));
  });

  it('leaves an existing one as it is, also where it is given itself', async () => {
    const engine = setUp();
    await createRepository(engine, { path: PATH }, created);
    const before = engine.disk.files.get(CONFIG);
    await rejectsWith('E_REPOSITORY_EXISTS', createRepository(engine, { path: PATH }, created));
    await rejectsWith('E_REPOSITORY_EXISTS', createRepository(engine, { path: `${PATH}/vzvault` }, created));
    assert.deepEqual(engine.disk.files.get(CONFIG), before);
  });

  it('lets one of two that are made at once win', async () => {
    const engine = setUp();
    const outcomes = await Promise.allSettled([0, 1].map(() => createRepository(engine, { path: PATH }, created)));
    assert.deepEqual(outcomes.map((outcome) => outcome.status).sort(), ['fulfilled', 'rejected']);
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    assert.equal((failure?.reason as VzvaultError).code, 'E_REPOSITORY_EXISTS');
  });

  it('refuses data of a repository that lost its config', async () => {
    const engine = setUp();
    engine.disk.makeDirectory(`${PATH}/vzvault/packs/ab`);
    await rejectsWith('E_CONFIG_INVALID', createRepository(engine, { path: PATH }, created));
  });

  it('leaves no repository where it was cut short, and can be repeated', async () => {
    const engine = setUp();
    engine.disk.fault = (call) => {
      if (call === 'putIfAbsent') throw new VzvaultError('E_NO_SPACE', 'full');
    };
    await rejectsWith('E_NO_SPACE', createRepository(engine, { path: PATH }, created));
    engine.disk.fault = () => undefined;
    await rejectsWith('E_REPOSITORY_MISSING', openRepository(engine, { path: PATH }));
    await createRepository(engine, { path: PATH }, created);
  });
});

describe('opening a repository', () => {
  it('opens the storage that it is in, and the repository itself wherever it was copied to', async () => {
    const engine = setUp();
    const { config } = await createRepository(engine, { path: PATH }, created);
    assert.deepEqual((await openRepository(engine, { path: `${PATH}/vzvault` })).config, config);
    engine.disk.makeDirectory('/usb/copy/packs');
    engine.disk.files.set('/usb/copy/config', engine.disk.files.get(CONFIG) ?? Buffer.alloc(0));
    assert.equal((await openRepository(engine, { path: '/usb/copy' })).path, '/usb/copy');
  });

  it('tells a missing path from a path without a repository, and creates nothing', async () => {
    const engine = setUp();
    await rejectsWith('E_PATH_MISSING', openRepository(engine, { path: '/mnt/absent' }));
    await rejectsWith('E_REPOSITORY_MISSING', openRepository(engine, { path: PATH }));
    assert.equal(engine.disk.files.size, 0);
    assert.equal(engine.disk.directories.has(`${PATH}/vzvault`), false);
  });

  it('does not take any file called config for a repository', async () => {
    const engine = setUp();
    engine.disk.files.set(`${PATH}/config`, Buffer.from('[core]\n'));
    await rejectsWith('E_REPOSITORY_MISSING', openRepository(engine, { path: PATH }));
  });

  it('insists on the mount point that the storage names', async () => {
    const engine = setUp();
    await createRepository(engine, { path: PATH }, created);
    await rejectsWith('E_NOT_MOUNTED', openRepository(engine, { path: PATH, isMountpoint: 'yes' }));
    await rejectsWith('E_NOT_MOUNTED', openRepository(engine, { path: PATH, isMountpoint: '/mnt' }));
    await rejectsWith('E_NOT_MOUNTED', createRepository(engine, { path: PATH, isMountpoint: 'yes' }, created));
    engine.disk.mountPoints.add('/mnt');
    await rejectsWith('E_NOT_MOUNTED', openRepository(engine, { path: PATH, isMountpoint: 'yes' }));
    await openRepository(engine, { path: PATH, isMountpoint: '/mnt' });
    await openRepository(engine, { path: PATH, isMountpoint: '' });
  });

  it('refuses a config that is damaged, too long or of another format', async () => {
    const engine = setUp();
    engine.disk.makeDirectory(`${PATH}/vzvault`);
    engine.disk.files.set(CONFIG, Buffer.from('rubbish'));
    await rejectsWith('E_CONFIG_INVALID', openRepository(engine, { path: PATH }));
    engine.disk.files.set(CONFIG, Buffer.alloc(70_000));
    await rejectsWith('E_CONFIG_INVALID', openRepository(engine, { path: PATH }));
    engine.disk.files.set(CONFIG, Buffer.from('{"format":2}\n'));
    await rejectsWith('E_FORMAT_UNKNOWN', openRepository(engine, { path: PATH }));
  });

  it('finds out whether it can be written, and leaves nothing behind', async () => {
    const engine = setUp();
    const repository = await createRepository(engine, { path: PATH }, created);
    await repository.requireWritable();
    assert.deepEqual([...engine.disk.files.keys()], [CONFIG]);
    engine.disk.fault = (call) => {
      if (call === 'putIfAbsent') throw new VzvaultError('E_READ_ONLY', 'read-only');
    };
    await rejectsWith('E_READ_ONLY', repository.requireWritable());
  });

  it('sees the snapshots that another node committed', async () => {
    const engine = setUp();
    const one = await createRepository(engine, { path: PATH }, created);
    const two = await openRepository(engine, { path: PATH });
    await one.snapshots.commit(documentOf(idOf(100)));
    assert.equal((await two.snapshots.list()).length, 1);
  });
});

describe('the chunks of a repository', () => {
  const cleanups = new Cleanups();
  beforeEach(() => {
    process.env['VZVAULT_CACHE_DIR'] = mkdtempSync(join(cleanups.directory(), 'cache-'));
  });
  afterEach(async () => {
    delete process.env['VZVAULT_CACHE_DIR'];
    await cleanups.undo();
  });

  it('are opened once, when they are needed, with a cache directory of their own', async () => {
    const engine = setUp();
    const repository = await createRepository(engine, { path: PATH }, created);
    assert.equal(engine.openedStores.length, 0);
    const [first, second] = await Promise.all([repository.openStore(), repository.openStore()]);
    assert.equal(first, second);
    const cacheDirectory = join(process.env['VZVAULT_CACHE_DIR'] ?? '', repository.config.repositoryId);
    assert.deepEqual(engine.openedStores, [{ path: '/mnt/backup/vzvault', cacheDirectory, key: null }]);
  });

  it('are opened again after opening failed', async () => {
    const engine = setUp();
    const repository = await createRepository(engine, { path: PATH }, created);
    const openStore = engine.openStore.bind(engine);
    engine.openStore = async () => Promise.reject(new VzvaultError('E_STORAGE_IO', 'once'));
    await rejectsWith('E_STORAGE_IO', repository.openStore());
    engine.openStore = openStore;
    await repository.openStore();
  });

  it('are refused where another repository came to lie on the path meanwhile', async () => {
    const engine = setUp();
    const repository = await createRepository(engine, { path: PATH }, created);
    const other = setUp();
    await createRepository(other, { path: PATH }, created);
    const name = '/mnt/backup/vzvault/config';
    const config = other.disk.files.get(name);
    assert.ok(config !== undefined);
    engine.disk.files.set(name, config);
    await rejectsWith('E_REPOSITORY_MISSING', repository.openStore());
    assert.equal(engine.store.closes, 1);
  });

  it('are closed with the repository, once', async () => {
    const engine = setUp();
    const repository = await createRepository(engine, { path: PATH }, created);
    await repository.openStore();
    await repository.close();
    await repository.close();
    assert.equal(engine.store.closes, 1);
    await rejectsWith('E_INTERNAL', repository.openStore());
  });
});

describe('the cache directory', () => {
  it('is /var/cache for root, the XDG cache for others, and what VZVAULT_CACHE_DIR says', () => {
    const at = (uid: number, environment: Record<string, string>): string =>
      cacheDirectoryOf('id', { uid, environment });
    assert.equal(at(0, { HOME: '/root' }), '/var/cache/vzvault/id');
    assert.equal(at(1000, { HOME: '/home/a', XDG_CACHE_HOME: '/c' }), '/c/vzvault/id');
    assert.equal(at(1000, { HOME: '/home/a', XDG_CACHE_HOME: 'relative' }), '/home/a/.cache/vzvault/id');
    assert.match(at(1000, {}), /vzvault-1000\/id$/);
    assert.equal(at(0, { VZVAULT_CACHE_DIR: '/elsewhere' }), '/elsewhere/id');
    assert.equal(at(0, { VZVAULT_CACHE_DIR: 'relative' }), '/var/cache/vzvault/id');
  });
});
