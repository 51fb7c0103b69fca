/**
 * Verifying what one snapshot refers to, and keeping with it what was found.
 *
 * A map is read once, however many snapshots have it: disks and archives that did not change between snapshots have the same roots.
 */

import type { ChunkStore, CopyProgress, Damage, JobControl, MapVerification } from '../../engine/types.js';
import { hasCode } from '../../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../../lib/guest.js';
import { repositoryLimits } from '../../lib/limits.js';
import type { Repository } from '../repository.js';
import type { SnapshotArchive, SnapshotVolume } from '../snapshot-document.js';
import type { SnapshotEntry } from '../snapshots.js';

export interface Findings {
  readonly damages: readonly Damage[];
  /** The chunks that are missing, where nothing else is wrong and they are not too many; else null. */
  readonly missing: readonly string[] | null;
}

type MapReading = (control: JobControl<CopyProgress>) => Promise<MapVerification>;

/** Runs the reading of one map, and shows how far it is. */
export type MapRunner = (
  map: { readonly label: string; readonly sizeBytes: number },
  read: MapReading,
) => Promise<MapVerification>;

/** What a chunk that cannot be read looks like from the map that refers to it. */
const OF_CHUNKS: readonly string[] = ['E_CHUNK_MISSING', 'E_CHUNK_DAMAGED', 'E_PACK_MISSING', 'E_PACK_DAMAGED'];

export class SnapshotVerifier {
  readonly #verified = new Map<string, MapVerification>();

  constructor(
    private readonly repository: Repository,
    private readonly store: ChunkStore,
    private readonly run: MapRunner,
  ) {}

  /** Chunks went: what was found before does not hold any more. */
  forget(): void {
    this.#verified.clear();
  }

  async verify(entry: SnapshotEntry): Promise<Findings> {
    if (entry.summary === null) {
      const damage = { code: 'E_SNAPSHOT_DAMAGED', message: entry.damage ?? 'it cannot be read' };
      return { damages: [damage], missing: null };
    }
    const snapshot = formatSnapshotId(entry.id);
    const damages = await sidecarDamages(this.repository, entry.id);
    let missing: Set<string> | null = damages.length > 0 ? null : new Set();
    const add = (name: string, { damages: found, unreadable }: MapVerification): void => {
      damages.push(...found.map(({ code, message }) => ({ code, message: `${name}: ${message}` })));
      const isExplained = found.every(({ code }) => OF_CHUNKS.includes(code));
      const isListed = found.length === 0 || (unreadable !== null && unreadable.length > 0);
      if (!isExplained || !isListed) missing = null;
      else for (const chunk of unreadable ?? []) missing?.add(chunk);
    };
    const { volumes, archives } = entry.summary;
    for (const volume of volumes) add(volume.name, await this.#volume(volume, snapshot));
    for (const archive of archives) add(archive.name, await this.#archive(archive, snapshot));
    return { damages, missing: listed(missing) };
  }

  async #volume(volume: SnapshotVolume, snapshot: string): Promise<MapVerification> {
    const { name, sizeBytes, rootId, chunkSizeBytes } = volume;
    const map = { key: `${rootId} ${sizeBytes} ${chunkSizeBytes}`, label: `${snapshot} ${name}`, sizeBytes };
    return await this.#verify(map, (control) => this.store.verifyVolume(volume, control));
  }

  async #archive(archive: SnapshotArchive, snapshot: string): Promise<MapVerification> {
    const { name, members, data, catalogue } = archive;
    const key = [data, catalogue].map(({ rootId, sizeBytes }) => `${rootId} ${sizeBytes}`).join(' ');
    const map = { key: `${key} ${members}`, label: `${snapshot} ${name}`, sizeBytes: data.sizeBytes };
    return await this.#verify(map, (control) => this.store.verifyArchive(archive, control));
  }

  async #verify(
    { key, label, sizeBytes }: { readonly key: string; readonly label: string; readonly sizeBytes: number },
    read: MapReading,
  ): Promise<MapVerification> {
    const known = this.#verified.get(key);
    if (known !== undefined) return known;
    const result = await this.run({ label, sizeBytes }, read);
    this.#verified.set(key, result);
    return result;
  }
}

/** Keeps with a snapshot what was found. E_SNAPSHOT_MISSING, errors of the storage. */
export async function keepFindings(
  { snapshots }: Repository,
  id: SnapshotId,
  { damages, missing }: Findings,
  checkedAtSeconds: number,
): Promise<void> {
  const state = damages.length === 0 ? 'ok' : 'damaged';
  const message = messageOf(damages);
  await snapshots.sidecars.setVerifyState(id, {
    ...{ state, checkedAtSeconds, message },
    ...(state === 'ok' || missing === null ? {} : { missing }),
  });
}

function messageOf([first, ...others]: readonly Damage[]): string {
  if (first === undefined) return '';
  return `${first.code} ${first.message}${others.length === 0 ? '' : ` (and ${others.length} more)`}`;
}

function listed(missing: ReadonlySet<string> | null): readonly string[] | null {
  return missing === null || missing.size > repositoryLimits.missingChunks ? null : [...missing].sort();
}

async function sidecarDamages({ snapshots }: Repository, id: SnapshotId): Promise<Damage[]> {
  const damages: Damage[] = [];
  // One after the other: a second that fails while the first is waited for would be nobody's rejection.
  for (const read of [() => snapshots.sidecars.notes(id), () => snapshots.sidecars.log(id)]) {
    await read().catch((error: unknown) => {
      if (hasCode(error, 'E_SNAPSHOT_DAMAGED', 'E_STORAGE_IO', 'E_SUITE_MISMATCH')) {
        damages.push({ code: error.code, message: error.message });
      } else if (!hasCode(error, 'E_SNAPSHOT_MISSING')) throw error;
    });
  }
  return damages;
}
