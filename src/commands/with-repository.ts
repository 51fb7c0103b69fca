/** Opening what STORE means for the length of one command. */

import { withSignal } from '../lib/deadline.js';
import { hasCode, VzvaultError } from '../lib/errors.js';
import { openRepository, type Repository } from '../repository/repository.js';
import type { CommandContext } from './context.js';
import { locationOf } from './unlocking.js';

/** Opens, works, closes. A mount that hangs while opening can be interrupted. */
export async function withRepository<T>(
  context: CommandContext,
  store: string,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  const location = locationOf(context, store);
  const repository = await withSignal(openRepository(context.engine, location), context.signal).catch(
    (error: unknown) => {
      throw explain(error, store, location.path);
    },
  );
  try {
    return await work(repository);
  } finally {
    await repository.close();
  }
}

/** A mistyped storage id looks like a relative path: the message names both. */
function explain(error: unknown, store: string, path: string): unknown {
  const isBareName = !store.includes('/');
  if (!isBareName || !hasCode(error, 'E_PATH_MISSING')) return error;
  return new VzvaultError('E_PATH_MISSING', `there is neither a storage '${store}' nor a directory ${path}`, {
    cause: error,
  });
}
