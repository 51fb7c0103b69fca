import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { beginBackup, type BackupSession, type VolumeRequest } from '../../../src/repository/backup-session.js';
import { createRepository, type Repository } from '../../../src/repository/repository.js';
import { sharingOf } from '../../../src/repository/sessions/sharing.js';
import { rejectsWith, throwsWith } from '../../support/assertions.js';
import { idOf, SECOND } from '../../support/documents.js';
import { FakeEngine } from '../../support/fake-engine.js';
import { FakeProcesses } from '../../support/fake-processes.js';
import { ManualClock } from '../../support/manual-clock.js';
import { cleanupsOf } from '../../support/temp.js';

const id = idOf(100);

interface World {
  engine: FakeEngine;
  repository: Repository;
  begin: (timeSeconds?: number) => Promise<BackupSession>;
  disk: (name: string, bytes: Buffer) => VolumeRequest;
}

async function setUp(t: TestContext): Promise<World> {
  const engine = new FakeEngine();
  engine.disk.makeDirectory('/mnt/backup');
  const repository = await createRepository(engine, { path: '/mnt/backup' }, { createdAtSeconds: SECOND });
  const directory = cleanupsOf(t).directory();
  process.env['VZVAULT_CACHE_DIR'] = directory;
  const sharing = sharingOf({ hostname: 'node1', processes: new FakeProcesses(), clock: new ManualClock() });
  return {
    engine,
    repository,
    begin: (timeSeconds = id.timeSeconds) =>
      beginBackup(repository, {
        id: { ...id, timeSeconds },
        createdBy: { version: '0.1.0', hostname: 'node1' },
        clock: { nowSeconds: () => SECOND + 60 },
        sharing,
      }),
    disk: (name, bytes) => {
      const path = join(directory, `${name}.img`);
      writeFileSync(path, bytes);
      return { name, source: { kind: 'file', path }, stallTimeoutMs: 1000 };
    },
  };
}

const listed = async (world: World): Promise<number> => (await world.repository.snapshots.list()).length;

