import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { formatVolumeName } from '../../../src/lib/volume-name.js';
import { openRepository } from '../../../src/repository/repository.js';
import { rejectsWith } from '../../support/assertions.js';
import { ARCHIVE, documentOf, idOf } from '../../support/documents.js';
import { FakeCall, FakeProvider, storage } from '../../support/fake-provider.js';

const volume = formatVolumeName(idOf(100));
const containerId = idOf(101, undefined, 'lxc');

async function withSnapshot(): Promise<FakeProvider> {
  const provider = await FakeProvider.create();
  const repository = await openRepository(provider.engine, storage);
  await repository.snapshots.commit(documentOf(idOf(100)));
  await repository.close();
  return provider;
}

test('the first disk that is opened makes the mount, the others share it, the end removes it', async () => {
  const provider = await withSnapshot();
  const { handlers, mounter } = provider;
  const { restoreId, disks } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  assert.deepEqual(disks, { 'drive-scsi0': { sizeBytes: 1000 }, 'drive-efidisk0': { sizeBytes: 540672 } });
  assert.equal(mounter.specs.length, 0);
  const devices = ['drive-scsi0', 'drive-efidisk0', 'drive-scsi0'];
  const paths = await Promise.all(devices.map((device) => handlers.restoreOpenDisk({ restoreId, device })));
  assert.deepEqual(
    paths.map(({ path }) => path),
    devices.map((device) => `/run/vzvault/mounts/${restoreId}/${device}.raw`),
  );
  assert.equal(mounter.specs.length, 1);
  assert.equal(mounter.specs[0]?.repository, '/mnt/nas/vzvault');
  assert.equal(mounter.specs[0].allowOther, true);
  for (const device of devices) assert.deepEqual(await handlers.restoreCloseDisk({ restoreId, device }), {});
  assert.ok(mounter.mounted.has(restoreId));
  assert.deepEqual(await handlers.restoreEnd({ restoreId }, new FakeCall()), {});
  assert.equal(mounter.mounted.size, 0);
  assert.deepEqual(await handlers.restoreEnd({ restoreId }, new FakeCall()), {});
});

test('a snapshot that is missing, or whose document is damaged, is refused at the beginning', async () => {
  const { handlers, engine } = await withSnapshot();
  const missing = handlers.restoreBegin({ storage, volume: formatVolumeName(idOf(101)) }, new FakeCall());
  await rejectsWith('E_SNAPSHOT_MISSING', missing);
  const [name = ''] = [...engine.disk.files.keys()].filter((file) => file.endsWith('/snapshot'));
  engine.disk.files.get(name)?.fill(7, 20, 30);
  await rejectsWith('E_SNAPSHOT_DAMAGED', handlers.restoreBegin({ storage, volume }, new FakeCall()));
  assert.equal(handlers.sessionCounts.restores, 0);
});

test('a disk that the snapshot lacks is refused, also where an object has such a property', async () => {
  const { handlers, mounter } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  for (const device of ['drive-scsi1', 'constructor', 'guest.conf', '..']) {
    await rejectsWith('E_VOLUME_MISSING', handlers.restoreOpenDisk({ restoreId, device }));
  }
  assert.equal(mounter.specs.length, 0);
});

