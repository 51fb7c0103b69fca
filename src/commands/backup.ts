/** vzvault backup: makes one snapshot of one guest from files, block devices or NBD exports. */

import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import type { VolumeProgress } from '../engine/types.js';
import { abortReason, pause } from '../lib/deadline.js';
import { hasCode, toVzvaultError, VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type Guest } from '../lib/guest.js';
import { argumentLimits, sessionLimits } from '../lib/limits.js';
import { formatBytes, formatDuration, formatRate } from '../lib/units.js';
import { formatVolumeName } from '../lib/volume-name.js';
import {
  beginBackup,
  DEFAULT_ZSTD_LEVEL,
  type BackupResult,
  type BackupSession,
} from '../repository/backup-session.js';
import type { Repository } from '../repository/repository.js';
import { describeHealed, healSnapshots } from '../repository/verification/healing.js';
import {
  diskArgument,
  guestArgument,
  integerArgument,
  sizeArgument,
  timeArgument,
  type DiskArgument,
} from './arguments.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { withProgress } from './progress.js';
import { runs } from './run.js';
import { withRepository } from './with-repository.js';

interface Options {
  readonly guest: Guest;
  readonly disk: readonly DiskArgument[];
  readonly config?: string;
  readonly firewall?: string;
  readonly notes?: string;
  readonly time?: number;
  readonly limit?: number;
  readonly level: number;
  readonly json?: boolean;
}

/** Snapshots are named by their second: where the present one is taken, the next is free. */
const TIME_ATTEMPTS = 5;

