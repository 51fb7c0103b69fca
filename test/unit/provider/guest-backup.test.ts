import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { VmBackupRequest } from '../../../src/provider/call.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import { sharingLimits } from '../../../src/lib/limits.js';
import { rejectsWith } from '../../support/assertions.js';
import { FakeCall, FakeProvider, storage } from '../../support/fake-provider.js';
import { cleanupsOf } from '../../support/temp.js';

const guest = { guestType: 'qemu', vmid: 100, startTimeSeconds: 1_795_321_034 } as const;

async function begun(provider: FakeProvider): Promise<{ jobId: string; backupId: string; volume: string }> {
  const { jobId } = await provider.handlers.jobBegin({ storage }, new FakeCall());
  return { jobId, ...(await provider.handlers.backupBegin({ jobId, ...guest })) };
}

function requestOf(test: TestContext, changes: Partial<VmBackupRequest> = {}): VmBackupRequest {
  const nbdPath = join(cleanupsOf(test).directory(), 'disk');
  writeFileSync(nbdPath, Buffer.alloc(5000, 'x'));
  const bitmap = { bitmapMode: 'none', bitmapName: null, dirtyBytes: null } as const;
  const disk = { device: 'drive-scsi0', sizeBytes: 5000, nbdPath, ...bitmap };
  const config = Buffer.from('memory: 512\n').toString('base64');
  return { configBase64: config, firewallBase64: null, bandwidthLimitBytesPerSecond: 0, disks: [disk], ...changes };
}

test('a whole backup commits before it answers, and says so in the task log', async (t) => {
  const provider = await FakeProvider.create();
  const { handlers } = provider;
  const { jobId, backupId, volume } = await begun(provider);
  assert.equal(volume, 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv');
  assert.deepEqual(await handlers.backupMechanism({ backupId }), { mechanism: 'nbd' });
  const query = { backupId, qemuPid: null, disks: { 'drive-scsi0': { sizeBytes: 5000 } } };
  assert.deepEqual(await handlers.backupQueryIncremental(query), { modes: { 'drive-scsi0': 'new' } });
  const call = new FakeCall();
  const result = await handlers.backupVm({ backupId, ...requestOf(t) }, call);
  assert.deepEqual(result, { addedBytes: 5000, readBytes: 5000, sizeBytes: 5000 });
  assert.deepEqual(provider.snapshots(), ['qemu/100/20261122T041714Z/snapshot']);
  assert.match(call.lines[0] ?? '', /^info: drive-scsi0: /);
  assert.deepEqual(await handlers.backupEnd({ backupId, success: true, error: null }), { addedBytes: 5000 });
  await handlers.jobEnd({ jobId });
  assert.deepEqual(handlers.sessionCounts, { jobs: 0, backups: 0, restores: 0 });
  assert.equal(provider.engine.store.openWriters, 0);
});

test('the end never takes a committed snapshot back, however often and with whatever it is called', async (t) => {
  const provider = await FakeProvider.create();
  const { handlers } = provider;
  const { backupId } = await begun(provider);
  await handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall());
  for (const success of [true, false, false]) {
    assert.deepEqual(await handlers.backupEnd({ backupId, success, error: 'hook failed' }), { addedBytes: 5000 });
  }
  assert.equal(provider.snapshots().length, 1);
});

test('backup.vm runs once', async (t) => {
  const provider = await FakeProvider.create();
  const { handlers } = provider;
  const { backupId } = await begun(provider);
  const first = handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall());
  await rejectsWith('E_SESSION_STATE', handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall()));
  await first;
  await rejectsWith('E_SESSION_STATE', handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall()));
  await handlers.backupEnd({ backupId, success: true, error: null });
  await rejectsWith('E_SESSION_STATE', handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall()));
});

test('calls about sessions that are not there are refused by name; their ends are fine', async () => {
  const { handlers } = await FakeProvider.create();
  const backupId = 'feedbeef';
  await rejectsWith('E_SESSION_UNKNOWN', handlers.backupBegin({ jobId: backupId, ...guest }));
  await rejectsWith('E_SESSION_UNKNOWN', handlers.backupMechanism({ backupId }));
  await rejectsWith('E_SESSION_UNKNOWN', handlers.backupQueryIncremental({ backupId, qemuPid: null, disks: {} }));
  assert.deepEqual(await handlers.jobEnd({ jobId: backupId }), {});
  assert.deepEqual(await handlers.backupEnd({ backupId, success: false, error: null }), { addedBytes: 0 });
});

test('one guest is backed up once at a time into a repository, also through another storage and job', async () => {
  const provider = await FakeProvider.create();
  const { handlers } = provider;
  const { backupId } = await begun(provider);
  const other = await handlers.jobBegin({ storage: { ...storage, id: 'nas2' } }, new FakeCall());
  const again = { ...other, ...guest, startTimeSeconds: guest.startTimeSeconds + 9 };
  await rejectsWith('E_GUEST_BUSY', handlers.backupBegin(again));
  await handlers.backupBegin({ ...again, vmid: 101 });
  await handlers.backupEnd({ backupId, success: false, error: null });
  await handlers.backupBegin(again);
});

test('the same guest goes into two repositories at once', async () => {
  const provider = await FakeProvider.create();
  await begun(provider);
  await provider.createRepository('/mnt/other');
  const { jobId } = await provider.handlers.jobBegin({ storage: { ...storage, path: '/mnt/other' } }, new FakeCall());
  await provider.handlers.backupBegin({ jobId, ...guest });
});

