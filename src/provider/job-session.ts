/**
 * One run of vzdump into one storage: opened → ended. It holds the repository open and is the parent of the guests' backups, which
 * end with it.
 */
import type { Logger } from '../lib/logger.js';
import type { ProcessIdentity } from '../lib/process-identity.js';
import type { Repository } from '../repository/repository.js';
import type { StorageSection } from './call.js';
import { DiscardSwitch } from './discard-switch.js';
import type { GuestBackupSession } from './guest-backup-session.js';
import { closeRepository } from './open-repository.js';
import { StateMachine, type Transitions } from './state-machine.js';

type JobState = 'opened' | 'ended';
type JobEvent = 'begin a backup' | 'end';

const transitions: Transitions<JobState, JobEvent> = {
  opened: { 'begin a backup': 'opened', end: 'ended' },
  ended: {},
};

export interface JobOptions {
  readonly id: string;
  readonly owner: ProcessIdentity;
  readonly storage: StorageSection;
  /** Owned: closed at the end. */
  readonly repository: Repository;
  readonly logger: Logger;
}

export class JobSession {
  readonly id: string;
  readonly owner: ProcessIdentity;
  readonly repository: Repository;
  readonly storage: StorageSection;
  readonly discards = new DiscardSwitch();
  readonly #machine = new StateMachine<JobState, JobEvent>('the job', transitions, 'opened');
  readonly #backups = new Set<GuestBackupSession>();

  constructor(private readonly options: JobOptions) {
    ({ id: this.id, owner: this.owner, repository: this.repository, storage: this.storage } = options);
  }

  /** The guests' backups, in the order of their beginning. */
  get backups(): readonly GuestBackupSession[] {
    return [...this.#backups];
  }

  /** E_SESSION_STATE where the job has ended. */
  requireOpened(): void {
    this.#machine.fire('begin a backup');
  }

  add(backup: GuestBackupSession): void {
    this.requireOpened();
    this.#backups.add(backup);
  }

  /** Ends the backups, stopping one that runs, then closes the repository. Repeatable. Never fails. */
  async end(): Promise<void> {
    if (!this.#machine.allows('end')) return;
    this.#machine.fire('end');
    await Promise.all(this.backups.map((backup) => backup.end('its job ended')));
    await closeRepository(this.repository, this.options.logger);
  }
}
