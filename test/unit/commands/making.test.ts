import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { STORE, SNAPSHOT, VOLUME, ERROR_LINE, setUp, withSnapshot } from '../../support/command-world.js';

describe('vzvault init', () => {
  it('makes a repository and says where', async (t) => {
    const { cli } = await setUp(t);
    cli.engine.disk.makeDirectory('/mnt/other');
    const made = (await cli.json('init', '/mnt/other', '--chunk-size', '4M')) as Record<string, unknown>;
    assert.equal(made['path'], '/mnt/other/vzvault');
    assert.equal(made['chunkSizeBytes'], 4194304);
  });

  it('refuses to make one twice, and one where there is no directory', async (t) => {
    const { cli } = await setUp(t);
    const twice = await cli.run('init', STORE);
    assert.equal(twice.code, 1);
    assert.match(twice.err, /E_REPOSITORY_EXISTS/);
    assert.match((await cli.run('init', '/mnt/absent')).err, /E_PATH_MISSING/);
  });

  it('takes a chunk size that format 1 has, and no other', async (t) => {
    const { cli } = await setUp(t);
    const { code, err } = await cli.run('init', STORE, '--chunk-size', '300K');
    assert.equal(code, 2);
    assert.match(err, /256 KiB, 512 KiB, 1.00 MiB, 4.00 MiB/);
  });
});

describe('vzvault backup', () => {
  it('makes a snapshot and tells what it took', async (t) => {
    const { cli, disk, config } = await setUp(t);
    const result = await cli.json(
      'backup',
      STORE,
      '--guest',
      'qemu/100',
      '--disk',
      `drive-scsi0=${disk}`,
      '--config',
      config,
    );
    assert.deepEqual(result, {
      snapshot: SNAPSHOT,
      volume: VOLUME,
      timeSeconds: 1795321034,
      sizeBytes: 3000,
      readBytes: 3000,
      unchangedBytes: 0,
      zeroBytes: 0,
      reusedBytes: 0,
      newBytes: 3000,
      addedBytes: 3000,
    });
  });

  it('backs several disks up, in one snapshot', async (t) => {
    const { cli, directory, disk } = await setUp(t);
    writeFileSync(join(directory, 'efi.raw'), Buffer.alloc(100));
    await cli.run(
      'backup',
      STORE,
      '--guest',
      'qemu/100',
      '--disk',
      `drive-scsi0=${disk}`,
      '--disk',
      `drive-efidisk0=${directory}/efi.raw`,
    );
    const shown = (await cli.json('show', STORE, SNAPSHOT)) as { disks: { name: string }[]; sizeBytes: number };
    assert.deepEqual(
      shown.disks.map((volume) => volume.name),
      ['drive-scsi0', 'drive-efidisk0'],
    );
    assert.equal(shown.sizeBytes, 3100);
  });

  it('takes a file from the working directory as well', async (t) => {
    const { cli, disk } = await setUp(t);
    const { code, err } = await cli.run(
      ...['backup', STORE, '--guest', 'qemu/100', '--disk', `drive-scsi0=${relative(process.cwd(), disk)}`],
    );
    assert.equal(code, 0, err);
    const { disks } = (await cli.json('show', STORE, SNAPSHOT)) as { disks: { sizeBytes: number }[] };
    assert.deepEqual(
      disks.map(({ sizeBytes }) => sizeBytes),
      [3000],
    );
  });

  it('keeps notes and takes a time', async (t) => {
    const { cli, disk } = await setUp(t);
    const args = [
      '--guest',
      'lxc/200',
      '--disk',
      `rootfs=${disk}`,
      '--notes',
      'vor dem Umbau 🚧',
      '--time',
      '2020-02-29T00:00:00Z',
    ];
    await cli.run('backup', STORE, ...args);
    const [entry] = (await cli.json('list', STORE)) as Record<string, unknown>[];
    assert.equal(entry?.['snapshot'], 'lxc/200@2020-02-29T00:00:00Z');
    assert.equal(entry['notes'], 'vor dem Umbau 🚧');
    assert.match((await cli.run('backup', STORE, ...args)).err, /E_NAME_TAKEN/);
  });

  it('says that the snapshot is committed where only its notes cannot be written', async (t) => {
    const { cli, disk } = await setUp(t);
    cli.engine.disk.fault = (call, path) => {
      if (call === 'replace' && path.endsWith('/notes'))
        throw new VzvaultError('E_NO_SPACE', 'No space left on device');
    };
    const args = ['--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`, '--notes', 'x'];
    const { code, err } = await cli.run('backup', STORE, ...args);
    assert.equal(code, 1);
    assert.match(
      err,
      /vzvault: qemu\/100@2026-11-22T04:17:14Z is committed, but without its notes: No space .*E_NO_SPACE/,
    );
    assert.equal(((await cli.json('list', STORE)) as unknown[]).length, 1);
  });

  it('waits for the next second where this one has a snapshot', async (t) => {
    const { cli, disk } = await withSnapshot(t);
    setTimeout(() => (cli.nowSeconds += 1), 200);
    const again = (await cli.json('backup', STORE, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`)) as Record<
      string,
      unknown
    >;
    assert.equal(again['snapshot'], 'qemu/100@2026-11-22T04:17:15Z');
    assert.equal(again['reusedBytes'], 3000);
  });

  it('leaves no snapshot where a disk cannot be read', async (t) => {
    const { cli, disk } = await setUp(t);
    const { code, err } = await cli.run(
      'backup',
      STORE,
      '--guest',
      'qemu/100',
      '--disk',
      `drive-scsi0=${disk}`,
      '--disk',
      'drive-scsi1=/absent',
    );
    assert.equal(code, 1);
    assert.match(err, /E_SOURCE_UNREACHABLE/);
    assert.deepEqual(await cli.json('list', STORE), []);
    assert.equal(cli.engine.store.openWriters, 0);
  });

  it('leaves no snapshot and no writer where it is interrupted', async (t) => {
    const { cli, disk } = await setUp(t);
    for (const point of ['backupVolume', 'flush'] as const) {
      cli.engine.store.fault = (at) => {
        if (at === point) cli.interrupt();
      };
      const { code, err } = await cli.run('backup', STORE, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`);
      assert.equal(code, 130, point);
      assert.match(err, /vzvault: interrupted \(E_CANCELLED/);
      cli.engine.store.fault = () => undefined;
      assert.deepEqual(await cli.json('list', STORE), []);
      assert.equal(cli.engine.store.openWriters, 0);
    }
  });

  it('refuses arguments that make no sense, before it opens anything', async (t) => {
    const { cli, disk } = await setUp(t);
    const guest = ['--guest', 'qemu/100'];
    const wrong = [
      ['--disk', `drive-scsi0=${disk}`],
      [...guest],
      [...guest, '--disk', disk],
      [...guest, '--disk', 'drive-scsi0='],
      [...guest, '--disk', `../x=${disk}`],
      [...guest, '--disk', `a=${disk}`, '--disk', `a=${disk}`],
      ['--guest', 'qemu/99', '--disk', `a=${disk}`],
      [...guest, '--disk', `a=${disk}`, '--level', '20'],
      [...guest, '--disk', `a=${disk}`, '--limit', 'fast'],
      [...guest, '--disk', `a=${disk}`, '--time', 'now'],
    ];
    for (const args of wrong) {
      const { code, err } = await cli.run('backup', '/mnt/absent', ...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, ERROR_LINE);
    }
  });
});
