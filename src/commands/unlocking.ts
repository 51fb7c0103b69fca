/**
 * Where a command takes the key of an encrypted repository from: `--key-file`, else `VZVAULT_KEY_FILE`, else the key file of the storage id that was
 * named; and the passphrase: `--passphrase-file`, else `VZVAULT_PASSPHRASE_FILE`, else the terminal, without echo. Never an argument.
 */

import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { requirePassphrase, wipe } from '../repository/keys/key-material.js';
import type { AskPassphrase } from '../repository/keys/key-file.js';
import type { Unlocking } from '../repository/keys/unlock.js';
import { locateStore } from '../repository/locate.js';
import type { StorageLocation } from '../repository/repository.js';
import type { CommandContext, KeyOptions } from './context.js';

const STDIN = '-';

/** Gives the options about keys to every command that opens a repository: those whose first argument is STORE. */
export function addKeyOptions(command: Command): void {
  for (const inner of command.commands) addKeyOptions(inner);
  if (command.registeredArguments[0]?.name() !== 'store') return;
  command
    .option(
      '--key-file <file>',
      'key of an encrypted repository (default: VZVAULT_KEY_FILE, or that of the storage id)',
    )
    .option('--passphrase-file <file>', 'read its passphrase from this file, or from - (default: ask on the terminal)');
}

/** The options about keys on the command line, over those of the environment. */
export function keyOptionsOf(
  { keys }: CommandContext,
  options: { readonly keyFile?: string; readonly passphraseFile?: string },
): KeyOptions {
  return {
    keyFile: options.keyFile ?? keys.keyFile,
    passphraseFile: options.passphraseFile ?? keys.passphraseFile,
    isKeyFileGiven: options.keyFile !== undefined,
  };
}

/** What STORE means, and how it is opened. */
export function locationOf(context: CommandContext, store: string): StorageLocation {
  const location = locateStore(store, context.storageConfigPath);
  const { keyFile: wanted, isKeyFileGiven } = context.keys;
  const keyFile = wanted === undefined ? location.unlocking?.keyFile : (wanted ?? undefined);
  const mustBeEncrypted = isKeyFileGiven || location.unlocking?.mustBeEncrypted === true;
  const unlocking: Unlocking = { keyFile, mustBeEncrypted, ask: askPassphrase(context) };
  return { ...location, unlocking };
}

/** Asks for the passphrase of something that has one. */
export function askPassphrase(context: CommandContext): AskPassphrase {
  const { passphraseFile } = context.keys;
  return async (what) =>
    passphraseFile === undefined
      ? await context.askSecret(`Passphrase of ${what}: `)
      : await readPassphrase(context, passphraseFile);
}

/** For what does not need the key: nobody is asked for a passphrase. */
export function unasked(context: CommandContext): CommandContext {
  return { ...context, askSecret: async () => null };
}

/** A passphrase that is to be: from the file, or asked for twice. E_ARGUMENT_INVALID. The caller's to wipe. */
export async function newPassphrase(context: CommandContext, file: string | undefined): Promise<Buffer> {
  const passphrase = file === undefined ? await askTwice(context) : await readPassphrase(context, file);
  try {
    requirePassphrase(passphrase);
    return passphrase;
  } catch (error) {
    wipe(passphrase);
    throw error;
  }
}

async function askTwice(context: CommandContext): Promise<Buffer> {
  const first = await context.askSecret('New passphrase: ');
  if (first === null)
    throw new VzvaultError(
      'E_ARGUMENT_INVALID',
      'there is no terminal to ask for a passphrase; name a file that has it',
    );
  const second = await context.askSecret('The same again: ');
  const isSame = second !== null && first.equals(second);
  wipe(second);
  if (isSame) return first;
  wipe(first);
  throw new VzvaultError('E_ARGUMENT_INVALID', 'the two passphrases differ; nothing was changed');
}

/** The first line, without its end. */
async function readPassphrase(context: CommandContext, file: string): Promise<Buffer> {
  const bytes = file === STDIN ? await context.readInput() : await readFile(file).catch(failReading(file));
  const end = bytes.indexOf('\n');
  const line = Buffer.from(end < 0 ? bytes : bytes.subarray(0, bytes[end - 1] === 0x0d ? end - 1 : end));
  wipe(bytes);
  return line;
}

function failReading(file: string): (cause: unknown) => never {
  return (cause) => {
    throw new VzvaultError(
      'E_ARGUMENT_INVALID',
      `reading the passphrase from ${file}: ${toVzvaultError(cause).message}`,
      {
        cause,
      },
    );
  };
}
