/** Who lives in the simulated world: processes that back up, restore, prune and collect, over and over, until they crash or are told to stop. */
import type { ChunkStore } from '../../../src/engine/types.js';
import { toVzvaultError } from '../../../src/lib/errors.js';
import { snapshotPath, type SnapshotId } from '../../../src/lib/guest.js';
import { beginBackup, type BackupSession } from '../../../src/repository/backup-session.js';
import type { PackChoiceLimits } from '../../../src/repository/collection/pack-choice.js';
import { collectGarbage } from '../../../src/repository/collection/collector.js';
import { Sightings } from '../../../src/repository/collection/sightings.js';
import type { RepositoryConfig } from '../../../src/repository/config.js';
import { Repository, type RepositoryEngine } from '../../../src/repository/repository.js';
import { Heartbeats } from '../../../src/repository/sessions/heartbeats.js';
import { rootsOf } from '../../../src/repository/sessions/map-root.js';
import { PassiveSession } from '../../../src/repository/sessions/passive-session.js';
import type { Sharing } from '../../../src/repository/sessions/sharing.js';
import { WriterSession } from '../../../src/repository/sessions/writer-session.js';
import type { SnapshotDocument } from '../../../src/repository/snapshot-document.js';
import { healSnapshots } from '../../../src/repository/verification/healing.js';
import { verifyRepository } from '../../../src/repository/verification/verification.js';
import { verifyStateOf } from '../../../src/repository/snapshots.js';
import { openDocument, sealDocument } from '../sealed-document.js';
import { damaged } from './chunk-files.js';
import { asChunkStore, LEAF_CHUNKS, SimChunkStore, sourceOf, type Defects } from './chunk-store.js';
import { SimDirectory, type SimDisk } from './directory.js';
import type { SimProcess } from './world.js';

export interface Timing {
  /** What the product is told; how old a view really may be is the disk's. */
  readonly graceMs: number;
  readonly heartbeatMs: number;
  readonly pollMs: number;
  readonly fenceAfterMs: number;
}

/** What kind of a place a run's world is; every seed has its own. */
export interface Temper {
  /** How many different chunks disks are made of: few are shared by all, many by nobody. */
  readonly values: number;
  readonly backupMs: number;
  readonly readMs: number;
  /** Packs that go bad in a run, at most. */
  readonly damages: number;
  /** How much of such a pack, where it is not all of it. */
  readonly badShare: number;
  /** Between two of them, and between two verifications. */
  readonly damagePauseMs: number;
}

/** How the processes of a run see the world, and what a broken variant does to that. */
export interface Habits extends Timing {
  /** How old a view of a directory really may be. */
  readonly staleMs: number;
  readonly temper: Temper;
  readonly defects: Defects;
  /** Puts a directory that misbehaves between a process and the disk. */
  readonly directoryOf?: (directory: SimDirectory, disk: SimDisk, process: SimProcess) => SimDirectory;
  /** A writer keeps quiet about its base. */
  readonly hidesBase?: boolean;
  /** A reader looks before it announces itself. */
  readonly looksFirst?: boolean;
}

/** Told what a reader relies on. */
export interface ReaderWatch {
  begin(sid: string, rootIds: readonly string[]): void;
  end(sid: string): void;
  /** A read of a reader that was not fenced failed. */
  failed(sid: string, chunk: string, why: string): void;
}

const CONFIG: RepositoryConfig = {
  ...{
    repositoryId: 'f'.repeat(32),
    createdAtSeconds: 0,
    chunkSizeBytes: 524_288,
    suite: 'none',
    keyFingerprint: null,
  },
};
const PACK_CHOICE: PackChoiceLimits = {
  ...{ compactBelowPercent: 50, smallPackBytes: 250, smallPacks: 3, compactBytes: 1_000_000, packs: 1000 },
};
const CONTENT_CHUNKS = 3 * LEAF_CHUNKS;

class SimRepository extends Repository {
  constructor(
    engine: RepositoryEngine,
    directory: SimDirectory,
    private readonly chunks: SimChunkStore,
  ) {
    super(engine, directory, CONFIG);
  }

  override async openStore(): Promise<ChunkStore> {
    return asChunkStore(this.chunks);
  }
}

/** One process with its own view of the repository. */
export class Actor {
  readonly repository: SimRepository;
  readonly chunks: SimChunkStore;
  readonly sharing: Sharing;
  readonly #sightings: Sightings;
  isStopping = false;
  isOver = false;

