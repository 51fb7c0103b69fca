/** vzvault verify: reads everything, or what was checked longest ago, or all of some snapshots; says what is damaged, and takes it out of use. */

import type { Command } from 'commander';
import type { CopyProgress, JobControl } from '../engine/types.js';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { formatBytes, formatDuration, formatRate } from '../lib/units.js';
import type { Repository } from '../repository/repository.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import type { SnapshotEntry } from '../repository/snapshots.js';
import type { MapRunner } from '../repository/verification/snapshot-verifier.js';
import {
  verifyRepository,
  verifySnapshots,
  type VerificationOptions,
} from '../repository/verification/verification.js';
import type { VerificationReport } from '../repository/verification/verification-report.js';
import { durationArgument } from './arguments.js';
import { EXIT, printJson, printLine, type Action, type CommandContext } from './context.js';
import { withProgress } from './progress.js';
import { graceMsOf, graceOption, type GraceOptions } from './grace-option.js';
import { runs } from './run.js';
import { printable } from './table.js';
import { withRepository } from './with-repository.js';

interface Options extends GraceOptions {
  readonly keyless?: boolean;
  readonly maxAge?: number;
  readonly maxDuration?: number;
  /** False: `--no-quarantine`. */
  readonly quarantine: boolean;
  readonly json?: boolean;
}

