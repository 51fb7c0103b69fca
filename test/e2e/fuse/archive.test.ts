/** A container's archive as a mount shows it: the tree and the tar file equal what was backed up, through the programs that restore it. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { lstatSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  assertSameTrees,
  describeTree,
  mountArchive,
  storeTar,
  storeTree,
  unpack,
  TAR_FLAGS,
  type ArchiveRepository,
  type TreeDescription,
} from '../../support/archives.js';
import { run, type FuseMount } from '../../support/fuse-mounts.js';
import { makeDeepTree, makeSampleTree, readDeepTree } from '../../support/sample-tree.js';
import { Cleanups, cleanupsOf } from '../../support/temp.js';

describe('the archive of a container', () => {
  const cleanups = new Cleanups();
  let source: string;
  let repository: ArchiveRepository;
  let mount: FuseMount;
  let expected: TreeDescription;

  before(async () => {
    source = cleanups.directory();
    makeSampleTree(source);
    expected = describeTree(source);
    repository = await storeTree(cleanups, source);
    mount = await mountArchive(cleanups, repository);
  });
  after(() => cleanups.undo());

  it('shows the tree as it was: types, owners, modes, times, links, attributes, ACLs, holes, names of any bytes', async () => {
    assertSameTrees(describeTree(join(mount.path, 'root')), expected);
  });

  it('unpacks from the tar file as it was', async () => {
    assertSameTrees(describeTree(unpack(cleanups, join(mount.path, 'root.tar'))), expected);
  });

  it('is a tar file of the size that it says, the same each time and read in any way', async () => {
    const tar = join(mount.path, 'root.tar');
    const copy = join(cleanups.directory(), 'copy.tar');
    await run('cp', [tar, copy]);
    assert.equal(statSync(copy).size, statSync(tar).size);
    assert.equal(statSync(tar).size % 10_240, 0);
    await run('cmp', [tar, copy]);
    // Backwards, in pieces that fit nothing.
    await run('perl', [
      '-e',
      `open my $one, '<', $ARGV[0]; open my $other, '<', $ARGV[1];
       for (my $at = -s $one; $at > 0; $at -= 77_777) {
         my ($here, $there); sysseek $_, $at, 0 for $one, $other;
         sysread $one, $here, 70_001; sysread $other, $there, 70_001; $here eq $there or die "differs at $at";
       }`,
      tar,
      copy,
    ]);
    assertSameTrees(describeTree(unpack(cleanups, copy)), expected);
  });

  it('is unpacked in another order than the archive has it', async () => {
    const names = execFileSync('tar', ['tf', join(mount.path, 'root.tar'), '--quoting-style=escape'], {
      encoding: 'utf8',
    });
    assert.ok(names.split('\n').includes('./sbin/'));
    const { stdout } = await run('tar', [
      'xOf',
      join(mount.path, 'root.tar'),
      './etc/records-and-a-byte',
      './etc/shadow',
    ]);
    assert.equal(stdout.replaceAll('r', ''), 'secet');
  });

  it('is listed without decoding any data', async () => {
    const fresh = await mountArchive(cleanups, repository);
    const { stdout } = await run('tar', ['-tvf', join(fresh.path, 'root.tar'), '--numeric-owner']);
    assert.match(stdout, /^drwxr-xr-x 0\/0 +0 .* \.\/sbin\/$/m);
    assert.match(stdout, /^-rwsr-xr-x 0\/0 +2 .* \.\/sbin\/su$/m);
    assert.match(stdout, /^-rw-r--r-- 0\/0 +50000000 .* \.\/var\/sparse$/m);
    const { data_bytes_decoded: decoded, catalogue_bytes_decoded: catalogue } = await fresh.statistics();
    assert.equal(decoded, 0);
    assert.ok(catalogue! > 0);
  });

  it('is copied by tar from the tree, as the mechanism `directory` does it', async () => {
    const copy = cleanups.directory();
    const tree = join(mount.path, 'root');
    execFileSync('sh', [
      '-c',
      'tar cpf - "$@" | tar xpf - -C "$0" --acls --xattrs --xattrs-include="*"',
      copy,
      ...TAR_FLAGS,
      '-C',
      tree,
      '.',
    ]);
    assertSameTrees(describeTree(copy), expected);
  });

  it('has the numbers of inodes for good, and ".." where it leads', () => {
    const tree = join(mount.path, 'root');
    const listed = execFileSync('ls', ['-ia', join(tree, 'etc')], { encoding: 'utf8' });
    const numbers = new Map(
      listed
        .trim()
        .split('\n')
        .map((line) => [line.trim().split(' ').slice(1).join(' '), Number(line.trim().split(' ')[0])]),
    );
    assert.equal(numbers.get('.'), lstatSync(join(tree, 'etc')).ino);
    assert.equal(numbers.get('..'), lstatSync(tree).ino);
    assert.equal(numbers.get('hostname'), lstatSync(join(tree, 'var/name')).ino);
    assert.equal(lstatSync(join(tree, 'etc/hostname')).nlink, 3);
  });

  it('cannot be written to, and gives users other than root what modes and ACLs give them', () => {
    const tree = join(mount.path, 'root');
    assert.throws(() => writeFileSync(join(tree, 'etc/hostname'), ''), { code: 'EROFS' });
    const may = (uid: number, gid: number, file: string): boolean => {
      // Looks from within the tree, since the way to it belongs to root alone.
      const script = `chdir $ARGV[0]; $) = "$ARGV[2] $ARGV[2]"; $> = $ARGV[1]; exit(open(my $f, '<', $ARGV[3]) ? 0 : 1)`;
      try {
        execFileSync('perl', ['-e', script, tree, String(uid), String(gid), file]);
        return true;
      } catch {
        return false;
      }
    };
    assert.equal(may(2000, 2000, 'etc/one-block'), true);
    assert.equal(may(2000, 2000, 'etc/shadow'), false);
    assert.equal(may(2000, 42, 'etc/shadow'), true);
    assert.equal(may(1000, 2000, 'etc/for-one'), true);
    // The mode gives the owning group what is the ACL's mask.
    assert.equal(lstatSync(join(tree, 'etc/for-one')).mode & 0o777, 0o640);
    assert.equal(may(2000, 0, 'etc/for-one'), false);
  });
});

it('decodes less than two in a hundred bytes for the list of a real tree', async (t) => {
  const cleanups = cleanupsOf(t);
  const mount = await mountArchive(cleanups, await storeTree(cleanups, '/usr/bin'));
  const tar = join(mount.path, 'root.tar');
  await run('tar', ['-tvf', tar, '--numeric-owner'], { maxBuffer: 1 << 26 });
  const listed = await mount.statistics();
  await run('sh', ['-c', 'cat "$0" > /dev/null', tar]);
  const read = await mount.statistics();
  const decoded = (numbers: Readonly<Record<string, number>>): number =>
    numbers['data_bytes_decoded']! + numbers['map_bytes_decoded']! + numbers['catalogue_bytes_decoded']!;
  assert.ok(decoded(listed) < 0.02 * (decoded(read) - decoded(listed)), JSON.stringify({ listed, read }));
});

it('shows directories beyond the longest path name', async (t) => {
  const cleanups = cleanupsOf(t);
  const source = cleanups.directory();
  makeDeepTree(source);
  cleanups.add(() => void execFileSync('rm', ['-rf', source]));
  const mount = await mountArchive(cleanups, await storeTree(cleanups, source));
  assert.equal(readDeepTree(join(mount.path, 'root')), 'deep');
  const { stdout } = await run('tar', ['-tf', join(mount.path, 'root.tar')]);
  assert.ok(stdout.split('\n').some((line) => line.length > 5000 && line.endsWith('/bottom')));
});

it('lists a directory of fifty thousand entries, each once', async (t) => {
  const cleanups = cleanupsOf(t);
  const script = `for my $n (0 .. 49_999) { my $h = pack 'a100 a8 a8 a8 a12 a12 A8 a1 a100 a8 x247', sprintf('./many/%06d', $n), '0000644', '0000000', '0000000', '0' x 11, '0' x 11, '', '0', '', "ustar\\00000"; substr $h, 148, 8, sprintf "%06o\\0 ", unpack '%32C*', $h; print $h } print "\\0" x 10_240`;
  const mount = await mountArchive(cleanups, await storeTar(cleanups, 'perl', ['-e', script]));
  const names = readdirSync(join(mount.path, 'root/many')).sort();
  assert.equal(names.length, 50_000);
  assert.deepEqual(
    names,
    Array.from({ length: 50_000 }, (_, n) => String(n).padStart(6, '0')),
  );
  assert.equal(lstatSync(join(mount.path, 'root/many')).nlink, 2);
});

it('is unpacked by a root of a user namespace, as `pct restore` does', async (t) => {
  const cleanups = cleanupsOf(t);
  const source = cleanups.directory();
  for (const name of ['sbin', 'dev', 'home']) mkdirSync(join(source, name));
  writeFileSync(join(source, 'home/file'), 'content');
  execFileSync('chown', ['1000:1001', join(source, 'home/file')]);
  execFileSync('mknod', [join(source, 'dev/null'), 'c', '1', '3']);
  execFileSync('setfattr', ['-n', 'user.k', '-v', 'v', join(source, 'home/file')]);
  execFileSync('setfacl', ['-m', 'u:1000:rw', join(source, 'home/file')]);
  const mount = await mountArchive(cleanups, await storeTree(cleanups, source));

  const holder = spawn('unshare', ['--user', 'sleep', '600'], { stdio: 'ignore' });
  cleanups.add(() => void holder.kill());
  const own = readFileSync('/proc/self/uid_map', 'utf8');
  while (readFileSync(`/proc/${holder.pid!}/uid_map`, 'utf8') === own)
    await new Promise((resolve) => setTimeout(resolve, 10));
  writeFileSync(`/proc/${holder.pid!}/uid_map`, '0 100000 65536');
  writeFileSync(`/proc/${holder.pid!}/gid_map`, '0 100000 65536');

  const target = cleanups.directory('/var/tmp');
  execFileSync('chown', ['100000:100000', target]);
  execFileSync(
    'nsenter',
    [
      ...['-U', '-t', String(holder.pid), '-S', '0', '-G', '0', `--wd=${target}`],
      ...['tar', 'xpf', '-', ...TAR_FLAGS, '--skip-old-files', '--anchored', '--exclude', './dev/*'],
    ],
    { stdio: [openSync(join(mount.path, 'root.tar'), 'r'), 'ignore', 'inherit'] },
  );
  const file = lstatSync(join(target, 'home/file'));
  assert.deepEqual([file.uid, file.gid, file.mode & 0o777], [101_000, 101_001, 0o664]);
  assert.equal(readFileSync(join(target, 'home/file'), 'utf8'), 'content');
  assert.match(execFileSync('getfacl', ['-n', join(target, 'home/file')], { encoding: 'utf8' }), /^user:101000:rw-$/m);
  assert.match(execFileSync('getfattr', ['-d', join(target, 'home/file')], { encoding: 'utf8' }), /^user.k="v"$/m);
  assert.deepEqual(readdirSync(join(target, 'dev')), []);
});
