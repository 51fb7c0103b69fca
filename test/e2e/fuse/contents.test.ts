/** What a mount shows: bytes, sizes, holes and attributes, through the programs that people and Proxmox VE use on it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CHUNK,
  GIB,
  MIB,
  dataExtents,
  makeRepository,
  mountFuse,
  run,
  specOf,
  writeDisk,
  type FixtureRepository,
  type FuseMount,
} from '../../support/fuse-mounts.js';
import { Cleanups, cleanupsOf } from '../../support/temp.js';

const SPARSE_BYTES = 64 * GIB;
const SPARSE_PIECES = [
  { offset: 0, length: 4096 },
  { offset: 20 * GIB + 12_345, length: 2 * MIB },
  { offset: SPARSE_BYTES - 512, length: 512 },
];

describe('a mount', () => {
  const cleanups = new Cleanups();
  let disks: Record<string, string>;
  let repository: FixtureRepository;
  let mount: FuseMount;

  before(async () => {
    const directory = cleanups.directory();
    const disk = (name: string, sizeBytes: number, pieces: { offset: number; length: number }[]): string =>
      writeDisk(join(directory, name), sizeBytes, pieces);
    disks = {
      'drive-empty': disk('empty', 0, []),
      'drive-zero': disk('zero', 3 * MIB + 1, []),
      'drive-efidisk0': disk('efidisk0', 540_672, [{ offset: 0, length: 540_672 }]),
      'drive-scsi0': disk('scsi0', 37 * MIB + 65_536, [
        { offset: 0, length: 9 * MIB },
        { offset: 20 * MIB + 77, length: 17 * MIB + 65_536 - 77 },
      ]),
      'drive-sparse': disk('sparse', SPARSE_BYTES, SPARSE_PIECES),
    };
    repository = makeRepository(cleanups, disks);
    mount = await mountFuse(
      cleanups,
      specOf(repository, [
        { path: 'qemu/100/20261122T041714Z/guest.conf', contentBase64: 'bWVtb3J5OiA1MTIK', modifiedSeconds: 60 },
        { path: 'qemu/100/20261122T041714Z/firewall.conf', contentBase64: '', modifiedSeconds: 60 },
        { path: 'qemu/101/büro.conf', contentBase64: 'eA==', modifiedSeconds: 90 },
      ]),
    );
  });
  after(() => cleanups.undo());

  it('shows each disk byte for byte at its exact size', async () => {
    for (const name of ['drive-empty', 'drive-zero', 'drive-efidisk0', 'drive-scsi0']) {
      const shown = join(mount.path, `${name}.raw`);
      assert.equal(statSync(shown).size, statSync(disks[name]!).size);
      await run('cmp', [shown, disks[name]!]);
    }
    assert.equal(statSync(join(mount.path, 'drive-sparse.raw')).size, SPARSE_BYTES);
  });

  it('shows files and directories as the spec lists them', () => {
    const directory = join(mount.path, 'qemu/100/20261122T041714Z');
    assert.deepEqual(readdirSync(join(mount.path, 'qemu')).sort(), ['100', '101']);
    assert.deepEqual(readdirSync(directory).sort(), ['firewall.conf', 'guest.conf']);
    assert.equal(readFileSync(join(directory, 'guest.conf'), 'utf8'), 'memory: 512\n');
    assert.equal(readFileSync(join(directory, 'firewall.conf'), 'utf8'), '');
    assert.equal(readFileSync(join(mount.path, 'qemu/101/büro.conf'), 'utf8'), 'x');
    assert.equal(existsSync(join(directory, 'backup.log')), false);
    assert.equal(statSync(join(mount.path, 'qemu/100')).mtimeMs, 60_000);
    assert.equal(statSync(join(mount.path, 'qemu')).nlink, 4);
    const status = statSync(join(directory, 'guest.conf'));
    assert.equal(status.mode & 0o777, 0o440);
    assert.equal(status.uid, 0);
    assert.equal(status.mtimeMs, 60_000);
  });

  it('cannot be written to', () => {
    const disk = join(mount.path, 'drive-scsi0.raw');
    assert.throws(() => closeSync(openSync(disk, 'r+')), { code: 'EROFS' });
    assert.throws(
      () => {
        writeFileSync(join(mount.path, 'new'), 'x');
      },
      { code: 'EROFS' },
    );
    const options = execFileSync('findmnt', ['-no', 'OPTIONS,FSTYPE,SOURCE', mount.path], { encoding: 'utf8' });
    for (const option of ['ro', 'nosuid', 'nodev', 'default_permissions', 'allow_other', 'fuse.vzvault']) {
      assert.ok(options.includes(option), `${option} in ${options}`);
    }
    const status = statfsSync(mount.path);
    assert.equal(status.bavail, 0);
    assert.equal(status.type, 0x65735546);
  });

  it('tells holes by the chunk, from the map alone', async () => {
    const before = await mount.statistics();
    assert.deepEqual(await dataExtents(join(mount.path, 'drive-sparse.raw')), [
      { offset: 0, length: CHUNK },
      { offset: 20 * GIB, length: 5 * CHUNK },
      { offset: SPARSE_BYTES - CHUNK, length: CHUNK },
    ]);
    assert.deepEqual(await dataExtents(join(mount.path, 'drive-zero.raw')), []);
    assert.deepEqual(await dataExtents(join(mount.path, 'drive-scsi0.raw')), [
      { offset: 0, length: 9 * MIB },
      { offset: 20 * MIB, length: 17 * MIB + 65_536 },
    ]);
    const after = await mount.statistics();
    assert.equal(after['reads'], before['reads'], 'no read reached the file system');
  });

  it('counts roughly the blocks that hold data', () => {
    const blocks = (name: string): number => statSync(join(mount.path, `${name}.raw`)).blocks * 512;
    assert.equal(blocks('drive-zero'), 0);
    assert.equal(blocks('drive-efidisk0'), 540_672);
    assert.equal(blocks('drive-scsi0'), 26 * MIB + 65_536);
    assert.ok(blocks('drive-sparse') > 0 && blocks('drive-sparse') < SPARSE_BYTES / 100);
  });

  it('is copied by qemu-img and cp without reading a hole', async () => {
    // A mount of its own: what is in its caches is known to be nothing.
    const fresh = await mountFuse(cleanups, specOf(repository));
    const target = cleanups.directory();
    const image = join(target, 'qemu.raw');
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', join(fresh.path, 'drive-sparse.raw'), image]);
    await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, disks['drive-sparse']!]);
    const statistics = await fresh.statistics();
    const dataChunks = 7;
    const mapNodes = 7; // of three levels: the root, two below it, three or four leaves
    assert.ok(statistics['chunks_read']! <= dataChunks + mapNodes, JSON.stringify(statistics));
    assert.ok(statistics['read_bytes']! < 64 * MIB, JSON.stringify(statistics));

    const copy = join(target, 'cp.raw');
    await run('cp', ['--sparse=always', join(mount.path, 'drive-scsi0.raw'), copy]);
    await run('cmp', [copy, disks['drive-scsi0']!]);
    await run('cp', [join(mount.path, 'drive-sparse.raw'), copy]);
    await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', copy, disks['drive-sparse']!]);
  });

  it('is what dd and QEMU with direct input take', async () => {
    const target = join(cleanups.directory(), 'dd.raw');
    const shown = join(mount.path, 'drive-scsi0.raw');
    await run('dd', [`if=${shown}`, `of=${target}`, 'bs=1M', 'iflag=direct', 'status=none']);
    await run('cmp', [target, disks['drive-scsi0']!]);
    await run('qemu-img', ['compare', '-T', 'none', '-f', 'raw', '-F', 'raw', shown, target]);
    const { stdout } = await run('qemu-img', ['info', '-f', 'raw', '--output=json', shown]);
    assert.equal((JSON.parse(stdout) as { 'virtual-size': number })['virtual-size'], 37 * MIB + 65_536);
  });

  it('carries a loop device', async () => {
    const shown = join(mount.path, 'drive-scsi0.raw');
    const device = execFileSync('losetup', ['--read-only', '--show', '--find', shown], { encoding: 'utf8' }).trim();
    try {
      await run('cmp', [device, disks['drive-scsi0']!]);
    } finally {
      execFileSync('losetup', ['--detach', device]);
    }
  });
});

it('serves every chunk size', async (t) => {
  const cleanups = cleanupsOf(t);
  const sizeBytes = 9 * MIB + 4097;
  const file = writeDisk(join(cleanups.directory(), 'disk'), sizeBytes, [
    { offset: 0, length: 1 },
    { offset: 5 * MIB, length: sizeBytes - 5 * MIB },
  ]);
  for (const chunkSizeBytes of [262_144, 524_288, 1_048_576, 4_194_304]) {
    const mount = await mountFuse(cleanups, specOf(makeRepository(cleanups, { disk: file }, chunkSizeBytes)));
    await run('cmp', [join(mount.path, 'disk.raw'), file]);
  }
});

it('shows hundreds of snapshots, and reads of a disk only what is asked for', async (t) => {
  const cleanups = cleanupsOf(t);
  const file = writeDisk(join(cleanups.directory(), 'disk'), MIB, [{ offset: 0, length: MIB }]);
  const repository = makeRepository(cleanups, { disk: file });
  const volume = repository.volumes.get('disk')!;
  const nodes = Array.from({ length: 2_000 }, (_, number) => ({
    path: `qemu/${100 + (number % 20)}/time-${number}/drive-scsi0.raw`,
    volume,
    modifiedSeconds: number,
  }));
  const mount = await mountFuse(cleanups, { ...specOf(repository), nodes });
  const found = execFileSync('find', [mount.path, '-type', 'f'], { encoding: 'utf8' }).trim().split('\n');
  assert.equal(found.length, 2_000);
  assert.equal((await mount.statistics())['reads'], 0);
  await run('cmp', [join(mount.path, 'qemu/119/time-1999/drive-scsi0.raw'), file]);
});
