/** vzvault stats: figures of a whole repository. */

import type { Command } from 'commander';
import { formatIsoTime } from '../lib/time.js';
import { formatBytes, formatRatio } from '../lib/units.js';
import type { Repository } from '../repository/repository.js';
import { verifyStateOf } from '../repository/snapshots.js';
import { EXIT, printJson, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';
import { formatFacts } from './table.js';
import { withRepository } from './with-repository.js';

export function registerStats(program: Command, context: CommandContext): void {
  program
    .command('stats')
    .summary('show figures of the repository')
    .description('Shows how much the snapshots of a repository hold and how much room it takes.')
    .argument('<store>', 'storage id, path of a storage, or the repository itself')
    .option('--json', 'print JSON, sizes in bytes')
    .addHelpText(
      'after',
      `
"logical" is the size of all disks in all snapshots, "unique" what of it is different from everything else and not
zero, "stored" what the pack files take. The ratio is logical to stored.

Examples:
  vzvault stats nas
  vzvault stats nas --json`,
    )
    .action(runs(context, stats));
}

async function stats(context: CommandContext, [store = '']: readonly string[], { json }: { json?: boolean }): Action {
  const figures = await withRepository(context, store, figuresOf);
  if (json === true) printJson(context.terminal, figures);
  else context.terminal.out(formatFigures(figures));
  return EXIT.ok;
}

interface Figures {
  readonly repositoryId: string;
  readonly path: string;
  readonly createdAtSeconds: number;
  readonly chunkSizeBytes: number;
  readonly encrypted: boolean;
  /** Whether the key is missing, without which the logical size is not known (0). */
  readonly locked: boolean;
  readonly guests: number;
  readonly snapshots: number;
  readonly damagedSnapshots: number;
  readonly logicalBytes: number;
  readonly uniqueBytes: number;
  readonly storedBytes: number;
  readonly chunks: number;
  readonly packs: number;
  readonly segments: number;
  readonly availableBytes: number;
  readonly totalBytes: number;
}

async function figuresOf(repository: Repository): Promise<Figures> {
  const entries = await repository.snapshots.list();
  const store = await repository.openStore();
  const { packs, packBytes, segments, chunks, plainBytes } = await store.statistics();
  const { availableBytes, totalBytes } = await repository.space();
  const { repositoryId, createdAtSeconds, chunkSizeBytes } = repository.config;
  return {
    repositoryId,
    path: repository.path,
    createdAtSeconds,
    chunkSizeBytes,
    encrypted: repository.access.isEncrypted,
    locked: repository.access.problem !== null,
    guests: new Set(entries.map(({ id }) => `${id.guestType}/${id.vmid}`)).size,
    snapshots: entries.length,
    damagedSnapshots: entries.filter((entry) => verifyStateOf(entry) === 'damaged').length,
    logicalBytes: entries.reduce((sum, entry) => sum + (entry.summary?.sizeBytes ?? 0), 0),
    uniqueBytes: plainBytes,
    storedBytes: packBytes,
    chunks,
    packs,
    segments,
    availableBytes,
    totalBytes,
  };
}

function encryptionOf({ encrypted, locked }: Figures): string {
  if (!encrypted) return 'none';
  return locked ? 'AES-256-GCM; the key is missing or wrong' : 'AES-256-GCM';
}

function formatFigures(figures: Figures): string {
  const damaged = figures.damagedSnapshots === 0 ? '' : `, ${figures.damagedSnapshots} of them DAMAGED`;
  return formatFacts([
    ['repository', `${figures.path} (${figures.repositoryId})`],
    ['made', formatIsoTime(figures.createdAtSeconds)],
    ['chunk size', formatBytes(figures.chunkSizeBytes)],
    ['encryption', encryptionOf(figures)],
    ['snapshots', `${figures.snapshots} of ${figures.guests} guests${damaged}`],
    ['logical', figures.locked ? 'not known without the key' : formatBytes(figures.logicalBytes)],
    ['unique', `${formatBytes(figures.uniqueBytes)} in ${figures.chunks} chunks`],
    ['stored', `${formatBytes(figures.storedBytes)} in ${figures.packs} packs, ${figures.segments} index segments`],
    ['ratio', figures.locked ? '-' : formatRatio(figures.logicalBytes, figures.storedBytes)],
    ['free', `${formatBytes(figures.availableBytes)} of ${formatBytes(figures.totalBytes)}`],
  ]);
}
