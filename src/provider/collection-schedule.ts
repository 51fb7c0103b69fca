/**
 * When this node collects the garbage of a storage: once a day each storage that Proxmox VE lists for it, and where there is no Proxmox VE each that
 * backups have gone into since the daemon runs.
 *
 * Nodes do not speak with each other. What keeps them from collecting at the same time is in the repository: the session of a collector that counts, and when
 * the last collection was over. Neither is needed for safety; two at once only do the work twice. Storages wait for each other not at all:
 * one that hangs delays its own collections only, and is not tried again before it has answered, since every attempt would keep threads in it.
 */
import type { WaitingClock } from '../lib/clock.js';
import { withDeadline } from '../lib/deadline.js';
import { hasCode, toVzvaultError, VzvaultError } from '../lib/errors.js';
import { collectionLimits, sessionLimits } from '../lib/limits.js';
import type { Logger } from '../lib/logger.js';
import { parseIsoTime } from '../lib/time.js';
import { DEFAULT_COLLECTION } from '../repository/collection/collector-defaults.js';
import { collectGarbage } from '../repository/collection/collector.js';
import { GenerationFiles } from '../repository/collection/generation-files.js';
import { Sightings } from '../repository/collection/sightings.js';
import { locationOfStorage, type StorageWithKey } from '../repository/keys/storage-key.js';
import { openRepository, type Repository, type RepositoryEngine } from '../repository/repository.js';
import { SessionFiles } from '../repository/sessions/session-files.js';
import { isProvablyGone } from '../repository/sessions/session-owner.js';
import type { Sharing } from '../repository/sessions/sharing.js';
import { closeRepository, openedInTime } from './open-repository.js';

export interface CollectionScheduleOptions {
  readonly engine: RepositoryEngine;
  readonly sharing: Sharing;
  readonly clock: WaitingClock;
  readonly logger: Logger;
  /** All storages of this node; null where nobody lists them. */
  readonly nodeStorages?: () => Promise<readonly StorageWithKey[] | null>;
  /** In [0, 1). */
  readonly random?: () => number;
}

interface Entry {
  storage: StorageWithKey;
  /** By the monotonic clock. */
  dueMs: number;
  isRunning: boolean;
  /** Opening it has not answered yet, whether or not somebody still waits for it. */
  isOpening: boolean;
  /** Why the last collection failed: said once, not once an hour. */
  problem: string | null;
  /** Of its sessions; remembered from one collection to the next. */
  readonly sightings: Sightings;
}

export class CollectionSchedule {
  readonly #entries = new Map<string, Entry>();
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #listing: Promise<void> | null = null;

  constructor(private readonly options: CollectionScheduleOptions) {}

  /** The storage is used on this node: it is collected from now on. */
  noteUse(storage: StorageWithKey): void {
    const known = this.#entries.get(storage.path);
    if (known !== undefined) {
      known.storage = storage;
      return;
    }
    const { clock } = this.options;
    const dueMs = clock.monotonicMs() + this.#delayMs();
    const state = { isRunning: false, isOpening: false, problem: null, sightings: new Sightings(clock) };
    this.#entries.set(storage.path, { storage, dueMs, ...state });
  }

