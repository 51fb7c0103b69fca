/** vzvault mount: snapshots as read-only files, by vzvault-fuse. */

import type { Command } from 'commander';
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { MapRoot } from '../engine/types.js';
import { withSignal } from '../lib/deadline.js';
import { VzvaultError } from '../lib/errors.js';
import { sharingLimits } from '../lib/limits.js';
import { MIB } from '../lib/units.js';
import { allNodes, oneSnapshot } from '../repository/mount-contents.js';
import { wipe } from '../repository/keys/key-material.js';
import { repositorySpec, type MountNode, type MountSpec } from '../repository/mount-spec.js';
import type { Mount } from '../repository/mount.js';
import { formatSnapshotId } from '../lib/guest.js';
import { rootsOf, uniqueRoots } from '../repository/sessions/map-root.js';
import type { PassiveSession } from '../repository/sessions/passive-session.js';
import { announceReader } from '../repository/sessions/reading.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import type { SnapshotEntry } from '../repository/snapshots.js';
import { KEEP_SESSION, keepSessionArguments } from './keep-session.js';
import type { Repository } from '../repository/repository.js';
import { sizeArgument } from './arguments.js';
import { EXIT, printLine, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { printable } from './table.js';
import { withRepository } from './with-repository.js';

interface Options {
  readonly foreground?: boolean;
  readonly allowOther?: boolean;
  readonly cacheSize?: number;
}

const DEFAULT_CACHE_BYTES = 128 * MIB;

export function registerMount(program: Command, context: CommandContext): void {
  program
    .command('mount')
    .summary('mount snapshots as read-only files')
    .description(
      'Mounts one snapshot, or all of them as qemu/100/2026-11-22T04:17:14Z/, on the empty directory DIR: every disk as NAME.raw, ' +
        'the configurations as they are, the log of the backup as backup.log. Damaged data is an I/O error, never wrong bytes. It goes on until it is unmounted.',
    )
    .usage('[options] <store> [snapshot] <dir>')
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot-and-dir...>', 'the snapshot, where only one is wanted, and the directory')
    .option('--foreground', 'stay, show the log, and unmount at Ctrl-C')
    .option('--allow-other', 'let other users look in too')
    .option('--cache-size <size>', 'memory for data that was read, 16M to 4G (default: 128M)', sizeArgument)
    .addHelpText(
      'after',
      `
Examples:
  vzvault mount nas qemu/100@latest /mnt/restore
  mount -o ro,loop,offset=1048576,noload /mnt/restore/drive-scsi0.raw /mnt/disk    a partition of it
  umount /mnt/disk /mnt/restore
  vzvault mount nas /mnt/all --foreground`,
    )
    .action(runs(context, mount));
}

async function mount(context: CommandContext, args: readonly string[], options: Options): Action {
  const [store = '', ...rest] = args;
  const directory = rest.at(-1);
  if (directory === undefined || rest.length > 2) {
    throw new VzvaultError('E_ARGUMENT_INVALID', 'name a storage, a snapshot if you want only one, and a directory');
  }
  const reference = rest.length === 2 ? rest[0] : undefined;
  const leftOut = (what: string): void => {
    context.terminal.err(`vzvault: left out ${printable(what)}\n`);
  };
  return await withRepository(context, store, async (repository) => {
    const wanted = await entriesOf(repository, reference);
    const roots = rootsOfAll(wanted);
    // Announced before it is looked at for the last time: what is mounted stays.
    const session = await announceReader(repository, context.sharing, roots);
    try {
      const { snapshots } = repository;
      const [only] = reference === undefined ? [] : wanted;
      const nodes =
        only === undefined
          ? await allNodes(snapshots, leftOut, wanted)
          : await oneSnapshot(snapshots, formatSnapshotId(only.id), leftOut);
      const mounted = await start(context, repository, resolve(directory), nodes, options);
      if (options.foreground !== true) return await leave(context, repository, { mounted, session, directory });
      printLine(context.terminal, `mounted on ${directory}; Ctrl-C ends it`);
      const code = await stay(context, mounted);
      await session?.end().catch(() => undefined);
      return code;
    } catch (error) {
      await session?.end().catch(() => undefined);
      throw error;
    }
  });
}

/** What a session has to keep for the mount. E_ARGUMENT_INVALID where that is more than one session can say. */
function rootsOfAll(entries: readonly SnapshotEntry[]): MapRoot[] {
  const roots = uniqueRoots(entries.flatMap(({ summary }) => (summary === null ? [] : rootsOf(summary))));
  if (roots.length <= sharingLimits.roots) return roots;
  throw new VzvaultError(
    'E_ARGUMENT_INVALID',
    `${entries.length} snapshots are too many for one mount: together they have ${roots.length} disks and archives that differ, ` +
      `and a mount can keep ${sharingLimits.roots} from being collected; name one snapshot`,
  );
}

/** What is to be mounted: one snapshot, or all. E_SNAPSHOT_MISSING. */
async function entriesOf({ snapshots }: Repository, reference: string | undefined): Promise<readonly SnapshotEntry[]> {
  if (reference === undefined) return await snapshots.list();
  return [await snapshots.get(await resolveSnapshot(snapshots, reference))];
}

/** The mount lives on without us, and its session with it. */
async function leave(
  { terminal, sharing, startKeeper }: CommandContext,
  repository: Repository,
  left: { readonly mounted: Mount; readonly session: PassiveSession | null; readonly directory: string },
): Action {
  const { mounted, session, directory } = left;
  const reader = sharing.processes.identify(mounted.pid);
  if (session !== null && reader !== null) {
    await session.handOver(reader);
    session.release();
    startKeeper([KEEP_SESSION, ...keepSessionArguments(repository.path, session.id, reader)]);
  }
  mounted.release();
  printLine(terminal, `mounted on ${directory}; umount ${directory} ends it`);
  return EXIT.ok;
}

async function start(
  { terminal, signal, startMount }: CommandContext,
  repository: Repository,
  directory: string,
  nodes: readonly MountNode[],
  options: Options,
): Promise<Mount> {
  const { cacheDirectory } = repository;
  await mkdir(cacheDirectory, { recursive: true, mode: 0o700 });
  const spec: MountSpec = {
    ...repositorySpec(repository),
    cacheBytes: options.cacheSize ?? DEFAULT_CACHE_BYTES,
    allowOther: options.allowOther === true,
    nodes,
  };
  const onLine = (line: string): void => {
    terminal.err(`${line}\n`);
  };
  // In the background the terminal is not ours to keep: whoever waits for it to be closed would wait for the unmount.
  const path = `${cacheDirectory}.mount.log`;
  try {
    return await startMount({
      directory,
      spec,
      signal,
      log: options.foreground === true ? { kind: 'lines', onLine } : { kind: 'file', path },
    });
  } finally {
    wipe(spec.key?.secret);
  }
}

/** Until it is unmounted by somebody, or by us because we are to stop: both are a good end. */
async function stay({ signal }: CommandContext, mounted: Mount): Action {
  await withSignal(mounted.ended, signal).catch(() => undefined);
  await mounted.stop();
  return EXIT.ok;
}
