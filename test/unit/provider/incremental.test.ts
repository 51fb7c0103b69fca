/** Which bitmaps are used, what a backup with them takes over, and when their record goes. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { sharingLimits } from '../../../src/lib/limits.js';
import type { DiskRequest } from '../../../src/provider/call.js';
import { rejectsWith } from '../../support/assertions.js';
import { FakeCall, FakeProvider, storage } from '../../support/fake-provider.js';
import { cleanupsOf } from '../../support/temp.js';

const qemuPid = 500;
const sizeBytes = 1000;
const device = 'drive-scsi0';
let timeSeconds = 1_795_321_034;

/** A node with one running guest, which has one disk. */
class World {
  private constructor(
    readonly provider: FakeProvider,
    readonly disk: string,
  ) {}

  static async create(t: TestContext): Promise<World> {
    const provider = await FakeProvider.create();
    provider.processes.start(qemuPid);
    const world = new World(provider, join(cleanupsOf(t).directory(), 'disk'));
    world.write('a');
    return world;
  }

  write(letter: string): void {
    writeFileSync(this.disk, Buffer.alloc(sizeBytes, letter));
  }

  /** What PVE does up to backup_vm: answers the mode and the id. */
  async begin(section: object = {}): Promise<{ jobId: string; backupId: string; mode: string; volume: string }> {
    const { handlers } = this.provider;
    timeSeconds += 1;
    const { jobId } = await handlers.jobBegin({ storage: { ...storage, ...section } }, new FakeCall());
    const guest = { guestType: 'qemu', vmid: 100, startTimeSeconds: timeSeconds } as const;
    const { backupId, volume } = await handlers.backupBegin({ jobId, ...guest });
    const disks = { [device]: { sizeBytes } };
    const { modes } = await handlers.backupQueryIncremental({ backupId, qemuPid, disks });
    return { jobId, backupId, volume, mode: modes[device] ?? '' };
  }

  async vm(backupId: string, changes: Partial<DiskRequest>, call = new FakeCall()): Promise<string[]> {
    const bitmap = { bitmapMode: 'new', bitmapName: 'snapshot-access:nas', dirtyBytes: null } as const;
    const disk: DiskRequest = { device, sizeBytes, nbdPath: this.disk, ...bitmap, ...changes };
    const request = { configBase64: '', firewallBase64: null, bandwidthLimitBytesPerSecond: 0, disks: [disk] };
    await this.provider.handlers.backupVm({ backupId, ...request }, call);
    return call.lines;
  }

  /** A whole backup in the mode that was answered, of which PVE says what it likes; that mode. */
  async backUp(changes: Partial<DiskRequest> = {}, section: object = {}): Promise<string> {
    const { jobId, backupId, mode } = await this.begin(section);
    try {
      await this.vm(backupId, { bitmapMode: mode === 'use' ? 'reuse' : 'new', ...changes });
    } finally {
      await this.provider.handlers.jobEnd({ jobId });
    }
    return mode;
  }

  forget(name: string): void {
    this.provider.engine.disk.files.delete(`${storage.path}/vzvault/snapshots/${name}`);
  }

  /** The bytes of the newest snapshot's disk. */
  newest(): string {
    return [...this.provider.engine.store.volumes.values()].at(-1)?.toString('latin1') ?? '';
  }
}

test('the first backup begins a bitmap, the second reads only what it marks and is whole', async (t) => {
  const world = await World.create(t);
  assert.equal(await world.backUp(), 'new');
  world.write('b');
  world.provider.engine.store.bitmap = [[100, 10]];
  assert.equal(await world.backUp({ dirtyBytes: 10 }), 'use');
  assert.equal(world.newest(), 'a'.repeat(100) + 'b'.repeat(10) + 'a'.repeat(890));
  const { incremental } = world.provider.engine.store.backups.at(-1) ?? {};
  assert.deepEqual(incremental?.dirty, { kind: 'bitmap', bitmapName: 'snapshot-access:nas' });
  assert.equal(await world.backUp(), 'use');
});

test('with the mechanism file-handle regions are asked for in batches', async (t) => {
  const world = await World.create(t);
  const section = { vmMechanism: 'file-handle' };
  await world.backUp();
  world.write('b');
  const { backupId, mode } = await world.begin(section);
  assert.deepEqual(await world.provider.handlers.backupMechanism({ backupId }), { mechanism: 'file-handle' });
  assert.equal(mode, 'use');
  const call = new FakeCall();
  call.descriptors.push(7);
  call.batches.push([[0, 1]], [[5, 2]]);
  world.provider.engine.descriptors.set(7, world.disk);
  await world.vm(backupId, { bitmapMode: 'reuse', nbdPath: null, dirtyBytes: 3 }, call);
  assert.equal(world.newest(), `baaaabb${'a'.repeat(993)}`);
});

test('a guest in another process begins anew, under the same pid too', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  world.provider.processes.end(qemuPid);
  world.provider.processes.start(qemuPid);
  assert.equal(await world.backUp(), 'new');
  assert.equal(await world.backUp(), 'use');
});

test('without the snapshot that the bitmap counts from it begins anew, also where an older one is left', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  await world.backUp();
  world.forget(world.provider.snapshots().sort().at(-1) ?? '');
  assert.equal(await world.backUp(), 'new');
});

test('a guest of a rebooted node begins anew although pid and start time are the same', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  world.provider.processes.reboot();
  assert.equal(await world.backUp(), 'new');
});

test('a bitmap that PVE reuses unasked ends the backup with nothing committed', async (t) => {
  const world = await World.create(t);
  await rejectsWith('E_SOURCE_BITMAP', world.backUp({ bitmapMode: 'reuse' }));
  assert.deepEqual(world.provider.snapshots(), []);
});

