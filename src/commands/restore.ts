/** vzvault restore: writes one disk of a snapshot to a file or block device. */

import type { Command } from 'commander';
import { resolve } from 'node:path';
import { lstat, unlink } from 'node:fs/promises';
import type { CopyProgress } from '../engine/types.js';
import { hasCode, VzvaultError } from '../lib/errors.js';
import { formatSnapshotId } from '../lib/guest.js';
import { formatBytes, formatDuration, formatRate } from '../lib/units.js';
import { withReader } from '../repository/sessions/reading.js';
import type { SnapshotDocument, SnapshotVolume } from '../repository/snapshot-document.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { withProgress } from './progress.js';
import { runs } from './run.js';
import { withRepository } from './with-repository.js';

interface Options {
  readonly disk: string;
  readonly to: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export function registerRestore(program: Command, context: CommandContext): void {
  program
    .command('restore')
    .summary('write a disk of a snapshot to a file or block device')
    .description(
      'Writes one disk of a snapshot, byte for byte. Every chunk is verified. Zero ranges become holes. A new file that could not be ' +
        'finished is removed.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot>', 'qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or a volume name')
    .requiredOption('--disk <name>', 'the disk, as vzvault show lists it')
    .requiredOption('--to <file>', 'a new file, or with --overwrite an existing file or block device')
    .option('--overwrite', 'write over what is there; it is lost at once')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault restore nas qemu/100@latest --disk drive-scsi0 --to disk.raw
  vzvault restore nas qemu/100@latest --disk drive-scsi0 --to /dev/vg0/vm-100-disk-0 --overwrite

For single files out of a disk, vzvault mount is the shorter way.`,
    )
    .action(runs(context, restore));
}

async function restore(
  context: CommandContext,
  [store = '', reference = '']: readonly string[],
  options: Options,
): Action {
  const existed = await requireTarget(options);
  const [name, volume, progress, durationMs] = await withRepository(context, store, async (repository) => {
    const document = await repository.snapshots.read(await resolveSnapshot(repository.snapshots, reference));
    const wanted = findVolume(document, options.disk);
    const chunks = await repository.openStore();
    const restoring = (): Promise<readonly [string, SnapshotVolume, CopyProgress, number]> =>
      withProgress(wanted.name, context, async (shown) => {
        const target = { path: resolve(options.to), overwrite: options.overwrite === true };
        const control = {
          signal: context.signal,
          onProgress: ({ processedBytes, totalBytes }: CopyProgress) => {
            shown.update(processedBytes, totalBytes);
          },
        };
        const result = await chunks.restoreVolume(wanted, target, control).catch(async (error: unknown) => {
          if (!existed && !isExisting(error)) await unlink(options.to).catch(() => undefined);
          throw error;
        });
        return [formatSnapshotId(document.id), wanted, result, shown.durationMs] as const;
      });
    return await withReader(repository, context.sharing, document, restoring);
  });
  const { sizeBytes } = volume;
  const { holeBytes } = progress;
  if (options.json === true)
    printJson(context.terminal, { snapshot: name, disk: volume.name, to: options.to, sizeBytes, holeBytes });
  else {
    const pace = `${formatDuration(durationMs)}, ${formatRate(sizeBytes, durationMs)}`;
    printLine(
      context.terminal,
      `${volume.name} of ${name} is in ${options.to}: ${formatBytes(sizeBytes)}, ${formatBytes(holeBytes)} of it holes, in ${pace}`,
    );
  }
  return EXIT.ok;
}

/** Whether the target exists already. E_TARGET_EXISTS where it must not, before anything is opened. */
async function requireTarget({ to, overwrite }: Options): Promise<boolean> {
  const found = await lstat(to).catch(() => null);
  if (found !== null && overwrite !== true) {
    throw new VzvaultError('E_TARGET_EXISTS', `${to} exists; give --overwrite to write over it`);
  }
  return found !== null;
}

/** Somebody else made the file after we looked: it is not ours to remove. */
function isExisting(error: unknown): boolean {
  return hasCode(error, 'E_TARGET_EXISTS');
}

function findVolume(document: SnapshotDocument, name: string): SnapshotVolume {
  const volume = document.volumes.find((candidate) => candidate.name === name);
  if (volume !== undefined) return volume;
  const names = document.volumes.map((candidate) => candidate.name).join(', ') || 'none';
  throw new VzvaultError('E_VOLUME_MISSING', `${formatSnapshotId(document.id)} has no disk ${name}; it has ${names}`);
}
