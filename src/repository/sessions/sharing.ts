/** What a process brings along to take part in a shared repository: who it is, its time, its heartbeats. Made by the composition roots. */

import type { WaitingClock } from '../../lib/clock.js';
import { randomId } from '../../lib/ids.js';
import type { ProcessIdentity, ProcessTable } from '../../lib/process-identity.js';
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
}

export interface SharingOptions extends Pick<HeartbeatsOptions, 'onFailure'> {
  readonly hostname: string;
  readonly processes: ProcessTable;
  readonly clock: WaitingClock;
}

export function sharingOf({ hostname, processes, clock, ...rest }: SharingOptions): Sharing {
  const heartbeats = new Heartbeats({ clock, ...rest });
  return { hostname, processes, process: processes.identify(process.pid), clock, heartbeats, newId: randomId };
}
