/**
 * The port through which the repository layer reaches what it stores: names, bytes, and atomic creation.
 *
 * A directory on a mount is the one implementation that vzvault runs on (the engine's `RepositoryDirectory`, whose contract
 * this is); the tests bring one in memory. Both pass the same suite. Nothing above this port touches node:fs. A store is opened at
 * the repository's own directory, since unfinished files go to `tmp/` below what was opened.
 */
export type { RepositoryDirectory as BlobStore } from '../engine/types.js';
