/** A repository in memory with writers, readers and collectors that a test moves step by step. */
import type { VzvaultError } from '../../src/lib/errors.js';
import type { SnapshotId } from '../../src/lib/guest.js';
import { condemnedCodec } from '../../src/repository/collection/generation-documents.js';
import { generationName } from '../../src/repository/collection/ledger.js';
import type { CollectorOptions } from '../../src/repository/collection/collector-context.js';
import { DEFAULT_COLLECTION } from '../../src/repository/collection/collector-defaults.js';
import { Sightings } from '../../src/repository/collection/sightings.js';
import { createRepository, type Repository } from '../../src/repository/repository.js';
import { Heartbeats } from '../../src/repository/sessions/heartbeats.js';
import type { Sharing } from '../../src/repository/sessions/sharing.js';
import { WriterSession } from '../../src/repository/sessions/writer-session.js';
import { idOf, SECOND } from './documents.js';
import { FakeEngine } from './fake-engine.js';
import { FakeProcesses } from './fake-processes.js';
import { ManualClock } from './manual-clock.js';

export const PATH = '/mnt/backup';

export class SharingWorld {
  readonly engine = new FakeEngine();
  readonly processes = new FakeProcesses();
  readonly clock = new ManualClock();
  readonly lines: string[] = [];
  /** What heartbeats reported, as `E_STORAGE_IO: message`. */
  readonly failures: string[] = [];
  readonly sightings = new Sightings(this.clock);
  #ids = 0;

  private constructor(readonly repository: Repository) {}

  static async create(): Promise<SharingWorld> {
    const engine = new FakeEngine();
    engine.disk.makeDirectory(PATH);
    const world = new SharingWorld(await createRepository(engine, { path: PATH }, { createdAtSeconds: SECOND }));
    Object.assign(world, { engine });
    world.processes.start(1);
    return world;
  }

  /** A process of this machine; `pid` 0 for one of another. */
  sharing(pid = 0): Sharing {
    const { processes, clock } = this;
    const process = pid === 0 ? null : processes.start(pid);
    const onFailure = (_id: string, { code, message }: VzvaultError): void => {
      this.failures.push(`${code}: ${message}`);
    };
    return {
      ...{ hostname: 'node1', processes, process, clock, heartbeats: new Heartbeats({ clock, onFailure }) },
      openDirectory: (path) => this.engine.openDirectory(path),
      newId: () => {
        this.#ids += 1;
        return this.#ids.toString(16).padStart(32, '0');
      },
    };
  }

  openWriter(sharing = this.sharing(), snapshot: SnapshotId = idOf(100)): Promise<WriterSession> {
    const { blobs, sealer } = this.repository;
    return WriterSession.open(blobs, sealer, sharing, { snapshot, roots: [] });
  }

  async condemn(generation: number, packs: readonly string[]): Promise<void> {
    const { blobs, sealer } = this.repository;
    const sealed = condemnedCodec.seal(sealer, { generation, sid: 'c'.repeat(32), packs });
    await blobs.putIfAbsent(`condemned/${generationName(generation)}`, sealed);
  }

  /** The names of files below a directory of the repository. */
  names(directory: string): string[] {
    const prefix = `${PATH}/vzvault/${directory}/`;
    const paths = [...this.engine.disk.files.keys()].filter((path) => path.startsWith(prefix));
    return paths.map((path) => path.slice(prefix.length)).sort();
  }

  /** Those of a collection that waits for nothing but sessions. */
  collector(changes: Partial<CollectorOptions> = {}): CollectorOptions {
    return {
      ...{ sharing: this.sharing(), sightings: this.sightings, graceMs: 0, fenceAfterMs: 7_200_000, pollMs: 10_000 },
      ...{ bandwidthLimitBytesPerSecond: 0, zstdLevel: 1, packChoice: DEFAULT_COLLECTION.packChoice },
      report: (line) => this.lines.push(line),
      ...changes,
    };
  }

  /** Lets so much time pass at once, and what wakes up do what it can. */
  async pass(durationMs: number): Promise<void> {
    this.clock.advance(durationMs);
    for (let rounds = 0; rounds < 20; rounds += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets time pass, in steps, until the work has ended. */
  async until<T>(work: Promise<T>, stepMs = 10_000): Promise<T> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    work.then(over, over);
    for (let steps = 0; !isOver && steps < 5_000; steps += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!isOver) this.clock.advance(stepMs);
    }
    if (!isOver) throw new Error('it does not end');
    return await work;
  }
}
