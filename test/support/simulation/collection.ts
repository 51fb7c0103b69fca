/** The native half of a collection in the simulation; what it promises stands in src/engine/types.ts, Collection. */
import type { Collection, MapRoot, MarkCounters, PackUse } from '../../../src/engine/types.js';
import { toVzvaultError, VzvaultError } from '../../../src/lib/errors.js';
import { CHUNK_BYTES, decodePack, packPath, type SimChunk } from './chunk-files.js';
import type { SimChunkStore } from './chunk-store.js';

/** More segments than this are merged into one. */
const MANY_SEGMENTS = 6;
const PACK_CHUNKS = 5;

export class SimCollection implements Collection {
  readonly #marked = new Set<string>();
  /** Nodes below which all is marked. */
  readonly #walked = new Set<string>();
  #listed: readonly string[] = [];

  constructor(
    private readonly store: SimChunkStore,
    private readonly sid: string,
  ) {}

  async mark(roots: readonly MapRoot[]): Promise<MarkCounters> {
    const { index } = this.store;
    await index.refresh();
    this.#listed = [...index.packs].sort();
    for (const { rootId } of roots) await this.#walk(rootId, 1);
    return { nodesRead: 0, nodesRemembered: 0, filesOpened: 0, chunksMarked: this.#marked.size };
  }

  async packs(): Promise<PackUse[]> {
    const { index, disk, process } = this.store;
    // A chunk counts in one of its places: the first.
    const places = new Map([...this.#marked].map((id) => [id, index.placesOf(id).sort()[0]]));
    return await process.do('list packs', () =>
      this.#listed.flatMap((id): PackUse[] => {
        const bytes = disk.get(packPath(id));
        if (bytes === null) return [];
        const { chunks } = decodePack(bytes);
        const live = chunks.filter((chunk) => places.get(chunk.id) === id).length;
        const fileBytes = 96 + chunks.length * (52 + CHUNK_BYTES); // as in the format
        return [{ id, fileBytes, chunks: chunks.length, liveChunks: live, liveStoredBytes: live * CHUNK_BYTES }];
      }),
    );
  }

  async compact(packs: readonly string[]): Promise<{ packs: string[]; addedBytes: number }> {
    const { index } = this.store;
    const going = new Set(packs);
    const moved = [...this.#marked].filter((id) => {
      const places = index.placesOf(id);
      return places.length > 0 && places.every((pack) => going.has(pack));
    });
    const added: string[] = [];
    for (let at = 0; at < moved.length; at += PACK_CHUNKS) {
      const chunks: SimChunk[] = [];
      for (const id of moved.slice(at, at + PACK_CHUNKS)) {
        const chunk = await index.readOrNull(id);
        if (chunk !== null) chunks.push(chunk);
      }
      if (chunks.length === 0) continue;
      const pack = await this.store.writePack(this.sid, chunks, () => undefined);
      await this.store.writeSegment(chunks.map(({ id }) => ({ id, pack })));
      added.push(pack);
    }
    return { packs: added, addedBytes: moved.length * CHUNK_BYTES };
  }

  async stillNeeded(packs: readonly string[]): Promise<string[]> {
    const { index, disk, process, defects } = this.store;
    if (defects.needsNothing === true) return [];
    await index.refresh();
    const going = new Set(packs);
    return await process.do('look what is still needed', () => {
      const needed = new Set<string>();
      for (const id of this.#marked) {
        const places = index.placesOf(id);
        if (places.some((pack) => !going.has(pack))) continue;
        // Nowhere else: whoever holds it, listed or not, stays.
        for (const pack of packs) {
          const bytes = disk.get(packPath(pack));
          if (bytes !== null && decodePack(bytes).chunks.some((chunk) => chunk.id === id)) needed.add(pack);
        }
      }
      return [...needed];
    });
  }

  async mergeSegments(goingPacks: readonly string[]): Promise<{ replaced: string[]; added: string[] }> {
    const { index } = this.store;
    await index.refresh();
    const going = new Set(goingPacks);
    const all = [...index.segments];
    const replaced = all.filter(
      ([, { entries }]) => all.length > MANY_SEGMENTS || entries.some(({ pack }) => going.has(pack)),
    );
    const entries = new Map(
      replaced.flatMap(([, segment]) => segment.entries).map((entry) => [`${entry.id} ${entry.pack}`, entry]),
    );
    const kept = [...entries.values()].filter(({ pack }) => !going.has(pack));
    const added = kept.length === 0 ? [] : [await this.store.writeSegment(kept)];
    const names = replaced.map(([name]) => name).filter((name) => !added.includes(name));
    return { replaced: names, added };
  }

  async close(): Promise<void> {
    // Holds nothing.
  }

  /** `level` 1 is a root, 0 a leaf of the map, whose children are data. */
  async #walk(id: string, level: number): Promise<void> {
    if (this.#walked.has(id)) return;
    const chunk = await this.store.index.read(id).catch((thrown: unknown) => {
      const { code, message } = toVzvaultError(thrown);
      if (code !== 'E_CHUNK_MISSING') throw thrown;
      throw new VzvaultError('E_GC_INCOMPLETE', message);
    });
    this.#marked.add(id);
    for (const child of chunk.children ?? []) {
      if (level > 0) await this.#walk(child, level - 1);
      else this.#marked.add(child);
    }
    // Not before: where a child could not be read, another attempt has to come here again.
    this.#walked.add(id);
  }
}
