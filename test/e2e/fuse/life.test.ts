/** How the process of a mount starts, refuses to start, and ends, whatever is going on then. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MountNode } from '../../../src/repository/mount-spec.js';
import {
  CHUNK,
  MIB,
  isMounted,
  makeRepository,
  mountFuse,
  run,
  specOf,
  startFuse,
  startFuseWith,
  writeDisk,
  type FixtureRepository,
  type FuseMount,
} from '../../support/fuse-mounts.js';
import { freeze, startProgram, until, type Program } from '../../support/processes.js';
import { cleanupsOf, type Cleanups } from '../../support/temp.js';

function makeDisk(cleanups: Cleanups, sizeBytes = 8 * MIB): { file: string; repository: FixtureRepository } {
  const file = writeDisk(join(cleanups.directory(), 'disk'), sizeBytes, [{ offset: 0, length: sizeBytes }]);
  return { file, repository: makeRepository(cleanups, { 'drive-scsi0': file }) };
}

/** A program that reads the disk again and again, past the page cache, until it fails. */
async function startReading(cleanups: Cleanups, mount: FuseMount): Promise<Program> {
  const script = 'while dd if="$1" of=/dev/null bs=256K iflag=direct status=none; do :; done';
  const reader = startProgram(cleanups, 'sh', ['-c', script, 'sh', join(mount.path, 'drive-scsi0.raw')]);
  await until('reads arrive', async () => (await mount.statistics())['reads']! > 50);
  return reader;
}

/** Waits until all that the program wrote has come. */
async function closed(program: Program): Promise<void> {
  const { stdout, stderr } = program.child;
  await until('its output ends', () => stdout!.readableEnded && stderr!.readableEnded);
}

/** Ends with 1, says why once to the log and once in place of "ready"; nothing is mounted. Answers why. */
async function refuses(program: Program, mountPoint: string, code: string): Promise<string> {
  assert.equal(await program.ended, 1);
  await closed(program);
  const lines = program.output().trim().split('\n').sort();
  assert.equal(lines.length, 2, program.output());
  assert.ok(lines[0]!.startsWith(`failed ${code}: `), lines[0]);
  assert.equal(lines[1], lines[0]!.replace('failed', 'vzvault-fuse: error'));
  assert.equal(isMounted(mountPoint), false);
  return lines[0]!;
}

it('ends with 0 when it is unmounted', async (t) => {
  const cleanups = cleanupsOf(t);
  const mount = await mountFuse(cleanups, specOf(makeDisk(cleanups).repository));
  execFileSync('umount', [mount.path]);
  assert.equal(await mount.program.ended, 0);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  it(`unmounts on ${signal} and ends with 0`, async (t) => {
    const cleanups = cleanupsOf(t);
    const mount = await mountFuse(cleanups, specOf(makeDisk(cleanups).repository));
    assert.equal(await mount.program.stop(signal), 0);
    assert.equal(isMounted(mount.path), false);
    assert.deepEqual(readdirSync(mount.path), []);
  });
}

it('outlives a hangup and the end of whoever reads its log', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  const mount = await mountFuse(cleanups, specOf(repository));
  mount.program.child.stdout!.destroy();
  mount.program.child.stderr!.destroy();
  mount.program.child.kill('SIGHUP');
  mount.program.child.kill('SIGUSR1');
  await sleep(200);
  await run('cmp', [join(mount.path, 'drive-scsi0.raw'), file]);
  assert.equal(await mount.program.stop(), 0);
});

it('unmounts on SIGTERM although files are open and being read', async (t) => {
  const cleanups = cleanupsOf(t);
  const mount = await mountFuse(cleanups, specOf(makeDisk(cleanups).repository));
  const reader = await startReading(cleanups, mount);
  const fd = openSync(join(mount.path, 'drive-scsi0.raw'), 'r');
  assert.equal(await mount.program.stop(), 0);
  assert.equal(isMounted(mount.path), false);
  await reader.ended;
  assert.throws(() => readSync(fd, Buffer.alloc(1), 0, 1, 4 * MIB), { code: /ENOTCONN|ECONNABORTED|EIO/ });
  closeSync(fd);
});

