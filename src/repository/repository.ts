/**
 * One repository, opened: its config, its snapshots, and on demand its chunks.
 *
 * Opening never creates anything: a path where nothing is mounted is an error, not a new, empty repository. Creating writes
 * `config` last, so a creation that was cut short left no repository. A Repository holds a handle on the mount; its
 * owner closes it. Nothing here has a deadline: callers that owe an answer race the promise (`withDeadline`).
 */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChunkStore, Engine, Space } from '../engine/types.js';
import { hasCode, VzvaultError } from '../lib/errors.js';
import { randomId } from '../lib/ids.js';
import { repositoryLimits } from '../lib/limits.js';
import type { BlobStore } from './blob-store.js';
import { cacheDirectoryOf, processCacheEnvironment } from './cache-directory.js';
import { DEFAULT_CHUNK_SIZE_BYTES, decodeConfig, encodeConfig, newConfig, type RepositoryConfig } from './config.js';
import type { Protector } from './keys/key-document.js';
import { KeyDocuments, KEYS_DIRECTORY } from './keys/key-documents.js';
import { fingerprintOfSecret, randomKey, wipe } from './keys/key-material.js';
import { RepositoryAccess } from './keys/repository-access.js';
import type { Unlocking } from './keys/unlock.js';
import { Snapshots } from './snapshots.js';

/** The repository's directory below a storage's path. */
export const REPOSITORY_DIRECTORY = 'vzvault';
const CONFIG = 'config';
const DIRECTORIES = ['packs', 'index', 'snapshots', 'sessions', 'tmp'];

/** What of the engine this layer needs. */
export type RepositoryEngine = Pick<
  Engine,
  'openDirectory' | 'openStore' | 'loadKey' | 'sealDocument' | 'openDocument'
>;

export interface StorageLocation {
  /** Absolute: a storage's path (the repository is in `vzvault/` below it) or the directory of a repository itself. */
  readonly path: string;
  /** PVE's is_mountpoint: '' (the default) no, 'yes' the path itself, or the absolute path that must be a mount point. */
  readonly isMountpoint?: string;
  /** How an encrypted repository is opened. Without it only what shows without a key can be seen. */
  readonly unlocking?: Unlocking;
}

export interface CreateOptions {
  /** 512 KiB where it is not given. */
  readonly chunkSizeBytes?: number | undefined;
  readonly createdAtSeconds: number;
  /** What shall open it: the repository is encrypted. Null (the default): it is not. */
  readonly protector?: Protector | null;
}

export class Repository {
  readonly snapshots: Snapshots;
  #store: Promise<ChunkStore> | null = null;
  #closed = false;

  /** Owns `directory`. */
  constructor(
    private readonly engine: RepositoryEngine,
    private readonly directory: BlobStore,
    readonly config: RepositoryConfig,
    /** Owned. */
    readonly access: RepositoryAccess = RepositoryAccess.plain(engine),
  ) {
    this.snapshots = new Snapshots(directory, access, config.repositoryId);
  }

  /** The repository's own directory (with `config` in it), absolute. */
  get path(): string {
    return this.directory.path;
  }

  /** What all files but chunks are reached through. Closed with the repository. */
  get blobs(): BlobStore {
    return this.directory;
  }

  get sealer(): Pick<Engine, 'sealDocument' | 'openDocument'> {
    return this.engine;
  }

  get keys(): KeyDocuments {
    return new KeyDocuments(this.directory, this.config.repositoryId);
  }

  get cacheDirectory(): string {
    return cacheDirectoryOf(this.config.repositoryId, processCacheEnvironment());
  }

  space(): Promise<Space> {
    return this.directory.space();
  }

  /** Makes a file and removes it again, so that a backup fails at its beginning: E_READ_ONLY, E_NO_SPACE, E_PERMISSION, E_KEY_MISSING, E_KEY_WRONG. */
  async requireWritable(): Promise<void> {
    this.access.require();
    const name = `tmp/${randomId()}`;
    await this.directory.putIfAbsent(name, Buffer.from('a probe'));
    await this.directory.remove(name);
  }

