/**
 * What of a repository can be reached: all of it where it is not encrypted or its key is at hand; else what shows without a key, and the reason why
 * that is all. So a repository can be opened and listed without its key, and everything that needs it fails with the same one line.
 */

import type { DocumentKind, Engine, RepositoryKey } from '../../engine/types.js';
import { hasCode, VzvaultError } from '../../lib/errors.js';
import type { BlobStore } from '../blob-store.js';
import type { RepositoryConfig } from '../config.js';
import { wipe } from './key-material.js';
import { unlock, type Unlocked, type Unlocking } from './unlock.js';

/** Seals and opens the parts of a snapshot, each bound to the name of its file in the repository. */
export interface DocumentSealer {
  /** Why nothing can be sealed or opened: both throw it; null where they work. */
  readonly problem: VzvaultError | null;
  sealDocument(kind: DocumentKind, plain: Buffer, name: string): Buffer;
  openDocument(kind: DocumentKind, sealed: Buffer, name: string): Buffer;
}

type KeyEngine = Pick<Engine, 'loadKey' | 'sealDocument' | 'openDocument'>;

type State =
  | { readonly kind: 'plain' }
  | { readonly kind: 'locked'; readonly problem: VzvaultError }
  | { readonly kind: 'unlocked'; readonly key: RepositoryKey; readonly unlocked: Unlocked };

export class RepositoryAccess implements DocumentSealer {
  private constructor(
    private readonly engine: KeyEngine,
    private readonly state: State,
  ) {}

  /** To a repository that is not encrypted. */
  static plain(engine: KeyEngine): RepositoryAccess {
    return new RepositoryAccess(engine, { kind: 'plain' });
  }

  /** By a secret, which is ours from now on. */
  static by(engine: KeyEngine, unlocked: Unlocked): RepositoryAccess {
    return new RepositoryAccess(engine, { kind: 'unlocked', key: engine.loadKey(unlocked.secret), unlocked });
  }

  /** Finds the key where one is needed. Where there is none, or a wrong one, that is kept; E_SUITE_MISMATCH, errors of the storage. */
  static async find(
    engine: KeyEngine,
    store: BlobStore,
    { repositoryId, keyFingerprint }: RepositoryConfig,
    unlocking: Unlocking = {},
  ): Promise<RepositoryAccess> {
    if (keyFingerprint === null) {
      if (unlocking.mustBeEncrypted !== true) return RepositoryAccess.plain(engine);
      throw new VzvaultError(
        'E_SUITE_MISMATCH',
        `the repository ${store.path} is not encrypted, although it has to be`,
      );
    }
    try {
      return RepositoryAccess.by(engine, await unlock(store, { repositoryId, keyFingerprint }, unlocking));
    } catch (problem) {
      // Of the key, not of the storage: a repository that does not answer is not one without a key.
      if (!hasCode(problem, 'E_KEY_MISSING', 'E_KEY_WRONG', 'E_PERMISSION', 'E_CONFIG_INVALID')) throw problem;
      return new RepositoryAccess(engine, { kind: 'locked', problem });
    }
  }

  get isEncrypted(): boolean {
    return this.state.kind !== 'plain';
  }

  /** Why an encrypted repository cannot be read; null where it can. */
  get problem(): VzvaultError | null {
    return this.state.kind === 'locked' ? this.state.problem : null;
  }

  /** The document in `keys/` that opened it; null where none did. */
  get openedBy(): string | null {
    return this.state.kind === 'unlocked' ? this.state.unlocked.openedBy : null;
  }

  /** Null for a repository that is not encrypted, or cannot be read. */
  get key(): RepositoryKey | null {
    return this.state.kind === 'unlocked' ? this.state.key : null;
  }

  /** The secret, for a mount or another key; null where it is not encrypted. Stays ours. E_KEY_MISSING, E_KEY_WRONG. */
  get secret(): Buffer | null {
    this.require();
    return this.state.kind === 'unlocked' ? this.state.unlocked.secret : null;
  }

  /** E_KEY_MISSING, E_KEY_WRONG, E_PERMISSION: whatever kept us from finding the key. */
  require(): void {
    const { problem } = this;
    // Anew each time: an error is no constant, it carries where it was thrown.
    if (problem !== null) throw new VzvaultError(problem.code, problem.message, { cause: problem });
  }

  /** Whether both reach the same in the same way. */
  equals(other: RepositoryAccess): boolean {
    return (
      this.state.kind === other.state.kind &&
      this.key?.fingerprint === other.key?.fingerprint &&
      this.problem?.line === other.problem?.line
    );
  }

  sealDocument(kind: DocumentKind, plain: Buffer, name: string): Buffer {
    this.require();
    return this.engine.sealDocument(kind, plain, this.#encryption(name));
  }

  openDocument(kind: DocumentKind, sealed: Buffer, name: string): Buffer {
    this.require();
    try {
      return this.engine.openDocument(kind, sealed, this.#encryption(name));
    } catch (error) {
      // One in plain where all is encrypted, or the other way round: somebody put it there.
      if (!hasCode(error, 'E_SUITE_MISMATCH', 'E_KEY_MISSING')) throw error;
      throw new VzvaultError('E_SNAPSHOT_DAMAGED', error.message, { cause: error });
    }
  }

  /** Overwrites the secret. What was opened with it goes on. */
  close(): void {
    if (this.state.kind === 'unlocked') wipe(this.state.unlocked.secret);
  }

  #encryption(name: string): { key: RepositoryKey; name: string } | null {
    return this.key === null ? null : { key: this.key, name };
  }
}
