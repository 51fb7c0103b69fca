/** Writing a key file as a command was asked to: sealed by a new passphrase, or plain. */

import { sealKeyFile, writeKeyFile, type PlainKeyFile } from '../repository/keys/key-file.js';
import { wipe } from '../repository/keys/key-material.js';
import type { CommandContext } from './context.js';
import { newPassphrase } from './unlocking.js';

export interface SaveOptions {
  readonly sealed?: boolean;
  /** Where the new passphrase is, which is to seal it then; where nobody says, it is asked for. */
  readonly newPassphraseFile?: string;
  /** Instead of the file that is there. */
  readonly replace?: boolean;
}

/** E_ARGUMENT_INVALID for the passphrase, E_TARGET_EXISTS, E_PERMISSION. The key stays the caller's to wipe. */
export async function saveKeyFile(
  context: CommandContext,
  path: string,
  file: PlainKeyFile,
  { sealed = false, newPassphraseFile, replace = false }: SaveOptions,
): Promise<void> {
  if (!sealed && newPassphraseFile === undefined) {
    await writeKeyFile(path, file, { replace });
    return;
  }
  const passphrase = await newPassphrase(context, newPassphraseFile);
  try {
    await writeKeyFile(path, await sealKeyFile(file, passphrase), { replace });
  } finally {
    wipe(passphrase);
  }
}
