/** The sparse-file calls on real files and on a loop device. Needs root for the latter. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { engine } from '../../../src/engine/index.js';
import { rejectsWith } from '../../support/assertions.js';
import { cleanupsOf, type Cleanups } from '../../support/temp.js';

const MIB = 1024 * 1024;
const { sparse } = engine;

function openFile(cleanups: Cleanups, path: string, content: Buffer): number {
  writeFileSync(path, content);
  const fd = openSync(path, 'r+');
  cleanups.add(() => {
    closeSync(fd);
  });
  return fd;
}

function setUp(test: TestContext): { cleanups: Cleanups; directory: string } {
  const cleanups = cleanupsOf(test);
  return { cleanups, directory: cleanups.directory() };
}

describe('sparse files', () => {
  it('gives space back and reserves it, with the size kept or grown', async (test) => {
    const { cleanups, directory } = setUp(test);
    const path = join(directory, 'file');
    const content = randomBytes(4 * MIB);
    const fd = openFile(cleanups, path, content);
    await sparse.deallocate(fd, MIB, 2 * MIB);
    assert.deepEqual(
      readFileSync(path),
      Buffer.concat([content.subarray(0, MIB), Buffer.alloc(2 * MIB), content.subarray(3 * MIB)]),
    );
    assert.ok(fstatSync(fd).blocks * 512 <= 2 * MIB + 65_536);
    await sparse.allocate(fd, 0, 8 * MIB);
    assert.equal(fstatSync(fd).size, 8 * MIB);
    assert.ok(fstatSync(fd).blocks * 512 >= 8 * MIB);
    assert.deepEqual(readFileSync(path).subarray(0, MIB), content.subarray(0, MIB));
  });

  it('copies ranges, short at the end of the file', async (test) => {
    const { cleanups, directory } = setUp(test);
    const content = randomBytes(MIB + 100);
    const from = openFile(cleanups, join(directory, 'from'), content);
    const to = openFile(cleanups, join(directory, 'to'), Buffer.alloc(0));
    assert.equal(await sparse.copyRange(from, 100, to, 50, MIB), MIB);
    assert.deepEqual(readFileSync(join(directory, 'to')).subarray(50), content.subarray(100));
    assert.equal(await sparse.copyRange(from, MIB, to, 0, MIB), 100);
    assert.equal(await sparse.copyRange(from, 2 * MIB, to, 0, MIB), 0);
  });

  it('copies between file systems, through memory', async (test) => {
    const { cleanups, directory } = setUp(test);
    const content = randomBytes(300_000);
    const from = openSync('/proc/self/exe', 'r');
    cleanups.add(() => {
      closeSync(from);
    });
    const to = openFile(cleanups, join(directory, 'to'), content);
    assert.equal(await sparse.copyRange(from, 0, to, 0, 300_000), 300_000);
    const expected = Buffer.alloc(300_000);
    readSync(from, expected, 0, 300_000, 0);
    assert.deepEqual(readFileSync(join(directory, 'to')), expected);
  });

  it('clones where the file system can, and copies whole files with their holes anywhere', async (test) => {
    const { cleanups, directory } = setUp(test);
    const path = join(directory, 'from');
    const content = randomBytes(MIB);
    const from = openFile(cleanups, path, content);
    truncateSync(path, 64 * MIB);
    const to = openFile(cleanups, join(directory, 'clone'), Buffer.alloc(0));
    if (await sparse.clone(from, to)) assert.deepEqual(readFileSync(join(directory, 'clone')), readFileSync(path));
    const copy = join(directory, 'copy');
    const { method, copiedBytes } = await sparse.copyFile(path, copy);
    assert.deepEqual(readFileSync(copy), readFileSync(path));
    assert.ok(statSync(copy).blocks * 512 < 2 * MIB, method);
    assert.ok(method === 'clone' || (copiedBytes >= MIB && copiedBytes < 2 * MIB), `${method} ${copiedBytes}`);
    await rejectsWith('E_NAME_TAKEN', sparse.copyFile(path, copy));
  });

  it('goes on with the file although its number is closed meanwhile', async (test) => {
    const { directory } = setUp(test);
    const path = join(directory, 'file');
    writeFileSync(path, randomBytes(MIB));
    const fd = openSync(path, 'r+');
    const call = sparse.deallocate(fd, 0, MIB);
    engine.closeFd(fd);
    await call;
    assert.deepEqual(readFileSync(path), Buffer.alloc(MIB));
  });

  it('refuses numbers that are no descriptors and ranges that are none', async (test) => {
    const { cleanups, directory } = setUp(test);
    const fd = openFile(cleanups, join(directory, 'file'), Buffer.alloc(10));
    for (const bad of [-1, 1.5, 2 ** 31, 999_999])
      await rejectsWith('E_ARGUMENT_INVALID', sparse.deallocate(bad, 0, 1));
    await rejectsWith('E_ARGUMENT_INVALID', sparse.deallocate(fd, -1, 1));
    await rejectsWith('E_ARGUMENT_INVALID', sparse.allocate(fd, 1, Number.MAX_SAFE_INTEGER));
  });

  it('discards ranges of a block device', async (test) => {
    const { cleanups, directory } = setUp(test);
    const image = join(directory, 'image');
    writeFileSync(image, randomBytes(8 * MIB));
    const device = execFileSync('losetup', ['--find', '--show', image]).toString().trim();
    cleanups.add(() => {
      execFileSync('losetup', ['--detach', device]);
    });
    const fd = openSync(device, 'r+');
    const before = statSync(image).blocks;
    try {
      await sparse.deallocate(fd, 2 * MIB, 4 * MIB);
      const block = Buffer.alloc(4096);
      readSync(fd, block, 0, 4096, 3 * MIB);
      assert.deepEqual(block, Buffer.alloc(4096));
      assert.ok(statSync(image).blocks <= before - (4 * MIB) / 512);
      writeSync(fd, block, 0, 4096, 0);
    } finally {
      closeSync(fd);
    }
  });
});
