/** vzvault forget: removes snapshots. */

import type { Command } from 'commander';
import { formatSnapshotId } from '../lib/guest.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { withRepository } from './with-repository.js';

export function registerForget(program: Command, context: CommandContext): void {
  program
    .command('forget')
    .summary('remove snapshots')
    .description(
      'Removes snapshots for good. Protected ones are refused. Other snapshots are not affected, whatever data they share. The room ' +
        'that only the removed ones took is given back by vzvault gc, which vzvaultd does once a day.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<snapshot...>', 'qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or volume names')
    .option('--json', 'print JSON: the list of what was removed')
    .addHelpText(
      'after',
      `
Example:
  vzvault forget nas qemu/100@2026-11-22T04:17:14Z`,
    )
    .action(runs(context, forget));
}

/** Stops at the first that cannot be removed; those before it stay removed and were named. */
async function forget(context: CommandContext, args: readonly string[], { json }: { json?: boolean }): Action {
  const [store = '', ...references] = args;
  const { terminal } = context;
  await withRepository(context, store, async ({ snapshots }) => {
    // All names first: `latest` twice means one snapshot, and a mistyped name removes nothing.
    const named = new Map<string, Awaited<ReturnType<typeof resolveSnapshot>>>();
    for (const reference of references) {
      const id = await resolveSnapshot(snapshots, reference);
      await snapshots.get(id);
      named.set(formatSnapshotId(id), id);
    }
    for (const [name, id] of named) {
      await snapshots.remove(id);
      if (json !== true) printLine(terminal, `removed ${name}`);
    }
    if (json === true) printJson(terminal, [...named.keys()]);
  });
  return EXIT.ok;
}
