/**
 * Verifying a repository: packs, the index and snapshots, in one queue, what was checked least recently first.
 *
 * What is found is kept at once, so that a run which is interrupted has told what it knows: times of checks of packs, verify states of
 * snapshots. A pack that is found damaged twice is taken out of use. When chunks were lost with it every snapshot is read in the same run, however recently
 * it was checked and however long that takes: a backup must not build on one that misses something.
 */

import type { ChunkStore, CopyProgress, Damage, JobControl, Salvage } from '../../engine/types.js';
import type { Clock } from '../../lib/clock.js';
import { hasCode, toVzvaultError } from '../../lib/errors.js';
import { formatSnapshotId } from '../../lib/guest.js';
import { verificationLimits } from '../../lib/limits.js';
import { listPacks, packPath } from '../pack-files.js';
import type { Repository } from '../repository.js';
import { rootsOf } from '../sessions/map-root.js';
import { duringSession } from '../sessions/passive-session.js';
import { announceReader } from '../sessions/reading.js';
import type { Sharing } from '../sessions/sharing.js';
import type { SnapshotEntry } from '../snapshots.js';
import { CheckTimes, type CheckLevel } from './check-times.js';
import { Mender } from './mender.js';
import { forgetPacks, quarantinedPacks } from './quarantine.js';
import { remainsOfSnapshots, smallDamages } from './small-documents.js';
import { keepFindings, SnapshotVerifier, type MapRunner } from './snapshot-verifier.js';
import type { SnapshotReport, VerificationReport } from './verification-report.js';

export interface VerificationOptions {
  readonly clock: Clock;
  readonly sharing: Sharing;
  readonly signal: AbortSignal;
  /** `name` needs no key, and touches no snapshot and no pack. */
  readonly level: CheckLevel;
  /** What was checked within is left out. Null: nothing is. */
  readonly maxAgeSeconds: number | null;
  /** By the monotonic clock: nothing is begun after it. Null: no end. */
  readonly endMs: number | null;
  /** Take damaged packs out of use. */
  readonly quarantines: boolean;
  readonly graceMs: number;
  /** Runs the reading of some packs, which tells how far it is. */
  readonly runPacks: (
    read: (progress: (doneBytes: number, totalBytes: number) => void) => Promise<number>,
  ) => Promise<void>;
  readonly runMap: MapRunner;
  /** A line for people. */
  readonly warn: (line: string) => void;
}

type Item =
  | { readonly atSeconds: number; readonly pack: string; readonly entry: null }
  | { readonly atSeconds: number; readonly pack: null; readonly entry: SnapshotEntry };

/** Damages that are of the pack itself. An I/O error may be the storage's alone, and pass; one that is of a sector alone is told as damage of what lies in it. */
const OF_PACK: readonly string[] = ['E_PACK_DAMAGED', 'E_CHUNK_DAMAGED', 'E_SUITE_MISMATCH'];

/** Errors of the storage, E_CANCELLED. */
export async function verifyRepository(
  repository: Repository,
  options: VerificationOptions,
): Promise<VerificationReport> {
  return await new Verification(repository, options, await repository.openStore()).run();
}

/** Only these snapshots, whenever they were checked. */
export async function verifySnapshots(
  repository: Repository,
  options: VerificationOptions,
  entries: readonly SnapshotEntry[],
): Promise<VerificationReport> {
  return await new Verification(repository, options, await repository.openStore()).only(entries);
}

class Verification {
  readonly #damages: Damage[] = [];
  readonly #snapshots = new Map<string, SnapshotReport>();
  readonly #quarantined: string[] = [];
  /** Snapshots that were read before a pack was taken out of use. */
  readonly #outdated = new Set<string>();
  readonly #verifier: SnapshotVerifier;
  readonly #mender: Mender;
  #packs = 0;
  #packBytes = 0;
  #chunks = 0;
  #salvage: Salvage = { chunks: 0, lost: 0 };
  #hasWarned = false;

  constructor(
    private readonly repository: Repository,
    private readonly options: VerificationOptions,
    private readonly store: ChunkStore,
  ) {
    this.#verifier = new SnapshotVerifier(repository, store, options.runMap);
    this.#mender = new Mender(repository, options);
  }

