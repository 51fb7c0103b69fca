/** vzvault show: what one snapshot holds, the configurations in it, and the log of its backup. */

import { Option, type Command } from 'commander';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { formatIsoTime } from '../lib/time.js';
import { formatBytes } from '../lib/units.js';
import { formatVolumeName } from '../lib/volume-name.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import { verifyStateOf, type SnapshotEntry, type Snapshots, type SnapshotSummary } from '../repository/snapshots.js';
import { EXIT, printJson, type Action, type CommandContext } from './context.js';
import { entryToJson } from './list.js';
import { runs } from './run.js';
import { formatFacts, formatTable, printable } from './table.js';
import { withRepository } from './with-repository.js';

interface Options {
  readonly file?: string;
  readonly log?: boolean;
  readonly json?: boolean;
}

export function registerShow(program: Command, context: CommandContext): void {
  program
    .command('show')
    .summary('show what a snapshot holds')
    .description(
      'Shows the disks, configurations, notes and figures of one snapshot, or one of its configurations or the log of its backup as it is.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot>', 'qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or a volume name')
    .option('--file <name>', 'print this configuration (guest.conf, firewall.conf), byte for byte')
    .addOption(new Option('--log', 'print the log of the task that made it, byte for byte').conflicts(['file', 'json']))
    .option('--json', 'print JSON, sizes in bytes')
    .addHelpText(
      'after',
      `
Examples:
  vzvault show nas qemu/100@latest
  vzvault show nas qemu/100@latest --file guest.conf > 100.conf
  vzvault show nas qemu/100@latest --log`,
    )
    .action(runs(context, show));
}

async function show(
  context: CommandContext,
  [store = '', reference = '']: readonly string[],
  options: Options,
): Action {
  const { terminal } = context;
  return await withRepository(context, store, async ({ snapshots, access }) => {
    access.require();
    const id = await resolveSnapshot(snapshots, reference);
    if (options.log === true || options.file !== undefined) {
      terminal.out(
        options.file === undefined ? await readLog(snapshots, id) : await readFile(snapshots, id, options.file),
      );
      return EXIT.ok;
    }
    const entry = await snapshots.get(id);
    if (options.json === true) printJson(terminal, toJson(entry));
    else terminal.out(formatEntry(entry));
    return verifyStateOf(entry) === 'damaged' ? EXIT.damage : EXIT.ok;
  });
}

async function readFile(snapshots: Snapshots, id: SnapshotId, name: string): Promise<Buffer> {
  const file = (await snapshots.read(id)).files.find((candidate) => candidate.name === name);
  if (file === undefined) throw new VzvaultError('E_ARGUMENT_INVALID', `${formatSnapshotId(id)} has no file ${name}`);
  return file.bytes;
}

async function readLog(snapshots: Snapshots, id: SnapshotId): Promise<Buffer> {
  const log = await snapshots.sidecars.log(id);
  if (log === null) throw new VzvaultError('E_ARGUMENT_INVALID', `no log was kept with ${formatSnapshotId(id)}`);
  return log;
}

function toJson(entry: SnapshotEntry): Record<string, unknown> {
  const { summary } = entry;
  return {
    ...entryToJson(entry),
    verifiedAtSeconds: entry.verified?.checkedAtSeconds ?? null,
    verifyMessage: entry.verified?.message ?? null,
    hasLog: entry.hasLog,
    finishedAtSeconds: summary?.finishedAtSeconds ?? null,
    createdBy: summary?.createdBy ?? null,
    disks: summary?.volumes ?? [],
    archives: summary?.archives ?? [],
    files: summary?.files ?? [],
    stats: summary?.stats ?? null,
  };
}

function formatEntry(entry: SnapshotEntry): string {
  const facts: [string, string][] = [
    ['snapshot', formatSnapshotId(entry.id)],
    ['volume', formatVolumeName(entry.id)],
    ['protected', entry.protected ? 'yes' : 'no'],
    ['verified', formatVerified(entry)],
    ['log', entry.hasLog ? 'kept, --log shows it' : 'none'],
  ];
  if (entry.notes !== '') facts.push(['notes', entry.notes.split('\n').map(printable).join('\n           ').trimEnd()]);
  if (entry.summary === null) return formatFacts([...facts, ['DAMAGED', entry.damage ?? '']]);
  return `${formatFacts([...facts, ...factsOf(entry.summary)])}\n${formatContents(entry.summary)}`;
}

function formatVerified({ verified }: SnapshotEntry): string {
  if (verified === null) return 'never';
  const { state, checkedAtSeconds, message } = verified;
  const at = checkedAtSeconds === null ? '' : ` at ${formatIsoTime(checkedAtSeconds)}`;
  return state === 'ok' ? `ok${at}` : `DAMAGED${at}: ${printable(message)}`;
}

function factsOf({ finishedAtSeconds, createdBy, stats, sizeBytes }: SnapshotSummary): [string, string][] {
  return [
    ['finished', formatIsoTime(finishedAtSeconds)],
    ['made by', `vzvault ${printable(createdBy.version)} on ${printable(createdBy.hostname)}`],
    ['size', formatBytes(sizeBytes)],
    ['unchanged', formatBytes(stats.unchangedBytes)],
    ['read', formatBytes(stats.readBytes)],
    ['zero', formatBytes(stats.zeroBytes)],
    ['reused', formatBytes(stats.reusedBytes)],
    ['new', formatBytes(stats.newBytes)],
    ['added', `${formatBytes(stats.addedBytes)} to the repository`],
  ];
}

function formatContents({ volumes, archives, files }: SnapshotSummary): string {
  const rows = [
    ...volumes.map((volume) => ['disk', volume.name, formatBytes(volume.sizeBytes)]),
    ...archives.map(({ name, members, data }) => ['files', `${name} (${members})`, formatBytes(data.sizeBytes)]),
    ...files.map((file) => ['file', file.name, formatBytes(file.sizeBytes)]),
  ];
  return formatTable([{ title: 'KIND' }, { title: 'NAME' }, { title: 'SIZE', align: 'right' }], rows);
}