test('a start time that has a snapshot already is refused at the beginning, and the guest is free afterwards', async (t) => {
  const provider = await FakeProvider.create();
  const { handlers } = provider;
  const { jobId, backupId } = await begun(provider);
  await handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall());
  await handlers.backupEnd({ backupId, success: true, error: null });
  await rejectsWith('E_NAME_TAKEN', handlers.backupBegin({ jobId, ...guest }));
  await handlers.backupBegin({ jobId, ...guest, startTimeSeconds: guest.startTimeSeconds + 1 });
});

for (const [what, point] of [
  ['reading', 'backupVolume'],
  ['flushing', 'flush'],
  ['refreshing', 'refresh'],
] as const) {
  test(`a failure in ${what} commits nothing, keeps its code, and leaves no writer open`, async (t) => {
    const provider = await FakeProvider.create();
    const { backupId } = await begun(provider);
    provider.engine.store.fault = (at) => {
      if (at === point) throw new VzvaultError('E_NO_SPACE', 'writing a pack');
    };
    await rejectsWith('E_NO_SPACE', provider.handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall()));
    assert.deepEqual(provider.snapshots(), []);
    assert.equal(provider.engine.store.openWriters, 0);
    assert.deepEqual(await provider.handlers.backupEnd({ backupId, success: false, error: 'x' }), { addedBytes: 0 });
  });
}

for (const point of ['refresh', 'backupVolume', 'flush'] as const) {
  test(`a caller that goes away during ${point} ends the backup with nothing committed`, async (t) => {
    const provider = await FakeProvider.create();
    const { backupId } = await begun(provider);
    const call = new FakeCall();
    provider.engine.store.fault = (at) => {
      if (at === point) call.controller.abort(new VzvaultError('E_CANCELLED', 'the caller has gone'));
    };
    await rejectsWith('E_CANCELLED', provider.handlers.backupVm({ backupId, ...requestOf(t) }, call));
    await new Promise(setImmediate);
    assert.deepEqual(provider.snapshots(), []);
    assert.equal(provider.engine.store.openWriters, 0);
  });
}

test('the end of the job stops a running backup', async (t) => {
  const provider = await FakeProvider.create();
  const { handlers } = provider;
  const { jobId, backupId } = await begun(provider);
  let ended: Promise<unknown> = Promise.resolve();
  provider.engine.store.fault = (at) => {
    if (at === 'backupVolume') ended = handlers.jobEnd({ jobId });
  };
  await rejectsWith('E_CANCELLED', handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall()));
  await ended;
  assert.deepEqual(provider.snapshots(), []);
  await rejectsWith('E_SESSION_UNKNOWN', handlers.backupMechanism({ backupId }));
});

test('a storage that goes away under a backup leaves no session behind once it is back', async (t) => {
  const provider = await FakeProvider.create();
  const { handlers, engine } = provider;
  const { jobId, backupId } = await begun(provider);
  engine.store.fault = (at) => {
    if (at !== 'backupVolume') return;
    engine.disk.fault = () => {
      throw new VzvaultError('E_STORAGE_IO', 'the link is down');
    };
    throw new VzvaultError('E_STORAGE_IO', 'writing a pack');
  };
  await rejectsWith('E_STORAGE_IO', handlers.backupVm({ backupId, ...requestOf(t) }, new FakeCall()));
  await handlers.jobEnd({ jobId });
  assert.equal(provider.sessions().length, 1);
  assert.equal(engine.disk.openHandles, 0);
  engine.disk.fault = () => undefined;
  provider.clock.advance(sharingLimits.heartbeatMs);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(provider.sessions(), []);
  assert.equal(engine.disk.openHandles, 0);
});

test('a job whose owner is gone is swept with its backups; that of a process which lives is not', async () => {
  const provider = await FakeProvider.create();
  const { handlers, processes } = provider;
  processes.start(200);
  const mine = await handlers.jobBegin({ storage }, new FakeCall(100));
  const theirs = await handlers.jobBegin({ storage }, new FakeCall(200));
  await handlers.backupBegin({ ...theirs, ...guest });
  await handlers.sweep();
  assert.deepEqual(handlers.sessionCounts, { jobs: 2, backups: 1, restores: 0 });
  processes.end(200);
  // The pid alone says nothing: another process has it now.
  processes.start(200);
  await handlers.sweep();
  assert.deepEqual(handlers.sessionCounts, { jobs: 1, backups: 0, restores: 0 });
  await handlers.backupBegin({ ...mine, ...guest });
});

test('a job of a process that cannot be seen is refused', async () => {
  const { handlers } = await FakeProvider.create();
  await rejectsWith('E_PEER_DENIED', handlers.jobBegin({ storage }, new FakeCall(4711)));
});

test('a job finds out at its beginning that the storage cannot be written', async () => {
  const provider = await FakeProvider.create();
  provider.engine.disk.fault = (call) => {
    if (call === 'putIfAbsent') throw new VzvaultError('E_READ_ONLY', 'creating a file');
  };
  await rejectsWith('E_READ_ONLY', provider.handlers.jobBegin({ storage }, new FakeCall()));
  assert.equal(provider.handlers.sessionCounts.jobs, 0);
});

test('a job into a path without a repository is refused and makes none', async () => {
  const provider = await FakeProvider.create();
  provider.engine.disk.makeDirectory('/mnt/empty');
  const job = provider.handlers.jobBegin({ storage: { ...storage, path: '/mnt/empty' } }, new FakeCall());
  await rejectsWith('E_REPOSITORY_MISSING', job);
});

test('stopping ends all jobs', async () => {
  const provider = await FakeProvider.create();
  await begun(provider);
  await provider.handlers.stop();
  assert.deepEqual(provider.handlers.sessionCounts, { jobs: 0, backups: 0, restores: 0 });
});
