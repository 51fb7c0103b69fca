import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { assertSameBytes, makeImage } from '../../support/images.js';
import { startNbdkit } from '../../support/nbd-servers.js';
import { until } from '../../support/processes.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;

describe('a backup that is interrupted', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    it(`by ${signal} leaves no snapshot, and the next one succeeds`, async (t) => {
      const station = await Station.withRepository(t);
      const image = station.path('disk');
      makeImage(image, 96 * MIB, [{ offset: 0, lengthBytes: 80 * MIB }]);
      const disk = `drive-scsi0=${image}`;
      const running = station.start('backup', station.store, '--guest', 'qemu/100', '--disk', disk, '--limit', '16M');
      await until('something is being written', () => station.files('tmp').length > 0);
      await sleep(300);
      const end = await running.stop(signal);
      if (signal !== 'SIGKILL') {
        assert.equal(end, 130, running.output());
        assert.match(running.output(), /^vzvault: .*\(E_CANCELLED: .*\)$/m);
        assert.deepEqual(station.files('tmp'), []);
      }
      assert.deepEqual(await station.snapshots(), []);
      assert.equal((await station.backup(image)).code, 0);
      await station.must(
        'restore',
        station.store,
        'qemu/100@latest',
        '--disk',
        'drive-scsi0',
        '--to',
        station.path('copy'),
      );
      await assertSameBytes(image, station.path('copy'));
    });
  }
});

describe('a source that fails', () => {
  it('names what could not be opened', async (t) => {
    const station = await Station.withRepository(t);
    for (const source of [
      station.path('absent'),
      `nbd+unix:///?socket=${station.path('absent.sock')}`,
      station.directory,
    ]) {
      const { code, err } = await station.backup(source);
      assert.equal(code, 1);
      assert.match(err, /^vzvault: .*\(E_SOURCE_UNREACHABLE: .*\)$/m);
    }
    assert.deepEqual(await station.snapshots(), []);
  });

  it('leaves no snapshot where it reads errors, and nothing unfinished', async (t) => {
    const station = await Station.withRepository(t);
    const socket = station.path('nbd.sock');
    await startNbdkit(station.cleanups, socket, [
      '--filter=error',
      'pattern',
      '64M',
      'error-pread=EIO',
      'error-pread-rate=50%',
    ]);
    const { code, err } = await station.backup(`nbd+unix:///?socket=${socket}`);
    assert.equal(code, 1);
    assert.match(err, /^vzvault: .*\(E_SOURCE_READ: .*\)$/m);
    assert.deepEqual(await station.snapshots(), []);
    assert.deepEqual(station.files('tmp'), []);
  });

  it('leaves no snapshot where the server dies in the middle', async (t) => {
    const station = await Station.withRepository(t);
    const socket = station.path('nbd.sock');
    const server = await startNbdkit(station.cleanups, socket, [
      '--filter=delay',
      'pattern',
      '256M',
      'delay-read=20ms',
    ]);
    const disk = `drive-scsi0=nbd+unix:///?socket=${socket}`;
    const running = station.start('backup', station.store, '--guest', 'qemu/100', '--disk', disk);
    await until('something is being written', () => station.files('tmp').length > 0);
    await server.stop('SIGKILL');
    assert.equal(await running.ended, 1);
    assert.match(running.output(), /^vzvault: .*\(E_SOURCE_\w+: .*\)$/m);
    assert.deepEqual(await station.snapshots(), []);
  });
});

