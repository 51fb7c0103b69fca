/** What a mount does about archives whose storage lost something, and about catalogues that cannot be: EIO where that is, all else unharmed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { mountArchive, storeTar, storeTree } from '../../support/archives.js';
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

/** A tar stream of members without data: type flag, name, target. */
function tarOf(members: readonly (readonly [string, string, string?])[]): string {
  const list = members.map(([type, name, target]) => `['${type}', '${name}', '${target ?? ''}']`).join(', ');
  return `for (${list}) { my ($t, $n, $l) = @$_; my $h = pack 'a100 a8 a8 a8 a12 a12 A8 a1 a100 a8 x247', $n, '0000644', '0000000', '0000000', '0' x 11, '0' x 11, '', $t, $l, "ustar\\00000"; substr $h, 148, 8, sprintf "%06o\\0 ", unpack '%32C*', $h; print $h } print "\\0" x 10_240`;
}

it('lets the later of two members at one path count, and makes directories that nobody tells of', async (t) => {
  const cleanups = cleanupsOf(t);
  const script = tarOf([
    ['5', './'],
    ['2', './twice', 'first'],
    ['2', './twice', 'second'],
    ['0', './a/b/c'],
    ['5', './a'],
    ['5', './x/'],
    ['0', './x'],
    ['5', './y/'],
    ['5', './y/'],
    ['0', './y/kept'],
  ]);
  const mount = await mountArchive(cleanups, await storeTar(cleanups, 'perl', ['-e', script]));
  const root = join(mount.path, 'root');
  const listed = execFileSync('find', [root, '-mindepth', '1', '-printf', '%P %y %m %n %l\n'], { encoding: 'utf8' });
  assert.deepEqual(listed.split('\n').filter(Boolean).sort(), [
    'a d 644 3 ',
    'a/b d 755 2 ',
    'a/b/c f 644 1 ',
    'twice l 644 1 second',
    'x f 644 1 ',
    'y d 644 2 ',
    'y/kept f 644 1 ',
  ]);
});

it('answers EIO for a hard link to what is not there, and for nothing else', async (t) => {
  const cleanups = cleanupsOf(t);
  const script = tarOf([
    ['0', './here'],
    ['1', './good', './here'],
    ['1', './dangling', './gone'],
  ]);
  const mount = await mountArchive(cleanups, await storeTar(cleanups, 'perl', ['-e', script]));
  const root = join(mount.path, 'root');
  assert.deepEqual(readdirSync(root).sort(), ['dangling', 'good', 'here']);
  assert.equal(statSync(join(root, 'good')).nlink, 2);
  assert.throws(() => statSync(join(root, 'dangling')), EIO);
  assert.match(await mount.firstError(), /E_CATALOGUE_DAMAGED: looking up 'dangling' of root: /);
});

it('shows no tree of a catalogue with a member below a file', async (t) => {
  const cleanups = cleanupsOf(t);
  const script = tarOf([
    ['2', './link', '/etc'],
    ['0', './link/passwd'],
  ]);
  const mount = await mountArchive(cleanups, await storeTar(cleanups, 'perl', ['-e', script]));
  assert.throws(() => readdirSync(join(mount.path, 'root')), EIO);
  assert.match(
    await mount.firstError(),
    /E_CATALOGUE_DAMAGED: .*member 'link\/passwd' of the catalogue lies below 'link', which is no directory/,
  );
});