it('lets a file that is open be read to its end after umount -l, then ends', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  const mount = await mountFuse(cleanups, specOf(repository));
  const fd = openSync(join(mount.path, 'drive-scsi0.raw'), 'r');
  assert.throws(() => execFileSync('umount', [mount.path], { stdio: 'ignore' }), 'a plain umount is refused');
  execFileSync('umount', ['-l', mount.path]);
  assert.ok(readFileSync(fd).equals(readFileSync(file)));
  assert.equal(mount.program.child.exitCode, null);
  closeSync(fd);
  assert.equal(await mount.program.ended, 0);
});

it('leaves a mount that can be cleaned when it is killed', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  const mount = await mountFuse(cleanups, specOf(repository));
  const reader = await startReading(cleanups, mount);
  assert.equal(await mount.program.stop('SIGKILL'), 'SIGKILL');
  await reader.ended;
  assert.throws(() => statSync(mount.path), { code: 'ENOTCONN' });

  const blocked = startFuse(cleanups, specOf(repository), mount.path);
  assert.equal(await blocked.ended, 1);
  await closed(blocked);
  assert.match(blocked.output(), /^vzvault-fuse: error E_MOUNT_FAILED: .*process is gone/m);

  execFileSync('fusermount3', ['-u', '-z', mount.path]);
  assert.equal(isMounted(mount.path), false);
  const again = startFuse(cleanups, specOf(repository), mount.path);
  await until('the second mount answers', () => again.output().includes('ready\n'));
  await run('cmp', [join(mount.path, 'drive-scsi0.raw'), file]);
  assert.equal(await again.stop(), 0);
});

/** The repository's own files as the nodes of another mount: storage that can be made to hang. */
function filesBelow(root: string, directory = root): MountNode[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesBelow(root, path);
    return [{ path: relative(root, path), contentBase64: readFileSync(path).toString('base64'), modifiedSeconds: 0 }];
  });
}

it('ends in seconds although the storage hangs', async (t) => {
  const cleanups = cleanupsOf(t);
  const { repository } = makeDisk(cleanups, 2 * CHUNK);
  const storage = await mountFuse(cleanups, {
    ...specOf(repository),
    nodes: filesBelow(repository.path),
  });
  const mount = await mountFuse(cleanups, { ...specOf(repository), repository: storage.path });
  const shown = join(mount.path, 'drive-scsi0.raw');
  statSync(shown); // its map is read now, its data is not
  await freeze(storage.program.pid);
  const reader = startProgram(cleanups, 'cat', [shown]);
  // Nothing can be cleaned up while it hangs.
  cleanups.add(() => {
    storage.program.child.kill('SIGCONT');
  });
  await until('the read arrives', async () => (await mount.statistics())['reads']! > 0);
  const begin = performance.now();
  assert.equal(await mount.program.stop(), 0);
  assert.ok(performance.now() - begin < 12_000);
  assert.equal(isMounted(mount.path), false);
  assert.match(mount.program.output(), /E_STORAGE_TIMEOUT/);
  assert.notEqual(await reader.ended, 0);
});

it('refuses a mount point that is missing, no directory, or not empty', async (t) => {
  const cleanups = cleanupsOf(t);
  const spec = specOf(makeDisk(cleanups).repository);
  const base = cleanups.directory();
  const missing = join(base, 'missing');
  await refuses(startFuse(cleanups, spec, missing), missing, 'E_MOUNT_FAILED');
  const file = join(base, 'file');
  writeFileSync(file, '');
  await refuses(startFuse(cleanups, spec, file), file, 'E_MOUNT_FAILED');
  const full = join(base, 'full');
  mkdirSync(full);
  writeFileSync(join(full, 'precious'), 'x');
  assert.match(await refuses(startFuse(cleanups, spec, full), full, 'E_MOUNT_FAILED'), /not empty/);
  assert.equal(readFileSync(join(full, 'precious'), 'utf8'), 'x');
});

it('refuses a repository that is not there', async (t) => {
  const cleanups = cleanupsOf(t);
  const spec = specOf(makeDisk(cleanups).repository);
  const mountPoint = cleanups.directory();
  const repository = join(cleanups.directory(), 'missing');
  await refuses(startFuse(cleanups, { ...spec, repository }, mountPoint), mountPoint, 'E_PATH_MISSING');
});

