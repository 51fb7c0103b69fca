/** The native half of a collection, scripted by a test: which packs there are, and what is needed. */
import type { Collection, MapRoot, MarkCounters, PackUse } from '../../src/engine/types.js';

export class FakeCollection implements Collection {
  uses: PackUse[] = [];
  needed: string[] = [];
  merged: { replaced: string[]; added: string[] } = { replaced: [], added: [] };
  /** Thrown by the next marks, in turn. */
  readonly markFailures: Error[] = [];
  readonly marked: MapRoot[] = [];
  readonly compacted: string[] = [];
  closes = 0;

  /** A pack of 1000 bytes of which `liveBytes` are needed. */
  static pack(letter: string, liveBytes: number): PackUse {
    const liveChunks = liveBytes > 0 ? 1 : 0;
    return { id: letter.repeat(64), fileBytes: 1000, chunks: 1, liveChunks, liveStoredBytes: liveBytes };
  }

  async mark(roots: readonly MapRoot[]): Promise<MarkCounters> {
    const failure = this.markFailures.shift();
    if (failure !== undefined) throw failure;
    this.marked.push(...roots);
    return { nodesRead: 0, nodesRemembered: 0, filesOpened: 0, chunksMarked: 0 };
  }

  async packs(): Promise<PackUse[]> {
    return this.uses;
  }

  async compact(packs: readonly string[]): Promise<{ packs: string[]; addedBytes: number }> {
    this.compacted.push(...packs);
    return { packs: ['f'.repeat(64)], addedBytes: 100 };
  }

  async stillNeeded(packs: readonly string[]): Promise<string[]> {
    return packs.filter((pack) => this.needed.includes(pack));
  }

  async mergeSegments(): Promise<{ replaced: string[]; added: string[] }> {
    return this.merged;
  }

  async close(): Promise<void> {
    this.closes += 1;
  }
}
