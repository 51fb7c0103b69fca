/**
 * Storage in memory: what the engine's RepositoryDirectory promises, without a disk. Tests own its faults.
 *
 * A MemoryDisk is one machine's file tree. Directories opened on it see each other's writes, as two nodes on one mount would.
 */
import { posix } from 'node:path';
import type { DirectoryEntry, FileStatus, NoReplace, RepositoryDirectory, Space } from '../../src/engine/types.js';
import { VzvaultError } from '../../src/lib/errors.js';

export type Call =
  | 'read'
  | 'status'
  | 'list'
  | 'makeDirectories'
  | 'putIfAbsent'
  | 'replace'
  | 'remove'
  | 'move'
  | 'space'
  | 'isMounted';

export class MemoryDisk {
  readonly files = new Map<string, Buffer>();
  readonly directories = new Set<string>(['/']);
  readonly mountPoints = new Set<string>();
  noReplace: NoReplace = 'renameat2';
  /** Directories that were opened and not closed yet. */
  openHandles = 0;
  /** Every call that was made, as `read snapshots/…`. */
  readonly calls: string[] = [];
  /** Runs before each call; what it throws, the call throws; a promise that never settles is a hung mount. */
  fault: (call: Call, path: string) => void | Promise<void> = () => undefined;

  /** An existing directory with all its parents. */
  makeDirectory(path: string): this {
    for (let at = posix.resolve(path); at !== '/'; at = posix.dirname(at)) this.directories.add(at);
    return this;
  }

  open(path: string): RepositoryDirectory {
    return new MemoryDirectory(this, path);
  }
}

class MemoryDirectory implements RepositoryDirectory {
  #closed = false;

  constructor(
    private readonly disk: MemoryDisk,
    readonly path: string,
  ) {
    disk.openHandles += 1;
  }

  async read(name: string, maxBytes: number): Promise<Buffer | null> {
    const path = await this.#enter('read', name);
    const bytes = this.disk.files.get(path);
    if (bytes === undefined) return null;
    if (bytes.length > maxBytes)
      throw new VzvaultError('E_ARGUMENT_INVALID', `reading ${name}: longer than ${maxBytes} bytes`);
    return Buffer.from(bytes);
  }

  async status(name: string): Promise<FileStatus | null> {
    const path = await this.#enter('status', name);
    const bytes = this.disk.files.get(path);
    if (bytes !== undefined) return { kind: 'file', sizeBytes: bytes.length, modifiedMs: 0 };
    return this.disk.directories.has(path) ? { kind: 'directory', sizeBytes: 0, modifiedMs: 0 } : null;
  }

  async list(name: string): Promise<DirectoryEntry[] | null> {
    const path = await this.#enter('list', name);
    if (!this.disk.directories.has(path)) return null;
    const children = (names: Iterable<string>, kind: DirectoryEntry['kind']): DirectoryEntry[] =>
      [...names]
        .filter((other) => other !== '/' && posix.dirname(other) === path)
        .map((other) => ({ name: posix.basename(other), kind }));
    const entries = [...children(this.disk.files.keys(), 'file'), ...children(this.disk.directories, 'directory')];
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async makeDirectories(name: string): Promise<void> {
    this.disk.makeDirectory(await this.#enter('makeDirectories', name));
  }

  async putIfAbsent(name: string, bytes: Buffer): Promise<void> {
    const path = await this.#enter('putIfAbsent', name);
    if (this.disk.files.has(path) || this.disk.directories.has(path))
      throw new VzvaultError('E_NAME_TAKEN', `${name} exists`);
    this.disk.makeDirectory(posix.dirname(path));
    this.disk.files.set(path, Buffer.from(bytes));
  }

  async replace(name: string, bytes: Buffer): Promise<void> {
    const path = await this.#enter('replace', name);
    this.disk.makeDirectory(posix.dirname(path));
    this.disk.files.set(path, Buffer.from(bytes));
  }

  async remove(name: string): Promise<boolean> {
    const path = await this.#enter('remove', name);
    if (this.disk.files.delete(path)) return true;
    if (!this.disk.directories.has(path)) return false;
    const inside = [...this.disk.files.keys(), ...this.disk.directories].some((other) => other.startsWith(`${path}/`));
    if (inside) throw new VzvaultError('E_STORAGE_IO', `removing ${name}: Directory not empty`);
    return this.disk.directories.delete(path);
  }

  async move(from: string, to: string): Promise<boolean> {
    const target = await this.#enter('move', to);
    const source = posix.join(this.path, from);
    if (this.disk.files.has(target)) throw new VzvaultError('E_NAME_TAKEN', `${to} exists`);
    const bytes = this.disk.files.get(source);
    if (bytes === undefined) return false;
    this.disk.makeDirectory(posix.dirname(target));
    this.disk.files.delete(source);
    this.disk.files.set(target, bytes);
    return true;
  }

  async space(): Promise<Space> {
    await this.#enter('space', 'itself');
    return { totalBytes: 1000, availableBytes: 600, usedBytes: 400 };
  }

  async isMounted(mountPoint = this.path): Promise<boolean> {
    await this.disk.fault('isMounted', mountPoint);
    return this.disk.mountPoints.has(mountPoint);
  }

  async noReplace(): Promise<NoReplace> {
    return this.disk.noReplace;
  }

  close(): void {
    if (!this.#closed) this.disk.openHandles -= 1;
    this.#closed = true;
  }

  async #enter(call: Call, name: string): Promise<string> {
    if (this.#closed) throw new VzvaultError('E_INTERNAL', `${this.path} was closed`);
    if (name.split('/').some((component) => ['', '.', '..'].includes(component))) {
      throw new VzvaultError('E_ARGUMENT_INVALID', `'${name}' is not a name in ${this.path}`);
    }
    const path = posix.join(this.path, name);
    this.disk.calls.push(`${call} ${name}`);
    await this.disk.fault(call, path);
    if (!this.disk.directories.has(this.path)) throw new VzvaultError('E_PATH_MISSING', `${this.path} does not exist`);
    return path;
  }
}
