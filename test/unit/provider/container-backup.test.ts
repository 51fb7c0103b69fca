import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VzvaultError, type ErrorCode } from '../../../src/lib/errors.js';
import { containerLimits } from '../../../src/lib/limits.js';
import type { GuestBackupRequest } from '../../../src/provider/call.js';
import { openRepository } from '../../../src/repository/repository.js';
import { rejectsWith } from '../../support/assertions.js';
import { idOf, SECOND } from '../../support/documents.js';
import { FakeCall, FakeContainerCall, FakeProvider, storage } from '../../support/fake-provider.js';

const guest = { guestType: 'lxc', vmid: 101, startTimeSeconds: SECOND } as const;
const id = idOf(101, SECOND, 'lxc');

const request: GuestBackupRequest = {
  configBase64: Buffer.from('arch: amd64\n').toString('base64'),
  firewallBase64: Buffer.from('[OPTIONS]\n').toString('base64'),
  bandwidthLimitBytesPerSecond: 0,
};

interface World {
  readonly provider: FakeProvider;
  readonly jobId: string;
  readonly backupId: string;
  readonly volume: string;
}

/** A provider in the middle of a job, with the backup of a container begun, whose tar sends 5,000 bytes of data. */
async function begun(): Promise<World> {
  const provider = await FakeProvider.create();
  provider.engine.store.archives.set(7, Buffer.alloc(5000, 'x'));
  const { jobId } = await provider.handlers.jobBegin({ storage }, new FakeCall());
  return { provider, jobId, ...(await provider.handlers.backupBegin({ jobId, ...guest })) };
}

async function fails(code: ErrorCode, world: World, call: FakeContainerCall): Promise<void> {
  const running = world.provider.handlers.backupContainer({ backupId: world.backupId, ...request }, call);
  await rejectsWith(code, running);
  assert.deepEqual(world.provider.snapshots(), []);
  assert.equal(world.provider.engine.store.openWriters, 0);
  assert.ok(call.closedArchives > 0, 'the stream was given up');
}

test('a whole backup of a container commits before it answers, with archive and configurations', async () => {
  const { provider, backupId, jobId, volume } = await begun();
  const { handlers } = provider;
  assert.equal(volume, 'backup/vzdump-lxc-101-2026_11_22-04_17_14.vzv');
  assert.deepEqual(await handlers.backupMechanism({ backupId }), { mechanism: 'directory' });
  const call = new FakeContainerCall();
  const limited = { ...request, bandwidthLimitBytesPerSecond: 1_000_000 };
  const result = await handlers.backupContainer({ backupId, ...limited }, call);
  assert.deepEqual(result, { addedBytes: 5000, readBytes: 6536, sizeBytes: 5000 });
  const { archiveBackups, writers } = provider.engine.store;
  assert.deepEqual(archiveBackups, [{ fd: 7 }]);
  assert.deepEqual(
    writers.map((options) => options.bandwidthLimitBytesPerSecond),
    [1_000_000],
  );
  assert.equal(call.askedEnds, 1);
  assert.ok(call.closedArchives > 0);
  assert.match(call.lines[0] ?? '', /^info: root: 1 files with 4.88 KiB of data$/);
  assert.ok(call.lines.every((line) => line.startsWith('info: ')));
  const repository = await openRepository(provider.engine, storage);
  const document = await repository.snapshots.read(id);
  assert.deepEqual(
    document.archives.map(({ name, members, data }) => [name, members, data.sizeBytes]),
    [['root', 1, 5000]],
  );
  assert.deepEqual(document.volumes, []);
  assert.deepEqual(
    document.files.map(({ name, bytes }) => [name, bytes.toString()]),
    [
      ['guest.conf', 'arch: amd64\n'],
      ['firewall.conf', '[OPTIONS]\n'],
    ],
  );
  const [entry] = await repository.snapshots.list();
  assert.equal(entry?.summary?.sizeBytes, 5000);
  await repository.close();
  assert.deepEqual(await handlers.backupEnd({ backupId, success: true, error: null }), { addedBytes: 5000 });
  await handlers.jobEnd({ jobId });
});

test('files that changed while they were read are a warning', async () => {
  const { provider, backupId } = await begun();
  const call = new FakeContainerCall([
    'tar: ./var/log/x: file changed ',
    'as we read it\n\ntar: ./y: File removed before we read it',
  ]);
  call.end = { exitCode: 1, signal: null };
  await provider.handlers.backupContainer({ backupId, ...request }, call);
  assert.equal(provider.snapshots().length, 1);
  assert.deepEqual(call.lines.slice(0, 3), [
    'warn: tar: ./var/log/x: file changed as we read it',
    'warn: tar: ./y: File removed before we read it',
    'warn: files changed while they were read; they are stored as tar found them',
  ]);
});

