/**
 * Where copies of index segments are kept on this machine. Losing them costs a download, nothing else.
 *
 * Root's lie in /var/cache/vzvault, another user's in the XDG cache; `VZVAULT_CACHE_DIR` overrides both. Every repository has a
 * directory of its own, so that two never meet.
 */

import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';

export interface CacheEnvironment {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Effective user id. */
  readonly uid: number;
}

/** The cache directory of one repository. A relative path in a variable is ignored, as the XDG specification asks. */
export function cacheDirectoryOf(repositoryId: string, { environment, uid }: CacheEnvironment): string {
  return join(cacheRoot(environment, uid), repositoryId);
}

export function processCacheEnvironment(): CacheEnvironment {
  return { environment: process.env, uid: process.geteuid?.() ?? 0 };
}

function cacheRoot(environment: CacheEnvironment['environment'], uid: number): string {
  const { VZVAULT_CACHE_DIR: chosen, XDG_CACHE_HOME: xdg, HOME: home } = environment;
  if (chosen !== undefined && isAbsolute(chosen)) return chosen;
  if (uid === 0) return '/var/cache/vzvault';
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'vzvault');
  if (home !== undefined && isAbsolute(home)) return join(home, '.cache', 'vzvault');
  return join(tmpdir(), `vzvault-${String(uid)}`);
}
