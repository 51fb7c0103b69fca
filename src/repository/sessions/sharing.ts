/** What a process brings along to take part in a shared repository: who it is, its time, its heartbeats. Made by the composition roots. */

import type { WaitingClock } from '../../lib/clock.js';
import { randomId } from '../../lib/ids.js';
import type { ProcessIdentity, ProcessTable } from '../../lib/process-identity.js';
import type { BlobStore } from '../blob-store.js';
import { Heartbeats, type HeartbeatsOptions } from './heartbeats.js';

export interface Sharing {
  readonly hostname: string;
  readonly processes: ProcessTable;
  /** This one. */
  readonly process: ProcessIdentity | null;
  readonly clock: WaitingClock;
  readonly heartbeats: Heartbeats;
  /** A new session's id: 32 hex digits that were never used. */
  readonly newId: () => string;
  /**
   * Opens the directory of a repository anew, for sessions that outlived the one they were opened in. A program that ends with its repository
   * needs none.
   */
  readonly openDirectory?: ((path: string) => BlobStore) | undefined;
}

export interface SharingOptions extends Pick<HeartbeatsOptions, 'onFailure'>, Pick<Sharing, 'openDirectory'> {
  readonly hostname: string;
  readonly processes: ProcessTable;
  readonly clock: WaitingClock;
}

export function sharingOf({ hostname, processes, clock, openDirectory, ...rest }: SharingOptions): Sharing {
  const heartbeats = new Heartbeats({ clock, ...rest });
  const self = processes.identify(process.pid);
  return { hostname, processes, process: self, clock, heartbeats, newId: randomId, openDirectory };
}
