/** What a mount does about storage that lost or changed something: EIO where that is, a line that names it, all else unharmed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  closeSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { it } from 'node:test';
import {
  CHUNK,
  MIB,
  dataExtents,
  makeRepository,
  mountFuse,
  packsOf,
  run,
  specOf,
  writeDisk,
  type FixtureRepository,
} from '../../support/fuse-mounts.js';
import { cleanupsOf, type Cleanups } from '../../support/temp.js';

const PAGE = 4096;
const CHUNKS = 6;
const HOLE_CHUNK = 4;

/** A disk of six chunks, the fifth a hole; random, so that its pack holds the others as they are, one after the other. */
function makeDisk(cleanups: Cleanups): { file: string; repository: FixtureRepository; other: string } {
  const directory = cleanups.directory();
  const file = writeDisk(join(directory, 'disk'), CHUNKS * CHUNK, [
    { offset: 0, length: HOLE_CHUNK * CHUNK },
    { offset: (HOLE_CHUNK + 1) * CHUNK, length: CHUNK },
  ]);
  const other = writeDisk(join(directory, 'other'), MIB, [{ offset: 0, length: MIB }]);
  return { file, other, repository: makeRepository(cleanups, { 'drive-scsi0': file, 'drive-scsi1': other }) };
}

function flipByte(path: string, offset: number): void {
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, offset);
  byte[0]! ^= 0x40;
  writeSync(fd, byte, 0, 1, offset);
  closeSync(fd);
}

/** The chunks in which reading a page failed with EIO; every page that could be read is as in `file`. */
function failedChunks(shown: string, file: string): number[] {
  const expected = readFileSync(file);
  const failed = new Set<number>();
  const whole = new Set<number>();
  const fd = openSync(shown, 'r');
  try {
    const page = Buffer.alloc(PAGE);
    for (let offset = 0; offset < expected.length; offset += PAGE) {
      const chunk = Math.floor(offset / CHUNK);
      try {
        assert.equal(readSync(fd, page, 0, PAGE, offset), PAGE);
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EIO');
        failed.add(chunk);
        continue;
      }
      whole.add(chunk);
      assert.ok(page.equals(expected.subarray(offset, offset + PAGE)), `page at ${offset}`);
    }
  } finally {
    closeSync(fd);
  }
  for (const chunk of failed) assert.ok(!whole.has(chunk), `chunk ${chunk} fails as a whole`);
  return [...failed];
}

it('a damaged chunk is EIO for its bytes only, and one line names it', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, other, repository } = makeDisk(cleanups);
  const pack = packsOf(repository)[0]!;
  flipByte(pack, 48 + 2 * CHUNK + 1234);
  const mount = await mountFuse(cleanups, specOf(repository));

  assert.deepEqual(failedChunks(join(mount.path, 'drive-scsi0.raw'), file), [2]);
  await run('cmp', [join(mount.path, 'drive-scsi1.raw'), other]);
  await assert.rejects(
    run('dd', [
      `if=${join(mount.path, 'drive-scsi0.raw')}`,
      'of=/dev/null',
      'iflag=direct',
      'bs=512K',
      'skip=2',
      'count=1',
    ]),
  );

  await mount.statistics(); // whatever was said before it has come, too
  const lines = mount.lines('error');
  assert.equal(lines.length, 1, lines.join('\n'));
  const chunk = createHash('sha256')
    .update(readFileSync(file).subarray(2 * CHUNK, 3 * CHUNK))
    .digest('hex');
  for (const part of [
    'E_CHUNK_DAMAGED',
    'drive-scsi0.raw',
    chunk.slice(0, 16),
    basename(pack).slice(0, 16),
    String(48 + 2 * CHUNK),
  ]) {
    assert.ok(lines[0]!.includes(part), `${part} in ${lines[0]}`);
  }
  assert.ok((await mount.statistics())['faults']! > 0);
});

