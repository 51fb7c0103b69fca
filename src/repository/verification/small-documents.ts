/**
 * The small files beside packs, index and snapshots: what sessions and collections leave each other, and names that nothing should have. A damaged
 * one harms nothing that was stored, but may keep collections waiting, and new backups where it is the list of what is condemned now.
 */

import type { Damage } from '../../engine/types.js';
import { toVzvaultError } from '../../lib/errors.js';
import { snapshotDirectory, snapshotPath } from '../../lib/guest.js';
import { GenerationFiles } from '../collection/generation-files.js';
import type { Repository } from '../repository.js';
import { SessionFiles } from '../sessions/session-files.js';

const SEGMENT = /^[0-9a-f]{64}$/;

/** Errors of the storage. */
export async function smallDamages({ blobs, sealer }: Repository): Promise<Damage[]> {
  const damages: Damage[] = [];
  for (const { name } of (await blobs.list('index')) ?? []) {
    if (SEGMENT.test(name) || name.startsWith('.nfs')) continue;
    damages.push({ code: 'E_SEGMENT_DAMAGED', message: `index/${name} is no segment: it has the wrong name` });
  }
  const check = async (read: () => Promise<unknown>): Promise<void> => {
    await read().catch((thrown: unknown) => {
      const { code, message } = toVzvaultError(thrown);
      // What is too long for any document is an argument that is refused.
      if (code !== 'E_SNAPSHOT_DAMAGED' && code !== 'E_ARGUMENT_INVALID' && code !== 'E_STORAGE_IO') throw thrown;
      damages.push({ code: 'E_SNAPSHOT_DAMAGED', message });
    });
  };
  const sessions = new SessionFiles(blobs, sealer);
  for (const sid of await sessions.ids()) await check(() => sessions.read(sid));
  const files = new GenerationFiles(blobs, sealer);
  const { generations } = await files.ledger();
  for (const { number, isCondemned, hasVerdict, isDone, claims } of generations) {
    if (isCondemned) await check(() => files.condemned(number));
    if (hasVerdict) await check(() => files.verdict(number));
    if (isDone) await check(() => files.done(number));
    for (const sid of claims) await check(() => files.claim(number, sid));
  }
  return damages;
}

/** Directories of snapshots without one: it was removed, which was cut short, or its document was lost. */
export async function remainsOfSnapshots({ blobs, snapshots }: Repository): Promise<string[]> {
  const remains: string[] = [];
  for (const id of await snapshots.ids()) {
    const directory = snapshotDirectory(id);
    if ((await blobs.status(snapshotPath(id))) !== null) continue;
    const files = (await blobs.list(directory)) ?? [];
    if (files.length > 0)
      remains.push(`${directory}/ holds ${files.map(({ name }) => name).join(', ')}, but no snapshot`);
  }
  return remains;
}
