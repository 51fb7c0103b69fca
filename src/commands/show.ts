/** vzvault show: what one snapshot holds, and the configurations in it. */

import type { Command } from 'commander';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId } from '../lib/guest.js';
import { formatIsoTime } from '../lib/time.js';
import { formatBytes } from '../lib/units.js';
import { formatVolumeName } from '../lib/volume-name.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import type { SnapshotEntry, SnapshotSummary } from '../repository/snapshots.js';
import { EXIT, printJson, type Action, type CommandContext } from './context.js';
import { entryToJson } from './list.js';
import { runs } from './run.js';
import { formatFacts, formatTable, printable } from './table.js';
import { withRepository } from './with-repository.js';

interface Options {
  readonly file?: string;
  readonly json?: boolean;
}

export function registerShow(program: Command, context: CommandContext): void {
  program
    .command('show')
    .summary('show what a snapshot holds')
    .description(
      'Shows the disks, configurations, notes and figures of one snapshot, or one of its configurations as it is.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot>', 'qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or a volume name')
    .option('--file <name>', 'print this configuration (guest.conf, firewall.conf), byte for byte')
    .option('--json', 'print JSON, sizes in bytes')
    .addHelpText(
      'after',
      `
Examples:
  vzvault show nas qemu/100@latest
  vzvault show nas qemu/100@latest --file guest.conf > 100.conf`,
    )
    .action(runs(context, show));
}

async function show(
  context: CommandContext,
  [store = '', reference = '']: readonly string[],
  options: Options,
): Action {
  const { terminal } = context;
  return await withRepository(context, store, async ({ snapshots }) => {
    const id = await resolveSnapshot(snapshots, reference);
    if (options.file !== undefined) {
      const file = (await snapshots.read(id)).files.find(({ name }) => name === options.file);
      if (file === undefined)
        throw new VzvaultError('E_ARGUMENT_INVALID', `${formatSnapshotId(id)} has no file ${options.file}`);
      terminal.out(file.bytes);
      return EXIT.ok;
    }
    const entry = await snapshots.get(id);
    if (options.json === true) printJson(terminal, toJson(entry));
    else terminal.out(formatEntry(entry));
    return entry.damage === null ? EXIT.ok : EXIT.damage;
  });
}

function toJson(entry: SnapshotEntry): Record<string, unknown> {
  const { summary } = entry;
  return {
    ...entryToJson(entry),
    finishedAtSeconds: summary?.finishedAtSeconds ?? null,
    createdBy: summary?.createdBy ?? null,
    disks: summary?.volumes ?? [],
    files: summary?.files ?? [],
    stats: summary?.stats ?? null,
  };
}

function formatEntry(entry: SnapshotEntry): string {
  const facts: [string, string][] = [
    ['snapshot', formatSnapshotId(entry.id)],
    ['volume', formatVolumeName(entry.id)],
    ['protected', entry.protected ? 'yes' : 'no'],
  ];
  if (entry.notes !== '') facts.push(['notes', entry.notes.split('\n').map(printable).join('\n           ').trimEnd()]);
  if (entry.summary === null) return formatFacts([...facts, ['DAMAGED', entry.damage ?? '']]);
  return `${formatFacts([...facts, ...factsOf(entry.summary)])}\n${formatContents(entry.summary)}`;
}

function factsOf({ finishedAtSeconds, createdBy, stats, sizeBytes }: SnapshotSummary): [string, string][] {
  return [
    ['finished', formatIsoTime(finishedAtSeconds)],
    ['made by', `vzvault ${printable(createdBy.version)} on ${printable(createdBy.hostname)}`],
    ['size', formatBytes(sizeBytes)],
    ['read', formatBytes(stats.readBytes)],
    ['zero', formatBytes(stats.zeroBytes)],
    ['reused', formatBytes(stats.reusedBytes)],
    ['new', formatBytes(stats.newBytes)],
    ['added', `${formatBytes(stats.addedBytes)} to the repository`],
  ];
}

function formatContents({ volumes, files }: SnapshotSummary): string {
  const rows = [
    ...volumes.map((volume) => ['disk', volume.name, formatBytes(volume.sizeBytes)]),
    ...files.map((file) => ['file', file.name, formatBytes(file.sizeBytes)]),
  ];
  return formatTable([{ title: 'KIND' }, { title: 'NAME' }, { title: 'SIZE', align: 'right' }], rows);
}
