/** Two ways to read snapshots back for a comparison: a mount by the command line, and the layer below it within this process, which is quicker. */
import { mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { engine } from '../../src/engine/index.js';
import { formatGuest } from '../../src/lib/guest.js';
import { formatIsoTime } from '../../src/lib/time.js';
import { formatVolumeName, parseVolumeName } from '../../src/lib/volume-name.js';
import { openRepository, type Repository } from '../../src/repository/repository.js';
import type { SnapshotDocument } from '../../src/repository/snapshot-document.js';
import { run } from './model-run.js';
import { projectRoot } from './project.js';
import type { Cleanups } from './temp.js';

export interface SnapshotReader {
  /** Of the storage at `path`, sorted. A damaged one is an error. */
  volumes(path: string): Promise<string[]>;
  devices(path: string, volume: string): Promise<string[]>;
  /** Restores a disk into a file, and what `look` says of it. */
  read<T>(path: string, volume: string, device: string, look: (file: string) => Promise<T>): Promise<T>;
}

export interface SnapshotFigures {
  readonly readBytes: number;
  readonly zeroBytes: number;
  readonly reusedBytes: number;
  readonly newBytes: number;
  readonly addedBytes: number;
}

/** The real program: one mount of all snapshots, as an administrator on another machine would make it. */
export class MountReader implements SnapshotReader {
  private constructor(
    private readonly listed: readonly string[],
    private readonly point: string,
  ) {}

  /** Runs `work` with what the storage at `path` holds now. */
  static async with<T>(vzvault: Vzvault, path: string, work: (reader: MountReader) => Promise<T>): Promise<T> {
    const listed = await vzvault.json<{ volume: string; damage: string | null }[]>('list', path);
    for (const { volume, damage } of listed) if (damage !== null) throw new Error(`${volume} is damaged: ${damage}`);
    // Nothing cannot be mounted.
    if (listed.length === 0) return await work(new MountReader([], vzvault.directory));
    const point = mkdtempSync(join(vzvault.directory, 'look-'));
    try {
      await vzvault.run('mount', path, point);
      try {
        return await work(
          new MountReader(
            listed.map(({ volume }) => volume),
            point,
          ),
        );
      } finally {
        await run('umount', point);
      }
    } finally {
      rmdirSync(point);
    }
  }

  async volumes(): Promise<string[]> {
    return [...this.listed].sort();
  }

  async devices(_path: string, volume: string): Promise<string[]> {
    const names = readdirSync(this.#directory(volume)).filter((name) => name.endsWith('.raw'));
    return names.map((name) => name.slice(0, -'.raw'.length));
  }

  async read<T>(_path: string, volume: string, device: string, look: (file: string) => Promise<T>): Promise<T> {
    return await look(join(this.#directory(volume), `${device}.raw`));
  }

  #directory(volume: string): string {
    const id = parseVolumeName(volume)!;
    return join(this.point, formatGuest(id), formatIsoTime(id.timeSeconds));
  }
}

/** The command line, with a cache of its own. */
export class Vzvault {
  constructor(
    readonly directory: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** What the program printed; rejects with what it said where it fails. */
  async run(...args: string[]): Promise<string> {
    const variables = Object.entries(this.env).map(([name, value]) => `${name}=${value}`);
    return await run('env', ...variables, join(projectRoot, 'build/bin/vzvault'), ...args);
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.run(...args, '--json')) as T;
  }
}

/** The repository layer in this process. Keeps repositories open; `close` gives them back. */
export class DirectReader implements SnapshotReader {
  readonly #repositories = new Map<string, Repository>();

  constructor(
    private readonly directory: string,
    cleanups: Cleanups,
  ) {
    cleanups.add(() => this.close());
  }

  async volumes(path: string): Promise<string[]> {
    const entries = await (await this.#open(path)).snapshots.list();
    for (const { id, damage } of entries)
      if (damage !== null) throw new Error(`${formatVolumeName(id)} is damaged: ${damage}`);
    return entries.map(({ id }) => formatVolumeName(id)).sort();
  }

  async devices(path: string, volume: string): Promise<string[]> {
    return (await this.#document(path, volume)).volumes.map(({ name }) => name);
  }

  async figures(path: string, volume: string): Promise<SnapshotFigures> {
    return (await this.#document(path, volume)).stats;
  }

  async forget(path: string, volume: string): Promise<void> {
    await (await this.#open(path)).snapshots.remove(parseVolumeName(volume)!);
  }

  async read<T>(path: string, volume: string, device: string, look: (file: string) => Promise<T>): Promise<T> {
    const map = (await this.#document(path, volume)).volumes.find(({ name }) => name === device);
    if (map === undefined) throw new Error(`${volume} has no ${device}`);
    const store = await (await this.#open(path)).openStore();
    await store.refresh();
    const file = join(this.directory, 'direct.raw');
    rmSync(file, { force: true });
    await store.restoreVolume(map, { path: file, overwrite: false });
    return await look(file);
  }

  /** To be called where something else takes the place of an opened repository. */
  async close(): Promise<void> {
    const opened = [...this.#repositories.values()];
    this.#repositories.clear();
    for (const repository of opened) await repository.close();
  }

  async #document(path: string, volume: string): Promise<SnapshotDocument> {
    return await (await this.#open(path)).snapshots.read(parseVolumeName(volume)!);
  }

  async #open(path: string): Promise<Repository> {
    const repository = this.#repositories.get(path) ?? (await openRepository(engine, { path }));
    this.#repositories.set(path, repository);
    return repository;
  }
}
