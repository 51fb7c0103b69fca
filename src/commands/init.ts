/** vzvault init: makes a repository. */

import type { Command } from 'commander';
import { resolve } from 'node:path';
import { formatBytes } from '../lib/units.js';
import { createRepository } from '../repository/repository.js';
import { chunkSizeArgument } from './arguments.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';

interface Options {
  readonly chunkSize?: number;
  readonly json?: boolean;
}

export function registerInit(program: Command, context: CommandContext): void {
  program
    .command('init')
    .summary('make a new repository')
    .description('Makes a repository in vzvault/ below PATH, which has to exist. Nothing that is there is changed.')
    .argument('<path>', 'directory of the storage')
    .option(
      '--chunk-size <size>',
      'size of the pieces that are deduplicated: 256K, 512K (default), 1M or 4M; it cannot be changed later',
      chunkSizeArgument,
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault init /mnt/nas                     for almost everything
  vzvault init /mnt/nas --chunk-size 4M     large disks of media: a smaller index, less deduplication`,
    )
    .action(runs(context, init));
}

async function init(context: CommandContext, [path = '']: readonly string[], options: Options): Action {
  const { engine, clock, terminal } = context;
  const repository = await createRepository(
    engine,
    { path: resolve(path) },
    { chunkSizeBytes: options.chunkSize, createdAtSeconds: clock.nowSeconds() },
  );
  const { repositoryId, chunkSizeBytes } = repository.config;
  const result = { repositoryId, path: repository.path, chunkSizeBytes };
  await repository.close();
  if (options.json === true) printJson(terminal, result);
  else
    printLine(
      terminal,
      `made the repository ${result.path} (id ${repositoryId}, chunks of ${formatBytes(chunkSizeBytes)})`,
    );
  return EXIT.ok;
}
