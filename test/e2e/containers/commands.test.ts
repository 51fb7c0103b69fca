/** `vzvault files`, `cat`, `cp` and `mount` on the backup of a container, as an administrator uses them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertSameTrees, describeTree, type TreeDescription } from '../../support/archives.js';
import { makeImage } from '../../support/images.js';
import { ContainerNode, type ContainerBackup } from '../../support/model-container.js';
import { backUpSampleTwice } from '../../support/sample-backups.js';
import { Cleanups, mountPointsBelow, unmountAllBelow } from '../../support/temp.js';
import { vzvaultProgram } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const LATEST = 'lxc/101@latest';
/** One line: what was wrong, the code, the hint. */
const ERROR_LINE = /^vzvault: [^\n]+ \(E_[A-Z_]+: [^\n]+\)\n$/;

interface Listed {
  readonly path: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly modifiedSeconds: number;
  readonly modifiedNanoseconds: number;
  readonly links: number;
  readonly target: string | null;
  readonly device: readonly [number, number] | null;
}

describe("an administrator with a container's backup", () => {
  const cleanups = new Cleanups();
  let node: ContainerNode;
  let root: string;
  let expected: TreeDescription;
  let first: ContainerBackup;
  let environment: NodeJS.ProcessEnv;

  before(async () => {
    node = await ContainerNode.start(cleanups);
    environment = { ...process.env, VZVAULT_CACHE_DIR: join(node.directory, 'cli-cache') };
    ({ root, expected, first } = await backUpSampleTwice(node));
    cleanups.add(() => {
      unmountAllBelow(node.directory);
    });
  });
  after(() => cleanups.undo());

  /** What is in the description of the tree below a path. */
  function below(tree: TreeDescription, path: string): TreeDescription {
    const part = (map: ReadonlyMap<string, string>): Map<string, string> => {
      const found = [...map].filter(([name]) => name === path || name.startsWith(`${path}/`));
      return new Map(
        found.map(([name, line]) => [name.slice(path.length).replace(/^\//, ''), line.replace(` as ${path}/`, ' as ')]),
      );
    };
    return { members: part(tree.members), extents: part(tree.extents), attributes: part(tree.attributes) };
  }

  async function listed(...args: readonly string[]): Promise<Listed[]> {
    return await node.json<Listed[]>('files', node.store, ...args);
  }

  async function failure(code: string, ...args: readonly string[]): Promise<string> {
    const ran = await node.run(...args);
    assert.equal(ran.code, code === 'E_ARGUMENT_INVALID' ? 2 : 1, args.join(' '));
    assert.equal(ran.out, '');
    assert.match(ran.err, ERROR_LINE);
    assert.ok(ran.err.includes(` (${code}: `), ran.err);
    return ran.err;
  }

  function target(): string {
    return mkdtempSync(join(node.directory, 'target-'));
  }

  it('lists a directory as text', async () => {
    const { out } = await node.must('files', node.store, LATEST, '/etc');
    const lines = out.trimEnd().split('\n');
    assert.match(lines[0]!, /^MODE +OWNER +SIZE +MODIFIED +PATH$/);
    assert.match(out, /^-rw-r----- +0:42 +6 B +\S+ +\/etc\/shadow$/m);
    assert.match(out, /^lrwxrwxrwx +0:0 +11 B +\S+ +\/etc\/escape -> \/etc\/passwd$/m);
    assert.match(out, /^-rw-r--r-- +0:0 +512 B +2026-01-02T\S+Z +\/etc\/one-block$/m);
    assert.deepEqual(
      lines.slice(1).map((line) => /(\/\S+)( -> |$)/.exec(line)![1]),
      readdirSync(join(root, 'etc'))
        .sort()
        .map((name) => `/etc/${name}`),
    );
  });

  it('lists everything as JSON: what each is, whose, when, where it leads', async () => {
    const all = await listed(first.volume, '--recursive');
    assert.equal(all.length, expected.members.size - 1);
    const found = (path: string): Listed => all.find((entry) => entry.path === path)!;
    assert.deepEqual(found('/sbin/su'), {
      ...{
        path: '/sbin/su',
        type: 'file',
        mode: 0o4755,
        uid: 0,
        gid: 0,
        sizeBytes: 2,
        links: 1,
        target: null,
        device: null,
      },
      modifiedSeconds: found('/sbin/su').modifiedSeconds,
      modifiedNanoseconds: found('/sbin/su').modifiedNanoseconds,
    });
    assert.deepEqual([found('/dev/sda').type, found('/dev/sda').device], ['block', [8, 0]]);
    assert.deepEqual([found('/dev/null').type, found('/dev/null').device], ['character', [1, 3]]);
    assert.equal(found('/run/initctl').type, 'fifo');
    assert.equal(found('/etc/hostname').links, 3);
    assert.deepEqual([found('/home').uid, found('/home').gid], [1000, 2_097_153]);
    assert.deepEqual(
      [found('/etc/empty').modifiedSeconds, found('/etc/empty').modifiedNanoseconds],
      [-86_401, 500_000_000],
    );
    assert.equal(found('/var/large').modifiedSeconds, 4_294_967_297);
    assert.equal(found('/var/link').target, '../etc/hostname');
    assert.equal(found('/var/sparse').sizeBytes, 50_000_000);
    const odd = all.map(({ path }) => path).filter((path) => /^\/[^/]*[\\"ä=-][^/]*$/.test(path));
    assert.deepEqual(
      odd.sort(),
      ['/-dash', '/a=b%', '/line\\012break', '/quo"te\'s \\\\', '/\\377\\376\\001\\200', '/ä'].sort(),
    );
  });

  it('lists what was backed up first where that is asked for, and a file by its name', async () => {
    assert.equal((await listed(first.volume, '/etc/hostname'))[0]!.sizeBytes, 3);
    assert.equal((await listed(LATEST, 'etc/hostname'))[0]!.sizeBytes, 8);
    // A link as such, and what is behind it.
    assert.deepEqual(
      (await listed(LATEST, '/etc/escape')).map(({ type }) => type),
      ['symlink'],
    );
  });

  it('prints a file byte for byte, through links that stay in the container', async () => {
    const cat = (path: string, volume = first.volume): Buffer =>
      execFileSync(vzvaultProgram, ['cat', node.store, volume, path], { env: environment, maxBuffer: 1 << 27 });
    assert.equal(cat('/var/link').toString(), 'ct\n');
    assert.equal(cat('/var/link', LATEST).toString(), 'renamed\n');
    assert.ok(cat('/var/large').equals(readFileSync(join(root, 'var/large'))));
    assert.ok(cat('/var/sparse').equals(readFileSync(join(root, 'var/sparse'))));
    assert.equal(cat('/line\\012break').toString(), 'line\nbreak');
    assert.equal(cat('/\\377\\376\\001\\200').toString(), 'no UTF-8');
    assert.equal(cat('/etc/empty').length, 0);
    // This machine has such a file, the container has none.
    assert.match(await failure('E_ARGUMENT_INVALID', 'cat', node.store, LATEST, '/etc/escape'), /not in the backup/);
  });

  it('copies the whole tree with all that it has', async () => {
    const to = join(target(), 'all');
    const { out, err } = await node.must('cp', node.store, first.volume, '/', to);
    assert.match(out, /^\/ of lxc\/101@\S+ is in \S+all\n$/);
    assert.equal(err, '');
    assertSameTrees(describeTree(to), expected);
  });

  it('copies a directory to a new name, and into a directory that exists', async () => {
    const directory = target();
    await node.must('cp', node.store, first.volume, '/home', join(directory, 'of anna'));
    assertSameTrees(describeTree(join(directory, 'of anna')), below(expected, 'home'));
    await node.must('cp', node.store, first.volume, '/home/', directory);
    assertSameTrees(describeTree(join(directory, 'home')), below(expected, 'home'));
  });

  it('copies single files: set-uid, sparse, a link as a link, names of any bytes', async () => {
    const directory = target();
    for (const path of [
      '/sbin/su',
      '/var/sparse',
      '/var/comb',
      '/etc/escape',
      '/-dash',
      '/line\\012break',
      '/\\377\\376\\001\\200',
    ]) {
      await node.must('cp', node.store, first.volume, path, directory);
    }
    const copied = describeTree(directory);
    for (const name of [
      'sbin/su',
      'var/sparse',
      'var/comb',
      'etc/escape',
      '-dash',
      'line\nbreak',
      '\xff\xfe\x01\x80',
    ]) {
      const last = name.split('/').at(-1)!;
      // Another link of one inode is told by its name.
      const line = expected.members.get(name)?.replace(` as ${name}`, ` as ${last}`);
      assert.equal(copied.members.get(last), line);
      assert.equal(copied.extents.get(last), expected.extents.get(name));
      assert.equal(copied.attributes.get(last), expected.attributes.get(name));
    }
    assert.equal(copied.members.size, 8);
  });

  it('copies nothing over what is there', async () => {
    const directory = target();
    writeFileSync(join(directory, 'file'), 'mine');
    mkdirSync(join(directory, 'etc'));
    const copy = ['cp', node.store, LATEST] as const;
    await failure('E_TARGET_EXISTS', ...copy, '/etc/hostname', join(directory, 'file'));
    await failure('E_TARGET_EXISTS', ...copy, '/etc', directory);
    await failure('E_TARGET_EXISTS', ...copy, '/', directory);
    assert.equal(readFileSync(join(directory, 'file'), 'utf8'), 'mine');
    assert.deepEqual(readdirSync(join(directory, 'etc')), []);
    const { code, err } = await node.run(...copy, '/etc/hostname', join(directory, 'no', 'such', 'directory'));
    assert.equal(code, 1);
    assert.match(err.trimEnd().split('\n').at(-1)!, /^vzvault: .* \(E_TARGET_WRITE: /);
  });

  it('says in one line what is not there, and what is no file, directory or container', async () => {
    for (const command of ['files', 'cat'] as const) {
      await failure('E_ARGUMENT_INVALID', command, node.store, LATEST, '/no/such');
      await failure('E_ARGUMENT_INVALID', command, node.store, LATEST, '/etc/hostname/below');
      await failure('E_SNAPSHOT_MISSING', command, node.store, 'lxc/999@latest', '/etc');
    }
    await failure('E_ARGUMENT_INVALID', 'cp', node.store, LATEST, '/no/such', target());
    await failure('E_ARGUMENT_INVALID', 'cat', node.store, LATEST, '/etc');
    await failure('E_ARGUMENT_INVALID', 'cat', node.store, LATEST, '/run/initctl');
    await failure('E_ARGUMENT_INVALID', 'files', node.store, LATEST, '/etc\\x');
    makeImage(join(node.directory, 'disk'), 2 * MIB, []);
    await node.must(
      'backup',
      node.store,
      '--guest',
      'qemu/100',
      '--disk',
      `drive-scsi0=${join(node.directory, 'disk')}`,
    );
    for (const args of [['files'], ['cat', '/etc'], ['cp', '/etc', target()]]) {
      const [command = '', ...more] = args;
      assert.match(
        await failure('E_VOLUME_MISSING', command, node.store, 'qemu/100@latest', ...more),
        /not the backup of a container/,
      );
    }
    assert.equal((await node.run('cat', node.store, LATEST)).code, 2);
  });

  it('leaves no mount and no directory behind', () => {
    assert.deepEqual(
      mountPointsBelow(tmpdir()).filter((point) => point.includes('vzvault-files-')),
      [],
    );
  });
});
