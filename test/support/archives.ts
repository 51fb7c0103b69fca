/**
 * Directory trees, archives made of them with tar as Proxmox VE calls it, and mounts of those: what the tests of containers are made of.
 *
 * Trees are compared by what a file system tells of them, so a tree, its mount and what tar unpacked of it read alike.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type BigIntStats,
  type PathLike,
} from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import type { MountArchive } from '../../src/repository/mount-spec.js';
import { mountFuse, nativeProgram, type FuseMount } from './fuse-mounts.js';
import type { Cleanups } from './temp.js';
import { attributesOf } from './tree-attributes.js';

/** PVE::Storage::Plugin, COMMON_TAR_FLAGS, and what vzdump adds to number owners. */
export const TAR_FLAGS = [
  '--sparse',
  '--numeric-owner',
  '--acls',
  '--xattrs',
  '--xattrs-include=user.*',
  '--xattrs-include=security.capability',
];

export interface ArchiveRepository {
  readonly path: string;
  readonly cacheDirectory: string;
  readonly archive: MountArchive;
}

/**
 * Stores what a program writes to its standard output as an archive. Unchecked: members without data, also in an order that
 * no backup would take.
 */
export async function storeTar(
  cleanups: Cleanups,
  command: string,
  args: readonly string[],
  { unchecked = false } = {},
): Promise<ArchiveRepository> {
  const base = cleanups.directory();
  const path = join(base, 'repository');
  const cacheDirectory = join(base, 'cache');
  mkdirSync(path);
  const tar = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const store = spawn(
    nativeProgram('test/fuse/make_archive_fixture'),
    [path, cacheDirectory, ...(unchecked ? ['unchecked'] : [])],
    {
      stdio: [tar.stdout, 'pipe', 'inherit'],
    },
  );
  const chunks: Buffer[] = [];
  store.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [[tarCode], [storeCode]] = (await Promise.all([once(tar, 'exit'), once(store, 'close')])) as [
    [number | null],
    [number | null],
  ];
  if (tarCode !== 0 || storeCode !== 0)
    throw new Error(`${command} ended with ${tarCode}, its store with ${storeCode}`);
  return { path, cacheDirectory, archive: JSON.parse(Buffer.concat(chunks).toString()) as MountArchive };
}

export async function storeTree(cleanups: Cleanups, directory: string): Promise<ArchiveRepository> {
  return storeTar(cleanups, 'tar', ['cf', '-', ...TAR_FLAGS, '--one-file-system', '-C', directory, './']);
}

/** `root.tar` and `root`. */
export async function mountArchive(cleanups: Cleanups, repository: ArchiveRepository): Promise<FuseMount> {
  const { path, cacheDirectory, archive } = repository;
  return mountFuse(cleanups, {
    version: 1,
    repository: path,
    cacheDirectory,
    allowOther: true,
    nodes: [
      { path: 'root.tar', archiveTar: archive, modifiedSeconds: 1_795_321_034 },
      { path: 'root', archiveTree: archive, modifiedSeconds: 1_795_321_034 },
    ],
  });
}

/** Unpacks a tar file with the flags of `pct restore`, into an empty directory. */
export function unpack(cleanups: Cleanups, tarFile: string, tar: readonly string[] = ['tar']): string {
  const directory = cleanups.directory();
  const input = openSync(tarFile, 'r');
  try {
    const [command, ...before] = tar;
    execFileSync(command!, [...before, 'xpf', '-', ...TAR_FLAGS, '--warning=no-timestamp', '-C', directory], {
      stdio: [input, 'ignore', 'inherit'],
    });
  } finally {
    closeSync(input);
  }
  return directory;
}

function typeOf(stats: BigIntStats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isCharacterDevice()) return `char ${stats.rdev}`;
  if (stats.isBlockDevice()) return `block ${stats.rdev}`;
  return stats.isFIFO() ? 'fifo' : 'other';
}

function digestOf(path: PathLike): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);
}

export interface DescribeOptions {
  /** What is told of owners, ACLs and capabilities is less by this: the first id of the host of an unprivileged container. */
  readonly idBase?: number;
  /** Paths that are left out, as latin1. */
  readonly without?: RegExp;
}

