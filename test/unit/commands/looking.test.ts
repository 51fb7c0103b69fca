import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import type { CommandLine } from '../../support/command-line.js';
import { STORE, SNAPSHOT, VOLUME, setUp, withSnapshot } from '../../support/command-world.js';

const DIRECTORY = `${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z`;

describe('vzvault list', () => {
  it('prints a table for people and a list for programs', async (t) => {
    const { cli } = await withSnapshot(t);
    const { out } = await cli.run('list', STORE);
    assert.equal(
      out,
      `SNAPSHOT                           SIZE     ADDED  STATE  NOTES\n${SNAPSHOT}  2.93 KiB  2.93 KiB\n`,
    );
    assert.deepEqual(await cli.json('list', STORE), [
      {
        snapshot: SNAPSHOT,
        volume: VOLUME,
        guestType: 'qemu',
        vmid: 100,
        timeSeconds: 1795321034,
        sizeBytes: 3000,
        addedBytes: 3000,
        protected: false,
        notes: '',
        damage: null,
        encrypted: false,
        verifyState: 'none',
      },
    ]);
  });

  it('filters by guest', async (t) => {
    const { cli } = await withSnapshot(t);
    assert.deepEqual(await cli.json('list', STORE, '--guest', 'qemu/101'), []);
    assert.equal((await cli.run('list', STORE, '--guest', 'qemu/101')).out, 'no snapshots\n');
  });

  it('never lets a note write on the terminal', async (t) => {
    const { cli, disk } = await setUp(t);
    await cli.run('backup', STORE, '--guest', 'qemu/100', '--disk', `a=${disk}`, '--notes', '\x1b[2Jboo\r');
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch((await cli.run('list', STORE)).out, /[\x1b\r]/);
  });

  it('takes the storage, the repository itself and a storage id', async (t) => {
    const { cli, directory } = await withSnapshot(t);
    cli.storageConfigPath = join(directory, 'storage.cfg');
    writeFileSync(cli.storageConfigPath, `vzvault: nas\n\tpath ${STORE}\n`);
    for (const store of [STORE, `${STORE}/vzvault`, 'nas'])
      assert.equal(((await cli.json('list', store)) as unknown[]).length, 1);
    const { err } = await cli.run('list', 'nass');
    assert.match(err, /neither a storage 'nass' nor a directory .*E_PATH_MISSING/);
  });
});

