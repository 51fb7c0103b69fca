import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageLimits } from '../../../src/lib/limits.js';
import { StorageDirectory } from '../../../src/storage/storage-directory.js';
import { rejectsWith } from '../../support/assertions.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MemoryDisk } from '../../support/memory-directory.js';

class Setup {
  readonly clock = new ManualClock();
  readonly disk = new MemoryDisk().makeDirectory('/mnt/nas');
  opened = 0;
  closed = 0;
  readonly directory = new StorageDirectory('/mnt/nas', (path) => this.#open(path), this.clock);
  #goOn: (() => void)[] = [];

  /** Calls hang until `recover`. */
  hang(): void {
    this.disk.fault = () =>
      new Promise<void>((resolve) => {
        this.#goOn.push(resolve);
      });
  }

  async recover(): Promise<void> {
    this.disk.fault = () => undefined;
    for (const goOn of this.#goOn.splice(0)) goOn();
    await new Promise(setImmediate);
  }

  #open(path: string): ReturnType<MemoryDisk['open']> {
    this.opened += 1;
    const directory = this.disk.open(path);
    const close = directory.close.bind(directory);
    directory.close = () => {
      this.closed += 1;
      close();
    };
    return directory;
  }
}

test('holds no handle when nobody uses it', async () => {
  const setup = new Setup();
  const { directory } = setup;
  directory.hold();
  assert.equal(setup.opened, 0);
  await directory.status('config');
  await directory.status('config');
  assert.deepEqual([setup.opened, setup.closed], [1, 0]);
  directory.release();
  assert.deepEqual([setup.opened, setup.closed], [1, 1]);
  assert.ok(directory.isIdle);
});

test('uses that overlap share a handle, until it is too old', async () => {
  const setup = new Setup();
  const { directory, clock } = setup;
  directory.hold();
  await directory.status('a');
  directory.hold();
  await directory.status('a');
  assert.equal(setup.opened, 1);
  clock.advance(storageLimits.handleAgeMs);
  directory.hold();
  await directory.status('a');
  assert.deepEqual([setup.opened, setup.closed], [2, 1]);
});

test('a handle that got old closes when its calls have returned, not before', async () => {
  const setup = new Setup();
  const { directory, clock } = setup;
  directory.hold();
  setup.hang();
  const slow = directory.status('a');
  clock.advance(storageLimits.handleAgeMs);
  setup.disk.fault = () => undefined;
  directory.hold();
  await directory.status('a');
  assert.deepEqual([setup.opened, setup.closed], [2, 0]);
  await setup.recover();
  await slow;
  assert.deepEqual([setup.opened, setup.closed], [2, 1]);
});

test('work that outlives its use closes the handle behind itself', async () => {
  const setup = new Setup();
  const { directory } = setup;
  directory.hold();
  setup.hang();
  const slow = directory.status('a');
  directory.release();
  assert.ok(!directory.isIdle);
  await setup.recover();
  await slow;
  assert.deepEqual([setup.opened, setup.closed], [1, 1]);
  assert.ok(directory.isIdle);
});

test('beyond a few hung handles calls fail at once, but for a probe now and then; all is well when the mount is back', async () => {
  const setup = new Setup();
  const { directory, clock } = setup;
  setup.hang();
  const hung: Promise<unknown>[] = [];
  const use = (): void => {
    directory.hold();
    hung.push(directory.status('a').finally(() => undefined));
    directory.release();
    clock.advance(storageLimits.hungAfterMs);
  };
  for (let handle = 0; handle < storageLimits.hungHandles; handle += 1) use();
  directory.hold();
  const error = await rejectsWith('E_STORAGE_TIMEOUT', directory.status('a'));
  assert.match(error.message, /\/mnt\/nas has not answered for 2\.0s/);
  assert.equal(setup.opened, storageLimits.hungHandles);
  clock.advance(storageLimits.probeIntervalMs);
  use();
  assert.equal(setup.opened, storageLimits.hungHandles + 1);
  await rejectsWith('E_STORAGE_TIMEOUT', directory.status('a'));
  await setup.recover();
  await Promise.all(hung);
  assert.equal(await directory.status('a'), null);
  directory.release();
  assert.equal(setup.closed, setup.opened);
  assert.ok(directory.isIdle);
});

test('a storage that never comes back takes only so many handles', async () => {
  const setup = new Setup();
  const { directory, clock } = setup;
  setup.hang();
  directory.hold();
  for (let probe = 0; probe < storageLimits.hungHandlesInAll * 3; probe += 1) {
    void directory.status('a').catch(() => undefined);
    clock.advance(storageLimits.probeIntervalMs);
  }
  assert.equal(setup.opened, storageLimits.hungHandlesInAll);
  await setup.recover();
});
