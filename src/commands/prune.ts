/** vzvault prune: removes the snapshots that retention no longer wants. */

import type { Command } from 'commander';
import { Option } from 'commander';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type Guest } from '../lib/guest.js';
import { retentionOfStore } from '../repository/locate.js';
import {
  hasRules,
  KEEP_RULES,
  markSnapshots,
  parseKeepRules,
  type KeepRules,
  type MarkedSnapshot,
} from '../repository/retention.js';
import { verifyStateOf, type Snapshots } from '../repository/snapshots.js';
import { guestArgument, integerArgument } from './arguments.js';
import { EXIT, printJson, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { formatTable } from './table.js';
import { withRepository } from './with-repository.js';

const MAX_KEPT = 999_999_999;

const KEPT: Readonly<Record<(typeof KEEP_RULES)[number], string>> = {
  last: 'keep the newest N',
  hourly: 'keep the newest of each of the last N hours that have any',
  daily: 'keep the newest of each of the last N days that have any',
  weekly: 'keep the newest of each of the last N weeks that have any',
  monthly: 'keep the newest of each of the last N months that have any',
  yearly: 'keep the newest of each of the last N years that have any',
};

interface Options {
  readonly guest?: Guest;
  readonly keepAll?: boolean;
  readonly keepLast?: number;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function registerPrune(program: Command, context: CommandContext): void {
  const command = program
    .command('prune')
    .summary('remove snapshots that retention no longer wants')
    .description(
      'Removes the snapshots that the rules do not keep, each guest by itself, as Proxmox VE does. Protected and damaged ' +
        'ones stay and are not counted. The room is given back by the next vzvault gc.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--guest <guest>', 'only snapshots of qemu/100', guestArgument)
    .option('--keep-all', 'keep everything');
  for (const rule of KEEP_RULES) {
    command.addOption(new Option(`--keep-${rule} <n>`, KEPT[rule]).argParser(integerArgument(0, MAX_KEPT)));
  }
  command
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .option('--json', 'print JSON: a list of snapshots with their marks')
    .addHelpText(
      'after',
      `
Without any --keep option the rules are those of the storage (prune-backups in storage.cfg).
Hours, days, weeks and so on are those of the local time zone.

Examples:
  vzvault prune nas --dry-run
  vzvault prune /mnt/nas --guest qemu/100 --keep-last 3 --keep-daily 7 --keep-weekly 4`,
    )
    .action(runs(context, prune));
}

/** Goes on after a snapshot that cannot be removed, and fails in the end. */
async function prune(context: CommandContext, [store = '']: readonly string[], options: Options): Action {
  const rules = rulesOf(store, options);
  const { terminal } = context;
  return await withRepository(context, store, async ({ access, snapshots }) => {
    // Which are damaged cannot be told without it: a good one would go in the place of a damaged one.
    access.require();
    const marked = await mark(snapshots, options.guest, rules);
    if (options.json !== true) terminal.out(describe(marked));
    const failed = options.dryRun === true ? 0 : await removeMarked(context, snapshots, marked);
    if (options.json === true) {
      printJson(
        terminal,
        marked.map(({ id, mark }) => ({ snapshot: formatSnapshotId(id), mark })),
      );
    }
    return failed === 0 ? EXIT.ok : EXIT.error;
  });
}

async function mark(snapshots: Snapshots, guest: Guest | undefined, rules: KeepRules): Promise<MarkedSnapshot[]> {
  const entries = await snapshots.list(guest);
  return markSnapshots(
    entries.map((entry) => ({
      id: entry.id,
      protected: entry.protected,
      damaged: verifyStateOf(entry) === 'damaged',
    })),
    rules,
  );
}

/** How many could not be removed. */
async function removeMarked(
  { terminal, signal }: CommandContext,
  snapshots: Snapshots,
  marked: readonly MarkedSnapshot[],
): Promise<number> {
  let failed = 0;
  for (const { id } of marked.filter(({ mark }) => mark === 'remove')) {
    signal.throwIfAborted();
    try {
      await snapshots.remove(id);
    } catch (error) {
      if (!(error instanceof VzvaultError)) throw error;
      // Somebody else was faster.
      if (error.code === 'E_SNAPSHOT_MISSING') continue;
      terminal.err(`vzvault: ${error.line}\n`);
      failed += 1;
    }
  }
  return failed;
}

function describe(marked: readonly MarkedSnapshot[]): string {
  if (marked.length === 0) return 'no snapshots\n';
  const removed = marked.filter(({ mark }) => mark === 'remove').length;
  const rows = marked.map(({ id, mark }) => [formatSnapshotId(id), mark]);
  const table = formatTable([{ title: 'SNAPSHOT' }, { title: 'MARK' }], rows);
  return `${table}\n${String(removed)} of ${String(marked.length)} to remove\n`;
}

/** E_ARGUMENT_INVALID where nobody says what is to be kept: that must be neither everything nor nothing by accident. */
function rulesOf(store: string, options: Options): KeepRules {
  const given: KeepRules = {
    ...(options.keepLast !== undefined && { last: options.keepLast }),
    ...(options.keepHourly !== undefined && { hourly: options.keepHourly }),
    ...(options.keepDaily !== undefined && { daily: options.keepDaily }),
    ...(options.keepWeekly !== undefined && { weekly: options.keepWeekly }),
    ...(options.keepMonthly !== undefined && { monthly: options.keepMonthly }),
    ...(options.keepYearly !== undefined && { yearly: options.keepYearly }),
  };
  if (options.keepAll === true) {
    if (hasRules(given)) throw new VzvaultError('E_ARGUMENT_INVALID', 'keeping all and keeping some contradict');
    return {};
  }
  if (Object.keys(given).length > 0) return given;
  const configured = retentionOfStore(store);
  if (configured === undefined) {
    throw new VzvaultError(
      'E_ARGUMENT_INVALID',
      `nothing says what to keep of ${store}; write --keep-last 3 or the like`,
    );
  }
  return parseKeepRules(configured);
}