  constructor(
    readonly process: SimProcess,
    disk: SimDisk,
    private readonly habits: Habits,
  ) {
    const { world, clock } = process;
    const plain = new SimDirectory(disk, process);
    const directory = habits.directoryOf?.(plain, disk, process) ?? plain;
    const engine = { sealDocument, openDocument } as unknown as RepositoryEngine;
    this.chunks = new SimChunkStore(disk, process, habits.defects);
    this.repository = new SimRepository(engine, directory, this.chunks);
    const heartbeats = new Heartbeats({ clock, intervalMs: habits.heartbeatMs });
    const self = process.identify(process.pid);
    this.sharing = {
      hostname: process.node,
      processes: process,
      process: self,
      clock,
      heartbeats,
      newId: () => world.newId(),
      openDirectory: () => directory,
    };
    this.#sightings = new Sightings(clock);
  }

  /** Repeats a deed with pauses until the process stops. What a deed ends with is noted. */
  async live(deed: () => Promise<void>, meanPauseMs: number): Promise<void> {
    const { world, clock } = this.process;
    while (!this.isStopping) {
      await clock.sleep(Math.floor(2 * world.random.next() * meanPauseMs));
      if (this.isStopping) break;
      try {
        await deed();
      } catch (thrown) {
        const { code, message, stack } = toVzvaultError(thrown);
        world.note(`${this.process.name} ended with ${code}: ${message}`);
        if (code === 'E_INTERNAL') throw new Error(`a defect: ${stack ?? message}`, { cause: thrown });
      }
    }
    this.isOver = true;
  }

  /** One backup, incremental where there is a base and chance wills. */
  async backUp(guest: number, contents: Map<number, number[]>): Promise<void> {
    const { habits } = this;
    const { random } = this.process.world;
    const content = [
      ...(contents.get(guest) ?? Array.from({ length: CONTENT_CHUNKS }, () => random.below(habits.temper.values))),
    ];
    for (let changes = random.below(4); changes > 0; changes -= 1)
      content[random.below(content.length)] = random.below(habits.temper.values);
    contents.set(guest, content);
    await this.#backUp(guest, content, random.chance(0.6) ? await this.#latest(guest) : null, true);
  }

  /** One backup of all that a guest has, to its end. */
  async backUpWhole(guest: number, contents: ReadonlyMap<number, number[]>): Promise<void> {
    await this.#backUp(guest, contents.get(guest) ?? [], null, false);
  }

