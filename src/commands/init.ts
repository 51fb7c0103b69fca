/** vzvault init: makes a repository. */

import type { Command } from 'commander';
import { resolve } from 'node:path';
import { VzvaultError } from '../lib/errors.js';
import { formatBytes } from '../lib/units.js';
import { findKeyFile, keyInFile, plainKeyFile, writeKeyFile } from '../repository/keys/key-file.js';
import { randomKey, wipe } from '../repository/keys/key-material.js';
import { createRepository } from '../repository/repository.js';
import { chunkSizeArgument } from './arguments.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { askPassphrase } from './unlocking.js';

interface Options {
  readonly chunkSize?: number;
  readonly encryptionKey?: string;
  readonly passphraseFile?: string;
  readonly json?: boolean;
}

/** Of the options: make a key. */
const AUTOGEN = 'autogen';

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
    .option(
      '--encryption-key <file>',
      'encrypt everything by the key in this file, which is made where it does not exist; "autogen": the file is that of --key-file',
    )
    .option('--key-file <file>', 'the file for --encryption-key autogen (default: VZVAULT_KEY_FILE)')
    .option('--passphrase-file <file>', 'read the passphrase of the key file from this file, or from -')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault init /mnt/nas                     for almost everything
  vzvault init /mnt/nas --chunk-size 4M     large disks of media: a smaller index, less deduplication
  vzvault init /mnt/cloud --encryption-key ~/cloud.key

Whoever loses the key of an encrypted repository loses the backups: print a sheet with vzvault key sheet.`,
    )
    .action(runs(context, init));
}

interface InitKey {
  readonly bytes: Buffer;
  readonly file: string;
  readonly isNew: boolean;
}

async function init(context: CommandContext, [path = '']: readonly string[], options: Options): Action {
  const { engine, clock, terminal, hostname } = context;
  const key = await keyOf(context, options);
  try {
    const repository = await createRepository(
      engine,
      { path: resolve(path) },
      {
        chunkSizeBytes: options.chunkSize,
        createdAtSeconds: clock.nowSeconds(),
        protector: key === null ? null : { kind: 'key', key: key.bytes, label: hostname },
      },
    );
    const { repositoryId, chunkSizeBytes, suite, keyFingerprint } = repository.config;
    const result = { repositoryId, path: repository.path, chunkSizeBytes, suite, keyFingerprint };
    await repository.close();
    if (options.json === true) printJson(terminal, { ...result, keyFile: key?.file ?? null });
    else {
      const facts = `id ${repositoryId}, chunks of ${formatBytes(chunkSizeBytes)}${key === null ? '' : ', encrypted'}`;
      printLine(terminal, `made the repository ${result.path} (${facts})`);
      if (key !== null) printLine(terminal, adviceOn(key, result.path));
    }
    return EXIT.ok;
  } finally {
    wipe(key?.bytes);
  }
}

/** The key of the file, made before the repository: one that was made for nothing does no harm, one that could not be kept does. */
async function keyOf(context: CommandContext, options: Options): Promise<InitKey | null> {
  const { encryptionKey: wanted, passphraseFile } = options;
  // Everywhere else it says that the repository is encrypted: nobody shall believe so of one that is not.
  if (context.keys.isKeyFileGiven && wanted !== AUTOGEN)
    throw new VzvaultError('E_ARGUMENT_INVALID', '--key-file is for --encryption-key autogen');
  if (wanted === undefined) return null;
  const file = wanted === AUTOGEN ? (context.keys.keyFile ?? undefined) : wanted;
  if (file === undefined) {
    throw new VzvaultError('E_ARGUMENT_INVALID', 'say with --key-file or VZVAULT_KEY_FILE where the new key shall be');
  }
  const found = await findKeyFile(file);
  if (found !== null) {
    const bytes = await keyInFile(found, file, askPassphrase(context));
    return { bytes, file, isNew: false };
  }
  if (passphraseFile !== undefined)
    throw new VzvaultError('E_ARGUMENT_INVALID', `there is no key file ${file} yet that could have a passphrase`);
  const bytes = randomKey();
  await writeKeyFile(file, plainKeyFile(bytes, { repositoryId: null, createdAtSeconds: context.clock.nowSeconds() }));
  return { bytes, file, isNew: true };
}

function adviceOn({ file, isNew }: InitKey, path: string): string {
  const made = isNew ? `made the key ${file}` : `it is opened by the key ${file}`;
  return `${made}; without it, or another key, nobody can read a backup: vzvault key sheet ${path} --key-file ${file}`;
}
