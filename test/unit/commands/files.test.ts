/** vzvault files, cat and cp over a mount that is a plain directory with what the test put there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { escapePath, unescapePath } from '../../../src/commands/tree-path.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import type { MountSpec } from '../../../src/repository/mount-spec.js';
import { openRepository } from '../../../src/repository/repository.js';
import type { CommandLine } from '../../support/command-line.js';
import { ERROR_LINE, setUp, STORE } from '../../support/command-world.js';
import { ARCHIVE, documentOf, idOf, SECOND } from '../../support/documents.js';

const LXC = 'lxc/101@2026-11-22T04:17:14Z';

interface World {
  readonly cli: CommandLine;
  /** For targets. */
  readonly directory: string;
  readonly specs: MountSpec[];
  /** Mounts that are there. */
  readonly mounted: Set<string>;
}

async function withContainer(t: TestContext): Promise<World> {
  const { cli, directory } = await setUp(t);
  const repository = await openRepository(cli.engine, { path: STORE });
  const id = idOf(101, SECOND, 'lxc');
  await repository.snapshots.commit(documentOf(id, { volumes: [], archives: [ARCHIVE] }));
  await repository.snapshots.commit(documentOf(idOf(100)));
  await repository.close();
  const tree = join(directory, 'tree');
  for (const name of ['etc', 'home/a b', 'usr/bin']) mkdirSync(join(tree, name), { recursive: true });
  writeFileSync(join(tree, 'etc/hostname'), 'ct\n', { mode: 0o640 });
  utimesSync(join(tree, 'etc/hostname'), SECOND, SECOND);
  writeFileSync(Buffer.concat([Buffer.from(join(tree, 'home/a b/caf')), Buffer.from([0xe9, 0x0a])]), 'odd');
  symlinkSync('/etc/hostname', join(tree, 'usr/name'));
  symlinkSync('../../../../../etc/hostname', join(tree, 'usr/bin/climbs'));
  symlinkSync('/usr/bin', join(tree, 'bin'));
  symlinkSync('loop', join(tree, 'loop'));
  const specs: MountSpec[] = [];
  const mounted = new Set<string>();
  cli.startMount = async ({ directory: place, spec }) => {
    specs.push(spec);
    mounted.add(place);
    // Not by Node: it has no names that are no text.
    execFileSync('cp', ['-a', tree, join(place, 'root')]);
    return {
      ...{ pid: 1, ended: new Promise<void>(() => undefined), release: () => undefined },
      stop: async () => {
        mounted.delete(place);
        execFileSync('rm', ['-rf', join(place, 'root')]);
      },
    };
  };
  return { cli, directory, specs, mounted };
}