test('regions that do not come to what QEMU counted end it too, and the next backup is full', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  world.provider.engine.store.bitmap = [[100, 10]];
  await rejectsWith('E_SOURCE_BITMAP', world.backUp({ dirtyBytes: 20 }));
  assert.equal(world.provider.snapshots().length, 1);
  assert.equal(await world.backUp(), 'new');
});

test('with the mechanism file-handle a bitmap without a count is not believed', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  await rejectsWith('E_SOURCE_BITMAP', world.backUp({ nbdPath: null, dirtyBytes: null }));
});

test('a damaged base fails one backup, not all that follow', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  const { store } = world.provider.engine;
  store.fault = (point) => {
    if (point === 'backupVolume') throw new VzvaultError('E_CHUNK_DAMAGED', 'reading a map node');
  };
  await rejectsWith('E_CHUNK_DAMAGED', world.backUp());
  store.fault = () => undefined;
  assert.equal(await world.backUp(), 'new');
});

test('a failure of the storage keeps the record: the bitmap still counts from it', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  const { store } = world.provider.engine;
  store.fault = (point) => {
    if (point === 'flush') throw new VzvaultError('E_NO_SPACE', 'writing a pack');
  };
  await rejectsWith('E_NO_SPACE', world.backUp());
  store.fault = () => undefined;
  assert.equal(await world.backUp(), 'use');
});

test('a disk whose bitmap is lost, or was never made, is read in full and said to be', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  world.write('b');
  await world.backUp({ bitmapMode: 'new' });
  assert.equal(world.newest(), 'b'.repeat(sizeBytes));
  await world.backUp({ bitmapMode: 'none' });
  assert.equal(await world.backUp(), 'new', 'what had no bitmap is not remembered');
});

test('each storage id has bitmaps of its own', async (t) => {
  const world = await World.create(t);
  await world.backUp();
  assert.equal(await world.backUp({}, { id: 'nas2' }), 'new');
  assert.equal(await world.backUp(), 'use');
  assert.equal(await world.backUp({}, { id: 'nas2' }), 'use');
});

test('a storage that was removed and added again under its id begins anew', async (t) => {
  const world = await World.create(t);
  await world.backUp({}, { instance: 'a'.repeat(32) });
  assert.equal(await world.backUp({}, { instance: 'b'.repeat(32) }), 'new');
  assert.equal(await world.backUp({}, { instance: 'b'.repeat(32) }), 'use');
  assert.equal(await world.backUp(), 'new', 'written by hand');
});

test('a storage that leads to another repository begins anew, there and on its return', async (t) => {
  const world = await World.create(t);
  await world.provider.createRepository('/mnt/other');
  await world.backUp();
  assert.equal(await world.backUp({}, { path: '/mnt/other' }), 'new');
  assert.equal(await world.backUp(), 'new');
});

test('a record that can be neither written nor removed fails the backup, since success would clear the bitmap', async (t) => {
  const world = await World.create(t);
  world.provider.records.fault = () => {
    throw new VzvaultError('E_INTERNAL', 'removing the record');
  };
  await rejectsWith('E_INTERNAL', world.backUp());
});

test('a guest that ended during its backup leaves no record', async (t) => {
  const world = await World.create(t);
  const { backupId } = await world.begin();
  world.provider.processes.end(qemuPid);
  await world.vm(backupId, {});
  assert.equal(world.provider.records.records.size, 0);
});

test('a base that vanishes during the backup leaves no record: the next reads in full and puts back what went with it', async (t) => {
  const world = await World.create(t);
  const first = await world.begin();
  await world.vm(first.backupId, {});
  await world.provider.handlers.backupEnd({ backupId: first.backupId, success: true, error: null });
  const second = await world.begin();
  assert.equal(second.mode, 'use');
  world.provider.engine.store.fault = (point) => {
    if (point !== 'backupVolume') return;
    for (const name of world.provider.snapshots()) world.forget(name);
  };
  await world.vm(second.backupId, { bitmapMode: 'reuse', dirtyBytes: 0 });
  assert.equal(world.provider.snapshots().length, 1);
  assert.equal(world.provider.records.records.size, 0);
});

test('a source that refuses discards is said so once a job, and not asked again', async (t) => {
  const world = await World.create(t);
  const { store } = world.provider.engine;
  store.discardRefusal = 'Operation not supported';
  const { jobId, backupId } = await world.begin();
  const lines = await world.vm(backupId, {});
  assert.equal(lines.filter((line) => line.startsWith('warn: ')).length, 1);
  const guest = { guestType: 'qemu', vmid: 101, startTimeSeconds: timeSeconds } as const;
  const next = await world.provider.handlers.backupBegin({ jobId, ...guest });
  const later = await world.vm(next.backupId, {});
  assert.ok(later.every((line) => line.startsWith('info: ')));
  assert.deepEqual(
    store.backups.map(({ discard }) => discard),
    [true, false],
  );
});

test('a base is let go before the repository is closed, also where a heartbeat is slow just then', async (t) => {
  const world = await World.create(t);
  const { handlers, engine, clock } = world.provider;
  await world.backUp();
  const { jobId, mode } = await world.begin();
  assert.equal(mode, 'use');
  assert.equal(world.provider.sessions().length, 1);
  let goOn = (): void => undefined;
  engine.disk.fault = () =>
    new Promise<void>((resolve) => {
      goOn = resolve;
    });
  clock.advance(sharingLimits.heartbeatMs);
  await new Promise(setImmediate);
  const ended = handlers.jobEnd({ jobId });
  engine.disk.fault = () => undefined;
  await new Promise(setImmediate);
  goOn();
  await ended;
  assert.deepEqual(world.provider.sessions(), []);
  assert.equal(engine.disk.openHandles, 0);
});
