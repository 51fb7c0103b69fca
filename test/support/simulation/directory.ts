/**
 * Storage that several nodes see at once, each through a view that may be some time old: listings, looks and reads show what was there at any
 * moment within `staleMs`; what changes something works on what is there now. A node sees what it has written itself, and does not lose sight of
 * packs again: a verifier excludes those that it lists, which have to be all that its index knows of.
 */
import { posix } from 'node:path';
import type { DirectoryEntry, FileStatus, NoReplace, RepositoryDirectory, Space } from '../../../src/engine/types.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import type { SimProcess, SimWorld } from './world.js';

interface Version {
  readonly atMs: number;
  readonly bytes: Buffer | null;
}

/** Told of every change, before it is done. */
export interface DiskObserver {
  onPut(path: string, bytes: Buffer, process: SimProcess): void;
  onRemove(path: string, process: SimProcess): void;
  onMove(from: string, to: string, process: SimProcess): void;
  onDamage(path: string): void;
}

export class SimDisk {
  readonly #files = new Map<string, Version[]>();
  readonly #written = new Map<string, number>();
  readonly #seenPacksMs = new Map<string, number>();
  observer: DiskObserver = {
    ...{ onPut: () => undefined, onRemove: () => undefined, onMove: () => undefined, onDamage: () => undefined },
  };

  constructor(
    readonly world: SimWorld,
    private readonly staleMs: number,
  ) {}

  /** When the file got its name. */
  writtenMs(path: string): number {
    return this.#files.get(path)?.at(-1)?.atMs ?? 0;
  }

  /** What is there now. */
  get(path: string): Buffer | null {
    return this.#files.get(path)?.at(-1)?.bytes ?? null;
  }

