/** vzvault files: lists what is in a container's backup. */
import type { Command } from 'commander';
import type { BigIntStats } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { mapConcurrently } from '../lib/concurrency.js';
import { abortReason } from '../lib/deadline.js';
import { formatBytes } from '../lib/units.js';
import { withArchiveTree } from './archive-mount.js';
import { EXIT, printJson, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { formatTable } from './table.js';
import { escapePath, joinPath, resolveInside, statusOf, treeError, unescapePath, type TreePlace } from './tree-path.js';

interface Options {
  readonly recursive?: boolean;
  readonly json?: boolean;
}

interface Entry extends TreePlace {
  /** Of a symbolic link. */
  readonly target: Buffer | null;
}

/** Node answers file calls on four threads; more only wait. */
const concurrentCalls = 4;

type Type = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';
const letters: Readonly<Record<Type, string>> = {
  ...{ file: '-', directory: 'd', symlink: 'l', character: 'c', block: 'b', fifo: 'p', socket: 's' },
};

export function registerFiles(program: Command, context: CommandContext): void {
  program
    .command('files')
    .summary("list the files in a container's backup")
    .description(
      "Lists a directory of a container's backup, or one file, with modes, owners as the container has them, sizes and times. No file's data " +
        'is read for it.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot>', 'lxc/101@2026-11-22T04:17:14Z, lxc/101@latest or a volume name')
    .argument('[path]', 'directory or file in the container; its root where it is not given')
    .option('-r, --recursive', 'list all below it')
    .option('--json', 'print JSON, sizes in bytes')
    .addHelpText(
      'after',
      `
Examples:
  vzvault files nas lxc/101@latest /etc
  vzvault files nas lxc/101@latest --recursive --json | jq -r '.[].path'

Bytes of a name that are no printable text are written as \\377, and a backslash as \\\\.`,
    )
    .action(runs(context, files));
}

async function files(
  context: CommandContext,
  [store = '', reference = '', path = '']: readonly string[],
  { recursive = false, json = false }: Options,
): Action {
  const wanted = unescapePath(path);
  const entries = await withArchiveTree(context, { store, reference }, async ({ root }) => {
    const place = await resolveInside(root, wanted, { followLast: false });
    if (place.status.isDirectory()) return await list(root, place.path, recursive, context.signal);
    return [await entryOf(root, place)];
  });
  if (json) printJson(context.terminal, entries.map(toJson));
  else context.terminal.out(formatEntries(entries));
  return EXIT.ok;
}

/** In the order of their paths, a directory before what is in it. */
async function list(root: Buffer, directory: Buffer, recursive: boolean, signal: AbortSignal): Promise<Entry[]> {
  if (signal.aborted) throw abortReason(signal);
  const names = await readdir(joinPath(root, directory), { encoding: 'buffer' }).catch((error: unknown) => {
    throw treeError(error, directory);
  });
  const paths = names.sort((a, b) => Buffer.compare(a, b)).map((name) => joinPath(directory, name));
  const entries = await mapConcurrently(paths, concurrentCalls, async (path) => {
    return await entryOf(root, { path, status: await statusOf(joinPath(root, path), path) });
  });
  if (!recursive) return entries;
  const all: Entry[] = [];
  for (const entry of entries) {
    all.push(entry);
    if (!entry.status.isDirectory()) continue;
    for (const below of await list(root, entry.path, recursive, signal)) all.push(below);
  }
  return all;
}

async function entryOf(root: Buffer, place: TreePlace): Promise<Entry> {
  const { path, status } = place;
  if (!status.isSymbolicLink()) return { ...place, target: null };
  const target = await readlink(joinPath(root, path), { encoding: 'buffer' }).catch((error: unknown) => {
    throw treeError(error, path);
  });
  return { ...place, target };
}

function typeOf(status: BigIntStats): Type {
  if (status.isDirectory()) return 'directory';
  if (status.isSymbolicLink()) return 'symlink';
  if (status.isCharacterDevice()) return 'character';
  if (status.isBlockDevice()) return 'block';
  if (status.isFIFO()) return 'fifo';
  return status.isSocket() ? 'socket' : 'file';
}

function toJson({ path, status, target }: Entry): Record<string, unknown> {
  return {
    path: `/${escapePath(path)}`,
    type: typeOf(status),
    mode: Number(status.mode & 0o7777n),
    uid: Number(status.uid),
    gid: Number(status.gid),
    sizeBytes: Number(status.size),
    modifiedSeconds: Number(secondsOf(status)),
    modifiedNanoseconds: Number(status.mtimeNs - secondsOf(status) * 1_000_000_000n),
    links: Number(status.nlink),
    target: target === null ? null : escapePath(target),
    device: isDevice(status) ? deviceOf(status) : null,
  };
}

function formatEntries(entries: readonly Entry[]): string {
  const rows = entries.map(({ path, status, target }) => [
    formatMode(status),
    `${status.uid}:${status.gid}`,
    isDevice(status) ? deviceOf(status).join(',') : formatBytes(Number(status.size)),
    new Date(Number(secondsOf(status)) * 1000).toISOString().replace('.000Z', 'Z'),
    `/${escapePath(path)}${target === null ? '' : ` -> ${escapePath(target)}`}`,
  ]);
  const right = 'right';
  const titles = [
    { title: 'MODE' },
    { title: 'OWNER' },
    { title: 'SIZE', align: right },
    { title: 'MODIFIED' },
  ] as const;
  return formatTable([...titles, { title: 'PATH' }], rows);
}

/** `drwxr-sr-x`, as ls writes it. */
function formatMode(status: BigIntStats): string {
  const mode = Number(status.mode);
  const special = [
    [0o4000, 's', 'S'],
    [0o2000, 's', 'S'],
    [0o1000, 't', 'T'],
  ] as const;
  const groups = special.map(([bit, withExecute, without], group) => {
    const bits = (mode >> (6 - 3 * group)) & 7;
    const execute = (bits & 1) !== 0;
    const last = (mode & bit) === 0 ? (execute ? 'x' : '-') : execute ? withExecute : without;
    return `${(bits & 4) === 0 ? '-' : 'r'}${(bits & 2) === 0 ? '-' : 'w'}${last}`;
  });
  return letters[typeOf(status)] + groups.join('');
}

/** Rounded down, also before 1970. */
function secondsOf({ mtimeNs }: BigIntStats): bigint {
  const second = 1_000_000_000n;
  return (mtimeNs - (((mtimeNs % second) + second) % second)) / second;
}

function isDevice(status: BigIntStats): boolean {
  return status.isCharacterDevice() || status.isBlockDevice();
}

/** Major and minor number (glibc's gnu_dev_major, gnu_dev_minor). */
function deviceOf({ rdev }: BigIntStats): [number, number] {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return [Number(major), Number(minor)];
}
