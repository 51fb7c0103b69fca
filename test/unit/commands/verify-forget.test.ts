import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { STORE, SNAPSHOT, withSnapshot } from '../../support/command-world.js';

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
    await expectDamage(
      /E_SNAPSHOT_DAMAGED qemu\/100@2026-11-22T04:17:14Z: .*1 packs .*DAMAGED, 1 snapshots are touched/s,
    );
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