test('a mount that failed can be tried again', async () => {
  const { handlers, mounter } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  mounter.fault = () => {
    throw new VzvaultError('E_MOUNT_FAILED', 'no /dev/fuse');
  };
  await rejectsWith('E_MOUNT_FAILED', handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' }));
  mounter.fault = () => undefined;
  await handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' });
});

test('a mount whose program ended is reported, not handed out', async () => {
  const { handlers, mounter } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  await handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' });
  mounter.alive = false;
  await rejectsWith('E_MOUNT_FAILED', handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' }));
});

test('a restore that ends while it mounts leaves no mount', async () => {
  const { handlers, mounter } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  let goOn = (): void => undefined;
  mounter.fault = () =>
    new Promise<void>((resolve) => {
      goOn = resolve;
    });
  const opening = handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' });
  await new Promise(setImmediate);
  const ending = handlers.restoreEnd({ restoreId }, new FakeCall());
  goOn();
  await Promise.all([opening, ending]);
  assert.equal(mounter.mounted.size, 0);
});

test('after the end the session is unknown; closing a disk is still fine', async () => {
  const { handlers } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  await handlers.restoreEnd({ restoreId }, new FakeCall());
  await rejectsWith('E_SESSION_UNKNOWN', handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' }));
  assert.deepEqual(await handlers.restoreCloseDisk({ restoreId, device: 'drive-scsi0' }), {});
});

test('a restore whose owner is gone is swept with its mount; stopping leaves it alone', async () => {
  const { handlers, mounter, processes } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall(100));
  await handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' });
  await handlers.sweep();
  await handlers.stop();
  assert.ok(mounter.mounted.has(restoreId));
  processes.end(100);
  await handlers.sweep();
  assert.equal(mounter.mounted.size, 0);
  assert.equal(handlers.sessionCounts.restores, 0);
});

test('nothing is swept while it cannot be told who is gone', async () => {
  const { handlers, mounter, processes } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall(100));
  await handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' });
  await handlers.jobBegin({ storage }, new FakeCall(100));
  processes.isBlind = true;
  await handlers.sweep();
  assert.ok(mounter.mounted.has(restoreId));
  assert.deepEqual(handlers.sessionCounts, { jobs: 1, backups: 0, restores: 1 });
});

test('a caller that is gone before the restore began gets no session', async () => {
  const { handlers } = await withSnapshot();
  const call = new FakeCall();
  call.controller.abort(new VzvaultError('E_CANCELLED', 'the caller has gone'));
  await rejectsWith('E_CANCELLED', handlers.restoreBegin({ storage, volume }, call));
  assert.equal(handlers.sessionCounts.restores, 0);
});

async function withContainer(): Promise<FakeProvider> {
  const provider = await FakeProvider.create();
  const repository = await openRepository(provider.engine, storage);
  await repository.snapshots.commit(documentOf(containerId, { volumes: [], archives: [ARCHIVE] }));
  await repository.close();
  return provider;
}

test("a container's files are opened as a tar file or as a directory of one mount", async () => {
  const { handlers, mounter } = await withContainer();
  const params = { storage, volume: formatVolumeName(containerId) };
  const { restoreId, disks, archives } = await handlers.restoreBegin(params, new FakeCall());
  assert.deepEqual([disks, archives], [{}, [{ name: 'root', sizeBytes: ARCHIVE.data.sizeBytes }]]);
  const open = async (mechanism: 'tar' | 'directory'): Promise<string> =>
    (await handlers.restoreOpenArchive({ restoreId, mechanism })).path;
  assert.equal(await open('tar'), `/run/vzvault/mounts/${restoreId}/root.tar`);
  assert.equal(await open('directory'), `/run/vzvault/mounts/${restoreId}/root`);
  assert.equal(mounter.specs.length, 1);
  const { data, catalogue } = ARCHIVE;
  assert.deepEqual(
    mounter.specs[0]?.nodes.map(({ path, archiveTar, archiveTree }) => [path, archiveTar ?? archiveTree]),
    [
      ['root.tar', { data, catalogue }],
      ['root', { data, catalogue }],
      ['guest.conf', undefined],
    ],
  );
  await rejectsWith('E_VOLUME_MISSING', handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' }));
  await handlers.restoreEnd({ restoreId }, new FakeCall());
  assert.equal(mounter.mounted.size, 0);
  await rejectsWith('E_SESSION_UNKNOWN', handlers.restoreOpenArchive({ restoreId, mechanism: 'tar' }));
});

test('the backup of a VM has no archive to open', async () => {
  const { handlers, mounter } = await withSnapshot();
  const { restoreId, archives } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  assert.deepEqual(archives, []);
  await rejectsWith('E_VOLUME_MISSING', handlers.restoreOpenArchive({ restoreId, mechanism: 'tar' }));
  assert.equal(mounter.specs.length, 0);
});

const damage = 'vzvault-fuse: error E_CHUNK_DAMAGED: reading bytes 0 to 4096 of drive-scsi0.raw: chunk 0c4f';

test('what the mount met stands in the task log of the end, also where it was learnt before', async () => {
  const { handlers, mounter } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  await handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' });
  mounter.log.push(damage);
  await handlers.sweep();
  mounter.log.push(damage.replace('0c4f', '9be1'), 'vzvault-fuse: info: stats reads=1');
  const call = new FakeCall();
  await handlers.restoreEnd({ restoreId }, call);
  assert.deepEqual(
    call.lines.map((line) => line.replace(/: [^:]+\)$/, ')')),
    ['0c4f', '9be1'].map(
      (chunk) => `err: reading bytes 0 to 4096 of drive-scsi0.raw: chunk ${chunk} (E_CHUNK_DAMAGED)`,
    ),
  );
});

test('a mount whose program ended is an error of the end', async () => {
  const { handlers, mounter } = await withSnapshot();
  const { restoreId } = await handlers.restoreBegin({ storage, volume }, new FakeCall());
  await handlers.restoreOpenDisk({ restoreId, device: 'drive-scsi0' });
  mounter.alive = false;
  const call = new FakeCall();
  await handlers.restoreEnd({ restoreId }, call);
  assert.equal(call.lines.length, 1);
  assert.match(call.lines[0] ?? '', /^err: vzvault-fuse, .* has ended unexpectedly \(E_MOUNT_FAILED: /);
});
