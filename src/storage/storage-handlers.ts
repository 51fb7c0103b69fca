/**
 * The handlers of `storage.*` (docs/protocol.md, "Storage"): what the storage plugin asks, answered from the repository's directory.
 *
 * Stateless but for the pool. Params were checked against the contract before they come here; names of volumes are parsed
 * again since parsing is how one becomes a snapshot id.
 */
import type { Clock } from '../lib/clock.js';
import { hasCode, VzvaultError } from '../lib/errors.js';
import type { SnapshotId } from '../lib/guest.js';
import { storageLimits } from '../lib/limits.js';
import { parseVolumeName } from '../lib/volume-name.js';
import { wipe } from '../repository/keys/key-material.js';
import { keyOfStorage, locationOfStorage } from '../repository/keys/storage-key.js';
import { createRepository, type Repository } from '../repository/repository.js';
import { backupEntryOf, readBackupPage, type BackupEntry, type BackupPage } from './backup-page.js';
import type { RepositoryPool } from './repository-pool.js';

/** A section of storage.cfg, as the plugin sends it. */
export interface StorageSection {
  readonly id: string;
  readonly path: string;
  readonly isMountpoint: string;
  readonly chunkSizeBytes?: number;
  /** `encryption-key`: the fingerprint of the storage's key; absent where it has none. */
  readonly encryptionKey?: string;
}

export interface StorageCall {
  readonly storage: StorageSection;
}

export interface VolumeCall extends StorageCall {
  readonly volume: string;
}

export class StorageHandlers {
  constructor(
    private readonly pool: RepositoryPool,
    private readonly clock: Clock,
  ) {}

  /** Makes a repository, encrypted where the storage has a key, or joins the one that is there, which that key has to open. */
  async create({ storage }: StorageCall): Promise<{ created: boolean; repositoryId: string }> {
    const options = { timeoutMs: storageLimits.patientMs, doing: `making a repository in ${nameOf(storage)}` };
    const location = locationOfStorage(storage);
    const key = storage.encryptionKey === undefined ? null : await keyOfStorage(storage.id);
    try {
      return await this.pool.withEngine(location, options, async (engine) => {
        const created = await createRepository(engine, location, {
          createdAtSeconds: this.clock.nowSeconds(),
          chunkSizeBytes: storage.chunkSizeBytes,
          protector: key === null ? null : { kind: 'key', key, label: `storage ${storage.id}` },
        });
        created.access.close();
        return { created: true, repositoryId: created.config.repositoryId };
      });
    } catch (error) {
      if (!hasCode(error, 'E_REPOSITORY_EXISTS')) throw error;
      return { created: false, ...(await this.unlock({ storage })) };
    } finally {
      wipe(key);
    }
  }

  /** Whether the storage's key opens the repository: E_KEY_MISSING, E_KEY_WRONG, E_SUITE_MISMATCH where it does not. */
  unlock({ storage }: StorageCall): Promise<{ repositoryId: string }> {
    return this.#promptly(storage, 'trying the key of', async (repository) => {
      repository.access.require();
      return { repositoryId: repository.config.repositoryId };
    });
  }

  activate({ storage }: StorageCall): Promise<{ repositoryId: string }> {
    return this.#promptly(storage, 'activating', async (repository) => ({
      repositoryId: repository.config.repositoryId,
    }));
  }

  status({ storage }: StorageCall): Promise<{ totalBytes: number; availableBytes: number; usedBytes: number }> {
    return this.#promptly(storage, 'asking for the free space of', async (repository) => {
      const { totalBytes, availableBytes, usedBytes } = await repository.space();
      return { totalBytes, availableBytes, usedBytes };
    });
  }

  list(call: StorageCall & { vmid?: number; after?: string }): Promise<BackupPage> {
    const filter = call.vmid === undefined ? {} : { vmid: call.vmid };
    return this.#promptly(call.storage, 'listing', ({ snapshots }) =>
      readBackupPage(snapshots, filter, call.after ?? '', this.clock),
    );
  }

  info({ storage, volume }: VolumeCall): Promise<BackupEntry> {
    return this.#promptly(storage, `looking up ${volume} in`, async ({ snapshots }) =>
      backupEntryOf(await snapshots.get(snapshotOf(volume))),
    );
  }

  setNotes({ storage, volume, notes }: VolumeCall & { notes: string }): Promise<Record<string, never>> {
    return this.#promptly(storage, `setting the notes of ${volume} in`, async ({ snapshots }) => {
      await snapshots.sidecars.setNotes(snapshotOf(volume), notes);
      return {};
    });
  }

  setProtected({
    storage,
    volume,
    protected: on,
  }: VolumeCall & { protected: boolean }): Promise<Record<string, never>> {
    return this.#promptly(storage, `setting the protection of ${volume} in`, async ({ snapshots }) => {
      await snapshots.sidecars.setProtected(snapshotOf(volume), on);
      return {};
    });
  }

  free({ storage, volume }: VolumeCall): Promise<Record<string, never>> {
    const options = { timeoutMs: storageLimits.patientMs, doing: `removing ${volume} from ${nameOf(storage)}` };
    return this.pool.withRepository(locationOfStorage(storage), options, async ({ snapshots }) => {
      await snapshots.remove(snapshotOf(volume));
      return {};
    });
  }

  readConfig({ storage, volume, name }: VolumeCall & { name: string }): Promise<{ contentBase64: string | null }> {
    return this.#promptly(storage, `reading ${name} of ${volume} in`, async ({ snapshots }) => {
      const { files } = await snapshots.read(snapshotOf(volume));
      return { contentBase64: files.find((file) => file.name === name)?.bytes.toString('base64') ?? null };
    });
  }

  #promptly<T>(storage: StorageSection, doing: string, work: (repository: Repository) => Promise<T>): Promise<T> {
    const options = { timeoutMs: storageLimits.promptMs, doing: `${doing} ${nameOf(storage)}` };
    return this.pool.withRepository(locationOfStorage(storage), options, work);
  }
}

function nameOf(storage: StorageSection): string {
  return `the storage ${storage.id} (${storage.path})`;
}

function snapshotOf(volume: string): SnapshotId {
  const id = parseVolumeName(volume);
  if (id === null) throw new VzvaultError('E_ARGUMENT_INVALID', `'${volume}' is not the name of a backup`);
  return id;
}
