/** What a verification has read and found. */

import type { Damage } from '../../engine/types.js';
import type { CheckLevel } from './check-times.js';

export interface SnapshotReport {
  readonly snapshot: string;
  readonly damages: readonly Damage[];
}

export interface VerificationReport {
  readonly level: CheckLevel;
  readonly packs: number;
  readonly packBytes: number;
  readonly chunks: number;
  readonly damages: readonly Damage[];
  readonly snapshots: readonly SnapshotReport[];
  readonly quarantined: readonly string[];
  readonly salvagedChunks: number;
  readonly lostChunks: number;
  /** What there was no time for. */
  readonly remaining: { readonly packs: number; readonly snapshots: number };
}
