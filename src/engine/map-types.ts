/** What snapshots refer to: the maps of volumes and streams (docs/format.md). Plain data; types.ts has the rules that hold for all of it. */

/** A volume's geometry and the root of its map. `rootId` is 64 zeroes for a volume that is all zero. */
export interface VolumeMap {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly levels: number;
  readonly rootId: string;
}

/** One stream of an archive: its length, and the tree of its pieces. `rootId` is 64 zeroes for an empty one, which has one level. */
export interface StreamMap {
  readonly sizeBytes: number;
  readonly levels: number;
  readonly rootId: string;
}

/** A container's files: what they hold, one behind the other, and the catalogue that tells which is which. */
export interface ArchiveMap {
  readonly members: number;
  readonly data: StreamMap;
  readonly catalogue: StreamMap;
}

/** Where a walk over a map begins. A `rootId` of 64 zeroes is one of nothing. */
export type MapRoot =
  | ({ readonly kind: 'volume' } & VolumeMap)
  | ({ readonly kind: 'stream'; readonly type: 'data' | 'catalogue' } & StreamMap);
