/**
 * The repositories that the storage calls of this daemon touch, one entry a path.
 *
 * Every call reads the repository's config first (a small file), so that a path which was unmounted, or where another repository is
 * now, is noticed; what was remembered of the old one is dropped then. Every call has a deadline of its own and uses handles that
 * no other path shares: a storage that hangs delays its own calls only. Backups and restores do not go through here, they open
 * the repository for themselves.
 */
import type { Clock } from '../lib/clock.js';
import { withDeadline } from '../lib/deadline.js';
import { storageLimits } from '../lib/limits.js';
import {
  openRepository,
  type Repository,
  type RepositoryEngine,
  type StorageLocation,
} from '../repository/repository.js';
import { StorageDirectory } from './storage-directory.js';

interface Entry {
  /** By absolute path: the storage's, and that of the repository below it. */
  readonly directories: Map<string, StorageDirectory>;
  /** What the last call found; keeps listings. */
  repository: Repository | null;
}

export interface UseOptions {
  readonly timeoutMs: number;
  /** Completes "… did not end within 1800 ms", as `listing the storage nas (/mnt/nas)`. */
  readonly doing: string;
}

export class RepositoryPool {
  readonly #entries = new Map<string, Entry>();

  constructor(
    private readonly engine: RepositoryEngine,
    private readonly clock: Clock,
  ) {}

  /** Opens the storage's repository for one call. Errors of `openRepository`, of `work`, and E_STORAGE_TIMEOUT. */
  async withRepository<T>(
    location: StorageLocation,
    options: UseOptions,
    work: (repository: Repository) => Promise<T>,
  ): Promise<T> {
    return await this.withEngine(location, options, async (engine) => {
      const entry = this.#entry(location.path);
      const found = await openRepository(engine, location).catch((error: unknown) => {
        forget(entry);
        throw error;
      });
      const known = entry.repository;
      const same = known !== null && isSame(known, found);
      if (same) found.access.close();
      else forget(entry);
      const repository = same ? known : found;
      entry.repository = repository;
      return await work(repository);
    });
  }

  /** As `withRepository`, where there may be none yet: `work` gets an engine whose directories lie in this storage. */
  async withEngine<T>(
    location: StorageLocation,
    { timeoutMs, doing }: UseOptions,
    work: (engine: RepositoryEngine) => Promise<T>,
  ): Promise<T> {
    const entry = this.#entry(location.path);
    const held = new Set<StorageDirectory>();
    let isOver = false;
    const { engine } = this;
    const view: RepositoryEngine = {
      openDirectory: (path) => {
        const directory = this.#directory(entry, path);
        if (!isOver && !held.has(directory)) {
          held.add(directory);
          directory.hold();
        }
        return directory;
      },
      openStore: (options) => engine.openStore(options),
      loadKey: (secret) => engine.loadKey(secret),
      sealDocument: (...args) => engine.sealDocument(...args),
      openDocument: (...args) => engine.openDocument(...args),
    };
    try {
      // The deadline ends the waiting, not the work: what a listing reads after it is there for the next one.
      return await withDeadline(work(view), timeoutMs, 'E_STORAGE_TIMEOUT', doing);
    } finally {
      isOver = true;
      for (const directory of held) directory.release();
    }
  }

  /** Most recently used last. Beyond the bound the oldest that nothing uses is forgotten. */
  #entry(path: string): Entry {
    const entry = this.#entries.get(path) ?? { directories: new Map<string, StorageDirectory>(), repository: null };
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    if (this.#entries.size > storageLimits.storages) {
      const idle = [...this.#entries].find(([name, other]) => name !== path && isIdle(other));
      if (idle !== undefined) {
        this.#entries.delete(idle[0]);
        forget(idle[1]);
      }
    }
    return entry;
  }

  #directory(entry: Entry, path: string): StorageDirectory {
    const directory =
      entry.directories.get(path) ?? new StorageDirectory(path, (name) => this.engine.openDirectory(name), this.clock);
    entry.directories.set(path, directory);
    return directory;
  }
}

/** Calls that still work with it need no secret any more. */
function forget(entry: Entry): void {
  entry.repository?.access.close();
  entry.repository = null;
}

/** Whether what was remembered of one holds for the other; not where the key came, went or changed. */
function isSame(known: Repository, found: Repository): boolean {
  return (
    known.config.repositoryId === found.config.repositoryId &&
    known.path === found.path &&
    known.access.equals(found.access)
  );
}

function isIdle(entry: Entry): boolean {
  return [...entry.directories.values()].every((directory) => directory.isIdle);
}