describe('a backup', () => {
  it('commits volumes, files and sums of counters as one snapshot', async (t) => {
    const world = await setUp(t);
    const session = await world.begin();
    await Promise.all([
      session.backupVolume(world.disk('drive-scsi0', Buffer.alloc(1000, 7))),
      session.backupVolume(world.disk('drive-scsi1', Buffer.alloc(500))),
    ]);
    session.addFile('guest.conf', Buffer.from('memory: 512\n'));
    assert.equal(await listed(world), 0);
    const result = await session.commit();
    assert.equal(result.sizeBytes, 1500);
    assert.deepEqual(result.stats, {
      readBytes: 1500,
      unchangedBytes: 0,
      zeroBytes: 500,
      reusedBytes: 0,
      newBytes: 1000,
      addedBytes: 1000,
    });
    const document = await world.repository.snapshots.read(id);
    assert.deepEqual(
      document.volumes.map((volume) => volume.name),
      ['drive-scsi0', 'drive-scsi1'],
    );
    assert.equal(document.files[0]?.bytes.toString(), 'memory: 512\n');
    assert.equal(document.finishedAtSeconds, SECOND + 60);
    assert.equal(world.engine.store.openWriters, 0);
  });

  it('learns what other nodes stored before it begins', async (t) => {
    const world = await setUp(t);
    let refreshes = 0;
    world.engine.store.fault = (point) => {
      if (point === 'refresh') refreshes += 1;
    };
    await (await world.begin()).abort();
    assert.equal(refreshes, 1);
  });

  it('refuses a second that has a snapshot already, before it reads anything', async (t) => {
    const world = await setUp(t);
    await (await world.begin()).commit();
    await rejectsWith('E_NAME_TAKEN', world.begin());
    await (await world.begin(SECOND + 1)).abort();
  });

  it('leaves the snapshot of whoever committed that second first', async (t) => {
    const world = await setUp(t);
    const [one, two] = [await world.begin(), await world.begin()];
    await one.commit();
    await rejectsWith('E_NAME_TAKEN', two.commit());
    await two.abort();
    assert.equal(await listed(world), 1);
    assert.equal(world.engine.store.openWriters, 0);
  });

  it('commits nothing once a volume failed', async (t) => {
    const world = await setUp(t);
    const session = await world.begin();
    await session.backupVolume(world.disk('drive-scsi0', Buffer.alloc(10, 1)));
    const wrong = { ...world.disk('drive-scsi1', Buffer.alloc(10)), expectedSizeBytes: 11 };
    await rejectsWith('E_SOURCE_SIZE', session.backupVolume(wrong));
    await rejectsWith('E_SESSION_STATE', session.commit());
    await session.abort();
    assert.equal(await listed(world), 0);
    assert.equal(world.engine.store.openWriters, 0);
  });

  it('commits nothing while a volume is still being backed up', async (t) => {
    const world = await setUp(t);
    const session = await world.begin();
    const running = session.backupVolume(world.disk('drive-scsi0', Buffer.alloc(10)));
    await rejectsWith('E_SESSION_STATE', session.commit());
    await running;
    await session.commit();
  });

  it('commits nothing where flushing fails, and the next one succeeds', async (t) => {
    const world = await setUp(t);
    world.engine.store.fault = (point) => {
      if (point === 'flush') throw new VzvaultError('E_NO_SPACE', 'full');
    };
    const session = await world.begin();
    await rejectsWith('E_NO_SPACE', session.commit());
    await session.abort();
    assert.equal(await listed(world), 0);
    world.engine.store.fault = () => undefined;
    await (await world.begin()).commit();
    assert.equal(await listed(world), 1);
  });

  it('commits nothing where it was stopped before the snapshot existed', async (t) => {
    const world = await setUp(t);
    const stop = new AbortController();
    world.engine.store.fault = (point) => {
      if (point === 'flush') stop.abort();
    };
    const session = await world.begin();
    await rejectsWith('E_CANCELLED', session.commit(stop.signal));
    await session.abort();
    assert.equal(await listed(world), 0);
  });

  it('commits nothing where it was given up while it flushed', async (t) => {
    const world = await setUp(t);
    const session = await world.begin();
    let abort: Promise<void> | undefined;
    world.engine.store.fault = (point) => {
      if (point === 'flush') abort = session.abort();
    };
    await rejectsWith('E_CANCELLED', session.commit());
    await abort;
    assert.equal(session.isCommitted, false);
    assert.equal(await listed(world), 0);
  });

  it('never takes back what was committed', async (t) => {
    const world = await setUp(t);
    const session = await world.begin();
    await session.commit();
    await session.abort();
    await session.abort();
    assert.equal(session.isCommitted, true);
    assert.equal(await listed(world), 1);
  });

  it('refuses names that are taken or could not be files', async (t) => {
    const world = await setUp(t);
    const session = await world.begin();
    const disk = world.disk('drive-scsi0', Buffer.alloc(10));
    await session.backupVolume(disk);
    await rejectsWith('E_ARGUMENT_INVALID', session.backupVolume(disk));
    await rejectsWith('E_ARGUMENT_INVALID', session.backupVolume({ ...disk, name: '../x' }));
    session.addFile('guest.conf', Buffer.alloc(0));
    throwsWith('E_ARGUMENT_INVALID', () => {
      session.addFile('guest.conf', Buffer.alloc(0));
    });
    await session.commit();
  });

  it('does nothing more once it ended', async (t) => {
    const world = await setUp(t);
    const session = await world.begin();
    await session.abort();
    await rejectsWith('E_SESSION_STATE', session.commit());
    await rejectsWith('E_SESSION_STATE', session.backupVolume(world.disk('drive-scsi0', Buffer.alloc(1))));
    throwsWith('E_SESSION_STATE', () => {
      session.addFile('guest.conf', Buffer.alloc(0));
    });
  });
});