describe('vzvault files', () => {
  it('lists a directory with modes, owners, sizes, times and targets', async (t) => {
    const { cli, specs, mounted } = await withContainer(t);
    const { code, out, err } = await cli.run('files', STORE, LXC, 'etc');
    assert.equal(code, 0, err);
    const owner = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
    assert.match(out, new RegExp(`^-rw-r----- +${owner} +3 B +2026-11-22T04:17:14Z +/etc/hostname$`, 'm'));
    const root = (await cli.run('files', STORE, LXC)).out;
    assert.match(root, /^l\S+ .* \/bin -> \/usr\/bin$/m);
    assert.doesNotMatch(root, /hostname/);
    assert.equal(mounted.size, 0);
    const { data, catalogue } = ARCHIVE;
    assert.deepEqual(specs[0]?.nodes, [{ path: 'root', archiveTree: { data, catalogue }, modifiedSeconds: SECOND }]);
    assert.equal(specs[0].allowOther, false);
  });

  it('lists all below a directory, each name as other commands take it', async (t) => {
    const { cli } = await withContainer(t);
    const entries = (await cli.json('files', STORE, LXC, '--recursive')) as Record<string, unknown>[];
    assert.deepEqual(
      entries.map(({ path }) => path),
      [
        ...[
          '/bin',
          '/etc',
          '/etc/hostname',
          '/home',
          '/home/a b',
          '/home/a b/caf\\351\\012',
          '/loop',
          '/usr',
          '/usr/bin',
        ],
        ...['/usr/bin/climbs', '/usr/name'],
      ],
    );
    const [hostname] = entries.filter(({ path }) => path === '/etc/hostname');
    const { type, mode, sizeBytes, modifiedSeconds, modifiedNanoseconds, links, target, device } = hostname ?? {};
    assert.deepEqual(
      [type, mode, sizeBytes, modifiedSeconds, modifiedNanoseconds, links, target, device],
      ['file', 0o640, 3, SECOND, 0, 1, null, null],
    );
  });

  it('follows links on the way as the container does, not at the end', async (t) => {
    const { cli } = await withContainer(t);
    assert.match((await cli.run('files', STORE, LXC, '/bin/climbs')).out, /\/usr\/bin\/climbs -> /);
    assert.match((await cli.run('files', STORE, LXC, '/bin')).out, / \/bin -> \/usr\/bin$/m);
    assert.match((await cli.run('files', STORE, LXC, '/bin/')).out, / \/usr\/bin\/climbs/);
  });

  it('refuses what is not there, and snapshots of VMs', async (t) => {
    const { cli } = await withContainer(t);
    for (const path of ['gone', 'etc/gone', 'etc/hostname/x', '/loop/x', 'a\\b', '\\000']) {
      const { code, err } = await cli.run('files', STORE, LXC, path);
      assert.equal(code, 2, path);
      assert.match(err, ERROR_LINE);
    }
    const { code, err } = await cli.run('files', STORE, 'qemu/100@latest');
    assert.deepEqual([code, /\(E_VOLUME_MISSING: /.test(err)], [1, true], err);
    cli.startMount = () => Promise.reject(new VzvaultError('E_MOUNT_FAILED', 'no /dev/fuse'));
    assert.match((await cli.run('files', STORE, LXC)).err, /\(E_MOUNT_FAILED: /);
  });
});

describe('vzvault cat', () => {
  it('prints a file, and follows links inside the container only', async (t) => {
    const { cli } = await withContainer(t);
    for (const path of ['/etc/hostname', 'usr/name', 'bin/climbs', './etc/../etc//hostname']) {
      assert.deepEqual(await cli.run('cat', STORE, LXC, path), { code: 0, out: 'ct\n', err: '' }, path);
    }
    assert.equal((await cli.run('cat', STORE, LXC, 'home/a b/caf\\351\\012')).out, 'odd');
  });

  it('refuses what is no file', async (t) => {
    const { cli } = await withContainer(t);
    for (const path of ['/', 'etc', 'loop']) assert.equal((await cli.run('cat', STORE, LXC, path)).code, 2, path);
  });
});

describe('vzvault cp', () => {
  it('copies trees and files, to a name or into a directory, links as links', async (t) => {
    const { cli, directory, mounted } = await withContainer(t);
    const tree = join(directory, 'copy of all\n');
    assert.equal((await cli.run('cp', STORE, LXC, '/', tree)).code, 0);
    assert.equal(readFileSync(join(tree, 'etc/hostname'), 'utf8'), 'ct\n');
    assert.equal(lstatSync(join(tree, 'etc/hostname')).mtimeMs, SECOND * 1000);
    assert.equal(readlinkSync(join(tree, 'bin')), '/usr/bin');
    const into = join(directory, 'into');
    mkdirSync(into);
    for (const path of ['/usr/name', '/home/a b/caf\\351\\012']) {
      const { code, err } = await cli.run('cp', STORE, LXC, path, into);
      assert.equal(code, 0, err);
    }
    const names = readdirSync(into, { encoding: 'buffer' }).map((name) => escapePath(name));
    assert.deepEqual(names.sort(), ['caf\\351\\012', 'name']);
    assert.equal(readlinkSync(join(into, 'name')), '/etc/hostname');
    assert.equal(mounted.size, 0);
  });

  it('copies over nothing, and says what cp said', async (t) => {
    const { cli, directory } = await withContainer(t);
    const target = join(directory, 'there');
    writeFileSync(target, 'mine');
    const taken = await cli.run('cp', STORE, LXC, 'etc/hostname', target);
    assert.match(taken.err, /\(E_TARGET_EXISTS: /);
    assert.equal(readFileSync(target, 'utf8'), 'mine');
    const { code, err } = await cli.run('cp', STORE, LXC, 'etc/hostname', join(directory, 'no/such/place'));
    assert.equal(code, 1);
    assert.match(err, /cp: .*No such file or directory\nvzvault: copying to .*\(E_TARGET_WRITE: /s);
  });
});

describe('a path as text', () => {
  it('is read back to the same bytes, whatever they are', () => {
    const odd = Buffer.from([0x61, 0x5c, 0xff, 0x0a, 0xc3, 0xbc, 0x7f]);
    for (const bytes of [odd, odd.subarray(0, 2), odd.subarray(4, 6), Buffer.from('a b/日本\u{1f642}\u0085')]) {
      assert.deepEqual(unescapePath(escapePath(bytes)), bytes);
      assert.match(escapePath(bytes), /^[^\p{C}]*$/u);
    }
    assert.equal(escapePath(Buffer.from('ü')), 'ü');
    assert.equal(escapePath(odd), 'a\\\\\\377\\012\\303\\274\\177');
  });
});

describe('vzvault show and verify of a container', () => {
  it('show its files, and read both streams once for all snapshots', async (t) => {
    const { cli } = await withContainer(t);
    assert.match((await cli.run('show', STORE, LXC)).out, /^files +root \(12000\) +668 MiB$/m);
    const { archives } = (await cli.json('show', STORE, LXC)) as { archives: unknown };
    assert.deepEqual(archives, [ARCHIVE]);
    const repository = await openRepository(cli.engine, { path: STORE });
    const next = documentOf(idOf(102, SECOND, 'lxc'), { volumes: [], archives: [ARCHIVE] });
    await repository.snapshots.commit(next);
    await repository.close();
    let read = 0;
    cli.engine.store.fault = (point) => {
      if (point === 'verifyArchive') read += 1;
    };
    const { code, out } = await cli.run('verify', STORE, LXC, 'lxc/102@latest');
    assert.equal(code, 3);
    assert.match(out, /^E_CHUNK_MISSING lxc\/101@2026-11-22T04:17:14Z: root: map node d+ is missing$/m);
    assert.equal(read, 1);
    for (const { rootId } of [ARCHIVE.data, ARCHIVE.catalogue]) cli.engine.store.volumes.set(rootId, Buffer.alloc(0));
    assert.equal((await cli.run('verify', STORE, LXC)).code, 0);
  });
});
