/** The engine's chunk store in the simulation: a writer that deduplicates, and packs that it writes. */
import type {
  ChunkStore,
  Salvage,
  SnapshotWriter,
  VerifyResult,
  VolumeBackupOptions,
  VolumeMap,
  WriterOptions,
} from '../../../src/engine/types.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import { mapLevels } from '../../../src/repository/snapshot-document.js';
import { dataOf, decodePack, encoded, nodeOf, packPath, soundChunk, type SimChunk } from './chunk-files.js';
import { unreadableBelow, unreadableOf, verifyPacks } from './chunk-checks.js';
import { SimCollection } from './collection.js';
import { SimIndex } from './chunk-index.js';
import type { SimDisk } from './directory.js';
import type { SimProcess } from './world.js';

/** What a variant of the simulation does wrong on purpose. */
export interface Defects {
  readonly ignoresExclusion?: boolean;
  readonly answersNoKeeps?: boolean;
  readonly needsNothing?: boolean;
  readonly unsaltedSegments?: boolean;
  /** What is salvaged is not listed before its pack is moved. */
  readonly salvagesUnlisted?: boolean;
  /** What is salvaged is not stored where another pack is said to have it. */
  readonly salvagesSparingly?: boolean;
}

/** Two levels: the root lists leaves, each leaf this many chunks. */
export const LEAF_CHUNKS = 3;
export const CHUNK_SIZE_BYTES = 524_288;
/** Large enough for a map of two levels, whatever is in it. */
export const VOLUME_BYTES = CHUNK_SIZE_BYTES * 300;
const PACK_CHUNKS = 5;

/** The content of a volume is a list of numbers; the source's path is that list in JSON. */
export function sourceOf(content: readonly number[]): VolumeBackupOptions['source'] {
  return { kind: 'file', path: JSON.stringify(content) };
}

export class SimChunkStore {
  readonly index: SimIndex;

  constructor(
    readonly disk: SimDisk,
    readonly process: SimProcess,
    readonly defects: Defects,
  ) {
    this.index = new SimIndex(disk, process);
  }

  refresh(): Promise<void> {
    return this.index.refresh();
  }

  async writer(options: WriterOptions): Promise<SnapshotWriter> {
    return new SimWriter(this, options) as unknown as SnapshotWriter;
  }

  verifyPacks({ packs = [], segments = true }: Parameters<ChunkStore['verifyPacks']>[0]): Promise<VerifyResult> {
    return verifyPacks(this, packs, segments);
  }

  verifyVolume({ rootId }: VolumeMap): ReturnType<ChunkStore['verifyVolume']> {
    return unreadableBelow(this.index, rootId);
  }

  unreadableChunks(chunks: readonly string[]): Promise<string[]> {
    return unreadableOf(this.index, chunks);
  }

  async collection({ sessionId }: { readonly sessionId: string }): Promise<SimCollection> {
    return new SimCollection(this, sessionId);
  }

  /** A file of its session in tmp/, then its name. Answers the pack's id. */
  async writePack(sid: string, chunks: readonly SimChunk[], onNamed: (id: string) => void): Promise<string> {
    const { id, bytes } = encoded({ salt: this.process.world.newId(), chunks });
    const unfinished = `tmp/${sid}-${id.slice(0, 8)}`;
    await this.process.do(`write ${unfinished}`, () => {
      this.disk.put(unfinished, bytes, this.process);
    });
    onNamed(id);
    await this.process.do(`publish pack ${id.slice(0, 8)}`, () => {
      if (this.disk.get(unfinished) === null) throw new VzvaultError('E_STORAGE_IO', `${unfinished} is gone`);
      this.disk.put(packPath(id), bytes, this.process);
      this.disk.remove(unfinished, this.process);
    });
    return id;
  }

  async writeSegment(entries: readonly { readonly id: string; readonly pack: string }[]): Promise<string> {
    const sorted = [...entries].sort((a, b) => (`${a.id} ${a.pack}` < `${b.id} ${b.pack}` ? -1 : 1));
    const salt = this.defects.unsaltedSegments === true ? '' : this.process.world.newId();
    const segment = { salt, entries: sorted };
    const { id, bytes } = encoded(segment);
    await this.process.do(`write segment ${id.slice(0, 8)}`, () => {
      this.disk.put(`index/${id}`, bytes, this.process);
    });
    this.index.add(id, segment);
    return id;
  }
}

export function asChunkStore(store: SimChunkStore): ChunkStore {
  return store as unknown as ChunkStore;
}

class SimWriter {
  readonly #excluded: Set<string>;
  readonly #used = new Set<string>();
  readonly #own = new Set<string>();
  #staged: SimChunk[] = [];
  #isMending = false;
  readonly #unlisted: { id: string; pack: string }[] = [];

