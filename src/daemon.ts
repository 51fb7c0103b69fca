/**
 * vzvaultd: the composition root of the daemon. Wiring only.
 *
 * Stays in the foreground, logs to standard error, is ready when its socket accepts. SIGTERM and SIGINT stop it: running backups are
 * cancelled with nothing committed, mounts of restores live on for the next daemon. Everything hangs off one Daemon object; no
 * module keeps state of its own.
 */
import { mkdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { engine } from './engine/index.js';
import { systemClock } from './lib/clock.js';
import { toVzvaultError, VzvaultError } from './lib/errors.js';
import { sessionLimits } from './lib/limits.js';
import { createLogger, type Logger } from './lib/logger.js';
import { systemProcesses } from './lib/process-identity.js';
import { VERSION } from './lib/version.js';
import { BitmapRecordFiles } from './provider/bitmap-records.js';
import type { ContainerCall, StorageSection, VmCall } from './provider/call.js';
import { CollectionSchedule } from './provider/collection-schedule.js';
import { readNodeStorages } from './provider/node-storages.js';
import { ProviderHandlers } from './provider/provider-handlers.js';
import { RestoreMounts } from './provider/restore-mounts.js';
import type { BlobStore } from './repository/blob-store.js';
import { sharingOf } from './repository/sessions/sharing.js';
import { RpcServer, type Handlers, type RequestContext } from './rpc/server.js';
import { RepositoryPool } from './storage/repository-pool.js';
import { StorageHandlers } from './storage/storage-handlers.js';

interface Settings {
  readonly socketPath: string;
  readonly runDirectory: string;
  readonly logLevel: string;
  readonly stallTimeoutMs: number;
}

/** docs/operations.md lists the variables. */
function settingsFrom(environment: NodeJS.ProcessEnv): Settings {
  const runDirectory = environment['VZVAULT_RUN_DIR'] ?? '/run/vzvault';
  const stallSeconds = Number(environment['VZVAULT_STALL_TIMEOUT_SECONDS']);
  return {
    socketPath: environment['VZVAULT_SOCKET'] ?? join(runDirectory, 'vzvaultd.sock'),
    runDirectory,
    logLevel: environment['VZVAULT_LOG_LEVEL'] ?? 'info',
    stallTimeoutMs: stallSeconds > 0 ? Math.ceil(stallSeconds * 1000) : sessionLimits.stallTimeoutMs,
  };
}

class Daemon {
  readonly #sweeper: NodeJS.Timeout;

  private constructor(
    private readonly server: RpcServer,
    private readonly provider: ProviderHandlers,
    private readonly collections: CollectionSchedule,
    private readonly logger: Logger,
  ) {
    this.#sweeper = setInterval(() => void provider.sweep(), sessionLimits.sweepIntervalMs);
  }

  static async start(settings: Settings, logger: Logger): Promise<Daemon> {
    const { socketPath, runDirectory, stallTimeoutMs } = settings;
    for (const directory of [runDirectory, dirname(socketPath)]) mkdirSync(directory, { recursive: true, mode: 0o755 });
    const clock = systemClock;
    const processes = systemProcesses;
    const mounts = new RestoreMounts({ runDirectory, processes, logger });
    const createdBy = { version: VERSION, hostname: hostname() };
    const records = new BitmapRecordFiles(runDirectory);
    const onFailure = (session: string, { code, message }: VzvaultError): void => {
      logger.warn({ session, code }, `a heartbeat failed: ${message}`);
    };
    const openDirectory = (path: string): BlobStore => engine.openDirectory(path);
    const sharing = sharingOf({ hostname: hostname(), processes, clock, onFailure, openDirectory });
    const services = { engine, mounter: mounts, records, processes, clock, sharing, logger };
    const nodeStorages = (): ReturnType<typeof readNodeStorages> => readNodeStorages(hostname());
    const collections = new CollectionSchedule({ engine, sharing, clock, logger, nodeStorages });
    const onStorageUsed = (storage: StorageSection): void => {
      collections.noteUse(storage);
    };
    const provider = new ProviderHandlers({ ...services, onStorageUsed, createdBy, stallTimeoutMs });
    const storage = new StorageHandlers(new RepositoryPool(engine, clock), clock);
    const handlers = handlersOf(storage, provider);
    const server = await RpcServer.start({ engine, socketPath, handlers, logger, version: VERSION });
    // Not before the socket is ours: mounts of a daemon that runs are none of ours to clean.
    provider.adoptRestores(mounts.adopt());
    logger.info({ socketPath, version: VERSION }, 'vzvaultd is ready');
    void collections.run();
    return new Daemon(server, provider, collections, logger);
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    this.logger.info(this.provider.sessionCounts, 'vzvaultd is stopping');
    await this.server.stop();
    await Promise.all([this.provider.stop(), this.collections.stop()]);
    this.logger.info('vzvaultd has stopped');
  }
}

function handlersOf(storage: StorageHandlers, provider: ProviderHandlers): Handlers {
  return {
    'storage.create': (params) => storage.create(params),
    'storage.unlock': (params) => storage.unlock(params),
    'storage.activate': (params) => storage.activate(params),
    'storage.status': (params) => storage.status(params),
    'storage.list': (params) => storage.list(params),
    'storage.info': (params) => storage.info(params),
    'storage.setNotes': (params) => storage.setNotes(params),
    'storage.setProtected': (params) => storage.setProtected(params),
    'storage.free': (params) => storage.free(params),
    'storage.readConfig': (params) => storage.readConfig(params),
    'job.begin': (params, call) => provider.jobBegin(params, call),
    'job.end': (params) => provider.jobEnd(params),
    'backup.begin': (params) => provider.backupBegin(params),
    'backup.mechanism': (params) => provider.backupMechanism(params),
    'backup.queryIncremental': (params) => provider.backupQueryIncremental(params),
    'backup.vm': (params, context) => withVmCall(context, (call) => provider.backupVm(params, call)),
    'backup.container': (params, context) =>
      withContainerCall(context, (call) => provider.backupContainer(params, call)),
    'backup.end': (params) => provider.backupEnd(params),
    'backup.keepLog': (params) => provider.backupKeepLog(params),
    'restore.begin': (params, call) => provider.restoreBegin(params, call),
    'restore.openDisk': (params) => provider.restoreOpenDisk(params),
    'restore.closeDisk': (params) => provider.restoreCloseDisk(params),
    'restore.openArchive': (params) => provider.restoreOpenArchive(params),
    'restore.end': (params, call) => provider.restoreEnd(params, call),
    'daemon.ping': async () => ({ version: VERSION, pid: process.pid }),
  };
}

/** The context of a request as the provider sees it, with the descriptors that came along; they are closed at the end. */
async function withVmCall<T>(context: RequestContext, work: (call: VmCall) => Promise<T>): Promise<T> {
  const { peer, signal } = context;
  const descriptors = context.takeFds();
  try {
    return await work({
      ...{ peer, signal, descriptors },
      log: (level, message) => {
        context.log(level, message);
      },
      nextDirtyRegions: (device) => context.request('backup.nextDirtyRegions', { device }, { signal }),
    });
  } finally {
    for (const fd of descriptors) engine.closeFd(fd);
  }
}

/** The same with tar's two pipes: its stream, and what it says. */
async function withContainerCall<T>(context: RequestContext, work: (call: ContainerCall) => Promise<T>): Promise<T> {
  const { peer, signal } = context;
  const descriptors = context.takeFds();
  const [archiveFd, messagesFd] = descriptors;
  if (archiveFd === undefined || messagesFd === undefined || descriptors.length > 2) {
    for (const fd of descriptors) engine.closeFd(fd);
    throw new VzvaultError('E_ARGUMENT_INVALID', `backup.container came with ${descriptors.length} descriptors, not 2`);
  }
  let isOpen = true;
  const closeArchive = (): void => {
    if (isOpen) engine.closeFd(archiveFd);
    isOpen = false;
  };
  // Owns its descriptor.
  const messages = new Socket({ fd: messagesFd, readable: true, writable: false });
  // What can be read of it was: an error is an end.
  messages.on('error', () => undefined);
  try {
    return await work({
      ...{ peer, signal, archiveFd, messages, closeArchive },
      log: (level, message) => {
        context.log(level, message);
      },
      archiveEnd: () => context.request('backup.archiveEnd', {}, { signal }),
    });
  } finally {
    closeArchive();
    messages.destroy();
  }
}

/** The exit code. */
async function main(): Promise<number> {
  const settings = settingsFrom(process.env);
  const logger = createLogger(settings.logLevel);
  try {
    const daemon = await Daemon.start(settings, logger);
    await new Promise<void>((resolve) => {
      process.once('SIGTERM', resolve);
      process.once('SIGINT', resolve);
    });
    await daemon.stop();
    return 0;
  } catch (error) {
    logger.fatal({ err: error }, `vzvaultd ends: ${toVzvaultError(error).line}`);
    return 1;
  }
}

// Threads that hang in a dead mount must not keep the process, so the end is not left to the event loop.
process.exit(await main());
