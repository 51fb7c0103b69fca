/**
 * The directory `keys/` of a repository: one document for each key or passphrase that opens it.
 *
 * Documents are write-once: another passphrase is another document, put before the old one goes. At least one stays, also where two
 * removals meet: whoever finds none left puts back what it removed.
 */

import { hasCode, VzvaultError } from '../../lib/errors.js';
import { keyLimits } from '../../lib/limits.js';
import type { BlobStore } from '../blob-store.js';
import { makeKeyDocument, parseKeyDocument, type KeyDocument, type Protector } from './key-document.js';

export const KEYS_DIRECTORY = 'keys';
const FINGERPRINT = /^[0-9a-f]{32}$/;

/** What lies under a name in `keys/`. */
export interface ListedKey {
  readonly fingerprint: string;
  /** Null where it cannot be read, or belongs to another repository. */
  readonly document: KeyDocument | null;
  /** What is wrong with it; null where nothing is. */
  readonly damage: string | null;
}

export class KeyDocuments {
  constructor(
    private readonly store: BlobStore,
    private readonly repositoryId: string,
  ) {}

  /** Ordered by fingerprint; at most keyLimits.documents. */
  async list(): Promise<ListedKey[]> {
    const entries = (await this.store.list(KEYS_DIRECTORY)) ?? [];
    const names = entries.map(({ name }) => name).filter((name) => FINGERPRINT.test(name));
    const listed: ListedKey[] = [];
    for (const fingerprint of names.slice(0, keyLimits.documents)) {
      const key = await this.#look(fingerprint);
      if (key !== null) listed.push(key);
    }
    return listed;
  }

  /** Null where there is none. E_CONFIG_INVALID where it is damaged or belongs to another repository. */
  async read(fingerprint: string): Promise<KeyDocument | null> {
    const name = nameOf(fingerprint);
    const where = `${this.store.path}/${name}`;
    const bytes = await this.store.read(name, keyLimits.documentBytes).catch((error: unknown) => {
      // The only argument that can be unacceptable is the length of what was found.
      if (!hasCode(error, 'E_ARGUMENT_INVALID')) throw error;
      throw new VzvaultError('E_CONFIG_INVALID', `reading ${where}: it is too long`, { cause: error });
    });
    if (bytes === null) return null;
    const document = parseKeyDocument(bytes, fingerprint, where);
    if (document.repositoryId === this.repositoryId) return document;
    throw new VzvaultError(
      'E_CONFIG_INVALID',
      `reading ${where}: it is that of the repository ${document.repositoryId}, not of ${this.repositoryId}`,
    );
  }

  /** Lets one more open the repository; answers its fingerprint. E_NAME_TAKEN where it does already. */
  async add(secret: Buffer, protector: Protector, createdAtSeconds: number): Promise<string> {
    if ((await this.list()).length >= keyLimits.documents) {
      throw new VzvaultError(
        'E_UNSUPPORTED',
        `${this.store.path} has ${keyLimits.documents} keys, no more are possible`,
      );
    }
    const { repositoryId } = this;
    const { fingerprint, bytes } = await makeKeyDocument(secret, protector, { repositoryId, createdAtSeconds });
    try {
      await this.store.putIfAbsent(nameOf(fingerprint), bytes);
    } catch (error) {
      if (!hasCode(error, 'E_NAME_TAKEN')) throw error;
      const there = await this.#look(fingerprint);
      if (there === null || there.damage === null) {
        throw new VzvaultError('E_NAME_TAKEN', `the key ${fingerprint} opens ${this.store.path} already`, {
          cause: error,
        });
      }
      // It opens nothing: damaged, or left by a repository whose making was cut short.
      await this.store.replace(nameOf(fingerprint), bytes);
    }
    return fingerprint;
  }

  /** Takes one away: what is in the repository stays as it is. E_KEY_MISSING where there is none, E_UNSUPPORTED for the last. */
  async remove(fingerprint: string): Promise<void> {
    const name = nameOf(fingerprint);
    const bytes = await this.store.read(name, keyLimits.documentBytes);
    if (bytes === null) {
      throw new VzvaultError('E_KEY_MISSING', `${this.store.path} has no key ${fingerprint}`);
    }
    const last = new VzvaultError(
      'E_UNSUPPORTED',
      `${fingerprint} is the last key of ${this.store.path}; add another first`,
    );
    if ((await this.#others(fingerprint)) === 0) throw last;
    await this.store.remove(name);
    if ((await this.#others(fingerprint)) > 0) return;
    // Somebody took the others away at the same moment.
    await this.store.putIfAbsent(name, bytes);
    throw last;
  }

  /** Keys that can be read, but for this one. */
  async #others(fingerprint: string): Promise<number> {
    return (await this.list()).filter((key) => key.document !== null && key.fingerprint !== fingerprint).length;
  }

  async #look(fingerprint: string): Promise<ListedKey | null> {
    try {
      const document = await this.read(fingerprint);
      return document === null ? null : { fingerprint, document, damage: null };
    } catch (error) {
      const isUnreadable = hasCode(error, 'E_CONFIG_INVALID', 'E_STORAGE_IO');
      if (!isUnreadable) throw error;
      return { fingerprint, document: null, damage: error.message };
    }
  }
}

function nameOf(fingerprint: string): string {
  return `${KEYS_DIRECTORY}/${fingerprint}`;
}
