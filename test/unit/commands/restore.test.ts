import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { STORE, SNAPSHOT, withSnapshot } from '../../support/command-world.js';

describe('vzvault restore', () => {
  const restore = ['restore', STORE, 'qemu/100@latest', '--disk', 'drive-scsi0', '--to'];

  it('writes a disk to a new file', async (t) => {
    const { cli, directory, disk } = await withSnapshot(t);
    const { code, out } = await cli.run(...restore, join(directory, 'copy'));
    assert.equal(code, 0);
    assert.match(out, /drive-scsi0 of qemu\/100@2026-11-22T04:17:14Z is in/);
    assert.deepEqual(readFileSync(join(directory, 'copy')), readFileSync(disk));
  });

  it('takes the target from the working directory as well', async (t) => {
    const { cli, directory, disk } = await withSnapshot(t);
    assert.equal((await cli.run(...restore, relative(process.cwd(), join(directory, 'copy')))).code, 0);
    assert.deepEqual(readFileSync(join(directory, 'copy')), readFileSync(disk));
  });

  it('writes over a file only when it is told to', async (t) => {
    const { cli, directory, disk } = await withSnapshot(t);
    const target = join(directory, 'copy');
    writeFileSync(target, 'precious');
    assert.match((await cli.run(...restore, target)).err, /E_TARGET_EXISTS/);
    assert.equal(readFileSync(target, 'utf8'), 'precious');
    assert.equal((await cli.run(...restore, target, '--overwrite')).code, 0);
    assert.deepEqual(readFileSync(target), readFileSync(disk));
  });

  it('removes a new file that it could not finish, and leaves one that was there', async (t) => {
    const { cli, directory } = await withSnapshot(t);
    const target = join(directory, 'copy');
    cli.engine.store.fault = (point) => {
      if (point !== 'restoreVolume') return;
      writeFileSync(target, 'half');
      throw new VzvaultError('E_CHUNK_DAMAGED', 'chunk aa in pack bb');
    };
    assert.match((await cli.run(...restore, target)).err, /E_CHUNK_DAMAGED/);
    assert.equal(existsSync(target), false);
    writeFileSync(target, 'there');
    await cli.run(...restore, target, '--overwrite');
    assert.equal(existsSync(target), true);
  });

  it('names the disks that there are', async (t) => {
    const { cli, directory } = await withSnapshot(t);
    const { err } = await cli.run('restore', STORE, SNAPSHOT, '--disk', 'drive-scsi9', '--to', join(directory, 'copy'));
    assert.match(err, /has no disk drive-scsi9; it has drive-scsi0 \(E_VOLUME_MISSING/);
  });
});
