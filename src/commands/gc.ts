/** vzvault gc: deletes what no snapshot needs any more, beside backups and restores of any node. */

import type { Command } from 'commander';
import { collectionLimits } from '../lib/limits.js';
import { formatBytes, formatDuration } from '../lib/units.js';
import { DEFAULT_COLLECTION } from '../repository/collection/collector-defaults.js';
import { assessGarbage, collectGarbage, type CollectionReport } from '../repository/collection/collector.js';
import type { CollectorOptions } from '../repository/collection/collector-context.js';
import { Sightings } from '../repository/collection/sightings.js';
import { integerArgument, sizeArgument } from './arguments.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { graceMsOf, graceOption, type GraceOptions } from './grace-option.js';
import { runs } from './run.js';
import { printable } from './table.js';
import { withRepository } from './with-repository.js';

interface Options extends GraceOptions {
  readonly dryRun?: boolean;
  readonly limit?: number;
  readonly fenceAfter?: number;
  readonly json?: boolean;
}

const MONTH_SECONDS = 30 * 24 * 60 * 60;

export function registerGc(program: Command, context: CommandContext): void {
  program
    .command('gc')
    .summary('give back the room of what is not needed any more')
    .description(
      'Deletes data that no snapshot needs any more, and packs the rest more closely. Backups and restores go on meanwhile, on every node. It waits for ' +
        'backups that run, and may be interrupted at any time: the next one goes on. vzvaultd does the same once a day.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--dry-run', 'only say what would be freed')
    .option('--limit <size>', 'read at most so many bytes a second', sizeArgument)
    .addOption(graceOption())
    .option(
      '--fence-after <seconds>',
      `give up sessions that were silent for so long (default: ${collectionLimits.fenceAfterMs / 1000})`,
      integerArgument(1, MONTH_SECONDS),
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault gc nas --dry-run
  vzvault gc nas
  vzvault gc /mnt/usb-disk --grace 0      a disk that nobody else has mounted`,
    )
    .action(runs(context, gc));
}

async function gc(context: CommandContext, [store = '']: readonly string[], options: Options): Action {
  const { terminal } = context;
  return await withRepository(context, store, async (repository) => {
    const collector = collectorOptions(context, options);
    if (options.dryRun === true) {
      const found = await assessGarbage(repository, collector);
      if (options.json === true) printJson(terminal, found);
      else {
        const { deadPacks, deadBytes, compactPacks, compactBytes, packs, packBytes } = found;
        printLine(terminal, `${packs} packs with ${formatBytes(packBytes)}`);
        printLine(terminal, `${deadPacks} of them are not needed: ${formatBytes(deadBytes)}`);
        printLine(terminal, `${compactPacks} would be packed anew, which frees ${formatBytes(compactBytes)}`);
      }
      return EXIT.ok;
    }
    const startMs = context.clock.monotonicMs();
    const report = await collectGarbage(repository, collector);
    if (options.json === true) printJson(terminal, report);
    else printLine(terminal, summaryOf(report, context.clock.monotonicMs() - startMs));
    return EXIT.ok;
  });
}

function collectorOptions({ clock, sharing, signal, terminal }: CommandContext, options: Options): CollectorOptions {
  const { fenceAfter, limit = 0 } = options;
  return {
    ...DEFAULT_COLLECTION,
    ...{ sharing, signal, sightings: new Sightings(clock), graceMs: graceMsOf(options) },
    ...(fenceAfter !== undefined && { fenceAfterMs: fenceAfter * 1000 }),
    bandwidthLimitBytesPerSecond: limit,
    report: (line) => {
      terminal.err(`${printable(line)}\n`);
    },
  };
}

function summaryOf({ packs, freedBytes, generations }: CollectionReport, durationMs: number): string {
  if (generations.length === 0) return `nothing to delete (${formatDuration(durationMs)})`;
  return `deleted ${packs} packs with ${formatBytes(freedBytes)} in ${formatDuration(durationMs)}`;
}
