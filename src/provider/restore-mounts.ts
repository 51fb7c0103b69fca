/**
 * The FUSE mounts of restores: making them, and what becomes of those that an earlier daemon left.
 *
 * vzvault-fuse is a process of its own that outlives the daemon. Nobody is ever killed by a pid alone: the recorded start time has to
 * match, and the command line has to be that of vzvault-fuse on this very directory. Where that cannot be told just now the process is
 * neither killed nor taken for gone.
 */
import { mkdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { crashPoint } from '../lib/crash-points.js';
import { pause } from '../lib/deadline.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { mountLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import { isAlive, type ProcessIdentity, type ProcessTable } from '../lib/process-identity.js';
import type { MountSpec } from '../repository/mount-spec.js';
import { startMount, unmountLazily, type Mount } from '../repository/mount.js';
import { MountFaults } from './mount-faults.js';
import { MountLogFile } from './mount-log-file.js';
import { RestoreSession, type RestoreMount, type RestoreMounter, type RestoreRecord } from './restore-session.js';
import { RestoreStateFiles, type RestoreState } from './restore-state.js';

const program = 'vzvault-fuse';

export interface RestoreMountsOptions {
  /** `/run/vzvault` */
  readonly runDirectory: string;
  readonly processes: ProcessTable;
  readonly logger: Logger;
}

export class RestoreMounts implements RestoreMounter {
  readonly #files: RestoreStateFiles;

  constructor(private readonly options: RestoreMountsOptions) {
    this.#files = new RestoreStateFiles(options.runDirectory);
  }

  async mount(record: RestoreRecord, spec: MountSpec, signal: AbortSignal): Promise<RestoreMount> {
    const directory = this.#files.mountDirectory(record.id);
    try {
      await mkdir(spec.cacheDirectory, { recursive: true, mode: 0o700 });
      this.#files.create(record.id);
      // Before the program starts, so that a daemon that dies right now leaves no mount that nobody knows.
      this.#files.write({ ...record, mountProcess: null });
      crashPoint('mount-recorded');
      const log = { kind: 'file', path: this.#files.logFile(record.id) } as const;
      const mount = await startMount({ directory, spec, log, signal });
      const mountProcess = this.options.processes.identify(mount.pid);
      // Without it the next daemon would not know the mount, and nobody whether it is still there.
      if (mountProcess === null) {
        throw new VzvaultError('E_MOUNT_FAILED', `mounting on ${directory}: the process ${mount.pid} cannot be seen`);
      }
      this.#files.write({ ...record, mountProcess });
      crashPoint('mount-ready');
      mount.release();
      void mount.ended.then(() => {
        this.options.logger.debug({ restore: record.id }, 'vzvault-fuse has ended');
      });
      return this.#own(record.id, mount, mountProcess);
    } catch (error) {
      await this.#discard(record.id, null);
      if (error instanceof VzvaultError) throw error;
      throw new VzvaultError('E_MOUNT_FAILED', `mounting on ${directory}: ${toVzvaultError(error).message}`, {
        cause: error,
      });
    }
  }

  /** The restores that go on: owner and mount are alive. Whatever else is left over is unmounted and removed. */
  async adopt(): Promise<RestoreSession[]> {
    const adopted: RestoreSession[] = [];
    for (const [id, state] of this.#files.all()) {
      const { logger, processes } = this.options;
      if (state !== null && isAlive(state.owner, processes) && this.#mayServeMount(state)) {
        logger.info({ restore: id, owner: state.owner.pid }, 'went on with a restore of the daemon before');
        adopted.push(RestoreSession.adopt({ record: state, logger, reader: null }, this.#adoptedMount(state)));
      } else {
        logger.info({ restore: id }, 'cleaning up a mount that was left over');
        await this.#discard(id, state);
      }
    }
    return adopted;
  }

  #own(id: string, mount: Mount, mountProcess: ProcessIdentity): RestoreMount {
    const log = this.#logOf(id);
    return {
      directory: this.#files.mountDirectory(id),
      process: mountProcess,
      isAlive: () => isAlive(mountProcess, this.options.processes),
      takeLog: () => log.take(),
      remove: async () => {
        await mount.stop();
        await this.#clean(id, null, log);
      },
    };
  }

  #adoptedMount(state: RestoreState): RestoreMount {
    const log = this.#logOf(state.id);
    return {
      directory: this.#files.mountDirectory(state.id),
      process: state.mountProcess,
      isAlive: () => this.#mayServeMount(state),
      takeLog: () => log.take(),
      remove: () => this.#clean(state.id, state, log),
    };
  }

  /** Whether the recorded process runs, and is vzvault-fuse on this restore's directory; also where that cannot be told. */
  #mayServeMount({ id, mountProcess }: RestoreState): boolean {
    const { processes } = this.options;
    if (mountProcess === null || !isAlive(mountProcess, processes)) return false;
    const commandLine = processes.commandLine(mountProcess.pid);
    return commandLine === null || this.#isOurs(id, commandLine);
  }

  /** The same only where it is certain: the process may be killed. */
  #servesMount({ id, mountProcess }: RestoreState): boolean {
    const { processes } = this.options;
    if (mountProcess === null || processes.identify(mountProcess.pid)?.startTicks !== mountProcess.startTicks)
      return false;
    return this.#isOurs(id, processes.commandLine(mountProcess.pid) ?? []);
  }

  #isOurs(id: string, [command = '', ...args]: readonly string[]): boolean {
    return basename(command) === program && args.includes(this.#files.mountDirectory(id));
  }

  #logOf(id: string): MountLogFile {
    return new MountLogFile(this.#files.logFile(id));
  }

  /** Cleans up what has no session, so that what its program said can be logged only. Never fails. */
  async #discard(id: string, state: RestoreState | null): Promise<void> {
    const log = this.#logOf(id);
    await this.#clean(id, state, log);
    new MountFaults(this.options.logger.child({ restore: id })).addLines(log.take());
  }

  /** Ends the recorded program, unmounts what is left, removes directory, state and the file of the log. Never fails. */
  async #clean(id: string, state: RestoreState | null, log: MountLogFile): Promise<void> {
    const directory = this.#files.mountDirectory(id);
    try {
      if (state !== null) await this.#stop(state, 'SIGTERM');
      // Once for each mount that lies over the directory; a program without a record ends when its mount is gone.
      for (let mounts = 0; mounts < 4 && (await unmountLazily(directory)); mounts += 1);
      if (state !== null) await this.#stop(state, 'SIGKILL');
      log.keepRest();
      this.#files.remove(id);
    } catch (error) {
      this.options.logger.warn({ restore: id }, `cleaning up ${directory}: ${toVzvaultError(error).message}`);
    }
  }

  async #stop(state: RestoreState, signal: NodeJS.Signals): Promise<void> {
    if (state.mountProcess === null || !this.#servesMount(state)) return;
    process.kill(state.mountProcess.pid, signal);
    const end = performance.now() + mountLimits.stopMs;
    while (this.#mayServeMount(state) && performance.now() < end) await pause(50);
  }
}
