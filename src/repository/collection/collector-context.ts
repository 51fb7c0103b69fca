/** What the parts of one collection share. */

import type { ChunkStore, Collection } from '../../engine/types.js';
import { abortReason } from '../../lib/deadline.js';
import type { BlobStore } from '../blob-store.js';
import type { RepositoryAccess } from '../keys/repository-access.js';
import type { SessionFiles } from '../sessions/session-files.js';
import type { SharingSealer } from '../sessions/sharing-document.js';
import type { Sharing } from '../sessions/sharing.js';
import type { Snapshots } from '../snapshots.js';
import type { GenerationFiles } from './generation-files.js';
import type { PackChoiceLimits } from './pack-choice.js';
import type { Sightings } from './sightings.js';

/** What a collection works on. */
export interface CollectorTarget {
  /** What is in use cannot be told from maps that cannot be read. */
  readonly access: Pick<RepositoryAccess, 'require'>;
  readonly blobs: BlobStore;
  readonly sealer: SharingSealer;
  readonly snapshots: Snapshots;
  openStore(): Promise<Pick<ChunkStore, 'collection'>>;
}

export interface CollectorOptions {
  readonly sharing: Sharing;
  readonly sightings: Sightings;
  /** How old a listing of a directory may be. */
  readonly graceMs: number;
  /** A session that has not counted on for so long is fenced. */
  readonly fenceAfterMs: number;
  /** How often what is waited for is looked at. */
  readonly pollMs: number;
  /** Of what is read; 0: none. */
  readonly bandwidthLimitBytesPerSecond: number;
  readonly zstdLevel: number;
  readonly packChoice: PackChoiceLimits;
  /** Stops the collection, which any later one resumes. */
  readonly signal?: AbortSignal;
  /** A line for people. */
  readonly report: (line: string) => void;
}

export interface CollectorContext extends CollectorOptions {
  readonly target: CollectorTarget;
  readonly sessions: SessionFiles;
  readonly generations: GenerationFiles;
  /** Of the collector's own session. */
  readonly sid: string;
  readonly collection: Collection;
}

/** Waits, and ends with the signal's reason where that is aborted. */
export async function settle({ sharing, signal }: CollectorOptions, durationMs: number): Promise<void> {
  if (durationMs > 0) await sharing.clock.sleep(durationMs, signal);
  if (signal?.aborted === true) throw abortReason(signal);
}
