/** vzvault key: who can open an encrypted repository. Each subcommand has a file of its own; here are those that list and remove. */

import type { Command } from 'commander';
import { VzvaultError } from '../lib/errors.js';
import { formatIsoTime } from '../lib/time.js';
import type { ListedKey } from '../repository/keys/key-documents.js';
import type { Repository } from '../repository/repository.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { registerKeyAdd } from './key-add.js';
import { requireEncrypted, secretOf } from './key-secret.js';
import { registerKeyPassphrase } from './key-passphrase.js';
import { registerKeyRestore, registerKeySheet } from './key-sheet.js';
import { runs } from './run.js';
import { formatTable, printable } from './table.js';
import { unasked } from './unlocking.js';
import { withRepository } from './with-repository.js';

export function registerKey(program: Command, context: CommandContext): void {
  const key = program
    .command('key')
    .summary('see and change who can open an encrypted repository')
    .description(
      'An encrypted repository has one secret, which never changes, and any number of keys and passphrases that open it. They are added, removed and ' +
        'changed without touching the backups. Whoever once had a key may have kept the secret: what was readable stays so for them.',
    )
    .addHelpText(
      'after',
      `
Examples:
  vzvault key list nas
  vzvault key add nas --passphrase      any machine, without a key file
  vzvault key sheet nas | lp            for the day when every key is lost`,
    );
  key
    .command('list')
    .summary('list the keys and passphrases')
    .description('Lists what opens the repository. It needs no key itself.')
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--json', 'print JSON: a list of objects')
    .addHelpText(
      'after',
      `
Example:
  vzvault key list nas`,
    )
    .action(runs(context, list));
  registerKeyAdd(key, context);
  key
    .command('remove')
    .summary('take a key or passphrase away')
    .description(
      'Takes away one key or passphrase, which does not open the repository from then on. The last one stays.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('<fingerprint>', 'of the key, as vzvault key list shows it; its beginning is enough')
    .addHelpText(
      'after',
      `
Example:
  vzvault key remove nas 7d20c4`,
    )
    .action(runs(context, remove));
  registerKeyPassphrase(key, context);
  registerKeySheet(key, context);
  registerKeyRestore(key, context);
}

async function list(context: CommandContext, [store = '']: readonly string[], { json }: { json?: boolean }): Action {
  const { keys, openedBy } = await withRepository(unasked(context), store, async (repository) => {
    requireEncrypted(repository);
    return { keys: await repository.keys.list(), openedBy: repository.access.openedBy };
  });
  if (json === true)
    printJson(
      context.terminal,
      keys.map((key) => keyToJson(key, openedBy)),
    );
  else context.terminal.out(formatKeys(keys, openedBy));
  return EXIT.ok;
}

function keyToJson({ fingerprint, document, damage }: ListedKey, openedBy: string | null): Record<string, unknown> {
  return {
    fingerprint,
    kind: document === null ? null : kindOf(document),
    label: document?.label ?? null,
    createdAtSeconds: document?.createdAtSeconds ?? null,
    inUse: fingerprint === openedBy,
    damage,
  };
}

function formatKeys(keys: readonly ListedKey[], openedBy: string | null): string {
  const rows = keys.map(({ fingerprint, document, damage }) => [
    fingerprint,
    document === null ? 'DAMAGED' : kindOf(document),
    document === null ? '-' : formatIsoTime(document.createdAtSeconds),
    fingerprint === openedBy ? 'in use' : '',
    printable(document?.label ?? damage ?? ''),
  ]);
  return formatTable(
    [{ title: 'FINGERPRINT' }, { title: 'KIND' }, { title: 'ADDED' }, { title: 'STATE' }, { title: 'LABEL' }],
    rows,
  );
}

function kindOf({ scrypt }: NonNullable<ListedKey['document']>): string {
  return scrypt === null ? 'key' : 'passphrase';
}

async function remove(context: CommandContext, [store = '', wanted = '']: readonly string[]): Action {
  const removed = await withRepository(context, store, async (repository) => {
    // Whoever has no key shall not take away those of others by mistake.
    secretOf(repository);
    const fingerprint = await findKey(repository, wanted);
    await repository.keys.remove(fingerprint);
    return fingerprint;
  });
  printLine(context.terminal, `removed the key ${removed}`);
  return EXIT.ok;
}

async function findKey(repository: Repository, wanted: string): Promise<string> {
  const found = (await repository.keys.list()).filter(({ fingerprint }) =>
    fingerprint.startsWith(wanted.toLowerCase()),
  );
  const [key] = found;
  if (key === undefined || wanted === '')
    throw new VzvaultError('E_KEY_MISSING', `${repository.path} has no key whose fingerprint begins with '${wanted}'`);
  if (found.length > 1)
    throw new VzvaultError('E_ARGUMENT_INVALID', `${found.length} keys begin with '${wanted}'; give more of it`);
  return key.fingerprint;
}
