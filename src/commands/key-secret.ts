/** The secret of the repository that a subcommand of `vzvault key` works on. */

import { VzvaultError } from '../lib/errors.js';
import type { Repository } from '../repository/repository.js';

/** E_UNSUPPORTED for a repository that has no keys. */
export function requireEncrypted({ access, path }: Repository): void {
  if (!access.isEncrypted) throw new VzvaultError('E_UNSUPPORTED', `the repository ${path} is not encrypted`);
}

/** The secret of the repository; stays the repository's. E_UNSUPPORTED, E_KEY_MISSING, E_KEY_WRONG. */
export function secretOf(repository: Repository): Buffer {
  requireEncrypted(repository);
  const { secret } = repository.access;
  if (secret === null) throw new VzvaultError('E_INTERNAL', `${repository.path} was opened without its secret`);
  return secret;
}
