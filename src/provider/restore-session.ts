/**
 * One restore of one snapshot:
 *
 *     begun ── mount ──→ mounting ── mounted ──→ mounted
 *       ↑                   └─────── fail ──→ begun
 *       end (from anywhere) ──→ ended
 *
 * Invariants: there is at most one mount, made when the first disk or archive is opened and shared by all of them; it is gone when `end` has
 * answered. The daemon may end in between: the mount lives on and its session is adopted by the next daemon.
 */
import { withDeadline } from '../lib/deadline.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import type { ProcessIdentity } from '../lib/process-identity.js';
import { archivePaths, volumeFileName, type MountSpec } from '../repository/mount-spec.js';
import type { ReaderRecord } from '../repository/sessions/adopted-reader.js';
import type { Call, ContainerRestore } from './call.js';
import { MountFaults } from './mount-faults.js';
import type { RestoreReader } from './restore-reader.js';
import { StateMachine, type Transitions } from './state-machine.js';

type RestoreState = 'begun' | 'mounting' | 'mounted' | 'ended';
type RestoreEvent = 'mount' | 'mounted' | 'fail' | 'end';

const transitions: Transitions<RestoreState, RestoreEvent> = {
  begun: { mount: 'mounting', end: 'ended' },
  mounting: { mounted: 'mounted', fail: 'begun', end: 'ended' },
  mounted: { end: 'ended' },
  ended: {},
};

/** A mount of this restore that is there. */
export interface RestoreMount {
  /** Absolute. */
  readonly directory: string;
  /** What reads; null where it cannot be told. */
  readonly process: ProcessIdentity | null;
  readonly isAlive: () => boolean;
  /** What its program has logged since the last time, line by line; also after `remove`. */
  readonly takeLog: () => readonly string[];
  /** Unmounts, waits for the program's end, removes directory and state. Repeatable. */
  readonly remove: () => Promise<void>;
}

/** What of a restore outlives the daemon. */
export interface RestoreRecord {
  readonly id: string;
  readonly owner: ProcessIdentity;
  /** Sizes in bytes. */
  readonly disks: Readonly<Record<string, number>>;
  /** Names. */
  readonly archives: readonly string[];
  /** The session that keeps its data; null where there is none. */
  readonly reader: ReaderRecord | null;
}

/** Makes mounts; see restore-mounts.ts. */
export interface RestoreMounter {
  readonly mount: (record: RestoreRecord, spec: MountSpec, signal: AbortSignal) => Promise<RestoreMount>;
}

export interface RestoreOptions {
  readonly record: RestoreRecord;
  readonly logger: Logger;
  /** Owned; null where the data is not protected, or will be adopted. */
  readonly reader: RestoreReader | null;
}

export class RestoreSession {
  readonly id: string;
  readonly owner: ProcessIdentity;
  readonly disks: Readonly<Record<string, number>>;
  readonly #machine: StateMachine<RestoreState, RestoreEvent>;
  readonly #stop = new AbortController();
  readonly #faults: MountFaults;
  #mount: Promise<RestoreMount> | null = null;
  #reader: RestoreReader | null;

  private constructor(
    private readonly options: RestoreOptions,
    private readonly startMount: ((signal: AbortSignal) => Promise<RestoreMount>) | null,
    adopted: RestoreMount | null,
    private readonly secret: Buffer | null = null,
  ) {
    ({ id: this.id, owner: this.owner, disks: this.disks } = options.record);
    this.#reader = options.reader;
    this.#faults = new MountFaults(options.logger.child({ restore: this.id }));
    this.#machine = new StateMachine('the restore', transitions, adopted === null ? 'begun' : 'mounted');
    if (adopted !== null) this.#mount = Promise.resolve(adopted);
  }

  /** Owns the secret in the spec. */
  static begin(options: RestoreOptions, spec: MountSpec, mounter: RestoreMounter): RestoreSession {
    const mount = (signal: AbortSignal): Promise<RestoreMount> => mounter.mount(options.record, spec, signal);
    return new RestoreSession(options, mount, null, spec.key?.secret);
  }

