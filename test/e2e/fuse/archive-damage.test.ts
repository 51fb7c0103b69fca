/** What a mount does about archives whose storage lost something, and about catalogues that cannot be: EIO where that is, all else unharmed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { mountArchive, storeTar, storeTree, unpack } from '../../support/archives.js';
import { MIB, packsOf } from '../../support/fuse-mounts.js';
import { cleanupsOf } from '../../support/temp.js';

const EIO = { code: 'EIO' };

/** The name that the bytes of a pack have. */
function nameOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

it('answers EIO for the files whose data is lost, and shows all others', async (t) => {
  const cleanups = cleanupsOf(t);
  const source = cleanups.directory();
  const names = Array.from({ length: 12 }, (_, i) => `file-${String(i).padStart(2, '0')}`);
  for (const name of names) writeFileSync(join(source, name), randomBytes(2 * MIB));
  const repository = await storeTree(cleanups, source);
  const data = packsOf(repository).filter((path) => statSync(path).size > MIB);
  assert.ok(data.length >= 3);
  assert.equal(nameOf(data[0]!), data[0]!.split('/').at(-1));
  rmSync(data[0]!);

  const mount = await mountArchive(cleanups, repository);
  const root = join(mount.path, 'root');
  assert.deepEqual(readdirSync(root).sort(), names);
  const lost = names.filter((name) => {
    try {
      assert.ok(readFileSync(join(root, name)).equals(readFileSync(join(source, name))), name);
      return false;
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EIO');
      return true;
    }
  });
  assert.ok(lost.length >= 3 && lost.length <= 6, lost.join());
  assert.match(
    await mount.firstError(),
    /E_CHUNK_MISSING: reading bytes \d+ to \d+ of root\/file-\d\d: chunk [0-9a-f]{16}…/,
  );

  // The list of the tar file needs no data; unpacking it fails and says so.
  const tar = join(mount.path, 'root.tar');
  assert.equal(execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }).trim().split('\n').length, names.length + 1);
  assert.throws(() => execFileSync('tar', ['xpf', tar, '-C', cleanups.directory()], { stdio: 'ignore' }));
});

it('shows neither tree nor tar file where the catalogue is lost, but the names of both', async (t) => {
  const cleanups = cleanupsOf(t);
  const source = cleanups.directory();
  mkdirSync(join(source, 'etc'));
  writeFileSync(join(source, 'etc/file'), 'content');
  const repository = await storeTree(cleanups, source);
  const packs = packsOf(repository);
  const metadata = packs.find((path) => !readFileSync(path).includes('content'));
  rmSync(metadata!);
  const mount = await mountArchive(cleanups, repository);
  assert.deepEqual(readdirSync(mount.path), ['root', 'root.tar']);
  assert.throws(() => statSync(join(mount.path, 'root.tar')), EIO);
  assert.throws(() => statSync(join(mount.path, 'root')), EIO);
  assert.match(await mount.firstError(), /E_CHUNK_MISSING: telling the size of root\.tar: /);
  assert.ok(mount.lines('making the tree of root').length > 0);
});

/** Without data: type flag, name, target. */
type Members = readonly (readonly [string, string, string?])[];

/** A program that writes a tar stream of them. */
function tarOf(members: Members): string {
  const list = members.map(([type, name, target]) => `['${type}', '${name}', '${target ?? ''}']`).join(', ');
  return `for (${list}) { my ($t, $n, $l) = @$_; my $h = pack 'a100 a8 a8 a8 a12 a12 A8 a1 a100 a8 x247', $n, '0000644', '0000000', '0000000', '0' x 11, '0' x 11, '', $t, $l, "ustar\\00000"; substr $h, 148, 8, sprintf "%06o\\0 ", unpack '%32C*', $h; print $h } print "\\0" x 10_240`;
}

it('shows the first of two members at one path, and makes directories that nobody tells of', async (t) => {
  const cleanups = cleanupsOf(t);
  const script = tarOf([
    ['5', './'],
    ['2', './twice', 'first'],
    ['2', './twice', 'second'],
    ['0', './a/b/c'],
    ['5', './y/'],
    ['5', './y/'],
    ['0', './y/kept'],
    ['1', './y/kept', './y/kept'],
    ['1', './z', './y/kept'],
  ]);
  const mount = await mountArchive(cleanups, await storeTar(cleanups, 'perl', ['-e', script]));
  const list = (root: string): string[] =>
    execFileSync('find', [root, '-mindepth', '1', '-printf', '%P %y %m %n %l\n'], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean)
      .sort();
  const expected = [
    'a d 755 3 ',
    'a/b d 755 2 ',
    'a/b/c f 644 1 ',
    'twice l 644 1 first',
    'y d 644 2 ',
    'y/kept f 644 2 ',
  ];
  assert.deepEqual(list(join(mount.path, 'root')), [...expected, 'z f 644 2 ']);
  const unpacked = list(unpack(cleanups, join(mount.path, 'root.tar')));
  assert.deepEqual(
    unpacked.map((line) => line.replace('twice l 777', 'twice l 644')),
    [...expected, 'z f 644 2 '],
  );
});

const IMPOSSIBLE: readonly (readonly [what: string, members: Members, why: RegExp])[] = [
  [
    'a member below a symbolic link',
    [
      ['2', './link', '/etc'],
      ['0', './link/passwd'],
    ],
    /member 'link\/passwd' of the catalogue lies below 'link', which is no directory/,
  ],
  [
    'a hard link to nothing',
    [
      ['0', './here'],
      ['1', './dangling', './gone'],
    ],
    /member 'dangling' of the catalogue is a hard link to 'gone', which is no earlier member/,
  ],
  [
    'a file at the path of a directory',
    [
      ['5', './twice'],
      ['0', './twice'],
    ],
    /member 'twice' of the catalogue has the path of an earlier member/,
  ],
];

for (const [what, members, why] of IMPOSSIBLE) {
  it(`shows neither tree nor tar file of a catalogue with ${what}`, async (t) => {
    const cleanups = cleanupsOf(t);
    const args = ['-e', tarOf(members)];
    await assert.rejects(storeTar(cleanups, 'perl', args), /its store with 1/);
    const mount = await mountArchive(cleanups, await storeTar(cleanups, 'perl', args, { unchecked: true }));
    assert.throws(() => readdirSync(join(mount.path, 'root')), EIO);
    const error = await mount.firstError();
    assert.match(error, /E_CATALOGUE_DAMAGED/);
    assert.match(error, why);
    assert.throws(() => statSync(join(mount.path, 'root.tar')), EIO);
  });
}
