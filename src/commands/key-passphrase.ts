/** vzvault key passphrase: another passphrase, of the repository or of a key file. No backup is rewritten for it. */

import type { Command } from 'commander';
import { VzvaultError } from '../lib/errors.js';
import { keyInFile, readKeyFile } from '../repository/keys/key-file.js';
import { wipe } from '../repository/keys/key-material.js';
import { EXIT, printLine, type Action, type CommandContext } from './context.js';
import { secretOf } from './key-secret.js';
import { runs } from './run.js';
import { saveKeyFile } from './save-key-file.js';
import { askPassphrase, newPassphrase } from './unlocking.js';
import { withRepository } from './with-repository.js';

interface Options {
  readonly keyFile?: string;
  readonly none?: boolean;
  readonly newPassphraseFile?: string;
}

export function registerKeyPassphrase(key: Command, context: CommandContext): void {
  key
    .command('passphrase')
    .summary('change a passphrase')
    .description(
      "Changes the repository's passphrase, the one that it is opened with now; with --key-file that of the key file, which may have none yet. What is in the " +
        'repository stays as it is.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--new-passphrase-file <file>', 'read the new passphrase from this file, or from - (default: ask twice)')
    .option('--none', 'take the passphrase away from the key file')
    .addHelpText(
      'after',
      `
Examples:
  vzvault key passphrase nas                              the repository's own
  vzvault key passphrase nas --key-file ~/nas.key         that of a key file`,
    )
    .action(runs(context, change));
}

async function change(context: CommandContext, [store = '']: readonly string[], options: Options): Action {
  if (options.none === true && options.newPassphraseFile !== undefined)
    throw new VzvaultError('E_ARGUMENT_INVALID', 'no passphrase and a new one contradict');
  if (options.keyFile !== undefined) return await changeKeyFile(context, store, options.keyFile, options);
  if (options.none === true)
    throw new VzvaultError('E_ARGUMENT_INVALID', 'only a key file can be without a passphrase; name it by --key-file');
  // The environment and the storage's section may name a key file: here the passphrase is what has to open it.
  const byPassphrase: CommandContext = { ...context, keys: { ...context.keys, keyFile: null } };
  const fingerprint = await withRepository(byPassphrase, store, async (repository) => {
    const secret = secretOf(repository);
    const { openedBy } = repository.access;
    const old = openedBy === null ? null : await repository.keys.read(openedBy);
    if (old === null || old.scrypt === null) {
      throw new VzvaultError(
        'E_UNSUPPORTED',
        `${repository.path} was not opened by a passphrase; add one, or name a key file`,
      );
    }
    const passphrase = await newPassphrase(context, options.newPassphraseFile);
    try {
      const protector = { kind: 'passphrase', passphrase, label: old.label } as const;
      const added = await repository.keys.add(secret, protector, context.clock.nowSeconds());
      await repository.keys.remove(old.fingerprint);
      return added;
    } finally {
      wipe(passphrase);
    }
  });
  printLine(context.terminal, `changed the passphrase; its fingerprint is ${fingerprint}`);
  return EXIT.ok;
}

async function changeKeyFile(context: CommandContext, store: string, path: string, options: Options): Action {
  // That it opens the repository shows that it is the right file, and asks for the old passphrase only once.
  let old: Buffer | null = null;
  const ask = askPassphrase(context);
  const file = await readKeyFile(path);
  const key = await keyInFile(file, path, async (what) => {
    old = await ask(what);
    return old === null ? null : Buffer.from(old);
  }).catch((error: unknown) => {
    wipe(old);
    throw error;
  });
  const known: CommandContext = {
    ...context,
    keys: { ...context.keys, passphraseFile: undefined },
    askSecret: async () => old,
  };
  try {
    await withRepository(known, store, async (repository) => secretOf(repository));
    const plain = { ...file, key: { kind: 'plain', bytes: key } } as const;
    await saveKeyFile(context, path, plain, { ...options, sealed: options.none !== true, replace: true });
  } finally {
    wipe(key, old);
  }
  printLine(
    context.terminal,
    `${options.none === true ? 'took the passphrase away from' : 'sealed'} the key file ${path}`,
  );
  return EXIT.ok;
}