  constructor(
    private readonly store: SimChunkStore,
    private readonly options: WriterOptions,
  ) {
    this.#excluded = new Set(store.defects.ignoresExclusion === true ? [] : options.excludedPacks);
  }

  async exclude(packs: readonly string[]): Promise<{ keeps: string[] }> {
    const { ignoresExclusion, answersNoKeeps } = this.store.defects;
    const used = packs.filter((pack) => this.#used.has(pack));
    if (ignoresExclusion !== true) for (const pack of packs) if (!used.includes(pack)) this.#excluded.add(pack);
    return { keeps: answersNoKeeps === true ? [] : used };
  }

  async backupVolume({ source, incremental }: VolumeBackupOptions): Promise<unknown> {
    const content = JSON.parse(source.kind === 'file' ? source.path : '[]') as number[];
    const base = incremental === null ? null : await this.#leavesOf(incremental.base);
    const leaves: string[] = [];
    for (let at = 0; at < content.length; at += LEAF_CHUNKS) {
      const leaf = nodeOf(content.slice(at, at + LEAF_CHUNKS).map((value) => dataOf(value).id));
      leaves.push(leaf.id);
      // What has not changed since the base is taken over without a look.
      if (base?.includes(leaf.id) === true) continue;
      for (const value of content.slice(at, at + LEAF_CHUNKS)) await this.#put(dataOf(value));
      await this.#put(leaf);
    }
    const root = nodeOf(leaves);
    await this.#put(root);
    const map: VolumeMap = {
      sizeBytes: VOLUME_BYTES,
      chunkSizeBytes: CHUNK_SIZE_BYTES,
      levels: mapLevels(VOLUME_BYTES, CHUNK_SIZE_BYTES),
      rootId: root.id,
    };
    const none = { processedBytes: 0, unchangedBytes: 0, readBytes: 0, zeroBytes: 0, reusedBytes: 0, newBytes: 0 };
    const counters = { sizeBytes: VOLUME_BYTES, ...none, writtenBytes: 0, discardedBytes: 0 };
    return { map, counters, discardRefusal: null };
  }

  async salvage(packs: readonly string[]): Promise<Salvage> {
    const { disk, process, index, defects } = this.store;
    const sum = { chunks: 0, lost: 0 };
    this.#isMending = true;
    if (defects.salvagesSparingly === true) this.#excluded.clear();
    for (const pack of packs) {
      this.#excluded.add(pack);
      const bytes = await process.do(`read pack ${pack.slice(0, 8)}`, () => disk.get(packPath(pack)));
      if (bytes === null) throw new VzvaultError('E_PACK_MISSING', `${pack} is gone`);
      const { chunks, isBroken } = decodePack(bytes);
      const ids = isBroken === true ? index.chunksIn(pack) : chunks.map(({ id }) => id);
      for (const id of ids) {
        const chunk = soundChunk(bytes, id) ?? (await index.readOrNull(id));
        if (chunk !== null) await this.#put(chunk);
        sum[chunk === null ? 'lost' : 'chunks'] += 1;
      }
    }
    return sum;
  }

  async flush(): Promise<{ addedBytes: number }> {
    await this.#seal();
    if (this.#isMending && this.store.defects.salvagesUnlisted === true) return { addedBytes: 0 };
    if (this.#unlisted.length > 0) await this.store.writeSegment(this.#unlisted.splice(0));
    return { addedBytes: 0 };
  }

  async close(): Promise<void> {
    this.#staged = [];
  }

  async #leavesOf({ rootId }: VolumeMap): Promise<readonly string[]> {
    return (await this.store.index.read(rootId)).children ?? [];
  }

  /** One lookup: found in a pack that may be used, or staged. */
  async #put(chunk: SimChunk): Promise<void> {
    await this.store.process.do('look up', () => {
      if (this.#own.has(chunk.id)) return;
      const place = this.store.index.placesOf(chunk.id).find((pack) => !this.#excluded.has(pack));
      if (place !== undefined) {
        this.#used.add(place);
        return;
      }
      this.#own.add(chunk.id);
      this.#staged.push(chunk);
    });
    if (this.#staged.length >= PACK_CHUNKS) await this.#seal();
  }

  async #seal(): Promise<void> {
    const chunks = this.#staged.splice(0);
    if (chunks.length === 0) return;
    const pack = await this.store.writePack(this.options.sessionId, chunks, (id) => this.#used.add(id));
    this.#unlisted.push(...chunks.map(({ id }) => ({ id, pack })));
  }
}
