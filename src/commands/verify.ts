/**
 * vzvault verify: reads everything, or all of some snapshots, says what is damaged, and keeps with each snapshot what was found.
 *
 * What was found is kept as soon as the snapshot is through, so that an interrupted run has told what it knows. Where the repository
 * cannot be written (a copy that is mounted read-only), verifying goes on and one line says so.
 */

import type { Command } from 'commander';
import type { ChunkStore, CopyProgress, Damage, JobControl, VerifyResult } from '../engine/types.js';
import { toVzvaultError, VzvaultError, type ErrorCode } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { formatBytes, formatDuration, formatRate } from '../lib/units.js';
import type { Repository } from '../repository/repository.js';
import type { SnapshotArchive, SnapshotVolume } from '../repository/snapshot-document.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import type { SnapshotEntry } from '../repository/snapshots.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { withProgress } from './progress.js';
import { runs } from './run.js';
import { printable } from './table.js';
import { withRepository } from './with-repository.js';

interface SnapshotReport {
  readonly snapshot: string;
  readonly damages: readonly Damage[];
}

interface Report extends VerifyResult {
  readonly snapshots: readonly SnapshotReport[];
}

export function registerVerify(program: Command, context: CommandContext): void {
  program
    .command('verify')
    .summary('read everything and report damage')
    .description(
      'Reads every pack and every chunk in it, then the document and the maps of every snapshot, and every chunk that they refer to; ' +
        'or, where snapshots are named, only these and what they refer to. What was found is kept with each snapshot: list and show tell ' +
        'it, and no backup builds on a damaged one. Exit code 3 says that something is damaged.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('[snapshot...]', 'only these: qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or volume names')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault verify nas
  vzvault verify nas qemu/100@latest
  vzvault verify nas --json | jq '.snapshots[] | select(.damages != [])'`,
    )
    .action(runs(context, verify));
}

async function verify(context: CommandContext, args: readonly string[], { json }: { json?: boolean }): Action {
  const [store = '', ...references] = args;
  const report = await withRepository(context, store, (repository) =>
    references.length === 0 ? verifyRepository(context, repository) : verifyNamed(context, repository, references),
  );
  const isDamaged = report.damages.length > 0 || report.snapshots.some((snapshot) => snapshot.damages.length > 0);
  if (json === true) printJson(context.terminal, report);
  else printReport(context, report, isDamaged);
  return isDamaged ? EXIT.damage : EXIT.ok;
}

async function verifyRepository(context: CommandContext, repository: Repository): Promise<Report> {
  const entries = await repository.snapshots.list();
  const store = await repository.openStore();
  const packs = await withProgress('packs', context, async (progress) => {
    const result = await store.verifyPacks({ decode: true }, controlOf(context, progress));
    const pace = `${formatDuration(progress.durationMs)}, ${formatRate(result.packBytes, progress.durationMs)}`;
    progress.finish(`${formatBytes(result.packBytes)} read in ${pace}`);
    return result;
  });
  return { ...packs, snapshots: await verifySnapshots(context, repository, entries) };
}

async function verifyNamed(
  context: CommandContext,
  repository: Repository,
  references: readonly string[],
): Promise<Report> {
  const { snapshots } = repository;
  const ids = new Map<string, SnapshotId>();
  for (const reference of references) {
    const id = await resolveSnapshot(snapshots, reference);
    ids.set(formatSnapshotId(id), id);
  }
  const entries: SnapshotEntry[] = [];
  for (const id of ids.values()) entries.push(await snapshots.get(id));
  const noPacks = { packs: 0, packBytes: 0, chunks: 0, damages: [] };
  return { ...noPacks, snapshots: await verifySnapshots(context, repository, entries) };
}

async function verifySnapshots(
  context: CommandContext,
  repository: Repository,
  entries: readonly SnapshotEntry[],
): Promise<SnapshotReport[]> {
  const maps = new MapVerifier(context, await repository.openStore());
  const keeper = new StateKeeper(context, repository);
  const reports: SnapshotReport[] = [];
  for (const entry of entries) {
    // Hours may lie between the listing and this; what was removed meanwhile is no damage.
    if (!(await isThere(repository, entry))) continue;
    const report = await verifySnapshot(repository, maps, entry);
    await keeper.keep(entry.id, report.damages);
    reports.push(report);
  }
  return reports;
}

async function isThere({ snapshots }: Repository, { id }: SnapshotEntry): Promise<boolean> {
  return await snapshots.get(id).then(
    () => true,
    (error: unknown) => {
      if (isOneOf(error, 'E_SNAPSHOT_MISSING')) return false;
      throw error;
    },
  );
}

async function verifySnapshot(
  repository: Repository,
  maps: MapVerifier,
  entry: SnapshotEntry,
): Promise<SnapshotReport> {
  const snapshot = formatSnapshotId(entry.id);
  if (entry.summary === null) {
    return { snapshot, damages: [{ code: 'E_SNAPSHOT_DAMAGED', message: entry.damage ?? 'it cannot be read' }] };
  }
  const damages = await sidecarDamages(repository, entry);
  const add = (name: string, found: readonly Damage[]): void => {
    damages.push(...found.map(({ code, message }) => ({ code, message: `${name}: ${message}` })));
  };
  const { volumes, archives } = entry.summary;
  for (const volume of volumes) add(volume.name, await maps.volume(volume, snapshot));
  for (const archive of archives) add(archive.name, await maps.archive(archive, snapshot));
  return { snapshot, damages };
}

async function sidecarDamages({ snapshots }: Repository, { id }: SnapshotEntry): Promise<Damage[]> {
  const damages: Damage[] = [];
  // One after the other: a second that fails while the first is waited for would be nobody's rejection.
  for (const read of [() => snapshots.sidecars.notes(id), () => snapshots.sidecars.log(id)]) {
    await read().catch((error: unknown) => {
      if (isOneOf(error, 'E_SNAPSHOT_DAMAGED', 'E_STORAGE_IO')) {
        damages.push({ code: error.code, message: error.message });
      } else if (!isOneOf(error, 'E_SNAPSHOT_MISSING')) throw error;
    });
  }
  return damages;
}

function isOneOf(error: unknown, ...codes: readonly ErrorCode[]): error is VzvaultError {
  return error instanceof VzvaultError && codes.includes(error.code);
}

/** Writes the verify states. */
class StateKeeper {
  #hasWarned = false;

  constructor(
    private readonly context: CommandContext,
    private readonly repository: Repository,
  ) {}

  async keep(id: SnapshotId, damages: readonly Damage[]): Promise<void> {
    const { clock, terminal } = this.context;
    const state = damages.length === 0 ? 'ok' : 'damaged';
    const checked = { state, checkedAtSeconds: clock.nowSeconds(), message: messageOf(damages) } as const;
    try {
      await this.repository.snapshots.sidecars.setVerifyState(id, checked);
    } catch (error) {
      if (isOneOf(error, 'E_SNAPSHOT_MISSING') || this.#hasWarned) return;
      this.#hasWarned = true;
      const { line } = toVzvaultError(error);
      terminal.err(`vzvault: what is found cannot be kept with the snapshots: ${printable(line)}\n`);
    }
  }
}

function messageOf([first, ...others]: readonly Damage[]): string {
  if (first === undefined) return '';
  return `${first.code} ${first.message}${others.length === 0 ? '' : ` (and ${others.length} more)`}`;
}

/** Reads each map once: disks and archives that did not change between snapshots have the same roots. */
class MapVerifier {
  readonly #verified = new Map<string, readonly Damage[]>();

  constructor(
    private readonly context: CommandContext,
    private readonly store: ChunkStore,
  ) {}

  async volume(volume: SnapshotVolume, snapshot: string): Promise<readonly Damage[]> {
    const { name, sizeBytes, rootId, chunkSizeBytes } = volume;
    const map = { key: `${rootId} ${sizeBytes} ${chunkSizeBytes}`, label: `${snapshot} ${name}`, sizeBytes };
    return await this.#verify(map, (control) => this.store.verifyVolume(volume, control));
  }

  async archive(archive: SnapshotArchive, snapshot: string): Promise<readonly Damage[]> {
    const { name, members, data, catalogue } = archive;
    const key = [data, catalogue].map(({ rootId, sizeBytes }) => `${rootId} ${sizeBytes}`).join(' ');
    const map = { key: `${key} ${members}`, label: `${snapshot} ${name}`, sizeBytes: data.sizeBytes };
    return await this.#verify(map, (control) => this.store.verifyArchive(archive, control));
  }

  async #verify(
    { key, label, sizeBytes }: { readonly key: string; readonly label: string; readonly sizeBytes: number },
    read: (control: JobControl<CopyProgress>) => Promise<{ chunks: number; damages: Damage[] }>,
  ): Promise<readonly Damage[]> {
    const known = this.#verified.get(key);
    if (known !== undefined) return known;
    return await withProgress(label, this.context, async (progress) => {
      const { chunks, damages } = await read(controlOf(this.context, progress));
      const state = damages.length === 0 ? 'intact' : `${damages.length} DAMAGED`;
      progress.finish(`${formatBytes(sizeBytes)}, ${chunks} chunks, ${state}`);
      this.#verified.set(key, damages);
      return damages;
    });
  }
}

function controlOf(
  { signal }: CommandContext,
  progress: { update(doneBytes: number, totalBytes: number): void },
): JobControl<CopyProgress> {
  return {
    signal,
    onProgress: ({ processedBytes, totalBytes }) => {
      progress.update(processedBytes, totalBytes);
    },
  };
}

function printReport({ terminal }: CommandContext, report: Report, isDamaged: boolean): void {
  for (const { code, message } of report.damages) printLine(terminal, printable(`${code} ${message}`));
  for (const { snapshot, damages } of report.snapshots) {
    for (const { code, message } of damages) printLine(terminal, printable(`${code} ${snapshot}: ${message}`));
  }
  const damaged = report.snapshots.filter((snapshot) => snapshot.damages.length > 0).length;
  const packs = `${report.packs} packs (${formatBytes(report.packBytes)}), ${report.chunks} chunks, `;
  const what = `${report.packs === 0 ? '' : packs}${report.snapshots.length} snapshots`;
  printLine(terminal, isDamaged ? `${what}: DAMAGED, ${damaged} snapshots are touched` : `${what}: all intact`);
}