export function registerVerify(program: Command, context: CommandContext): void {
  program
    .command('verify')
    .summary('read everything and report damage')
    .description(
      'Reads every pack and every chunk in it, the index, and of every snapshot the document, the maps and every chunk that they refer to; ' +
        'what was checked longest ago comes first. Or, where snapshots are named, only these and what they refer to. What was found is kept with each ' +
        'snapshot: list and show tell it, and no backup builds on a damaged one. A damaged pack goes to quarantine/, after what is left of it was ' +
        'stored anew; the next backup of the same data mends the rest. Exit code 3 says that something is damaged.',
    )
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .argument('[snapshot...]', 'only these: qemu/100@2026-11-22T04:17:14Z, qemu/100@latest or volume names')
    .option('--keyless', 'only packs by their names, and the index: needs no key')
    .option('--max-age <time>', 'leave out what was checked within: 12h, 30d, 4w', durationArgument)
    .option('--max-duration <time>', 'begin nothing more after this time: 90m, 6h', durationArgument)
    .option('--no-quarantine', 'leave damaged packs where they are')
    .addOption(graceOption())
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  vzvault verify nas
  vzvault verify nas --max-age 30d --max-duration 4h      each night a part, all of it in a month
  vzvault verify nas qemu/100@latest
  vzvault verify nas --json | jq '.snapshots[] | select(.damages != [])'`,
    )
    .action(runs(context, verify));
}

async function verify(context: CommandContext, args: readonly string[], options: Options): Action {
  const [store = '', ...references] = args;
  const report = await withRepository(context, store, (repository) =>
    references.length === 0
      ? verifyWhole(context, repository, options)
      : verifyNamed(context, repository, references, options),
  );
  const isDamaged = report.damages.length > 0 || report.snapshots.some((snapshot) => snapshot.damages.length > 0);
  if (options.json === true) printJson(context.terminal, report);
  else printReport(context, report, isDamaged);
  return isDamaged ? EXIT.damage : EXIT.ok;
}

/** Without the key of an encrypted repository only packs by their names, tables and digests: that is said, and no snapshot is touched. */
async function verifyWhole(
  context: CommandContext,
  repository: Repository,
  options: Options,
): Promise<VerificationReport> {
  const { problem } = repository.access;
  const isKeyless = options.keyless === true || problem !== null;
  // A key that does not fit is a mistake, which must not look like a repository that is well.
  if (options.keyless !== true && problem?.code !== 'E_KEY_MISSING') repository.access.require();
  const report = await verifyRepository(repository, verificationOptions(context, options, isKeyless));
  if (problem !== null && options.keyless !== true) {
    context.terminal.err(`vzvault: only packs were verified, by their names: ${problem.line}\n`);
  }
  return report;
}

async function verifyNamed(
  context: CommandContext,
  repository: Repository,
  references: readonly string[],
  options: Options,
): Promise<VerificationReport> {
  if (options.keyless === true)
    throw new VzvaultError('E_ARGUMENT_INVALID', 'without a key no snapshot can be verified');
  repository.access.require();
  const { snapshots } = repository;
  const ids = new Map<string, SnapshotId>();
  for (const reference of references) {
    const id = await resolveSnapshot(snapshots, reference);
    ids.set(formatSnapshotId(id), id);
  }
  const entries: SnapshotEntry[] = [];
  for (const id of ids.values()) entries.push(await snapshots.get(id));
  return await verifySnapshots(repository, verificationOptions(context, options, false), entries);
}

function verificationOptions(context: CommandContext, options: Options, isKeyless: boolean): VerificationOptions {
  const { clock, sharing, signal, terminal } = context;
  const { maxAge = null, maxDuration, quarantine } = options;
  return {
    ...{ clock, sharing, signal, level: isKeyless ? 'name' : 'chunks', maxAgeSeconds: maxAge },
    endMs: maxDuration === undefined ? null : clock.monotonicMs() + maxDuration * 1000,
    quarantines: quarantine,
    graceMs: graceMsOf(options),
    runPacks: async (read) => {
      await withProgress('packs', context, async (progress) => {
        const readBytes = await read((doneBytes, totalBytes) => {
          progress.update(doneBytes, totalBytes);
        });
        const pace = `${formatDuration(progress.durationMs)}, ${formatRate(readBytes, progress.durationMs)}`;
        progress.finish(`${formatBytes(readBytes)} read in ${pace}`);
      });
    },
    runMap: mapRunner(context),
    warn: (line) => {
      terminal.err(`vzvault: ${printable(line)}\n`);
    },
  };
}

function mapRunner(context: CommandContext): MapRunner {
  return async ({ label, sizeBytes }, read) =>
    await withProgress(label, context, async (progress) => {
      const result = await read(controlOf(context, progress));
      const { chunks, damages } = result;
      const state = damages.length === 0 ? 'intact' : `${damages.length} DAMAGED`;
      progress.finish(`${formatBytes(sizeBytes)}, ${chunks} chunks, ${state}`);
      return result;
    });
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

function printReport({ terminal }: CommandContext, report: VerificationReport, isDamaged: boolean): void {
  const { damages, snapshots, quarantined, salvagedChunks, lostChunks, remaining } = report;
  for (const { code, message } of damages) printLine(terminal, printable(`${code} ${message}`));
  for (const { snapshot, damages: found } of snapshots) {
    for (const { code, message } of found) printLine(terminal, printable(`${code} ${snapshot}: ${message}`));
  }
  if (quarantined.length > 0) {
    const chunks = `${salvagedChunks} of their chunks were saved, ${lostChunks} are lost`;
    printLine(terminal, `${quarantined.length} packs went to quarantine/: ${chunks}`);
  }
  if (remaining.packs + remaining.snapshots > 0) {
    printLine(
      terminal,
      `no time was left for ${remaining.packs} packs and ${remaining.snapshots} snapshots: they are next`,
    );
  }
  const damaged = snapshots.filter((snapshot) => snapshot.damages.length > 0).length;
  const packs = `${report.packs} packs (${formatBytes(report.packBytes)}), ${report.chunks} chunks, `;
  const ofSnapshots = report.level === 'name' ? 'no snapshots' : `${snapshots.length} snapshots`;
  const what = `${report.packs === 0 ? '' : packs}${ofSnapshots}`;
  printLine(terminal, isDamaged ? `${what}: DAMAGED, ${damaged} snapshots are touched` : `${what}: all intact`);
}
