/** Collecting an encrypted repository: only with its key, by hand and by the daemon. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { backUpGuest, diskAt, storageAt, TestDaemon } from '../../support/daemon.js';
import { makeImage } from '../../support/images.js';
import { startQemuNbd } from '../../support/nbd-servers.js';
import { makeProgramsQuick } from '../../support/quick-programs.js';
import {
  assertAllGoes,
  assertNoGarbage,
  assertNoLeftovers,
  assertRestores,
  digestOf,
  packsOf,
  eventually,
} from '../../support/shared-repository.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const ERROR_LINE = /^vzvault: [^\n]+\((E_KEY_[A-Z]+): [^\n]+\)\n$/;

makeProgramsQuick();

interface Stage {
  readonly station: Station;
  readonly disk: string;
  readonly keyFile: string;
}

async function withRepository(t: TestContext): Promise<Stage> {
  const station = Station.empty(t);
  const [disk, keyFile] = [station.path('disk.raw'), station.path('nas.key')];
  await station.must('init', station.store, '--encryption-key', keyFile);
  return { station, disk, keyFile };
}

/** Three snapshots: two of the disk as it is in the end, and between them one of others' data. */
async function backUpThrice({ station, disk, keyFile }: Stage): Promise<void> {
  for (const [time, seed] of [
    ['2026-01-01T00:00:00Z', 1],
    ['2026-01-02T00:00:00Z', 2],
    ['2026-01-03T00:00:00Z', 1],
  ] as const) {
    makeImage(disk, 16 * MIB, [{ offset: MIB, lengthBytes: 6 * MIB }], seed);
    const made = await station.backup(disk, '--time', time, '--key-file', keyFile);
    assert.equal(made.code, 0, made.err);
  }
}

describe('the collection of an encrypted repository', () => {
  it('needs the key, and leaves what is in use as it was', async (t) => {
    const stage = await withRepository(t);
    const { station, disk, keyFile } = stage;
    await backUpThrice(stage);
    const before = packsOf(station);
    await station.must('forget', station.store, 'qemu/100@2026-01-02T00:00:00Z');
    const otherKey = Station.empty(t).path('other.key');
    await Station.withRepository(t, '--encryption-key', otherKey);
    for (const [options, code] of [
      [[], 'E_KEY_MISSING'],
      [['--dry-run'], 'E_KEY_MISSING'],
      [['--key-file', otherKey], 'E_KEY_WRONG'],
    ] as const) {
      const refused = await station.run('gc', station.store, ...options);
      assert.equal(refused.code, 1);
      assert.equal(ERROR_LINE.exec(refused.err)?.[1], code, refused.err);
    }
    assert.deepEqual(packsOf(station), before);
    assertNoLeftovers(station);
    const key = ['--key-file', keyFile];
    const { out } = await station.must('gc', station.store, ...key);
    assert.match(out, /^deleted [1-9][0-9]* packs/);
    assert.ok(packsOf(station).length < before.length);
    await assertNoGarbage(station, ...key);
    assert.doesNotMatch((await station.must('verify', station.store, ...key)).err, /only packs/);
    const digest = digestOf(disk);
    for (const day of ['01', '03']) await assertRestores(station, `qemu/100@2026-01-${day}T00:00:00Z`, digest, ...key);
    await assertAllGoes(station, ...key);
  });

  it('is the same where packs are compacted', async (t) => {
    const stage = await withRepository(t);
    const { station, disk, keyFile } = stage;
    const key = ['--key-file', keyFile];
    makeImage(disk, 16 * MIB, [{ offset: 0, lengthBytes: 12 * MIB }], 3);
    await station.must('backup', station.store, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`, ...key);
    makeImage(disk, 16 * MIB, [{ offset: 0, lengthBytes: 3 * MIB }], 3);
    await station.must('backup', station.store, '--guest', 'qemu/101', '--disk', `drive-scsi0=${disk}`, ...key);
    await station.must('forget', station.store, 'qemu/100@latest', ...key);
    const { err } = await station.must('gc', station.store, ...key);
    assert.match(err, /moved what is in use/);
    await assertRestores(station, 'qemu/101@latest', digestOf(disk), ...key);
    await station.must('verify', station.store, ...key);
    await assertAllGoes(station, ...key);
  });

  it('is done by the daemon with the key file of the storage', async (t) => {
    const stage = await withRepository(t);
    const { station, disk, keyFile } = stage;
    await backUpThrice(stage);
    const before = packsOf(station);
    await station.must('forget', station.store, 'qemu/100@2026-01-02T00:00:00Z');
    const keys = station.path('keys');
    mkdirSync(keys);
    const { cleanups, directory } = station;
    const daemon = await TestDaemon.start(cleanups, { directory, env: { VZVAULT_KEY_DIR: keys } });
    copyFileSync(keyFile, `${keys}/nas.enc`);
    const client = await daemon.connect();
    const storage = { ...storageAt(station.store, 'nas'), encryptionKey: 'a'.repeat(32) };
    const socket = station.path('nbd.sock');
    await startQemuNbd(cleanups, socket, [{ name: 'drive-scsi0', path: disk, format: 'raw' }]);
    await backUpGuest(client, { storage, disks: [diskAt(socket, 16 * MIB)], vmid: 101 });
    await eventually('the daemon has collected', () => /"collected"/.test(daemon.program.output()));
    await eventually('packs have gone', () => !before.every((pack) => packsOf(station).includes(pack)));
    await daemon.stop();
    await assertRestores(station, 'qemu/101@latest', digestOf(disk), '--key-file', keyFile);
    await assertAllGoes(station, '--key-file', keyFile);
  });
});
