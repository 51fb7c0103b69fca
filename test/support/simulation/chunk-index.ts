/** One process's view of which chunk lies where: loaded from the segments and packs that its node sees. */
import { toVzvaultError, VzvaultError } from '../../../src/lib/errors.js';
import { decodeSegment, packPath, soundChunk, type SimChunk, type SimSegment } from './chunk-files.js';
import type { SimDisk } from './directory.js';
import type { SimProcess } from './world.js';

const LISTING_ATTEMPTS = 20;

export class SimIndex {
  segments = new Map<string, SimSegment>();
  packs = new Set<string>();

  constructor(
    private readonly disk: SimDisk,
    private readonly process: SimProcess,
  ) {}

  async refresh(): Promise<void> {
    for (let attempt = 1; !(await this.#loadSegments()); attempt += 1) {
      if (attempt === LISTING_ATTEMPTS) throw new VzvaultError('E_GC_INCOMPLETE', 'segments are listed but not there');
      await this.process.clock.sleep(5_000);
    }
    this.packs = new Set(await this.#listPacks());
  }

  add(id: string, segment: SimSegment): void {
    this.segments.set(id, segment);
    for (const { pack } of segment.entries) this.packs.add(pack);
  }

  /** The packs that hold the chunk, as far as this process knows. */
  placesOf(id: string): string[] {
    const places = new Set<string>();
    for (const { entries } of this.segments.values()) {
      for (const entry of entries) if (entry.id === id && this.packs.has(entry.pack)) places.add(entry.pack);
    }
    return [...places];
  }

  /** What segments list of a pack. */
  chunksIn(pack: string): string[] {
    const entries = [...this.segments.values()].flatMap((segment) => segment.entries);
    return [...new Set(entries.filter((entry) => entry.pack === pack).map(({ id }) => id))];
  }

  /** Reads a chunk; looks for it anew once where it is not where it was. E_CHUNK_MISSING. */
  async read(id: string): Promise<SimChunk> {
    return (await this.#readOnce(id)) ?? (await this.#readAnew(id));
  }

  /** The same; null where it is missing. */
  async readOrNull(id: string): Promise<SimChunk | null> {
    return await this.read(id).catch((thrown: unknown) => {
      if (toVzvaultError(thrown).code === 'E_CHUNK_MISSING') return null;
      throw thrown;
    });
  }

  async #readAnew(id: string): Promise<SimChunk> {
    await this.refresh();
    const found = await this.#readOnce(id);
    if (found === null) throw new VzvaultError('E_CHUNK_MISSING', `chunk ${id.slice(0, 8)} is missing`);
    return found;
  }

  async #readOnce(id: string): Promise<SimChunk | null> {
    const places = this.placesOf(id);
    if (places.length === 0) return null;
    return await this.process.do(`read chunk ${id.slice(0, 8)}`, () => {
      for (const pack of places) {
        const chunk = soundChunk(this.disk.get(packPath(pack)), id);
        if (chunk !== null) return chunk;
      }
      return null;
    });
  }

  /** False where one was listed that is gone. */
  async #loadSegments(): Promise<boolean> {
    const { disk, process } = this;
    const names = await process.do('list index', () => disk.childrenAt('index', disk.viewOf(process.node, 'index')));
    return await process.do('load segments', () => {
      const loaded = new Map<string, SimSegment>();
      for (const { name } of names) {
        const known = this.segments.get(name);
        const bytes = disk.get(`index/${name}`);
        if (known === undefined && bytes === null) return false;
        const segment = known ?? (bytes === null ? undefined : decodeSegment(bytes));
        if (segment !== undefined) loaded.set(name, segment);
      }
      this.segments = loaded;
      return true;
    });
  }

  #listPacks(): Promise<string[]> {
    const { disk, process } = this;
    return process.do('list packs', () => {
      const atMs = disk.viewOf(process.node, 'packs');
      const folders = disk.childrenAt('packs', atMs);
      return folders.flatMap(({ name }) => disk.childrenAt(`packs/${name}`, atMs).map((entry) => entry.name));
    });
  }
}