it('qemu-img fails on a damaged chunk instead of copying something else', async (t) => {
  const cleanups = cleanupsOf(t);
  const { repository } = makeDisk(cleanups);
  flipByte(packsOf(repository)[0]!, 48 + 3 * CHUNK);
  const mount = await mountFuse(cleanups, specOf(repository));
  const target = join(cleanups.directory(), 'copy.raw');
  await assert.rejects(
    run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', join(mount.path, 'drive-scsi0.raw'), target]),
    /Input\/output error/,
  );
});

it('a missing pack is EIO for what was in it', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, other, repository } = makeDisk(cleanups);
  rmSync(packsOf(repository)[0]!);
  const mount = await mountFuse(cleanups, specOf(repository));
  assert.deepEqual(failedChunks(join(mount.path, 'drive-scsi0.raw'), file), [0, 1, 2, 3, 5]);
  await run('cmp', [join(mount.path, 'drive-scsi1.raw'), other]);
  assert.match(await mount.firstError(), /E_CHUNK_MISSING.*drive-scsi0\.raw/);
});

it('a pack that goes away under a mount is EIO, too', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  const mount = await mountFuse(cleanups, specOf(repository));
  rmSync(packsOf(repository)[0]!);
  assert.deepEqual(failedChunks(join(mount.path, 'drive-scsi0.raw'), file), [0, 1, 2, 3, 5]);
  assert.match(await mount.firstError(), /E_(CHUNK|PACK)_MISSING.*drive-scsi0\.raw/);
});

it('a pack that was cut short is EIO from there on', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  const mount = await mountFuse(cleanups, specOf(repository));
  truncateSync(packsOf(repository)[0]!, 48 + CHUNK + 100);
  const failed = failedChunks(join(mount.path, 'drive-scsi0.raw'), file);
  assert.deepEqual(failed.slice(-4), [1, 2, 3, 5]);
  assert.match(await mount.firstError(), /E_(CHUNK|PACK)_DAMAGED.*drive-scsi0\.raw/);
});

it('without its index segment a disk is there but cannot be read', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  const index = join(repository.path, 'index');
  for (const name of readdirSync(index)) rmSync(join(index, name));
  const mount = await mountFuse(cleanups, { ...specOf(repository), cacheDirectory: cleanups.directory() });
  const shown = join(mount.path, 'drive-scsi0.raw');
  assert.equal(statSync(shown).size, CHUNKS * CHUNK);
  assert.deepEqual(failedChunks(shown, file), [0, 1, 2, 3, 4, 5]);
  assert.match(await mount.firstError(), /E_CHUNK_MISSING.*drive-scsi0\.raw/);
});

it('a damaged index segment is named at the start', async (t) => {
  const cleanups = cleanupsOf(t);
  const { repository } = makeDisk(cleanups);
  const index = join(repository.path, 'index');
  for (const name of readdirSync(index)) flipByte(join(index, name), 100);
  const mount = await mountFuse(cleanups, { ...specOf(repository), cacheDirectory: cleanups.directory() });
  await mount.firstError();
  assert.equal(mount.lines('E_SEGMENT_DAMAGED').length, readdirSync(index).length);
});

it('a damaged map is EIO for reading and for seeking', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  for (const pack of packsOf(repository)) {
    if (statSync(pack).size < CHUNK) flipByte(pack, 48 + 20);
  }
  const mount = await mountFuse(cleanups, specOf(repository));
  const shown = join(mount.path, 'drive-scsi0.raw');
  assert.equal(statSync(shown).size, CHUNKS * CHUNK);
  assert.deepEqual(failedChunks(shown, file), [0, 1, 2, 3, 4, 5]);
  const extents = await dataExtents(shown);
  assert.deepEqual(extents, [{ offset: 0, length: CHUNKS * CHUNK }], 'QEMU takes a map that cannot be read for data');
  assert.match(await mount.firstError(), /E_(CHUNK|MAP)_DAMAGED.*drive-scsi0\.raw/);
});