describe('vzvault show', () => {
  it('shows disks, files and figures', async (t) => {
    const { cli } = await withSnapshot(t);
    for (const name of [SNAPSHOT, 'qemu/100@latest', VOLUME, `nas:${VOLUME}`]) {
      const { code, out } = await cli.run('show', STORE, name);
      assert.equal(code, 0);
      assert.match(out, /disk {2}drive-scsi0 +2\.93 KiB\nfile {2}guest\.conf +24 B\n/);
    }
  });

  it('prints a configuration byte for byte', async (t) => {
    const { cli, config } = await withSnapshot(t);
    assert.equal((await cli.run('show', STORE, SNAPSHOT, '--file', 'guest.conf')).out, readFileSync(config, 'utf8'));
    assert.equal((await cli.run('show', STORE, SNAPSHOT, '--file', 'firewall.conf')).code, 2);
  });

  it('prints the log of the backup byte for byte, and says where none was kept', async (t) => {
    const { cli } = await withSnapshot(t);
    const none = await cli.run('show', STORE, SNAPSHOT, '--log');
    assert.deepEqual([none.code, none.out], [2, '']);
    assert.match(none.err, /^vzvault: no log was kept with qemu\/100@2026-11-22T04:17:14Z \(E_ARGUMENT_INVALID: /);
    assert.match((await cli.run('show', STORE, SNAPSHOT)).out, /\nlog: +none\n/);
    const log = '2026-11-22 04:17:14 INFO: büro\nno time\n';
    cli.engine.disk.files.set(`${DIRECTORY}/log`, cli.engine.sealDocument('log', Buffer.from(log)));
    const { code, out } = await cli.run('show', STORE, SNAPSHOT, '--log');
    assert.deepEqual([code, out], [0, log]);
    assert.match((await cli.run('show', STORE, SNAPSHOT)).out, /\nlog: +kept/);
    assert.equal(((await cli.json('show', STORE, SNAPSHOT)) as Record<string, unknown>)['hasLog'], true);
    for (const other of [['--file', 'guest.conf'], ['--json']])
      assert.equal((await cli.run('show', STORE, SNAPSHOT, '--log', ...other)).code, 2);
  });

  it('prints the log of a damaged snapshot too', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.disk.files.set(`${DIRECTORY}/log`, cli.engine.sealDocument('log', Buffer.from('x\n')));
    cli.engine.disk.files.set(`${DIRECTORY}/snapshot`, Buffer.from('x'));
    assert.equal((await cli.run('show', STORE, SNAPSHOT, '--log')).out, 'x\n');
    cli.engine.disk.files.set(`${DIRECTORY}/log`, Buffer.from('x'));
    assert.match((await cli.run('show', STORE, SNAPSHOT, '--log')).err, /reading the log of .*E_SNAPSHOT_DAMAGED/);
  });

  it('tells a damaged snapshot by its exit code', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.disk.files.set(`${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z/snapshot`, Buffer.from('x'));
    const { code, out } = await cli.run('show', STORE, SNAPSHOT);
    assert.equal(code, 3);
    assert.match(out, /DAMAGED/);
    assert.match((await cli.run('list', STORE)).out, /DAMAGED/);
  });

  it('says which snapshot is missing', async (t) => {
    const { cli } = await withSnapshot(t);
    assert.match((await cli.run('show', STORE, 'qemu/101@latest')).err, /qemu\/101.*E_SNAPSHOT_MISSING/);
    assert.equal((await cli.run('show', STORE, 'qemu/100@yesterday')).code, 2);
  });
});

describe('vzvault stats', () => {
  it('adds everything up', async (t) => {
    const { cli, disk } = await withSnapshot(t);
    cli.nowSeconds += 1;
    await cli.run('backup', STORE, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`);
    const figures = (await cli.json('stats', STORE)) as Record<string, unknown>;
    assert.equal(figures['snapshots'], 2);
    assert.equal(figures['guests'], 1);
    assert.equal(figures['logicalBytes'], 6000);
    assert.equal(figures['storedBytes'], 3000);
    assert.match((await cli.run('stats', STORE)).out, /ratio: +2\.00x\n/);
  });
});

describe('vzvault doctor', () => {
  const stateOf = async (cli: CommandLine, check: string): Promise<string | undefined> => {
    const findings = (await cli.json('doctor', STORE)) as { check: string; state: string }[];
    return findings.find((finding) => finding.check === check)?.state;
  };

  it('looks at the repository, writing, snapshots, index, space and the daemon', async (t) => {
    const { cli } = await withSnapshot(t);
    for (const check of ['repository', 'writing', 'snapshots', 'index', 'space'])
      assert.equal(await stateOf(cli, check), 'ok', check);
    assert.equal(await stateOf(cli, 'daemon'), 'warning');
    cli.pingDaemon = () => Promise.resolve({ version: '0.1.0', pid: 1 });
    assert.equal(await stateOf(cli, 'daemon'), 'ok');
  });

  it('finds a read-only storage, a damaged snapshot and a missing repository', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.disk.fault = (call) => {
      if (call === 'putIfAbsent') throw new VzvaultError('E_READ_ONLY', 'read-only');
    };
    assert.equal(await stateOf(cli, 'writing'), 'error');
    cli.engine.disk.fault = () => undefined;
    cli.engine.disk.files.set(`${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z/snapshot`, Buffer.from('x'));
    assert.equal(await stateOf(cli, 'snapshots'), 'error');
    cli.engine.disk.files.delete(`${STORE}/vzvault/config`);
    const { code, out } = await cli.run('doctor', STORE);
    assert.equal(code, 1);
    assert.match(out, /repository +ERROR +there is no repository/);
  });
});