  /** Goes on with a mount that an earlier daemon made. */
  static adopt(options: RestoreOptions, mount: RestoreMount): RestoreSession {
    return new RestoreSession(options, null, mount);
  }

  get readerRecord(): ReaderRecord | null {
    return this.options.record.reader;
  }

  get state(): RestoreState {
    return this.#machine.state;
  }

  /** The path of a disk's file. E_VOLUME_MISSING, E_MOUNT_FAILED, E_SESSION_STATE after the end. */
  async openDisk(device: string): Promise<string> {
    if (!Object.hasOwn(this.disks, device)) {
      throw new VzvaultError(
        'E_VOLUME_MISSING',
        `the backup has no disk ${device}, but ${Object.keys(this.disks).join(', ')}`,
      );
    }
    return await this.#pathOf(volumeFileName(device));
  }

  /** The path of an archive's tar file or directory. Errors as for `openDisk`. */
  async openArchive(name: string, mechanism: ContainerRestore): Promise<string> {
    if (!this.options.record.archives.includes(name)) {
      throw new VzvaultError('E_VOLUME_MISSING', `the backup has no archive ${name}: it is not one of a container`);
    }
    return await this.#pathOf(archivePaths(name)[mechanism]);
  }

  /** Logs what the mount has met since the last time. To be called now and then. Never fails. */
  async follow(): Promise<void> {
    if (this.#machine.state !== 'mounted') return;
    const mount = await this.#mount?.catch(() => null);
    this.#faults.addLines(mount?.takeLog() ?? []);
  }

  /**
   * Unmounts and cleans up, and says to `log` what the mount met. Repeatable. Never fails: what could not be removed is, when a daemon
   * starts.
   */
  async end(log: Call['log']): Promise<void> {
    if (!this.#machine.allows('end')) return;
    this.#machine.fire('end');
    this.#stop.abort(new VzvaultError('E_CANCELLED', 'the restore was ended'));
    this.secret?.fill(0);
    const mount = await this.#mount?.catch(() => null);
    if (mount) await this.#remove(mount);
    await this.#reader?.end();
    this.#faults.report(log);
  }

  async #remove(mount: RestoreMount): Promise<void> {
    const lost = mount.isAlive() ? null : lostMount(mount);
    try {
      await withDeadline(mount.remove(), sessionLimits.unmountMs, 'E_MOUNT_FAILED', `unmounting ${mount.directory}`);
    } catch (error) {
      this.options.logger.warn({ restore: this.id }, toVzvaultError(error).message);
    }
    this.#faults.addLines(mount.takeLog());
    if (lost !== null) this.#faults.add(lost);
  }

  /** Gives an adopted restore what keeps its data. REQUIRES: it has not ended. */
  attach(reader: RestoreReader): void {
    this.#reader = reader;
  }

  async #pathOf(name: string): Promise<string> {
    const mount = await this.#mounted();
    if (!mount.isAlive()) throw lostMount(mount);
    return `${mount.directory}/${name}`;
  }

  #mounted(): Promise<RestoreMount> {
    if (this.#mount !== null && this.#machine.state !== 'ended') return this.#mount;
    this.#machine.fire('mount');
    this.#mount = this.#startMount();
    return this.#mount;
  }

  async #startMount(): Promise<RestoreMount> {
    try {
      if (this.startMount === null) throw new VzvaultError('E_INTERNAL', 'an adopted restore lost its mount');
      const mount = await this.startMount(this.#stop.signal);
      await this.#reader?.handOver(mount.process);
      if (this.#machine.allows('mounted')) this.#machine.fire('mounted');
      return mount;
    } catch (error) {
      if (this.#machine.allows('fail')) this.#machine.fire('fail');
      this.#mount = null;
      throw error;
    }
  }
}

function lostMount({ directory }: RestoreMount): VzvaultError {
  return new VzvaultError('E_MOUNT_FAILED', `vzvault-fuse, which served ${directory}, has ended unexpectedly`);
}