it('refuses a spec that is not one, in one line', async (t) => {
  const cleanups = cleanupsOf(t);
  const spec = specOf(makeDisk(cleanups).repository);
  const mountPoint = cleanups.directory();
  const node = spec.nodes[0]!;
  const volume = node.volume!;
  const withNode = (changes: object): object => ({ ...spec, nodes: [{ ...node, ...changes }] });
  const bad: (object | string | Buffer)[] = [
    '',
    '{',
    'null',
    '[]',
    JSON.stringify(spec).slice(0, -1),
    `${JSON.stringify(spec)}x`,
    JSON.stringify(spec).replace('"version":1', '"version":1,"version":1'),
    Buffer.from([0xff, 0x00, 0x7b]),
    '['.repeat(100_000),
    { ...spec, version: 2 },
    { ...spec, more: 1 },
    { ...spec, repository: 'relative' },
    { ...spec, cacheBytes: 1 },
    { ...spec, cacheBytes: 2 ** 60 },
    { ...spec, nodes: {} },
    { ...spec, nodes: [node, node] },
    { ...spec, nodes: [node, { ...node, path: `${node.path}/below` }] },
    withNode({ path: '../escape' }),
    withNode({ path: '/etc/passwd' }),
    withNode({ path: 'a//b' }),
    withNode({ path: '' }),
    withNode({ path: 'a\u0000b' }),
    withNode({ contentBase64: '' }),
    withNode({ volume: undefined }),
    withNode({ volume: { ...volume, rootId: 'x' } }),
    withNode({ volume: { ...volume, chunkSizeBytes: 1000 } }),
    withNode({ volume: { ...volume, levels: 5 } }),
    withNode({ volume: { ...volume, sizeBytes: -1 } }),
    withNode({ volume: { ...volume, sizeBytes: 1.5 } }),
  ];
  for (const one of bad) {
    const text = typeof one === 'string' || Buffer.isBuffer(one) ? one : JSON.stringify(one);
    await refuses(startFuse(cleanups, text, mountPoint), mountPoint, 'E_ARGUMENT_INVALID');
  }
});

it('refuses a spec without end', async (t) => {
  const cleanups = cleanupsOf(t);
  const mountPoint = cleanups.directory();
  const program = startProgram(cleanups, 'sh', [
    '-c',
    'exec "$0" --spec-fd 3 "$1" 3</dev/zero',
    startFuseWith(cleanups, ['--help']).child.spawnfile,
    mountPoint,
  ]);
  assert.match(await refuses(program, mountPoint, 'E_ARGUMENT_INVALID'), /longer than/);
});

it('explains how it is called', async (t) => {
  const cleanups = cleanupsOf(t);
  const help = startFuseWith(cleanups, ['--help']);
  assert.equal(await help.ended, 0);
  await closed(help);
  assert.match(help.output(), /--spec-fd/);
  for (const args of [
    [],
    ['/mnt'],
    ['--spec-fd', 'x', '/mnt'],
    ['--spec-fd', '1', '/mnt'],
    ['--spec-fd', '3', '/mnt', '/mnt'],
    ['-o', 'rw'],
  ]) {
    const program = startFuseWith(cleanups, args);
    assert.equal(await program.ended, 2);
    await closed(program);
    assert.match(program.output(), /^vzvault-fuse: error E_ARGUMENT_INVALID: usage: .*\n$/);
  }
});

it('keeps no descriptor of a file that was closed', async (t) => {
  const cleanups = cleanupsOf(t);
  const { file, repository } = makeDisk(cleanups);
  const mount = await mountFuse(cleanups, specOf(repository));
  const shown = join(mount.path, 'drive-scsi0.raw');
  const descriptors = (): number => readdirSync(`/proc/${mount.program.pid}/fd`).length;
  await run('cmp', [shown, file]);
  const before = descriptors();
  for (let i = 0; i < 300; i += 1) {
    const fd = openSync(shown, 'r');
    readSync(fd, Buffer.alloc(4096), 0, 4096, (i % 16) * CHUNK);
    closeSync(fd);
  }
  await until('files are released', async () => (await mount.statistics())['open_files'] === 0);
  assert.ok(descriptors() <= before, `${descriptors()} descriptors, ${before} before`);
});