  /** Looks from time to time until it is stopped. Never rejects. */
  async run(): Promise<void> {
    const { clock } = this.options;
    while (!this.#stop.signal.aborted) {
      await clock.sleep(collectionLimits.scheduleMs, this.#stop.signal);
      if (!this.#stop.signal.aborted) this.look();
    }
  }

  /** Begins the collections that are due, and looks beside them which storages there are. */
  look(): void {
    this.#listing ??= this.#list().finally(() => {
      this.#listing = null;
    });
    for (const entry of this.#entries.values()) {
      if (entry.isRunning || entry.isOpening || entry.dueMs > this.options.clock.monotonicMs()) continue;
      const work = this.#collect(entry);
      this.#running.add(work);
      void work.then(() => this.#running.delete(work));
    }
  }

  /** Stops what runs; the next daemon resumes it. Never fails. */
  async stop(): Promise<void> {
    this.#stop.abort(new VzvaultError('E_DAEMON_STOPPING', 'the collection stops with the daemon'));
    const ending = Promise.all(this.#running);
    await withDeadline(ending, sessionLimits.endMs, 'E_STORAGE_TIMEOUT', 'ending a collection').catch(() => undefined);
  }

  /** Settles when the running collections have ended. For tests. */
  async idle(): Promise<void> {
    await Promise.all([...this.#running, this.#listing]);
  }

  /** Takes over what is listed. What is not listed any more was removed, disabled or left to other nodes. */
  async #list(): Promise<void> {
    const listed = await this.options.nodeStorages?.().catch(() => null);
    if (listed === null || listed === undefined) return;
    for (const storage of listed) this.noteUse(storage);
    const paths = new Set(listed.map(({ path }) => path));
    for (const [path, { isRunning, isOpening }] of this.#entries)
      if (!paths.has(path) && !isRunning && !isOpening) this.#entries.delete(path);
  }

  async #collect(entry: Entry): Promise<void> {
    const { logger, clock } = this.options;
    const { id: storage } = entry.storage;
    entry.isRunning = true;
    try {
      const repository = await this.#open(entry);
      try {
        repository.access.require();
        const waitMs = await this.#notBeforeMs(entry, repository);
        if (waitMs > 0) entry.dueMs = clock.monotonicMs() + waitMs;
        else await this.#collectNow(entry, repository);
        entry.problem = null;
      } finally {
        await closeRepository(repository, logger);
      }
    } catch (thrown) {
      const { code, line } = toVzvaultError(thrown);
      entry.dueMs = clock.monotonicMs() + collectionLimits.delayMs + this.#delayMs();
      if (!this.#stop.signal.aborted && entry.problem !== line)
        logger.warn({ storage, code }, `the collection ended: ${line}`);
      entry.problem = line;
    } finally {
      entry.isRunning = false;
    }
  }

  async #open(entry: Entry): Promise<Repository> {
    const { engine, logger } = this.options;
    const opening = openRepository(engine, locationOfStorage(entry.storage));
    const answered = (): void => {
      entry.isOpening = false;
    };
    entry.isOpening = true;
    opening.then(answered, answered);
    return await openedInTime(opening, entry.storage, logger);
  }

  /** How long somebody else's collection lets us wait; 0 where it is our turn. */
  async #notBeforeMs({ sightings }: Entry, { blobs, sealer }: Repository): Promise<number> {
    const { sharing, clock } = this.options;
    for (const { sid, document } of await new SessionFiles(blobs, sealer).list()) {
      if (document?.kind !== 'collector' || isProvablyGone(document.owner, sharing.processes)) continue;
      const silentMs = sightings.unchangedMs(`session ${sid}`, String(document.counter));
      if (silentMs < collectionLimits.fenceAfterMs) return collectionLimits.scheduleMs;
    }
    const files = new GenerationFiles(blobs, sealer);
    const { generations, pending } = await files.ledger();
    const last = generations.filter(({ isDone }) => isDone).at(-1);
    // What was left unfinished waits for nobody.
    if (last === undefined || pending !== null) return 0;
    // One that cannot be read must not keep this storage from being collected for ever.
    const done = await files.done(last.number).catch((error: unknown) => {
      if (hasCode(error, 'E_SNAPSHOT_DAMAGED', 'E_ARGUMENT_INVALID', 'E_STORAGE_IO')) return null;
      throw error;
    });
    const ageMs = (clock.nowSeconds() - (parseIsoTime(done?.finishedAt ?? '') ?? 0)) * 1000;
    // Another machine's clock: it only decides when, and a time that makes no sense decides nothing.
    return ageMs >= 0 && ageMs < collectionLimits.intervalMs - collectionLimits.delayMs
      ? collectionLimits.intervalMs - ageMs + this.#delayMs()
      : 0;
  }

  async #collectNow(entry: Entry, repository: Repository): Promise<void> {
    const { sharing, clock, logger } = this.options;
    const { id: storage } = entry.storage;
    const { generations, packs, freedBytes } = await collectGarbage(repository, {
      ...DEFAULT_COLLECTION,
      ...{ sharing, sightings: entry.sightings, signal: this.#stop.signal },
      report: (line) => {
        logger.info({ storage }, line);
      },
    });
    entry.dueMs = clock.monotonicMs() + collectionLimits.intervalMs + this.#delayMs();
    logger.info({ storage, generations: generations.length, packs, freedBytes }, 'collected');
  }

  #delayMs(): number {
    const { random = Math.random } = this.options;
    return Math.floor(random() * collectionLimits.delayMs);
  }
}