export function registerBackup(program: Command, context: CommandContext): void {
  program
    .command('backup')
    .summary('back disks of a guest up')
    .description(
      'Makes a snapshot of a guest from its disks. What the repository holds already is not stored again. Nothing is listed before ' +
        'everything is stored; interrupted, it leaves no snapshot.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .requiredOption('--guest <guest>', 'qemu/100 or lxc/101', guestArgument)
    .requiredOption('--disk <name=source>', 'a disk: file, block device or NBD URI; repeat it for more', diskArgument)
    .option('--config <file>', "the guest's configuration, kept as guest.conf")
    .option('--firewall <file>', "the guest's firewall rules, kept as firewall.conf")
    .option('--notes <text>', 'notes of the snapshot')
    .option('--time <time>', 'name the snapshot by this UTC time instead of now', timeArgument)
    .option('--limit <size>', 'read at most so many bytes a second', sizeArgument)
    .option('--level <n>', 'zstd level, 1 to 19', integerArgument(1, 19), DEFAULT_ZSTD_LEVEL)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault backup nas --guest qemu/100 --disk drive-scsi0=/dev/vg0/vm-100-disk-0
  vzvault backup /mnt/nas --guest qemu/100 --config /etc/pve/qemu-server/100.conf \\
      --disk drive-scsi0=system.raw --disk drive-scsi1='nbd+unix:///export?socket=/run/x.sock'

A disk that is written to meanwhile is not a consistent copy: stop the guest, or export a frozen view of it over NBD.`,
    )
    .action(runs(context, backup));
}

async function backup(context: CommandContext, [store = '']: readonly string[], options: Options): Action {
  const files = await readFiles(options);
  const result = await withRepository(context, store, async (repository) => {
    const session = await begin(context, repository, options);
    try {
      for (const { name, bytes } of files) session.addFile(name, bytes);
      for (const disk of options.disk) await backupDisk(context, session, disk);
      const committed = await session.commit(context.signal);
      if (options.notes !== undefined) await setNotes(repository, committed, options.notes);
      await heal(context, repository);
      return committed;
    } finally {
      await session.abort();
    }
  });
  printResult(context, result, options.json === true);
  return EXIT.ok;
}

/** Whatever fails here, the backup is committed. */
async function heal({ clock, signal, terminal }: CommandContext, repository: Repository): Promise<void> {
  try {
    const healed = await healSnapshots(repository, { clock, signal });
    if (healed.length > 0) terminal.err(`${describeHealed(healed)}\n`);
  } catch (thrown) {
    terminal.err(`vzvault: looking for snapshots that are whole again: ${toVzvaultError(thrown).line}\n`);
  }
}

/** A failure here must not be taken for one of the backup. */
async function setNotes({ snapshots }: Repository, { id }: BackupResult, notes: string): Promise<void> {
  await snapshots.sidecars.setNotes(id, notes).catch((thrown: unknown) => {
    const { code, message } = toVzvaultError(thrown);
    throw new VzvaultError(code, `${formatSnapshotId(id)} is committed, but without its notes: ${message}`, {
      cause: thrown,
    });
  });
}

/** Read before anything else, so that a mistyped name costs nothing. */
async function readFiles({ config, firewall }: Options): Promise<{ name: string; bytes: Buffer }[]> {
  const wanted = [
    { name: 'guest.conf', path: config },
    { name: 'firewall.conf', path: firewall },
  ];
  const files: { name: string; bytes: Buffer }[] = [];
  for (const { name, path } of wanted) {
    if (path === undefined) continue;
    const bytes = await readFile(path).catch((cause: unknown) => {
      throw new VzvaultError('E_SOURCE_UNREACHABLE', `reading ${path}: ${String(cause)}`, { cause });
    });
    if (bytes.length > argumentLimits.configBytes) {
      throw new VzvaultError('E_ARGUMENT_INVALID', `${path} is longer than ${formatBytes(argumentLimits.configBytes)}`);
    }
    files.push({ name, bytes });
  }
  return files;
}

async function begin(context: CommandContext, repository: Repository, options: Options): Promise<BackupSession> {
  const { clock, version, hostname, sharing, signal } = context;
  for (let attempt = 1; ; attempt += 1) {
    const id = { ...options.guest, timeSeconds: options.time ?? clock.nowSeconds() };
    try {
      return await beginBackup(repository, {
        ...{ id, createdBy: { version, hostname }, clock, sharing, zstdLevel: options.level },
        bandwidthLimitBytesPerSecond: options.limit ?? 0,
      });
    } catch (error) {
      const isTaken = hasCode(error, 'E_NAME_TAKEN');
      if (!isTaken || options.time !== undefined || attempt === TIME_ATTEMPTS) throw error;
      await pause(1000, signal);
      if (signal.aborted) throw abortReason(signal);
    }
  }
}

async function backupDisk(context: CommandContext, session: BackupSession, disk: DiskArgument): Promise<void> {
  await withProgress(disk.name, context, async (progress) => {
    const request = { ...disk, stallTimeoutMs: sessionLimits.stallTimeoutMs };
    const { counters } = await session.backupVolume(request, {
      signal: context.signal,
      onProgress: ({ processedBytes, sizeBytes }) => {
        progress.update(processedBytes, sizeBytes);
      },
    });
    progress.finish(summaryOf(counters, progress.durationMs));
  });
}

function summaryOf(counters: VolumeProgress, durationMs: number): string {
  const { sizeBytes, readBytes, zeroBytes, reusedBytes, newBytes } = counters;
  const parts = [
    `${formatBytes(newBytes)} new`,
    `${formatBytes(reusedBytes)} reused`,
    `${formatBytes(zeroBytes)} zero`,
  ];
  const rate = `read ${formatBytes(readBytes)} in ${formatDuration(durationMs)}, ${formatRate(readBytes, durationMs)}`;
  return `${formatBytes(sizeBytes)} (${parts.join(', ')}; ${rate})`;
}

function printResult({ terminal }: CommandContext, result: BackupResult, json: boolean): void {
  const { id, sizeBytes, stats } = result;
  if (json) {
    printJson(terminal, {
      snapshot: formatSnapshotId(id),
      volume: formatVolumeName(id),
      timeSeconds: id.timeSeconds,
      sizeBytes,
      ...stats,
    });
    return;
  }
  printLine(
    terminal,
    `${formatSnapshotId(id)}: ${formatBytes(sizeBytes)}, which added ${formatBytes(stats.addedBytes)} to the repository`,
  );
}
