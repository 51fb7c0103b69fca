/** vzvault key add: one more key or passphrase opens the repository. */

import type { Command } from 'commander';
import { VzvaultError } from '../lib/errors.js';
import { findKeyFile, keyInFile, plainKeyFile } from '../repository/keys/key-file.js';
import { randomKey, wipe } from '../repository/keys/key-material.js';
import type { Repository } from '../repository/repository.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { secretOf } from './key-secret.js';
import { runs } from './run.js';
import { saveKeyFile } from './save-key-file.js';
import { askPassphrase, newPassphrase } from './unlocking.js';
import { withRepository } from './with-repository.js';

interface Options {
  readonly passphrase?: boolean;
  readonly sealed?: boolean;
  readonly newPassphraseFile?: string;
  readonly label?: string;
  readonly json?: boolean;
}

export function registerKeyAdd(key: Command, context: CommandContext): void {
  key
    .command('add')
    .summary('let one more key or passphrase open it')
    .description(
      'Adds the key in FILE, which is made where it does not exist, or with --passphrase a passphrase, by which the repository can be opened without any ' +
        'file. One of the present keys is needed.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('[file]', 'the other key file')
    .option('--passphrase', 'add a passphrase instead of a key')
    .option('--sealed', 'seal a key file that is made by a passphrase')
    .option(
      '--new-passphrase-file <file>',
      'read the new passphrase from this file, or from -; a key file is sealed by it (default: ask twice)',
    )
    .option('--label <text>', 'whose key it is, for vzvault key list (default: the name of this machine)')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault key add nas ~/second.key --label "the other site"
  vzvault key add nas --passphrase`,
    )
    .action(runs(context, add));
}

async function add(context: CommandContext, args: readonly string[], options: Options): Action {
  const [store = '', file] = args;
  const wantsPassphrase = options.passphrase === true;
  if (wantsPassphrase === (file !== undefined)) {
    throw new VzvaultError('E_ARGUMENT_INVALID', 'name a key file, or give --passphrase');
  }
  if (wantsPassphrase && options.sealed === true)
    throw new VzvaultError('E_ARGUMENT_INVALID', 'only a key file can be sealed, a passphrase cannot');
  const fingerprint = await withRepository(context, store, async (repository) => {
    // Before anybody is asked for anything new.
    secretOf(repository);
    return file === undefined
      ? await addPassphrase(context, repository, options)
      : await addKey(context, repository, file, options);
  });
  if (options.json === true) printJson(context.terminal, { fingerprint, keyFile: file ?? null });
  else
    printLine(context.terminal, `added the ${wantsPassphrase ? 'passphrase' : `key ${file ?? ''}`} (${fingerprint})`);
  return EXIT.ok;
}

async function addPassphrase(context: CommandContext, repository: Repository, options: Options): Promise<string> {
  const passphrase = await newPassphrase(context, options.newPassphraseFile);
  try {
    const protector = { kind: 'passphrase', passphrase, label: options.label ?? context.hostname } as const;
    return await repository.keys.add(secretOf(repository), protector, context.clock.nowSeconds());
  } finally {
    wipe(passphrase);
  }
}

async function addKey(
  context: CommandContext,
  repository: Repository,
  path: string,
  options: Options,
): Promise<string> {
  const found = await findKeyFile(path);
  if (found !== null && (options.sealed === true || options.newPassphraseFile !== undefined)) {
    throw new VzvaultError(
      'E_ARGUMENT_INVALID',
      `the key file ${path} exists: it stays as it is; vzvault key passphrase seals it`,
    );
  }
  const key =
    found === null
      ? await makeKeyFile(context, repository, path, options)
      : await keyInFile(found, path, askPassphrase(context));
  try {
    const protector = { kind: 'key', key, label: options.label ?? context.hostname } as const;
    return await repository.keys.add(secretOf(repository), protector, context.clock.nowSeconds());
  } finally {
    wipe(key);
  }
}

/** On disk before the repository knows the key. */
async function makeKeyFile(
  context: CommandContext,
  { config }: Repository,
  path: string,
  options: Options,
): Promise<Buffer> {
  const key = randomKey();
  const { repositoryId } = config;
  const plain = plainKeyFile(key, { repositoryId, createdAtSeconds: context.clock.nowSeconds() });
  try {
    await saveKeyFile(context, path, plain, options);
    return key;
  } catch (error) {
    wipe(key);
    throw error;
  }
}
