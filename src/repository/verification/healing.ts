/**
 * Taking the mark from snapshots that are whole again: a backup stored the chunks anew that they missed.
 *
 * What a verification found missing is looked at once more, and nothing else: the rest was read then. Where a map node was missing nobody has
 * seen what is below it, so that such a snapshot is read as a whole.
 */

import { isDeepStrictEqual } from 'node:util';
import { hasCode } from '../../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../../lib/guest.js';
import type { Clock } from '../../lib/clock.js';
import type { Repository } from '../repository.js';
import type { SnapshotEntry } from '../snapshots.js';
import { keepFindings, SnapshotVerifier, type Findings } from './snapshot-verifier.js';

export interface HealingOptions {
  readonly clock: Pick<Clock, 'nowSeconds'>;
  readonly signal?: AbortSignal;
}

/** Looks at all snapshots that are marked as damaged; answers those that are so no more. Needs the key. Errors of the storage. */
export async function healSnapshots(repository: Repository, options: HealingOptions): Promise<SnapshotId[]> {
  if (repository.access.problem !== null) return [];
  const flagged = (await repository.snapshots.list()).filter((entry) => missingOf(entry) !== null);
  const healed: SnapshotId[] = [];
  for (const entry of flagged) if (await heal(repository, entry, options)) healed.push(entry.id);
  return healed;
}

/** One line for people. */
export function describeHealed(healed: readonly SnapshotId[]): string {
  return `whole again, since this backup stored what was missing: ${healed.map(formatSnapshotId).join(', ')}`;
}

/** Null where no backup can mend it. */
function missingOf({ damage, verified }: SnapshotEntry): readonly string[] | null {
  if (damage !== null || verified?.state !== 'damaged') return null;
  if (verified.checkedAtSeconds === null) return null;
  const { missing = [] } = verified;
  return missing.length > 0 ? missing : null;
}

async function heal(repository: Repository, entry: SnapshotEntry, options: HealingOptions): Promise<boolean> {
  const missing = missingOf(entry) ?? [];
  const checkedAtSeconds = entry.verified?.checkedAtSeconds ?? options.clock.nowSeconds();
  const control = options.signal === undefined ? {} : { signal: options.signal };
  const store = await repository.openStore();
  if ((await store.unreadableChunks(missing, control)).length > 0) return false;
  const isSeenWhole = missing.every((chunk) => chunk.startsWith('data:'));
  const verifier = new SnapshotVerifier(repository, store, (_map, read) => read(control));
  const found: Findings = isSeenWhole ? { damages: [], missing: null } : await verifier.verify(entry);
  // Another verification may have found something else meanwhile.
  const now = await repository.snapshots.sidecars.verifyStateOrDamaged(entry.id);
  if (!isDeepStrictEqual(now, entry.verified)) return false;
  try {
    await keepFindings(repository, entry.id, found, isSeenWhole ? checkedAtSeconds : options.clock.nowSeconds());
  } catch (error) {
    if (hasCode(error, 'E_SNAPSHOT_MISSING')) return false;
    throw error;
  }
  return found.damages.length === 0;
}