  async run(): Promise<VerificationReport> {
    const { blobs, snapshots } = this.repository;
    const { clock, level } = this.options;
    const { packs, strays } = await listPacks(blobs);
    for (const name of strays)
      this.#damages.push({ code: 'E_PACK_DAMAGED', message: `${name} is no pack: it has the wrong name` });
    this.#damages.push(...(await smallDamages(this.repository)));
    for (const remains of await remainsOfSnapshots(this.repository)) this.options.warn(remains);
    const times = await CheckTimes.load(blobs, packs, () => clock.nowSeconds());
    const entries = level === 'chunks' ? await snapshots.list() : [];
    const due = this.#due(packs, times, entries);
    const left = await this.#work(due, times).finally(() => this.#mender.close());
    await this.#checkIndex();
    // Who committed before that could be seen is listed now.
    const hasLost = this.#salvage.lost > 0;
    const again = hasLost || this.#outdated.size > 0 ? await snapshots.list() : [];
    for (const entry of again)
      if (hasLost || this.#outdated.has(formatSnapshotId(entry.id))) await this.#snapshot(entry);
    const remaining = left.filter(({ entry }) => entry === null || !this.#snapshots.has(formatSnapshotId(entry.id)));
    const remainingPacks = remaining.filter(({ pack }) => pack !== null).length;
    return this.#report({ packs: remainingPacks, snapshots: remaining.length - remainingPacks });
  }

  async only(entries: readonly SnapshotEntry[]): Promise<VerificationReport> {
    for (const entry of entries) await this.#snapshot(entry);
    return this.#report({ packs: 0, snapshots: 0 });
  }

  #report(remaining: VerificationReport['remaining']): VerificationReport {
    const { level } = this.options;
    const counted = {
      level,
      packs: this.#packs,
      packBytes: this.#packBytes,
      chunks: this.#chunks,
      damages: this.#damages,
    };
    const mended = {
      quarantined: this.#quarantined,
      salvagedChunks: this.#salvage.chunks,
      lostChunks: this.#salvage.lost,
    };
    return { ...counted, ...mended, snapshots: [...this.#snapshots.values()], remaining };
  }

  /** Packs before snapshots where both were checked at the same time. Snapshots that are marked as damaged are always due. */
  #due(packs: readonly string[], times: CheckTimes, entries: readonly SnapshotEntry[]): Item[] {
    const { clock, level, maxAgeSeconds } = this.options;
    const items: Item[] = [
      ...packs.map((pack) => ({ atSeconds: times.checkedAtSeconds(pack, level), pack, entry: null })),
      ...entries.map((entry) => ({ atSeconds: this.#checkedAtSeconds(entry), pack: null, entry })),
    ];
    const since = maxAgeSeconds === null ? Infinity : clock.nowSeconds() - maxAgeSeconds;
    const due = items.filter(({ atSeconds }) => atSeconds === 0 || atSeconds < since);
    return due.sort((a, b) => a.atSeconds - b.atSeconds);
  }

  #checkedAtSeconds({ damage, verified }: SnapshotEntry): number {
    if (damage !== null || verified?.state !== 'ok') return 0;
    return verified.checkedAtSeconds > this.options.clock.nowSeconds() ? 0 : verified.checkedAtSeconds;
  }

  /** Answers what there was no time for. */
  async #work(due: readonly Item[], times: CheckTimes): Promise<readonly Item[]> {
    let at = 0;
    try {
      while (at < due.length && !this.#isOver()) {
        const item = due[at];
        if (item?.entry) {
          await this.#snapshot(item.entry);
          at += 1;
          continue;
        }
        const end = due.findIndex(({ pack }, index) => index > at && pack === null);
        const run = due.slice(at, end < 0 ? due.length : end).flatMap(({ pack }) => (pack === null ? [] : [pack]));
        at += await this.#packsOf(run, times);
      }
    } finally {
      await this.#keep(() => times.save());
    }
    return due.slice(at);
  }

  /** Answers how many of them there was time for. */
  async #packsOf(packs: readonly string[], times: CheckTimes): Promise<number> {
    const { blobs } = this.repository;
    const { clock, level, runPacks } = this.options;
    let done = 0;
    await runPacks(async (progress) => {
      const startBytes = this.#packBytes;
      let savedMs = clock.monotonicMs();
      for (const pack of packs) {
        if (this.#isOver()) break;
        const bytesBefore = this.#packBytes - startBytes;
        const isWhole = await this.#pack(pack, (doneBytes) => {
          // The packs that are left are taken to be as large as those that were read, which is cheaper than to look at each.
          const perPack = (bytesBefore + doneBytes) / (done + 1);
          progress(bytesBefore + doneBytes, Math.max(bytesBefore + doneBytes, perPack * packs.length));
        });
        if (isWhole && (await blobs.status(packPath(pack))) !== null) times.note(pack, level);
        done += 1;
        if (clock.monotonicMs() - savedMs < verificationLimits.saveMs) continue;
        await this.#keep(() => times.save());
        savedMs = clock.monotonicMs();
      }
      return this.#packBytes - startBytes;
    });
    return done;
  }

  /** False where it is damaged. */
  async #pack(pack: string, progress: (doneBytes: number) => void): Promise<boolean> {
    const { level, quarantines, signal } = this.options;
    const control: JobControl<CopyProgress> = {
      signal,
      onProgress: ({ processedBytes }) => {
        progress(processedBytes);
      },
    };
    const options = { decode: level === 'chunks', packs: [pack], segments: false };
    const { packBytes, chunks, damages } = await this.store.verifyPacks(options, control);
    this.#packs += 1;
    this.#packBytes += packBytes;
    this.#chunks += chunks;
    // A collection has deleted it meanwhile.
    if (damages.length > 0 && (await this.repository.blobs.status(packPath(pack))) === null) return true;
    this.#damages.push(...damages);
    if (damages.length === 0) return true;
    if (!quarantines || level === 'name' || !damages.some(({ code }) => OF_PACK.includes(code))) return false;
    // Memory or a cable may have been at fault: a pack goes for what is seen twice.
    const again = await this.store.verifyPacks(options, { signal });
    if (again.damages.some(({ code }) => OF_PACK.includes(code))) await this.#quarantine(pack);
    return false;
  }