test('a tar that failed is E_ARCHIVE_SOURCE although its stream is whole', async () => {
  for (const [end, how] of [
    [{ exitCode: 2, signal: null }, 'with exit code 2'],
    [{ exitCode: null, signal: 9 }, 'by signal 9'],
    [{ exitCode: null, signal: null }, 'by signal unknown'],
  ] as const) {
    const world = await begun();
    const call = new FakeContainerCall(['tar: ./secret: Cannot open: Permission denied\n']);
    call.end = end;
    const running = world.provider.handlers.backupContainer({ backupId: world.backupId, ...request }, call);
    await assert.rejects(running, { code: 'E_ARCHIVE_SOURCE', message: new RegExp(`lxc/101: tar ended ${how}$`) });
    assert.deepEqual(world.provider.snapshots(), []);
    assert.equal(call.lines[0], 'warn: tar: ./secret: Cannot open: Permission denied');
  }
});

test('a stream that was cut short because tar ended is told as that', async () => {
  const world = await begun();
  world.provider.engine.store.archives.clear();
  const call = new FakeContainerCall();
  call.end = { exitCode: 127, signal: null };
  await fails('E_ARCHIVE_SOURCE', world, call);
});

test('a stream that cannot be kept is told as that where tar had no trouble of its own', async () => {
  for (const end of [{ exitCode: 0, signal: null }, { exitCode: null, signal: 13 }, new Error('gone')]) {
    const world = await begun();
    world.provider.engine.store.archives.clear();
    const call = new FakeContainerCall();
    call.end = end;
    await fails('E_ARCHIVE_INVALID', world, call);
    assert.equal(call.askedEnds, 1);
  }
});

test('a full storage, and an end of tar that nobody can tell, fail the backup', async () => {
  const full = await begun();
  full.provider.engine.store.fault = (point) => {
    if (point === 'backupArchive') throw new VzvaultError('E_NO_SPACE', 'no room');
  };
  await fails('E_NO_SPACE', full, new FakeContainerCall());
  const gone = await begun();
  const call = new FakeContainerCall();
  call.end = new VzvaultError('E_CONNECTION_LOST', 'the client has gone');
  await fails('E_CONNECTION_LOST', gone, call);
});

test('a caller that goes away, and the end of the session, stop the backup', async () => {
  for (const stop of ['caller', 'session'] as const) {
    const world = await begun();
    const call = new FakeContainerCall();
    let goOn = (): void => undefined;
    const reached = new Promise<void>((resolve) => {
      world.provider.engine.store.fault = (point) => {
        if (point !== 'backupArchive') return undefined;
        resolve();
        return new Promise<void>((settle) => (goOn = settle));
      };
    });
    const running = fails('E_CANCELLED', world, call);
    await reached;
    if (stop === 'caller') call.controller.abort(new VzvaultError('E_CANCELLED', 'the caller has gone'));
    const ending =
      stop === 'session'
        ? world.provider.handlers.backupEnd({ backupId: world.backupId, success: false, error: 'interrupted' })
        : null;
    goOn();
    await Promise.all([running, ending]);
  }
});

test('the calls of one guest type are refused for the other', async () => {
  const { provider, backupId, jobId } = await begun();
  const { handlers } = provider;
  await rejectsWith('E_UNSUPPORTED', handlers.backupQueryIncremental({ backupId, qemuPid: null, disks: {} }));
  await rejectsWith('E_UNSUPPORTED', handlers.backupVm({ backupId, ...request, disks: [] }, new FakeCall()));
  const vm = await handlers.backupBegin({ jobId, ...guest, guestType: 'qemu', vmid: 100 });
  const wrong = handlers.backupContainer({ backupId: vm.backupId, ...request }, new FakeContainerCall());
  await rejectsWith('E_UNSUPPORTED', wrong);
});

test('backup.container runs once', async () => {
  const { provider, backupId } = await begun();
  await provider.handlers.backupContainer({ backupId, ...request }, new FakeContainerCall());
  const again = provider.handlers.backupContainer({ backupId, ...request }, new FakeContainerCall());
  await rejectsWith('E_SESSION_STATE', again);
  assert.equal(provider.snapshots().length, 1);
});

test('the log kept with the snapshot has what tar said', async () => {
  const { provider, backupId } = await begun();
  const call = new FakeContainerCall(['tar: ./x: file changed as we read it\n']);
  await provider.handlers.backupContainer({ backupId, ...request }, call);
  await provider.handlers.backupKeepLog({ backupId, logBase64: '' });
  const repository = await openRepository(provider.engine, storage);
  assert.match((await repository.snapshots.sidecars.log(id))?.toString() ?? '', /WARN: tar: .\/x: file changed/);
  await repository.close();
});

test('what tar says without end is counted, and bounded in memory', async () => {
  const { provider, backupId } = await begun();
  const endless = Array.from({ length: 64 }, () => Buffer.alloc(65_536, 'y'));
  const many = Array.from(
    { length: containerLimits.messages + 5 },
    (_, n) => `tar: ./${n}: file changed as we read it\n`,
  );
  const call = new FakeContainerCall([...many, ...endless]);
  await provider.handlers.backupContainer({ backupId, ...request }, call);
  const warnings = call.lines.filter((line) => line.startsWith('warn: '));
  assert.equal(warnings.length, containerLimits.messages + 1);
  assert.equal(warnings.at(-1), 'warn: tar said 6 lines more');
});