  /** `isUnsteady`: it may take long, and be given up. */
  async #backUp(
    guest: number,
    content: readonly number[],
    base: SnapshotDocument | null,
    isUnsteady: boolean,
  ): Promise<void> {
    const { process, repository, sharing, habits } = this;
    const { random } = process.world;
    const { clock } = process;
    const id: SnapshotId = { guestType: 'qemu', vmid: guest, timeSeconds: clock.nowSeconds() };
    const roots = base === null || habits.hidesBase === true ? [] : rootsOf(base);
    const session = await WriterSession.open(repository.blobs, repository.sealer, sharing, { snapshot: id, roots });
    let isBaseThere: boolean;
    try {
      isBaseThere = base !== null && (await this.#baseAt(base.id)) !== null;
    } catch (error) {
      await session.end();
      throw error;
    }
    const createdBy = { version: '0', hostname: process.node };
    const backup = await beginBackup(repository, { id, createdBy, clock, sharing, session });
    try {
      const volume = isBaseThere ? base?.volumes[0] : undefined;
      await this.#backUpVolume(backup, content, volume ?? null);
      // A large disk.
      if (isUnsteady && random.chance(0.5)) await clock.sleep(Math.floor(random.next() * habits.temper.backupMs));
      if (isUnsteady && random.chance(0.1)) return;
      await backup.commit();
    } finally {
      await backup.abort();
    }
    await healSnapshots(repository, { clock });
  }

  /** Reads all packs and snapshots, and takes out of use what is damaged. */
  async verify(): Promise<void> {
    const { process, repository, sharing, habits } = this;
    await verifyRepository(repository, {
      ...{ clock: process.clock, sharing, signal: new AbortController().signal, level: 'chunks' },
      ...{ maxAgeSeconds: null, endMs: null, quarantines: true, graceMs: habits.graceMs },
      runPacks: async (read) => {
        await read(() => undefined);
      },
      runMap: (_map, read) => read({}),
      warn: (line) => {
        process.world.note(`${process.name} warns: ${line}`);
      },
    });
  }

  /** Removes what is marked as damaged; answers the paths of the documents. */
  async removeMarked(): Promise<string[]> {
    const { snapshots } = this.repository;
    const marked = (await snapshots.list()).filter((entry) => verifyStateOf(entry) === 'damaged');
    for (const { id } of marked) await snapshots.remove(id);
    return marked.map(({ id }) => snapshotPath(id)).sort();
  }

  /** A pack goes bad: some of it, or all. */
  async damage(disk: SimDisk): Promise<void> {
    const { random } = this.process.world;
    const paths = disk.paths('packs/');
    if (paths.length === 0) return;
    const path = random.pick(paths);
    const isBroken = random.chance(0.3);
    await this.process.do(`damage ${path.slice(9, 17)}${isBroken ? ' wholly' : ''}`, () => {
      const bytes = disk.get(path);
      if (bytes !== null)
        disk.damage(
          path,
          damaged(bytes, () => random.chance(this.habits.temper.badShare), isBroken),
        );
    });
  }

  /** One restore: announces itself, looks, and reads for a while. */
  async restore(watch: ReaderWatch): Promise<void> {
    const { process, repository, sharing, chunks, habits } = this;
    const { random } = process.world;
    const ids = await repository.snapshots.ids();
    if (ids.length === 0) return;
    const document = await repository.snapshots.read(random.pick(ids));
    if (habits.looksFirst === true) await process.clock.sleep(Math.floor(random.next() * habits.temper.readMs));
    const session = await PassiveSession.open(repository.blobs, repository.sealer, sharing, {
      roots: rootsOf(document),
    });
    try {
      if (habits.looksFirst !== true) await repository.snapshots.read(document.id);
      const rootIds = document.volumes.map(({ rootId }) => rootId);
      watch.begin(session.id, rootIds);
      await chunks.refresh();
      for (let rounds = random.below(4); rounds >= 0; rounds -= 1) {
        for (const rootId of rootIds) await this.#readAll(rootId, session.id, watch);
        await process.clock.sleep(Math.floor(random.next() * habits.temper.readMs));
      }
    } finally {
      watch.end(session.id);
      await session.end();
    }
  }

  async prune(): Promise<void> {
    const { repository, process } = this;
    const ids = await repository.snapshots.ids();
    for (const id of ids) if (process.world.random.chance(0.3)) await repository.snapshots.remove(id);
  }

  async collect(): Promise<void> {
    const { habits, sharing, repository, process } = this;
    const { graceMs, fenceAfterMs, pollMs } = habits;
    await collectGarbage(repository, {
      ...{ sharing, graceMs, fenceAfterMs, pollMs, sightings: this.#sightings },
      ...{ bandwidthLimitBytesPerSecond: 0, zstdLevel: 1, packChoice: PACK_CHOICE },
      report: (line) => {
        process.world.note(`${process.name} says: ${line}`);
      },
    });
  }

  async #backUpVolume(
    backup: BackupSession,
    content: readonly number[],
    base: SnapshotDocument['volumes'][number] | null,
  ): Promise<void> {
    const incremental = base === null ? null : ({ base, dirty: { kind: 'bitmap', bitmapName: 'x' } } as const);
    await backup.backupVolume({ name: 'drive-scsi0', source: sourceOf(content), stallTimeoutMs: 1, incremental });
  }

  async #latest(guest: number): Promise<SnapshotDocument | null> {
    const ids = await this.repository.snapshots.ids({ guestType: 'qemu', vmid: guest });
    const newest = ids.sort((a, b) => b.timeSeconds - a.timeSeconds)[0];
    return newest === undefined ? null : await this.#baseAt(newest);
  }

  /** Nothing builds on what is marked as damaged. */
  async #baseAt(id: SnapshotId): Promise<SnapshotDocument | null> {
    const { snapshots } = this.repository;
    const document = await this.#find(id);
    return (await snapshots.sidecars.verifyStateOrDamaged(id))?.state === 'damaged' ? null : document;
  }

  async #find(id: SnapshotId): Promise<SnapshotDocument | null> {
    return await this.repository.snapshots.read(id).catch((thrown: unknown) => {
      if (toVzvaultError(thrown).code === 'E_SNAPSHOT_MISSING') return null;
      throw thrown;
    });
  }

  async #readAll(id: string, sid: string, watch: ReaderWatch): Promise<void> {
    const chunk = await this.#readPatiently(id).catch((thrown: unknown) => {
      const { code, message } = toVzvaultError(thrown);
      if (code === 'E_CHUNK_MISSING') watch.failed(sid, id, message);
      throw thrown;
    });
    for (const child of chunk.children ?? []) await this.#readAll(child, sid, watch);
  }

  /** What was written on another node just now may not be seen yet. */
  async #readPatiently(id: string): ReturnType<SimChunkStore['index']['read']> {
    try {
      return await this.chunks.index.read(id);
    } catch (thrown) {
      if (toVzvaultError(thrown).code !== 'E_CHUNK_MISSING') throw thrown;
      await this.process.clock.sleep(this.habits.staleMs);
      return await this.chunks.index.read(id);
    }
  }
}
