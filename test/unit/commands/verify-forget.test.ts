import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import type { CommandLine } from '../../support/command-line.js';
import { STORE, SNAPSHOT, withSnapshot, type World } from '../../support/command-world.js';

describe('vzvault verify', () => {
  it('says that all is intact', async (t) => {
    const { cli } = await withSnapshot(t);
    const { code, out } = await cli.run('verify', STORE);
    assert.equal(code, 0);
    assert.match(out, /all intact\n$/);
  });

  it('reads a map once, however many snapshots have it', async (t) => {
    const { cli, disk } = await withSnapshot(t);
    cli.nowSeconds += 1;
    await cli.run('backup', STORE, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`);
    let maps = 0;
    cli.engine.store.fault = (point) => {
      if (point === 'verifyVolume') maps += 1;
    };
    await cli.run('verify', STORE);
    assert.equal(maps, 1);
  });

  it('answers 3 and names what is damaged: packs, maps, documents, notes', async (t) => {
    const { cli, disk } = await withSnapshot(t);
    const { engine } = cli;
    const snapshot = `${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z`;
    const expectDamage = async (pattern: RegExp): Promise<void> => {
      const { code, out } = await cli.run('verify', STORE);
      assert.equal(code, 3);
      assert.match(out, pattern);
    };
    engine.store.damages = [{ code: 'E_PACK_DAMAGED', message: 'pack aa' }];
    await expectDamage(/^E_PACK_DAMAGED pack aa\n/);
    engine.store.damages = [];
    engine.store.volumes.clear();
    await expectDamage(/^E_CHUNK_MISSING qemu\/100@2026-11-22T04:17:14Z: drive-scsi0: map node/);
    await cli.run('backup', STORE, '--guest', 'qemu/101', '--disk', `drive-scsi0=${disk}`);
    assert.equal((await cli.run('verify', STORE)).code, 0);
    engine.disk.files.set(`${snapshot}/notes`, Buffer.from('x'));
    await expectDamage(/E_SNAPSHOT_DAMAGED qemu\/100@2026-11-22T04:17:14Z: reading the notes/);
    engine.disk.files.delete(`${snapshot}/notes`);
    engine.disk.files.set(`${snapshot}/snapshot`, Buffer.from('x'));
    await expectDamage(/E_SNAPSHOT_DAMAGED qemu\/100@2026-11-22T04:17:14Z: .*DAMAGED, 1 snapshots are touched/s);
  });

  it('does not mind a snapshot that is removed meanwhile, at whatever moment', async (t) => {
    const { cli } = await withSnapshot(t);
    const { disk } = cli.engine;
    const directory = `${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z`;
    const remove = (): void => void disk.files.delete(`${directory}/snapshot`);
    disk.fault = (call, path) => {
      if (call === 'status' && path === `${directory}/snapshot`) remove();
    };
    const during = await cli.run('verify', STORE);
    assert.deepEqual([during.code, disk.files.has(`${directory}/snapshot`)], [0, false], during.err);
    disk.fault = () => undefined;

    const { cli: second } = await withSnapshot(t);
    const pack = 'a'.repeat(64);
    await second.engine.disk.open(`${STORE}/vzvault`).putIfAbsent(`packs/aa/${pack}`, Buffer.from('x'));
    second.engine.store.fault = (point) => {
      if (point === 'verifyPacks') second.engine.disk.files.delete(`${directory}/snapshot`);
    };
    const { code, out } = await second.run('verify', STORE);
    assert.equal(code, 0);
    assert.match(out, / 0 snapshots: all intact\n$/);
  });

  it('goes on where notes cannot be read', async (t) => {
    const { cli } = await withSnapshot(t);
    const notes = `${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z/notes`;
    cli.engine.disk.files.set(notes, Buffer.from('x'));
    cli.engine.disk.fault = (call, path) => {
      if (call === 'read' && path === notes) throw new VzvaultError('E_STORAGE_IO', 'Input/output error');
    };
    const { code, out } = await cli.run('verify', STORE);
    assert.equal(code, 3);
    assert.match(out, /E_STORAGE_IO qemu\/100@2026-11-22T04:17:14Z: Input\/output error/);
  });
});

describe('what vzvault verify keeps', () => {
  const OTHER = 'qemu/101@2026-11-22T04:17:14Z';
  const path = (vmid: number): string => `${STORE}/vzvault/snapshots/qemu/${vmid}/20261122T041714Z/verify-state`;

  async function withTwo(t: TestContext): Promise<World> {
    const world = await withSnapshot(t);
    const second = join(world.directory, 'second.raw');
    writeFileSync(second, Buffer.alloc(3000, 8));
    await world.cli.run('backup', STORE, '--guest', 'qemu/101', '--disk', `drive-scsi0=${second}`);
    return world;
  }

  async function states(cli: CommandLine): Promise<unknown[]> {
    return ((await cli.json('list', STORE)) as Record<string, unknown>[]).map(({ verifyState }) => verifyState);
  }

  it('is shown by list and show', async (t) => {
    const { cli } = await withSnapshot(t);
    assert.match((await cli.run('show', STORE, SNAPSHOT)).out, /\nverified: +never\n/);
    cli.nowSeconds += 60;
    await cli.run('verify', STORE);
    assert.match((await cli.run('list', STORE)).out, / verified\n$/);
    assert.match((await cli.run('show', STORE, SNAPSHOT)).out, /\nverified: +ok at 2026-11-22T04:18:14Z\n/);
    const shown = (await cli.json('show', STORE, SNAPSHOT)) as Record<string, unknown>;
    const { verifyState, verifiedAtSeconds, verifyMessage } = shown;
    assert.deepEqual([verifyState, verifiedAtSeconds, verifyMessage], ['ok', cli.nowSeconds, '']);
  });

  it('is of the named snapshots only where some are named, and reads no packs then', async (t) => {
    const { cli } = await withTwo(t);
    cli.engine.store.fault = (point) => {
      assert.notEqual(point, 'verifyPacks');
    };
    const { code, out } = await cli.run('verify', STORE, OTHER, 'qemu/101@latest');
    assert.deepEqual([code, out], [0, '1 snapshots: all intact\n']);
    assert.deepEqual(await states(cli), ['none', 'ok']);
    assert.match((await cli.run('verify', STORE, 'qemu/102@latest')).err, /E_SNAPSHOT_MISSING/);
  });

  it('flags what is damaged, which stays listed, until it is found intact again', async (t) => {
    const { cli, disk } = await withTwo(t);
    const volumes = new Map(cli.engine.store.volumes);
    await cli.run('verify', STORE);
    cli.engine.store.volumes.delete([...volumes.keys()][0] ?? '');
    const { code } = await cli.run('verify', STORE);
    assert.deepEqual([code, await states(cli)], [3, ['damaged', 'ok']]);
    assert.match((await cli.run('list', STORE)).out, new RegExp(`^${SNAPSHOT} .* DAMAGED$`, 'm'));
    const shown = await cli.run('show', STORE, SNAPSHOT);
    assert.equal(shown.code, 3);
    assert.match(shown.out, /\nverified: +DAMAGED at .*Z: E_CHUNK_MISSING drive-scsi0: map node/);
    assert.equal(((await cli.json('stats', STORE)) as Record<string, unknown>)['damagedSnapshots'], 1);
    assert.match((await cli.run('doctor', STORE)).out, /1 of 2 snapshots are damaged/);

    cli.nowSeconds += 60;
    await cli.run('backup', STORE, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`);
    assert.equal((await cli.run('verify', STORE, SNAPSHOT)).code, 0);
    assert.deepEqual(await states(cli), ['ok', 'none', 'ok']);
  });

  it('says the first thing that was found and how many there are', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.store.volumes.clear();
    cli.engine.disk.files.set(path(100).replace('verify-state', 'notes'), Buffer.from('x'));
    await cli.run('verify', STORE);
    const shown = (await cli.json('show', STORE, SNAPSHOT)) as Record<string, unknown>;
    assert.match(String(shown['verifyMessage']), /^E_SNAPSHOT_DAMAGED reading the notes .* \(and 1 more\)$/);
  });

  it('is kept for each snapshot at once, so that an interrupted run has told what it knows', async (t) => {
    const { cli } = await withTwo(t);
    let maps = 0;
    cli.engine.store.fault = (point) => {
      if (point === 'verifyVolume' && (maps += 1) === 2) throw new VzvaultError('E_STORAGE_TIMEOUT', 'the mount hangs');
    };
    assert.equal((await cli.run('verify', STORE)).code, 1);
    assert.deepEqual(await states(cli), ['ok', 'none']);
  });

  it('is done without where nothing can be written, with one line about it', async (t) => {
    const { cli } = await withTwo(t);
    cli.engine.disk.fault = (call) => {
      if (call === 'replace') throw new VzvaultError('E_READ_ONLY', 'writing: read-only file system');
    };
    const { code, out, err } = await cli.run('verify', STORE);
    assert.equal(code, 0);
    assert.match(out, /2 snapshots: all intact\n$/);
    assert.equal(err.match(/cannot be kept with the snapshots: .*E_READ_ONLY/g)?.length, 1);
  });

  it('leaves nothing beside a snapshot that is removed meanwhile', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.disk.fault = (call, at) => {
      if (call === 'replace' && at === path(100))
        cli.engine.disk.files.delete(path(100).replace('verify-state', 'snapshot'));
    };
    const { code, err } = await cli.run('verify', STORE);
    assert.equal(code, 0);
    assert.doesNotMatch(err, /cannot be kept/);
    assert.equal(cli.engine.disk.files.has(path(100)), false);
  });
});

describe('vzvault forget', () => {
  it('removes what it is told to and names it', async (t) => {
    const { cli } = await withSnapshot(t);
    assert.equal((await cli.run('forget', STORE, 'qemu/100@latest', SNAPSHOT)).out, `removed ${SNAPSHOT}\n`);
    assert.deepEqual(await cli.json('list', STORE), []);
  });

  it('removes nothing where one name is wrong', async (t) => {
    const { cli } = await withSnapshot(t);
    assert.match((await cli.run('forget', STORE, SNAPSHOT, 'qemu/100@2020-01-01T00:00:00Z')).err, /E_SNAPSHOT_MISSING/);
    assert.equal((await cli.run('forget', STORE)).code, 2);
    assert.equal(((await cli.json('list', STORE)) as unknown[]).length, 1);
  });

  it('refuses a protected one', async (t) => {
    const { cli } = await withSnapshot(t);
    cli.engine.disk.files.set(`${STORE}/vzvault/snapshots/qemu/100/20261122T041714Z/protected`, Buffer.alloc(0));
    assert.match((await cli.run('forget', STORE, SNAPSHOT)).err, /E_SNAPSHOT_PROTECTED/);
  });
});
