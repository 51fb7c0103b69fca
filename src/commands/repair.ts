/** vzvault repair index: lists all packs anew. */

import type { Command } from 'commander';
import { repairIndex } from '../repository/verification/index-repair.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { graceMsOf, graceOption, type GraceOptions } from './grace-option.js';
import { runs } from './run.js';
import { printable } from './table.js';
import { withRepository } from './with-repository.js';

interface Options extends GraceOptions {
  readonly json?: boolean;
}

export function registerRepair(program: Command, context: CommandContext): void {
  const repair = program
    .command('repair')
    .summary('mend what can be made anew')
    .description('Mends what can be made anew.')
    .addHelpText(
      'after',
      `
Example:
  vzvault repair index nas`,
    );
  repair
    .command('index')
    .summary('make the index anew from the packs')
    .description(
      'Reads the table of every pack and lists all chunks anew, for an index that is damaged, lost or not of this repository. No key is needed, and ' +
        'backups and restores go on meanwhile. Segments of the index that are not needed any more go to quarantine/.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .addOption(graceOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Example:
  vzvault repair index nas`,
    )
    .action(runs(context, repairTheIndex));
}

async function repairTheIndex(context: CommandContext, [store = '']: readonly string[], options: Options): Action {
  const { sharing, signal, terminal } = context;
  const graceMs = graceMsOf(options);
  const result = await withRepository(context, store, (repository) =>
    repairIndex(repository, { sharing, signal, graceMs }, { signal }),
  );
  const { packs, chunks, added, replaced, damages } = result;
  if (options.json === true) printJson(terminal, result);
  else {
    for (const { code, message } of damages) printLine(terminal, printable(`${code} ${message}`));
    const old = `${replaced.length} old ones went to quarantine/`;
    printLine(terminal, `${packs} packs with ${chunks} chunks are listed in ${added.length} new segments; ${old}`);
    if (damages.length > 0) printLine(terminal, `${damages.length} packs are damaged: run vzvault verify`);
  }
  return damages.length > 0 ? EXIT.damage : EXIT.ok;
}
