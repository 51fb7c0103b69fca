/** The provider's handlers over fakes: storage in memory, NBD sockets that are files, mounts that are notes. */
import { Readable } from 'node:stream';
import type { ChunkStore, Region } from '../../src/engine/types.js';
import { formatGuest, type Guest } from '../../src/lib/guest.js';
import { silentLogger } from '../../src/lib/logger.js';
import type { BitmapRecords } from '../../src/provider/bitmap-records.js';
import type { ContainerCall, LogLevel, TarEnd, VmCall } from '../../src/provider/call.js';
import type { BitmapRecord } from '../../src/provider/incremental-proof.js';
import { ProviderHandlers } from '../../src/provider/provider-handlers.js';
import type { RestoreMount, RestoreMounter, RestoreRecord } from '../../src/provider/restore-session.js';
import type { MountSpec } from '../../src/repository/mount-spec.js';
import { createRepository } from '../../src/repository/repository.js';
import { sharingOf } from '../../src/repository/sessions/sharing.js';
import { FakeEngine } from './fake-engine.js';
import { FakeProcesses } from './fake-processes.js';
import { ManualClock } from './manual-clock.js';

/** The path of an NBD socket is that of a file to read; the files behind descriptors are in `descriptors`. */
export class NbdFakeEngine extends FakeEngine {
  readonly descriptors = new Map<number, string>();

  override async openStore(options: Parameters<FakeEngine['openStore']>[0]): Promise<ChunkStore> {
    const store = await super.openStore(options);
    const writer: ChunkStore['writer'] = async (options) => {
      const inner = await this.store.writer(options);
      return {
        ...inner,
        backupVolume: async (volume, control) => {
          const { source } = volume;
          let path = source.kind === 'nbd' ? source.socketPath : '';
          if (source.kind === 'descriptor') path = this.descriptors.get(source.fd) ?? '';
          return await inner.backupVolume({ ...volume, source: { kind: 'file', path } }, control);
        },
      };
    };
    return new Proxy(store, {
      get: (target, key) => (key === 'writer' ? writer : Reflect.get(target, key, target)) as unknown,
    });
  }
}

export class FakeMounter implements RestoreMounter {
  readonly specs: MountSpec[] = [];
  readonly mounted = new Set<string>();
  /** What vzvault-fuse says next. */
  readonly log: string[] = [];
  alive = true;
  fault: () => void | Promise<void> = () => undefined;

  async mount(record: RestoreRecord, spec: MountSpec): Promise<RestoreMount> {
    this.specs.push(spec);
    await this.fault();
    this.mounted.add(record.id);
    return {
      directory: `/run/vzvault/mounts/${record.id}`,
      process: null,
      isAlive: () => this.alive,
      takeLog: () => this.log.splice(0),
      remove: async () => {
        this.mounted.delete(record.id);
      },
    };
  }
}

export class MemoryBitmapRecords implements BitmapRecords {
  readonly records = new Map<string, BitmapRecord>();
  fault: () => void = () => undefined;

  read(storageId: string, guest: Guest): BitmapRecord | null {
    return this.records.get(`${storageId} ${formatGuest(guest)}`) ?? null;
  }

  write(record: BitmapRecord): void {
    this.fault();
    this.records.set(`${record.storageId} ${formatGuest(record)}`, record);
  }

  remove(storageId: string, guest: Guest): void {
    this.fault();
    this.records.delete(`${storageId} ${formatGuest(guest)}`);
  }
}

export class FakeCall implements VmCall {
  readonly controller = new AbortController();
  readonly lines: string[] = [];
  readonly descriptors: number[] = [];
  readonly batches: (readonly Region[])[] = [];
  readonly peer: { readonly pid: number };

  constructor(pid = 100) {
    this.peer = { pid };
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  log(level: LogLevel, message: string): void {
    this.lines.push(`${level}: ${message}`);
  }

  async nextDirtyRegions(): Promise<{ regions: readonly Region[]; done: boolean }> {
    const regions = this.batches.shift() ?? [];
    return { regions, done: this.batches.length === 0 };
  }
}

/** A container's backup: the stream is the descriptor `archiveFd` of the fake engine, tar says `messages` and ends with `end`. */
export class FakeContainerCall implements ContainerCall {
  readonly controller = new AbortController();
  readonly lines: string[] = [];
  readonly archiveFd = 7;
  readonly peer = { pid: 100 };
  readonly messages: Readable;
  closedArchives = 0;
  askedEnds = 0;
  end: TarEnd | Error = { exitCode: 0, signal: null };

  constructor(messages: readonly (string | Buffer)[] = []) {
    this.messages = Readable.from(messages.map((message) => Buffer.from(message)));
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  log(level: LogLevel, message: string): void {
    this.lines.push(`${level}: ${message}`);
  }

  closeArchive(): void {
    this.closedArchives += 1;
  }

  async archiveEnd(): Promise<TarEnd> {
    this.askedEnds += 1;
    if (this.end instanceof Error) throw this.end;
    return this.end;
  }
}

export const storage = { id: 'nas', path: '/mnt/nas', isMountpoint: '' } as const;

/** A provider with the repository `storage` and a process 100. */
export class FakeProvider {
  readonly engine = new NbdFakeEngine();
  readonly mounter = new FakeMounter();
  readonly records = new MemoryBitmapRecords();
  readonly processes = new FakeProcesses();
  readonly clock = new ManualClock();
  readonly handlers: ProviderHandlers;

  private constructor() {
    this.processes.start(100);
    this.handlers = new ProviderHandlers({
      engine: this.engine,
      mounter: this.mounter,
      records: this.records,
      processes: this.processes,
      clock: this.clock,
      sharing: sharingOf({
        ...{ hostname: 'node1', processes: this.processes, clock: this.clock },
        openDirectory: (path) => this.engine.openDirectory(path),
      }),
      logger: silentLogger(),
      createdBy: { version: '0.1.0', hostname: 'node1' },
      stallTimeoutMs: 1000,
    });
  }

  static async create(): Promise<FakeProvider> {
    const provider = new FakeProvider();
    await provider.createRepository(storage.path);
    return provider;
  }

  async createRepository(path: string): Promise<void> {
    this.engine.disk.makeDirectory(path);
    const repository = await createRepository(this.engine, { path }, { createdAtSeconds: 0 });
    await repository.close();
  }

  /** Names of what is listed. */
  snapshots(path: string = storage.path): string[] {
    return this.#names(`${path}/vzvault/snapshots/`);
  }

  /** Ids of those that are announced. */
  sessions(): string[] {
    return this.#names(`${storage.path}/vzvault/sessions/`);
  }

  #names(prefix: string): string[] {
    return [...this.engine.disk.files.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  }
}