  async #quarantine(pack: string): Promise<void> {
    const { signal, warn } = this.options;
    try {
      const { chunks, lost } = await this.#mender.quarantine(pack);
      this.#salvage = { chunks: this.#salvage.chunks + chunks, lost: this.#salvage.lost + lost };
      this.#quarantined.push(pack);
      // What was read of snapshots so far does not hold any more.
      this.#verifier.forget();
      for (const name of this.#snapshots.keys()) this.#outdated.add(name);
      this.#snapshots.clear();
    } catch (error) {
      if (signal.aborted) throw error;
      warn(`the pack ${pack} stays where it is: ${toVzvaultError(error).line}`);
    }
  }

  /** Packs in quarantine leave the index first, so that they are not missed for ever. */
  async #checkIndex(): Promise<void> {
    const { level, quarantines, sharing, signal, graceMs, warn } = this.options;
    const read = { decode: level === 'chunks', packs: [], segments: true };
    let { damages } = await this.store.verifyPacks(read, { signal });
    const isMissed = damages.some(({ code }) => code === 'E_PACK_MISSING');
    const gone = isMissed && quarantines && level === 'chunks' ? await quarantinedPacks(this.repository) : [];
    if (gone.length > 0) {
      try {
        await forgetPacks(this.repository, gone, { sharing, signal, graceMs });
        ({ damages } = await this.store.verifyPacks(read, { signal }));
      } catch (error) {
        if (signal.aborted) throw error;
        warn(`packs in quarantine stay in the index: ${toVzvaultError(error).line}`);
      }
    }
    this.#damages.push(...damages);
  }

  async #snapshot(entry: SnapshotEntry): Promise<void> {
    const name = formatSnapshotId(entry.id);
    if (this.#snapshots.has(name)) return;
    const roots = entry.summary === null ? [] : rootsOf(entry.summary);
    // A collection that runs at the same time must not make damage of what is being read.
    const session = await announceReader(this.repository, this.options.sharing, roots);
    await duringSession(session, async () => {
      // Hours may lie between the listing and this; what was removed meanwhile is no damage.
      if (!(await this.#isThere(entry))) return;
      const findings = await this.#verifier.verify(entry);
      const nowSeconds = this.options.clock.nowSeconds();
      await this.#keep(() => keepFindings(this.repository, entry.id, findings, nowSeconds));
      this.#snapshots.set(name, { snapshot: name, damages: findings.damages });
    });
  }

  async #isThere({ id }: SnapshotEntry): Promise<boolean> {
    return await this.repository.snapshots.get(id).then(
      () => true,
      (error: unknown) => {
        if (hasCode(error, 'E_SNAPSHOT_MISSING')) return false;
        throw error;
      },
    );
  }

  /** Where the repository cannot be written (a copy that is mounted read-only) verifying goes on, and one line says so. */
  async #keep(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (hasCode(error, 'E_SNAPSHOT_MISSING') || this.#hasWarned) return;
      this.#hasWarned = true;
      this.options.warn(`what is found cannot be kept with the snapshots: ${toVzvaultError(error).line}`);
    }
  }

  #isOver(): boolean {
    const { clock, endMs } = this.options;
    return endMs !== null && clock.monotonicMs() >= endMs;
  }
}
