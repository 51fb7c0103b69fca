/**
 * Directory trees, archives made of them with tar as Proxmox VE calls it, and mounts of those: what the tests of containers are made of.
 *
 * Trees are compared by what a file system tells of them, so a tree, its mount and what tar unpacked of it read alike.
 */
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
import { dataExtents, mountFuse, nativeProgram, type FuseMount } from './fuse-mounts.js';
import type { Cleanups } from './temp.js';

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

/** Stores what a program writes to its standard output as an archive. */
export async function storeTar(
  cleanups: Cleanups,
  command: string,
  args: readonly string[],
): Promise<ArchiveRepository> {
  const base = cleanups.directory();
  const path = join(base, 'repository');
  const cacheDirectory = join(base, 'cache');
  mkdirSync(path);
  const tar = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const store = spawn(nativeProgram('test/fuse/make_archive_fixture'), [path, cacheDirectory], {
    stdio: [tar.stdout, 'pipe', 'inherit'],
  });
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
    execFileSync(command!, [...before, 'xpf', '-', ...TAR_FLAGS, '-C', directory], {
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

interface Described {
  /** By path below the tree, bytes as latin1. */
  readonly members: Map<string, string>;
  /** Sparse files whose names a program takes. */
  readonly sparse: string[];
}

function walk(root: Buffer, described: Described, firstNames: Map<bigint, string>, below: Buffer): void {
  const path = below.length === 0 ? root : Buffer.concat([root, Buffer.from('/'), below]);
  const stats = lstatSync(path, { bigint: true });
  const name = below.toString('latin1');
  const parts = [typeOf(stats), (stats.mode & 0o7777n).toString(8), stats.uid, stats.gid, stats.mtimeNs];
  if (!stats.isDirectory()) {
    if (!firstNames.has(stats.ino)) firstNames.set(stats.ino, name);
    parts.push(`links ${stats.nlink}`, `as ${firstNames.get(stats.ino)!}`);
  }
  if (stats.isFile()) {
    const sparse = stats.blocks * 512n < stats.size;
    parts.push(stats.size, digestOf(path));
    if (sparse && /^[\w/.-]+$/.test(name)) described.sparse.push(name);
  }
  if (stats.isSymbolicLink()) parts.push(readlinkSync(path, { encoding: 'buffer' }).toString('latin1'));
  described.members.set(name, parts.join(' '));
  if (!stats.isDirectory()) return;
  const names = readdirSync(path, { encoding: 'buffer' }).sort((one, other) => Buffer.compare(one, other));
  for (const child of names) {
    walk(root, described, firstNames, below.length === 0 ? child : Buffer.concat([below, Buffer.from('/'), child]));
  }
}

/** Names and values of all extended attributes, ACLs among them, as getfattr prints them, by path. */
function attributesOf(directory: string): string[] {
  const text = execFileSync('getfattr', ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '.'], {
    cwd: directory,
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  return text
    .split('\n\n')
    .filter((block) => block !== '')
    .sort();
}

/**
 * Everything that should be alike in two trees: each member's line, the extended attributes, the ranges with data of sparse files. Names of
 * hard links are grouped by the one that sorts first.
 */
export async function describeTree(directory: string): Promise<unknown> {
  const described: Described = { members: new Map(), sparse: [] };
  walk(Buffer.from(directory), described, new Map(), Buffer.alloc(0));
  const extents = new Map<string, unknown>();
  for (const name of described.sparse) extents.set(name, await dataExtents(join(directory, name)));
  return { members: described.members, extents, attributes: attributesOf(directory) };
}
