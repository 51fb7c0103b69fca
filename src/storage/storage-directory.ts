/**
 * The directory of a storage as the storage calls see it: opened when it is needed, closed when nobody uses it, given up when it
 * hangs.
 *
 * A handle keeps a mount busy and keeps seeing what was mounted when it was opened. So none outlives the calls that use it, and one
 * that gets old is replaced while they run. A call into a dead network mount may never return: it keeps its handle and the threads
 * of that handle, and the next call gets another. Hung handles are counted; beyond `storageLimits.hungHandles` calls fail at
 * once, except one now and then that finds out whether the storage is back.
 */
import type { RepositoryDirectory } from '../engine/types.js';
import type { Clock } from '../lib/clock.js';
import { VzvaultError } from '../lib/errors.js';
import { storageLimits } from '../lib/limits.js';
import { formatDuration } from '../lib/units.js';

interface Handle {
  readonly directory: RepositoryDirectory;
  readonly openedMs: number;
  /** When each call that is under way began, oldest first. */
  readonly calls: Set<{ readonly startedMs: number }>;
}

export class StorageDirectory implements RepositoryDirectory {
  #current: Handle | null = null;
  /** Replaced, but not all of their calls have returned. */
  readonly #retired = new Set<Handle>();
  #users = 0;
  #lastProbeMs = 0;

  constructor(
    readonly path: string,
    private readonly open: (path: string) => RepositoryDirectory,
    private readonly clock: Clock,
  ) {}

  /** Whether nothing uses it and nothing hangs: it can be forgotten. */
  get isIdle(): boolean {
    return this.#users === 0 && this.#current === null && this.#retired.size === 0;
  }

  /** Begins a use. Each must be ended by `release`. */
  hold(): void {
    if (this.#current !== null && this.clock.monotonicMs() - this.#current.openedMs >= storageLimits.handleAgeMs)
      this.#retire();
    this.#users += 1;
  }

  /** What still runs for the user may go on; the handle that it needs is closed as soon as no call is under way. */
  release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#closeUnused();
  }

  read(name: string, maxBytes: number): ReturnType<RepositoryDirectory['read']> {
    return this.#call((directory) => directory.read(name, maxBytes));
  }

  status(name: string): ReturnType<RepositoryDirectory['status']> {
    return this.#call((directory) => directory.status(name));
  }

  list(name: string): ReturnType<RepositoryDirectory['list']> {
    return this.#call((directory) => directory.list(name));
  }

  makeDirectories(name: string): Promise<void> {
    return this.#call((directory) => directory.makeDirectories(name));
  }

  putIfAbsent(name: string, bytes: Buffer): Promise<void> {
    return this.#call((directory) => directory.putIfAbsent(name, bytes));
  }

  replace(name: string, bytes: Buffer): Promise<void> {
    return this.#call((directory) => directory.replace(name, bytes));
  }

  remove(name: string): Promise<boolean> {
    return this.#call((directory) => directory.remove(name));
  }

  move(from: string, to: string): Promise<boolean> {
    return this.#call((directory) => directory.move(from, to));
  }

  space(): ReturnType<RepositoryDirectory['space']> {
    return this.#call((directory) => directory.space());
  }

  isMounted(mountPoint?: string): Promise<boolean> {
    return this.#call((directory) => directory.isMounted(mountPoint ?? this.path));
  }

  noReplace(): ReturnType<RepositoryDirectory['noReplace']> {
    return this.#call((directory) => directory.noReplace());
  }

  /** Does nothing: handles live as long as somebody holds the directory, not as long as a Repository that was made of it. */
  close(): void {
    return;
  }

  async #call<T>(work: (directory: RepositoryDirectory) => Promise<T>): Promise<T> {
    const handle = this.#responsive();
    const call = { startedMs: this.clock.monotonicMs() };
    handle.calls.add(call);
    try {
      return await work(handle.directory);
    } finally {
      handle.calls.delete(call);
      if (handle.calls.size === 0 && this.#retired.delete(handle)) handle.directory.close();
      if (this.#users === 0) this.#closeUnused();
    }
  }

  /** The current handle, or a new one in its place where it hangs. E_STORAGE_TIMEOUT where too many hang. */
  #responsive(): Handle {
    const nowMs = this.clock.monotonicMs();
    if (this.#current !== null && hangsSince(this.#current, nowMs) !== null) this.#retire();
    if (this.#current !== null) return this.#current;
    const hung = [...this.#retired].map((handle) => hangsSince(handle, nowMs)).filter((since) => since !== null);
    if (hung.length >= storageLimits.hungHandles) {
      if (nowMs - this.#lastProbeMs < storageLimits.probeIntervalMs || hung.length >= storageLimits.hungHandlesInAll) {
        const duration = formatDuration(nowMs - Math.min(...hung));
        throw new VzvaultError('E_STORAGE_TIMEOUT', `${this.path} has not answered for ${duration}`);
      }
    }
    this.#lastProbeMs = nowMs;
    this.#current = { directory: this.open(this.path), openedMs: nowMs, calls: new Set() };
    return this.#current;
  }

  #closeUnused(): void {
    if (this.#current?.calls.size === 0) this.#retire();
  }

  #retire(): void {
    const handle = this.#current;
    this.#current = null;
    if (handle === null) return;
    if (handle.calls.size === 0) handle.directory.close();
    else this.#retired.add(handle);
  }
}

/** When the oldest call began that takes too long, or null. */
function hangsSince(handle: Handle, nowMs: number): number | null {
  const oldest = handle.calls.values().next().value;
  return oldest !== undefined && nowMs - oldest.startedMs >= storageLimits.hungAfterMs ? oldest.startedMs : null;
}
