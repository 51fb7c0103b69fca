/** vzvault key sheet and vzvault key restore: the secret of a repository on paper, and back. */

import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { keyLimits } from '../lib/limits.js';
import { plainKeyFile } from '../repository/keys/key-file.js';
import { fingerprintOfSecret, wipe } from '../repository/keys/key-material.js';
import { formatSheet, secretOfSheet, sheetCode } from '../repository/keys/recovery-sheet.js';
import { EXIT, printLine, type Action, type CommandContext } from './context.js';
import { requireEncrypted, secretOf } from './key-secret.js';
import { qrLines } from './qr-code.js';
import { runs } from './run.js';
import { saveKeyFile } from './save-key-file.js';
import { unasked } from './unlocking.js';
import { withRepository } from './with-repository.js';

export function registerKeySheet(key: Command, context: CommandContext): void {
  key
    .command('sheet')
    .summary('print the recovery sheet')
    .description(
      'Prints the secret of the repository as a page of text with a QR code, by which all backups can be read again once every key is lost. Print it, put it in a ' +
        'safe, leave no copy on a disk.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--no-qr', 'without the QR code')
    .addHelpText(
      'after',
      `
Example:
  vzvault key sheet nas | lp`,
    )
    .action(runs(context, sheet));
}

export function registerKeyRestore(key: Command, context: CommandContext): void {
  key
    .command('restore')
    .summary('make a key file from a recovery sheet')
    .description(
      'Reads a recovery sheet, typed in or scanned, from standard input: its four lines with their numbers, or the text of the QR code. Writes a key file that opens the ' +
        'repository, also where its own keys are gone. A wrong digit is told by its line.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<file>', 'the key file to make')
    .option('--sheet <file>', 'read the sheet from this file')
    .option('--sealed', 'seal the key file by a passphrase')
    .option('--new-passphrase-file <file>', 'seal it by the passphrase in this file, or from - (default: ask twice)')
    .addHelpText(
      'after',
      `
Example:
  vzvault key restore /mnt/nas ~/nas.key
  1: 3f1c 09ab 77e2 d410 5b6e
  …`,
    )
    .action(runs(context, restore));
}

async function sheet(
  context: CommandContext,
  [store = '']: readonly string[],
  options: { readonly qr: boolean },
): Action {
  const { terminal, clock } = context;
  return await withRepository(context, store, async (repository) => {
    const secret = secretOf(repository);
    const { config, path } = repository;
    const qr = options.qr ? qrLines(sheetCode({ config, secret })) : [];
    terminal.out(formatSheet({ config, path, secret, printedAtSeconds: clock.nowSeconds() }, qr));
    return EXIT.ok;
  });
}

interface RestoreOptions {
  readonly sheet?: string;
  readonly sealed?: boolean;
  readonly newPassphraseFile?: string;
}

async function restore(
  context: CommandContext,
  [store = '', file = '']: readonly string[],
  options: RestoreOptions,
): Action {
  // The repository says which sheet is the right one; no key is needed for that.
  const withoutKey = { ...context, keys: { keyFile: null, passphraseFile: undefined, isKeyFileGiven: false } };
  const config = await withRepository(unasked(withoutKey), store, async (repository) => {
    requireEncrypted(repository);
    return repository.config;
  });
  const secret = secretOfSheet(await readSheet(context, options.sheet));
  try {
    if (fingerprintOfSecret(secret) !== config.keyFingerprint) {
      throw new VzvaultError('E_KEY_WRONG', `the sheet is not that of the repository ${config.repositoryId}`);
    }
    const { repositoryId } = config;
    const plain = plainKeyFile(secret, { repositoryId, createdAtSeconds: context.clock.nowSeconds() });
    await saveKeyFile(context, file, plain, options);
  } finally {
    wipe(secret);
  }
  printLine(context.terminal, `made the key file ${file}; it opens the repository ${config.repositoryId}`);
  return EXIT.ok;
}

async function readSheet({ terminal, readInput }: CommandContext, path: string | undefined): Promise<string> {
  if (path === undefined && terminal.isInteractive)
    terminal.err('Type the four lines of the sheet, each with its number and a colon, then Ctrl-D:\n');
  const bytes =
    path === undefined
      ? await readInput()
      : await readFile(path).catch((cause: unknown) => {
          throw new VzvaultError('E_ARGUMENT_INVALID', `reading ${path}: ${toVzvaultError(cause).message}`, { cause });
        });
  const text = bytes.subarray(0, keyLimits.sheetBytes).toString('utf8');
  wipe(bytes);
  return text;
}
