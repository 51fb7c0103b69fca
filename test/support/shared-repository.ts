/** What must be true of a shared repository once its collectors and writers are through. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { until } from './processes.js';
import type { Station } from './vzvault.js';

export const DEVICE = 'drive-scsi0';

/** On a machine that is busy with other things a program takes long to begin. */
const PATIENCE_MS = 60_000;

/** Waits until `condition` holds. */
export function eventually(what: string, condition: () => boolean): Promise<void> {
  return until(what, condition, PATIENCE_MS);
}

export function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

let copies = 0;

/** Restores the disk of a snapshot and compares it. */
export async function assertRestores(
  station: Station,
  snapshot: string,
  digest: string,
  ...options: string[]
): Promise<void> {
  copies += 1;
  const copy = station.path(`copy-${copies}.raw`);
  await station.must('restore', station.store, snapshot, '--disk', DEVICE, '--to', copy, ...options);
  assert.equal(digestOf(copy), digest, `${snapshot} is what was backed up`);
  rmSync(copy);
}

/** The files of collections, by their names. Their directory is made by the first one. */
export function condemnedNames(station: Station): string[] {
  if (!existsSync(join(station.store, 'vzvault/condemned'))) return [];
  return station.files('condemned').map((path) => basename(path));
}

/**
 * No session, no unfinished file of one, and of collections the ledger only. Small files that no session is known of (a heartbeat, a document) stay
 * where somebody was killed while writing one, until they are old (src/repository/collection/leftovers.ts).
 */
export function assertNoLeftovers(station: Station): void {
  assert.deepEqual(station.files('sessions'), []);
  assert.deepEqual(
    station.files('tmp').filter((path) => /\/[0-9a-f]{32}-[0-9a-f]+$/.test(path)),
    [],
  );
  assert.deepEqual(
    condemnedNames(station).filter((name) => !name.endsWith('.done')),
    [],
  );
}

/** Ids. */
export function packsOf(station: Station): string[] {
  return station.files('packs').map((path) => basename(path));
}

interface Garbage {
  readonly packs: number;
  readonly deadPacks: number;
  readonly compactPacks: number;
}

/** There is no snapshot any more, so nothing is needed. */
export async function assertAllGoes(station: Station, ...options: string[]): Promise<void> {
  const snapshots = (await station.snapshots()).map(({ snapshot }) => snapshot);
  if (snapshots.length > 0) await station.must('forget', station.store, ...snapshots, ...options);
  await station.must('gc', station.store, ...options);
  assert.deepEqual(packsOf(station), []);
  assertNoLeftovers(station);
}

/** No pack is left that nobody needs. */
export async function assertNoGarbage(station: Station, ...options: string[]): Promise<void> {
  const { deadPacks, compactPacks } = await station.json<Garbage>('gc', station.store, '--dry-run', ...options);
  assert.deepEqual({ deadPacks, compactPacks }, { deadPacks: 0, compactPacks: 0 });
}