  /** The chunks, opened at the first call and shared by all later ones; a failure is not remembered. */
  async openStore(): Promise<ChunkStore> {
    if (this.#closed) throw new VzvaultError('E_INTERNAL', `the repository ${this.path} was closed already`);
    this.#store ??= this.#open();
    try {
      return await this.#store;
    } catch (error) {
      this.#store = null;
      throw error;
    }
  }

  /** Repeatable. Whatever is under way in the store is ended by the store. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const store = await this.#store?.catch(() => null);
    await store?.close();
    this.access.close();
    this.directory.close();
  }

  async #open(): Promise<ChunkStore> {
    const cacheDirectory = this.cacheDirectory;
    await mkdir(cacheDirectory, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
      throw new VzvaultError('E_PERMISSION', `making the cache directory ${cacheDirectory}: ${String(cause)}`, {
        cause,
      });
    });
    const store = await this.engine.openStore({ path: this.path, cacheDirectory, key: this.access.key });
    // It went by the path, the documents go through our directory: what was mounted over the path meanwhile would part data and snapshot.
    try {
      const found = await withDirectory(this.engine, this.path, readConfig);
      if (found.repositoryId === this.config.repositoryId) return store;
      throw new VzvaultError('E_REPOSITORY_MISSING', `opening ${this.path}: another repository is there now`);
    } catch (error) {
      await store.close();
      throw error;
    }
  }
}

/**
 * Makes a repository in `vzvault/` below an existing directory. E_PATH_MISSING, E_NOT_MOUNTED, E_REPOSITORY_EXISTS, and
 * E_CONFIG_INVALID where there are data of a repository that lost its config.
 */
export async function createRepository(
  engine: RepositoryEngine,
  location: StorageLocation,
  options: CreateOptions,
): Promise<Repository> {
  const { chunkSizeBytes = DEFAULT_CHUNK_SIZE_BYTES, createdAtSeconds, protector = null } = options;
  const secret = protector === null ? null : randomKey();
  const keyFingerprint = secret === null ? null : fingerprintOfSecret(secret);
  const config = newConfig({ chunkSizeBytes, createdAtSeconds, keyFingerprint });
  await withDirectory(engine, location.path, async (storage) => {
    await requireMounted(storage, location);
    const found = await findRepository(storage);
    if (found !== null) throw repositoryExists(found);
    await storage.makeDirectories(REPOSITORY_DIRECTORY);
  });
  const directory = engine.openDirectory(join(location.path, REPOSITORY_DIRECTORY));
  try {
    await refuseOrphans(directory);
    for (const name of DIRECTORIES) await directory.makeDirectories(name);
    if (secret === null || protector === null) {
      await putConfig(directory, config);
      return new Repository(engine, directory, config);
    }
    // Before the config: a repository that is there can be opened.
    const keys = new KeyDocuments(directory, config.repositoryId);
    const openedBy = await keys.add(secret, protector, createdAtSeconds);
    await putConfig(directory, config).catch(async (error: unknown) => {
      await directory.remove(`${KEYS_DIRECTORY}/${openedBy}`).catch(() => false);
      throw error;
    });
    return new Repository(engine, directory, config, RepositoryAccess.by(engine, { secret, openedBy }));
  } catch (error) {
    wipe(secret);
    directory.close();
    throw error;
  }
}

async function putConfig(directory: BlobStore, config: RepositoryConfig): Promise<void> {
  await directory.putIfAbsent(CONFIG, encodeConfig(config)).catch((error: unknown) => {
    if (hasCode(error, 'E_NAME_TAKEN')) throw repositoryExists(directory.path);
    throw error;
  });
}

/**
 * Opens the repository of a storage, an encrypted one also where its key is not at hand (`access.problem` says why). E_PATH_MISSING,
 * E_NOT_MOUNTED, E_REPOSITORY_MISSING, E_FORMAT_UNKNOWN, E_SUITE_UNKNOWN, E_SUITE_MISMATCH, E_CONFIG_INVALID.
 */
export async function openRepository(engine: RepositoryEngine, location: StorageLocation): Promise<Repository> {
  const path = await withDirectory(engine, location.path, async (storage) => {
    await requireMounted(storage, location);
    return await findRepository(storage);
  });
  if (path === null) throw repositoryMissing(location.path);
  const directory = engine.openDirectory(path);
  try {
    const config = await readConfig(directory);
    const access = await RepositoryAccess.find(engine, directory, config, location.unlocking);
    return new Repository(engine, directory, config, access);
  } catch (error) {
    directory.close();
    throw error;
  }
}

/** Looks into a directory and closes it again. */
async function withDirectory<T>(
  engine: RepositoryEngine,
  path: string,
  look: (directory: BlobStore) => Promise<T>,
): Promise<T> {
  const directory = engine.openDirectory(path);
  try {
    return await look(directory);
  } finally {
    directory.close();
  }
}

/** The path of the repository below the directory, or of the directory itself where it is one; null where there is none. */
async function findRepository(directory: BlobStore): Promise<string | null> {
  const hasFile = async (name: string): Promise<boolean> => (await directory.status(name))?.kind === 'file';
  if (await hasFile(`${REPOSITORY_DIRECTORY}/${CONFIG}`)) return join(directory.path, REPOSITORY_DIRECTORY);
  // Many directories hold a file called `config`; one beside `packs` is ours.
  if ((await hasFile(CONFIG)) && (await directory.status('packs'))?.kind === 'directory') return directory.path;
  return null;
}

async function readConfig(directory: BlobStore): Promise<RepositoryConfig> {
  const where = `${directory.path}/${CONFIG}`;
  const status = await directory.status(CONFIG);
  if (status !== null && status.sizeBytes > repositoryLimits.configBytes) {
    throw new VzvaultError('E_CONFIG_INVALID', `reading ${where}: it is too long`);
  }
  const bytes = await directory.read(CONFIG, repositoryLimits.configBytes);
  if (bytes === null) throw repositoryMissing(directory.path);
  return decodeConfig(bytes, where);
}

/** isMountpoint is looked up in the kernel's table, which no hung mount delays. */
async function requireMounted(storage: BlobStore, { path, isMountpoint = '' }: StorageLocation): Promise<void> {
  if (isMountpoint === '') return;
  const mountPoint = isMountpoint === 'yes' ? path : isMountpoint;
  if (!(await storage.isMounted(mountPoint))) {
    throw new VzvaultError('E_NOT_MOUNTED', `nothing is mounted on ${mountPoint}`);
  }
}

/** Packs or snapshots without a config: a new config would make them unreadable for good. */
async function refuseOrphans(directory: BlobStore): Promise<void> {
  for (const name of ['packs', 'snapshots']) {
    const entries = await directory.list(name);
    if (entries !== null && entries.length > 0) {
      throw new VzvaultError(
        'E_CONFIG_INVALID',
        `${directory.path} holds ${name} of a repository, but its config file is missing`,
      );
    }
  }
}

function repositoryExists(path: string): VzvaultError {
  return new VzvaultError('E_REPOSITORY_EXISTS', `${path} is a repository`);
}

function repositoryMissing(path: string): VzvaultError {
  return new VzvaultError('E_REPOSITORY_MISSING', `there is no repository in ${path}`);
}
