import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { assertSameBytes, makeImage } from '../../support/images.js';
import { until } from '../../support/processes.js';
import { sealDocument } from '../../support/sealed-document.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;

interface Stage {
  readonly station: Station;
  readonly directory: string;
}

async function withSnapshot(t: TestContext): Promise<Stage> {
  const station = await Station.withRepository(t);
  makeImage(station.path('disk'), 24 * MIB, [{ offset: 2 * MIB, lengthBytes: 5 * MIB }]);
  writeFileSync(station.path('100.conf'), 'memory: 512\nname: büro\n');
  await station.must(
    'backup',
    station.store,
    '--guest',
    'qemu/100',
    '--disk',
    `drive-scsi0=${station.path('disk')}`,
    '--config',
    station.path('100.conf'),
  );
  const directory = station.path('mnt');
  mkdirSync(directory);
  station.cleanups.add(() => {
    if (isMounted(directory)) execFileSync('umount', ['-l', directory]);
  });
  return { station, directory };
}

function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `);
}

async function unmount(directory: string): Promise<void> {
  execFileSync('umount', [directory]);
  await until('it is unmounted', () => !isMounted(directory));
}

describe('vzvault mount', () => {
  it('shows the files of one snapshot, goes on by itself, and ends with umount', async (t) => {
    const { station, directory } = await withSnapshot(t);
    const { out } = await station.must('mount', station.store, 'qemu/100@latest', directory);
    assert.match(out, /mounted on/);
    assert.deepEqual(readdirSync(directory), ['drive-scsi0.raw', 'guest.conf']);
    await assertSameBytes(join(directory, 'drive-scsi0.raw'), station.path('disk'));
    assert.equal(readFileSync(join(directory, 'guest.conf'), 'utf8'), 'memory: 512\nname: büro\n');
    assert.throws(() => {
      writeFileSync(join(directory, 'guest.conf'), 'x');
    });
    await unmount(directory);
  });

  it('shows the log that was kept with a snapshot', async (t) => {
    const { station, directory } = await withSnapshot(t);
    const log = Buffer.from([...Buffer.from('2026-11-22 04:17:14 INFO: büro\n'), 0xff, 0x0a]);
    const [document = ''] = station.files('snapshots');
    writeFileSync(join(dirname(document), 'log'), sealDocument('log', log));
    await station.must('mount', station.store, 'qemu/100@latest', directory);
    assert.deepEqual(readdirSync(directory), ['backup.log', 'drive-scsi0.raw', 'guest.conf']);
    assert.deepEqual(readFileSync(join(directory, 'backup.log')), log);
    await unmount(directory);
    await station.must('mount', station.store, directory);
    const [time = ''] = readdirSync(join(directory, 'qemu/100'));
    assert.deepEqual(readFileSync(join(directory, 'qemu/100', time, 'backup.log')), log);
    await unmount(directory);
    const { out } = await station.must('show', station.store, 'qemu/100@latest', '--log');
    assert.equal(out, log.toString());
  });

  it('shows all snapshots, and leaves damaged ones out with a word', async (t) => {
    const { station, directory } = await withSnapshot(t);
    await station.must(
      'backup',
      station.store,
      '--guest',
      'lxc/200',
      '--disk',
      `rootfs=${station.path('disk')}`,
      '--time',
      '2026-01-02T03:04:05Z',
    );
    await station.must(
      'backup',
      station.store,
      '--guest',
      'qemu/300',
      '--disk',
      `a=${station.path('disk')}`,
      '--time',
      '2026-01-02T03:04:05Z',
    );
    writeFileSync(join(station.store, 'vzvault/snapshots/qemu/300/20260102T030405Z/snapshot'), 'rubbish');
    const { err } = await station.must('mount', station.store, directory);
    assert.match(err, /left out qemu\/300@2026-01-02T03:04:05Z/);
    assert.deepEqual(readdirSync(directory), ['lxc', 'qemu']);
    assert.deepEqual(readdirSync(join(directory, 'lxc/200')), ['2026-01-02T03:04:05Z']);
    assert.deepEqual(readdirSync(join(directory, 'qemu')), ['100']);
    await assertSameBytes(join(directory, 'lxc/200/2026-01-02T03:04:05Z/rootfs.raw'), station.path('disk'));
    await unmount(directory);
  });

  it('stays in the foreground where it is told to, and unmounts at Ctrl-C', async (t) => {
    const { station, directory } = await withSnapshot(t);
    const running = station.start('mount', station.store, 'qemu/100@latest', directory, '--foreground');
    await until('it is mounted', () => running.output().includes('mounted on'));
    assert.ok(isMounted(directory));
    assert.equal(await running.stop('SIGINT'), 0);
    assert.equal(isMounted(directory), false);
  });

  it('ends in the foreground where somebody else unmounts it', async (t) => {
    const { station, directory } = await withSnapshot(t);
    const running = station.start('mount', station.store, directory, '--foreground');
    await until('it is mounted', () => running.output().includes('mounted on'));
    await unmount(directory);
    assert.equal(await running.ended, 0);
  });

  it('says why it cannot mount', async (t) => {
    const { station, directory } = await withSnapshot(t);
    writeFileSync(join(directory, 'file'), '');
    for (const target of [directory, station.path('absent')]) {
      const { code, err } = await station.run('mount', station.store, 'qemu/100@latest', target);
      assert.equal(code, 1);
      assert.match(err, /vzvault: mounting on .*\(E_MOUNT_FAILED: .*\)$/m);
      assert.equal(isMounted(target), false);
    }
    const { err } = await station.run('mount', station.store, 'qemu/999@latest', directory);
    assert.match(err, /E_SNAPSHOT_MISSING/);
  });
});