describe('a storage that fails', () => {
  it('is told missing from empty, and never gets a repository by itself', async (t) => {
    const station = Station.empty(t);
    assert.match((await station.run('list', station.path('absent'))).err, /E_PATH_MISSING/);
    assert.match((await station.run('list', station.store)).err, /E_REPOSITORY_MISSING/);
    assert.match((await station.backup('/dev/null')).err, /E_REPOSITORY_MISSING/);
    assert.match((await station.run('init', station.path('absent'))).err, /E_PATH_MISSING/);
    assert.equal(execFileSync('find', [station.store], { encoding: 'utf8' }), `${station.store}\n`);
  });

  it('that is read-only can be read, and says so when it is written', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('disk'), 8 * MIB, [{ offset: 0, lengthBytes: MIB }]);
    assert.equal((await station.backup(station.path('disk'))).code, 0);
    execFileSync('mount', ['--bind', station.store, station.store]);
    station.cleanups.add(() => {
      execFileSync('umount', [station.store]);
    });
    execFileSync('mount', ['-o', 'remount,bind,ro', station.store]);
    assert.match((await station.backup(station.path('disk'))).err, /E_READ_ONLY/);
    assert.match((await station.run('forget', station.store, 'qemu/100@latest')).err, /E_READ_ONLY/);
    assert.match((await station.run('doctor', station.store)).out, /writing +ERROR .*E_READ_ONLY/);
    await station.must(
      'restore',
      station.store,
      'qemu/100@latest',
      '--disk',
      'drive-scsi0',
      '--to',
      station.path('copy'),
    );
    await assertSameBytes(station.path('disk'), station.path('copy'));
    assert.equal((await station.run('verify', station.store)).code, 0);
  });

  it('that is full ends the backup, keeps what was there, and works again once there is room', async (t) => {
    const station = Station.empty(t);
    station.cleanups.tmpfs(station.store, 24 * MIB);
    await station.must('init', station.store);
    makeImage(station.path('small'), 8 * MIB, [{ offset: 0, lengthBytes: 4 * MIB }], 1);
    makeImage(station.path('large'), 64 * MIB, [{ offset: 0, lengthBytes: 40 * MIB }], 2);
    assert.equal((await station.backup(station.path('small'))).code, 0);
    const { code, err } = await station.backup(station.path('large'));
    assert.equal(code, 1);
    assert.match(err, /^vzvault: .*\(E_NO_SPACE: .*\)$/m);
    assert.equal((await station.snapshots()).length, 1);
    assert.deepEqual(station.files('tmp'), []);
    execFileSync('mount', ['-o', `remount,size=${96 * MIB}`, station.store]);
    assert.equal((await station.backup(station.path('large'))).code, 0);
    for (const [name, snapshot] of (await station.snapshots()).map(
      (entry, n) => [['small', 'large'][n], entry.snapshot] as const,
    )) {
      const copy = station.path(`copy-${name}`);
      await station.must('restore', station.store, snapshot, '--disk', 'drive-scsi0', '--to', copy);
      await assertSameBytes(station.path(name ?? ''), copy);
    }
  });

  it('that is full of the restored file ends the restore without leaving one', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('disk'), 32 * MIB, [{ offset: 0, lengthBytes: 32 * MIB }]);
    assert.equal((await station.backup(station.path('disk'))).code, 0);
    const small = station.path('small');
    mkdirSync(small);
    station.cleanups.tmpfs(small, 8 * MIB);
    const { code, err } = await station.run(
      'restore',
      station.store,
      'qemu/100@latest',
      '--disk',
      'drive-scsi0',
      '--to',
      `${small}/copy`,
    );
    assert.equal(code, 1);
    assert.match(err, /E_TARGET_WRITE|E_NO_SPACE/);
    assert.equal(execFileSync('ls', ['-A', small], { encoding: 'utf8' }), '');
  });
});

describe('the program around it', () => {
  it('does not mind a reader that has seen enough', async (t) => {
    const station = await Station.withRepository(t);
    const shell = `set -o pipefail; '${process.execPath}' -v >/dev/null; vzvault list '${station.store}' | true`;
    const path = `${import.meta.dirname}/../../../../bin:${process.env['PATH'] ?? ''}`;
    execFileSync('bash', ['-c', shell], { env: { ...process.env, ...station.environment, PATH: path } });
  });

  it('does all that it was told to although nobody reads on', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('disk'), MIB, [{ offset: 0, lengthBytes: MIB }]);
    const path = `${import.meta.dirname}/../../../../bin:${process.env['PATH'] ?? ''}`;
    const shell = (command: string): void => {
      const env = { ...process.env, ...station.environment, PATH: path };
      execFileSync('bash', ['-c', `set -o pipefail; ${command}`], { env });
    };
    for (const guest of ['qemu/100', 'qemu/101']) {
      const disk = `drive-scsi0=${station.path('disk')}`;
      shell(`vzvault backup '${station.store}' --guest ${guest} --disk '${disk}' 2>&1 | true`);
    }
    assert.equal((await station.snapshots()).length, 2);
    shell(`vzvault forget '${station.store}' qemu/100@latest qemu/101@latest | true`);
    assert.deepEqual(await station.snapshots(), []);
  });

  it('works without root, a daemon or Proxmox VE', async (t) => {
    const station = await Station.withRepository(t);
    makeImage(station.path('disk'), 4 * MIB, [{ offset: 0, lengthBytes: MIB }]);
    execFileSync('chown', ['-R', 'nobody', station.directory]);
    const run = (...args: string[]): string =>
      execFileSync('setpriv', ['--reuid=nobody', '--clear-groups', '--', 'vzvault', ...args], {
        encoding: 'utf8',
        env: { PATH: `${import.meta.dirname}/../../../../bin:${process.env['PATH'] ?? ''}`, HOME: station.directory },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    run('backup', station.store, '--guest', 'qemu/100', '--disk', `drive-scsi0=${station.path('disk')}`);
    run('restore', station.store, 'qemu/100@latest', '--disk', 'drive-scsi0', '--to', station.path('copy'));
    await assertSameBytes(station.path('disk'), station.path('copy'));
  });
});
