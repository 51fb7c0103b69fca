/** What the native core offers for garbage collection; types.ts has the rules that hold for all of it. */

import type { CopyProgress, JobControl } from './job-types.js';
import type { MapRoot } from './map-types.js';

/** Of all marking of one collection so far. */
export interface MarkCounters {
  /** Map nodes read from the repository, and from the memory of earlier collections. */
  readonly nodesRead: number;
  readonly nodesRemembered: number;
  readonly filesOpened: number;
  readonly chunksMarked: number;
}

/** A pack in `packs/`, as of the last `mark`. */
export interface PackUse {
  readonly id: string;
  readonly fileBytes: number;
  /** By the index; 0 where no segment lists the pack. */
  readonly chunks: number;
  /** Of them marked; a chunk with several places counts in one of its packs only. */
  readonly liveChunks: number;
  readonly liveStoredBytes: number;
}

export interface CollectionOptions {
  /** 32 hex digits: its unfinished files are `tmp/<sessionId>-…`. */
  readonly sessionId: string;
  /** Of what is read from the repository; 0: none. */
  readonly bandwidthLimitBytesPerSecond: number;
  readonly zstdLevel: number;
}

/**
 * The native half of a garbage collection: finds out what is referred to, and moves what is. It deletes nothing. One call at a time.
 * Every call whose reading finds a pack or a chunk missing refreshes the index once before it believes it.
 */
export interface Collection {
  /**
   * Refreshes the index, then marks all that can be reached from the roots, each map node once; may be called again with more roots.
   * E_GC_INCOMPLETE with the first map node or segment that is missing or cannot be read, and with a root whose numbers do not fit together:
   * what was marked stays marked, and another call with the same roots tries again. Data and catalogue chunks are not read, and one that the
   * index does not list stops nothing: it is kept in mind for `compact` and `stillNeeded`. E_GC_INCOMPLETE where there are too many of these; E_KEY_MISSING.
   */
  mark(roots: readonly MapRoot[], control?: JobControl<MarkCounters>): Promise<MarkCounters>;
  /**
   * The packs that the last `mark` found in `packs/`, without those that are gone since, ordered by id: what others have written
   * after it is not offered.
   */
  packs(): Promise<PackUse[]>;
  /**
   * Seals the marked chunks of these packs anew into new packs and lists those in the index, durably. Those that have a place in a pack which
   * is not among these are left out, so it has to be told of all packs that shall go. What cannot be read is left where it is. E_KEY_MISSING
   * where the repository is encrypted and was opened without its key.
   */
  compact(
    packs: readonly string[],
    control?: JobControl<CopyProgress>,
  ): Promise<{ packs: string[]; addedBytes: number }>;
  /**
   * Which of these packs may not go: those that hold a marked chunk that has no place in any pack outside of all of them, by the index and,
   * while marked chunks are missing in it, by their own tables. The index and the list of packs are refreshed first.
   */
  stillNeeded(packs: readonly string[]): Promise<string[]>;
  /**
   * Writes segments that take the place of others: of those that list a going pack, and of small ones where there are many. Their entries
   * are those of the replaced but for the going packs', whether or not the other packs can be seen in `packs/`. Durable when it answers;
   * repeatable. No segment ever has the name of an earlier one (a salt sees to it).
   */
  mergeSegments(
    goingPacks: readonly string[],
    control?: JobControl<CopyProgress>,
  ): Promise<{ replaced: string[]; added: string[] }>;
  /** Gives up what is under way and removes its unfinished files. Repeatable. */
  close(): Promise<void>;
}