interface Described {
  readonly root: Buffer;
  readonly idBase: bigint;
  /** By path below the tree, bytes as latin1. */
  readonly members: Map<string, string>;
  readonly sparse: Buffer[];
  /** By inode, the name that sorts first. */
  readonly firstNames: Map<bigint, string>;
}

function walk(described: Described, below: Buffer): void {
  const { root, idBase, members, sparse, firstNames } = described;
  const path = below.length === 0 ? root : Buffer.concat([root, Buffer.from('/'), below]);
  const stats = lstatSync(path, { bigint: true });
  const name = below.toString('latin1');
  const owner = [stats.uid - idBase, stats.gid - idBase];
  const parts = [typeOf(stats), (stats.mode & 0o7777n).toString(8), ...owner, stats.mtimeNs];
  if (!stats.isDirectory()) {
    if (!firstNames.has(stats.ino)) firstNames.set(stats.ino, name);
    parts.push(`links ${stats.nlink}`, `as ${firstNames.get(stats.ino)!}`);
  }
  if (stats.isFile()) {
    parts.push(stats.size, digestOf(path));
    if (stats.blocks * 512n < stats.size) sparse.push(below);
  }
  if (stats.isSymbolicLink()) parts.push(readlinkSync(path, { encoding: 'buffer' }).toString('latin1'));
  members.set(name, parts.join(' '));
  if (!stats.isDirectory()) return;
  const names = readdirSync(path, { encoding: 'buffer' }).sort((one, other) => Buffer.compare(one, other));
  for (const child of names) {
    walk(described, below.length === 0 ? child : Buffer.concat([below, Buffer.from('/'), child]));
  }
}

/** SEEK_DATA and SEEK_HOLE. */
const extentsScript = `
  while (my $name = <STDIN>) {
    chomp $name;
    my $path = pack 'H*', $name;
    open my $file, '<:raw', $path or die "$path: $!";
    my ($at, @extents) = (0);
    while (defined(my $from = sysseek $file, $at, 3)) {
      $at = sysseek $file, $from, 4;
      push @extents, ($from + 0) . '-' . ($at + 0);
    }
    print "@extents\n";
  }`;

/** The ranges with data of sparse files, by path. */
function extentsOf(directory: string, names: readonly Buffer[]): Map<string, string> {
  if (names.length === 0) return new Map();
  const input = names.map((name) => `${name.toString('hex')}\n`).join('');
  const output = execFileSync('perl', ['-e', extentsScript], { cwd: directory, input, encoding: 'latin1' });
  const lines = output.split('\n');
  return new Map(names.map((name, index) => [name.toString('latin1'), lines[index]!]));
}

/** Everything that should be alike in two trees, by path as latin1. */
export interface TreeDescription {
  readonly members: ReadonlyMap<string, string>;
  /** The ranges with data of sparse files. */
  readonly extents: ReadonlyMap<string, string>;
  readonly attributes: ReadonlyMap<string, string>;
}

/** Names of hard links are grouped by the one that sorts first. */
export function describeTree(directory: string, options: DescribeOptions = {}): TreeDescription {
  const { idBase = 0, without } = options;
  const described: Described = {
    root: Buffer.from(directory),
    idBase: BigInt(idBase),
    ...{ members: new Map(), sparse: [], firstNames: new Map() },
  };
  walk(described, Buffer.alloc(0));
  const maps = {
    members: described.members,
    extents: extentsOf(directory, described.sparse),
    attributes: attributesOf(directory, idBase),
  };
  for (const map of Object.values(maps)) {
    for (const name of map.keys()) if (without?.test(name) === true) map.delete(name);
  }
  return maps;
}

/** Fails with the first few differences, and nothing of all else. */
export function assertSameTrees(actual: TreeDescription, expected: TreeDescription, what = 'the tree'): void {
  const differences: string[] = [];
  for (const kind of ['members', 'extents', 'attributes'] as const) {
    const names = new Set([...expected[kind].keys(), ...actual[kind].keys()]);
    for (const name of names) {
      const [is, was] = [actual[kind].get(name), expected[kind].get(name)];
      if (is !== was) differences.push(`${kind} of ${JSON.stringify(name)}:\n  was ${was}\n  is  ${is}`);
    }
  }
  const shown = differences.slice(0, 5).map((line) => line.slice(0, 2000));
  assert.equal(differences.length, 0, `${what} differs in ${differences.length} places:\n${shown.join('\n')}`);
}