  /** The names of files below `prefix` now. */
  paths(prefix: string): string[] {
    return [...this.#files.keys()].filter((path) => path.startsWith(prefix) && this.get(path) !== null).sort();
  }

  put(path: string, bytes: Buffer, process: SimProcess): void {
    this.observer.onPut(path, bytes, process);
    this.#change(path, bytes, process.node);
  }

  remove(path: string, process: SimProcess): boolean {
    if (this.get(path) === null) return false;
    this.observer.onRemove(path, process);
    this.#change(path, null, process.node);
    return true;
  }

  /** Gives a file another name at once. */
  move(from: string, to: string, process: SimProcess): void {
    const bytes = this.get(from);
    if (bytes === null) return;
    this.observer.onMove(from, to, process);
    this.#change(to, bytes, process.node);
    this.#change(from, null, process.node);
  }

  /** Changes the bytes of a file, as everybody sees them: it is no change that anybody made. */
  damage(path: string, bytes: Buffer): void {
    const versions = this.#files.get(path) ?? [];
    const last = versions.at(-1);
    if (last?.bytes === undefined || last.bytes === null) return;
    versions[versions.length - 1] = { ...last, bytes };
    this.observer.onDamage(path);
  }

  /** A moment whose state `node` may see of a directory. */
  viewOf(node: string, directory: string): number {
    const { world, staleMs } = this;
    const drawnMs = world.random.chance(0.5) ? world.nowMs : world.nowMs - world.random.below(staleMs);
    const atMs = Math.max(drawnMs, this.#written.get(`${node} ${directory}`) ?? 0);
    if (!/^packs(\/|$)/.test(directory)) return atMs;
    const seenMs = Math.max(atMs, this.#seenPacksMs.get(node) ?? 0);
    this.#seenPacksMs.set(node, seenMs);
    return seenMs;
  }

  at(path: string, atMs: number): Buffer | null {
    const versions = this.#files.get(path) ?? [];
    for (let index = versions.length - 1; index >= 0; index -= 1) {
      const version = versions[index];
      if (version !== undefined && version.atMs <= atMs) return version.bytes;
    }
    return null;
  }

  /** Children of a directory at a moment. */
  childrenAt(directory: string, atMs: number): DirectoryEntry[] {
    const prefix = `${directory}/`;
    const kinds = new Map<string, DirectoryEntry['kind']>();
    for (const path of this.#files.keys()) {
      if (!path.startsWith(prefix) || this.at(path, atMs) === null) continue;
      const [name = '', ...rest] = path.slice(prefix.length).split('/');
      kinds.set(name, rest.length > 0 ? 'directory' : 'file');
    }
    return [...kinds].map(([name, kind]) => ({ name, kind })).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #change(path: string, bytes: Buffer | null, node: string): void {
    const { nowMs } = this.world;
    const versions = this.#files.get(path) ?? [];
    versions.push({ atMs: nowMs, bytes });
    this.#files.set(path, versions);
    for (let at = posix.dirname(path); at !== '.'; at = posix.dirname(at)) this.#written.set(`${node} ${at}`, nowMs);
    // What nobody can see any more.
    const oldestMs = nowMs - 2 * this.staleMs;
    while (versions[1] !== undefined && versions[1].atMs < oldestMs) versions.shift();
    if (this.world.steps % 64 === 0) this.#forget(oldestMs);
  }

  #forget(oldestMs: number): void {
    for (const [path, versions] of this.#files) {
      const last = versions.at(-1);
      if (last?.bytes === null && last.atMs < oldestMs) this.#files.delete(path);
    }
  }
}

export class SimDirectory implements RepositoryDirectory {
  readonly path = '/sim';

  constructor(
    private readonly disk: SimDisk,
    private readonly process: SimProcess,
    private readonly atomicity: NoReplace = 'renameat2',
  ) {}

  read(name: string): Promise<Buffer | null> {
    return this.process.do(`read ${name}`, () => this.disk.at(name, this.#view(name)));
  }

  status(name: string): Promise<FileStatus | null> {
    return this.process.do(`status ${name}`, () => {
      const atMs = this.#view(name);
      const bytes = this.disk.at(name, atMs);
      if (bytes !== null) return { kind: 'file', sizeBytes: bytes.length, modifiedMs: 0 };
      return this.disk.childrenAt(name, atMs).length > 0 ? { kind: 'directory', sizeBytes: 0, modifiedMs: 0 } : null;
    });
  }

  list(name: string): Promise<DirectoryEntry[] | null> {
    return this.process.do(`list ${name}`, () => this.disk.childrenAt(name, this.disk.viewOf(this.process.node, name)));
  }

  async makeDirectories(): Promise<void> {
    // Directories are there as soon as something is in them.
  }

  putIfAbsent(name: string, bytes: Buffer): Promise<void> {
    return this.process.do(`putIfAbsent ${name}`, () => {
      if (this.atomicity !== 'none' && this.disk.get(name) !== null) {
        throw new VzvaultError('E_NAME_TAKEN', `${name} exists`);
      }
      this.disk.put(name, bytes, this.process);
    });
  }

  replace(name: string, bytes: Buffer): Promise<void> {
    return this.process.do(`replace ${name}`, () => {
      this.disk.put(name, bytes, this.process);
    });
  }

  remove(name: string): Promise<boolean> {
    return this.process.do(`remove ${name}`, () => this.disk.remove(name, this.process));
  }

  move(from: string, to: string): Promise<boolean> {
    return this.process.do(`move ${from} ${to}`, () => {
      const bytes = this.disk.get(from);
      if (bytes === null) return false;
      if (this.disk.get(to) !== null) throw new VzvaultError('E_NAME_TAKEN', `${to} exists`);
      this.disk.move(from, to, this.process);
      return true;
    });
  }

  async space(): Promise<Space> {
    return { totalBytes: 1000, availableBytes: 600, usedBytes: 400 };
  }

  async isMounted(): Promise<boolean> {
    return true;
  }

  async noReplace(): Promise<NoReplace> {
    return 'renameat2';
  }

  close(): void {
    // Holds nothing.
  }

  #view(name: string): number {
    return this.disk.viewOf(this.process.node, posix.dirname(name));
  }
}
