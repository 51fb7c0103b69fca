/** vzvault list: the snapshots of a repository. */

import type { Command } from 'commander';
import { formatSnapshotId, type Guest } from '../lib/guest.js';
import { formatBytes } from '../lib/units.js';
import { formatVolumeName } from '../lib/volume-name.js';
import { isLocked, verifyStateOf, type SnapshotEntry } from '../repository/snapshots.js';
import { guestArgument } from './arguments.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { formatTable, printable } from './table.js';
import { withRepository } from './with-repository.js';

/** The words in the column STATE. */
const STATES = { none: [], ok: ['verified'], damaged: ['DAMAGED'], unknown: ['encrypted'] } as const;

interface Options {
  readonly guest?: Guest;
  readonly json?: boolean;
}

export function registerList(program: Command, context: CommandContext): void {
  program
    .command('list')
    .summary('list the snapshots')
    .description('Lists the snapshots, ordered by guest and time. Damaged ones are listed as such.')
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--guest <guest>', 'only those of qemu/100', guestArgument)
    .option('--json', 'print JSON: a list of objects, sizes in bytes')
    .addHelpText(
      'after',
      `
SIZE is that of the guest's disks, ADDED what the backup made the repository grow by. A snapshot is
verified or DAMAGED as the last vzvault verify found it, and encrypted where the key to read more is missing.

Examples:
  vzvault list nas
  vzvault list /mnt/nas --guest qemu/100 --json`,
    )
    .action(runs(context, list));
}

async function list(context: CommandContext, [store = '']: readonly string[], { guest, json }: Options): Action {
  const { entries, problem } = await withRepository(context, store, async ({ snapshots, access }) => ({
    entries: await snapshots.list(guest),
    problem: access.problem,
  }));
  if (json === true) printJson(context.terminal, entries.map(entryToJson));
  else if (entries.length === 0) printLine(context.terminal, 'no snapshots');
  else context.terminal.out(formatEntries(entries));
  if (problem === null) return EXIT.ok;
  context.terminal.err(`vzvault: ${problem.line}\n`);
  // Without a key this is all there is to list; one that does not fit is a failure.
  return problem.code === 'E_KEY_MISSING' ? EXIT.ok : EXIT.error;
}

/** One snapshot as `--json` tells it; sizes are 0 where the document is damaged. */
export function entryToJson(entry: SnapshotEntry): Record<string, unknown> {
  return {
    snapshot: formatSnapshotId(entry.id),
    volume: formatVolumeName(entry.id),
    guestType: entry.id.guestType,
    vmid: entry.id.vmid,
    timeSeconds: entry.id.timeSeconds,
    sizeBytes: entry.summary?.sizeBytes ?? 0,
    addedBytes: entry.summary?.stats.addedBytes ?? 0,
    protected: entry.protected,
    notes: entry.notes,
    damage: entry.damage,
    encrypted: isLocked(entry),
    verifyState: verifyStateOf(entry),
  };
}

function formatEntries(entries: readonly SnapshotEntry[]): string {
  const rows = entries.map((entry) => [
    formatSnapshotId(entry.id),
    entry.summary === null ? '-' : formatBytes(entry.summary.sizeBytes),
    entry.summary === null ? '-' : formatBytes(entry.summary.stats.addedBytes),
    [...(entry.protected ? ['protected'] : []), ...STATES[verifyStateOf(entry)]].join(' '),
    printable(entry.notes.split('\n')[0] ?? ''),
  ]);
  const columns = [
    { title: 'SNAPSHOT' },
    { title: 'SIZE', align: 'right' },
    { title: 'ADDED', align: 'right' },
    { title: 'STATE' },
    { title: 'NOTES' },
  ] as const;
  return formatTable(columns, rows);
}
