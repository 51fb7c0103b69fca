/**
 * What a repository of two million chunks costs to collect, verify and list, with the real command line: `make bench-repository`.
 *
 * A generator fills it (native/bench/make_repository.cc): the disks of 40 guests with 10 snapshots each. Then it is collected twice, verified without
 * a key and listed; and once more after every other guest is gone, so that packs are compacted and the index is written anew. No command may take
 * more than 400 MiB of memory, and the second collection no more than a twentieth of what the first read. Needs 5 GiB in the temporary directory.
 *
 * VZVAULT_BENCH_CHUNKS: another number of chunks.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { engine, type VolumeMap } from '../src/engine/index.js';
import { formatBytes } from '../src/lib/units.js';
import { openRepository, REPOSITORY_DIRECTORY } from '../src/repository/repository.js';
import { projectRoot } from '../test/support/project.js';
import { Cleanups } from '../test/support/temp.js';
import type { Measured } from './measured.js';

const CHUNKS = Number(process.env['VZVAULT_BENCH_CHUNKS'] ?? 2_000_000);
const GUESTS = 40;
const SNAPSHOTS = 10;
const MEMORY_BYTES = 400 * 1024 * 1024;
const SECOND_COLLECTION_SHARE = 0.05;
const FIRST_TIME_SECONDS = Date.UTC(2026, 0, 1, 3) / 1000;
const DAY_SECONDS = 24 * 60 * 60;

const run = promisify(execFile);

interface Ran {
  readonly out: string;
  readonly err: string;
  readonly measured: Measured;
}

/** A repository in a directory, and the command line on it. */
class Bench {
  readonly #directory: string;
  readonly store: string;
  isWithinBounds = true;

  constructor(cleanups: Cleanups) {
    this.#directory = cleanups.directory();
    this.store = join(this.#directory, 'store');
    execFileSync('mkdir', [this.store]);
  }

  async vzvault(what: string, ...args: readonly string[]): Promise<Ran> {
    const measuredPath = join(this.#directory, 'measured.json');
    const startedMs = performance.now();
    const { stdout, stderr } = await run(join(projectRoot, 'build/bin/vzvault'), args, {
      env: {
        ...process.env,
        VZVAULT_CACHE_DIR: join(this.#directory, 'cache'),
        NODE_OPTIONS: `--import=${join(projectRoot, 'build/js/bench/measured.js')}`,
        VZVAULT_BENCH_MEASURED: measuredPath,
      },
      maxBuffer: 256 * 1024 * 1024,
    });
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    const measured = JSON.parse(readFileSync(measuredPath, 'utf8')) as Measured;
    const { peakBytes, reads, readBytes } = measured;
    say(what, `${formatBytes(peakBytes)} resident, ${reads} reads of ${formatBytes(readBytes)}, ${seconds} s`);
    this.require(peakBytes < MEMORY_BYTES, `${what} took more than ${formatBytes(MEMORY_BYTES)}`);
    return { out: stdout, err: stderr, measured };
  }

  require(isMet: boolean, otherwise: string): void {
    if (isMet) return;
    this.isWithinBounds = false;
    say('FAILED', otherwise);
  }

  async fill(): Promise<void> {
    const numbers = [CHUNKS, GUESTS, SNAPSHOTS].map(String);
    const { stdout } = await run(
      join(projectRoot, 'build/native/bench/make_repository'),
      [join(this.store, REPOSITORY_DIRECTORY), join(this.#directory, 'cache of the generator'), ...numbers],
      { maxBuffer: 256 * 1024 * 1024 },
    );
    const repository = await openRepository(engine, { path: this.store });
    try {
      for (const line of stdout.trimEnd().split('\n')) {
        const { guest, snapshot, map } = JSON.parse(line) as { guest: number; snapshot: number; map: VolumeMap };
        const timeSeconds = FIRST_TIME_SECONDS + snapshot * DAY_SECONDS;
        await repository.snapshots.commit({
          id: { guestType: 'qemu', vmid: 100 + guest, timeSeconds },
          finishedAtSeconds: timeSeconds + 60,
          createdBy: { version: '0.0.0', hostname: 'bench' },
          volumes: [{ name: 'drive-scsi0', ...map }],
          archives: [],
          files: [{ name: 'guest.conf', bytes: Buffer.from(`cores: 2\nscsi0: local:vm-${100 + guest}-disk-0\n`) }],
          stats: { unchangedBytes: 0, readBytes: 0, zeroBytes: 0, reusedBytes: 0, newBytes: 0, addedBytes: 0 },
        });
      }
    } finally {
      await repository.close();
    }
  }
}

function say(what: string, value: string): void {
  console.log(`${what.padEnd(36)}${value}`);
}

/** How a collection found out what is in use. */
function markingOf({ err }: Ran): { readonly chunks: number; readonly reads: number } {
  const line = /^in use: (\d+) chunks; map nodes: (\d+) read, \d+ remembered; packs opened: (\d+)$/m.exec(err);
  assert.ok(line, err);
  say('', line[0]);
  const [chunks, nodes, packs] = line.slice(1).map(Number) as [number, number, number];
  // Of the repository: map nodes, packs, and the documents of all snapshots.
  return { chunks, reads: nodes + packs + GUESTS * SNAPSHOTS };
}

async function measure(bench: Bench): Promise<void> {
  const { store } = bench;
  await bench.vzvault('init', 'init', store);
  await bench.fill();
  const stats = await bench.vzvault('stats', 'stats', store, '--json');
  const { chunks, packs, storedBytes } = JSON.parse(stats.out) as Record<'chunks' | 'packs' | 'storedBytes', number>;
  say('', `${chunks} chunks and map nodes in ${packs} packs with ${formatBytes(storedBytes)}`);

  const first = markingOf(await bench.vzvault('first collection', 'gc', store, '--grace', '0'));
  const second = markingOf(await bench.vzvault('second collection', 'gc', store, '--grace', '0'));
  bench.require(first.chunks === CHUNKS && second.chunks === CHUNKS, `not ${CHUNKS} chunks are in use`);
  const share = `${((100 * second.reads) / first.reads).toFixed(2)} %`;
  say('', `reads of the second to those of the first: ${second.reads} to ${first.reads}, ${share} (below 5 %)`);
  bench.require(second.reads < first.reads * SECOND_COLLECTION_SHARE, 'the second collection read too much');

  await bench.vzvault('verification without a key', 'verify', store, '--keyless', '--grace', '0', '--json');
  const list = await bench.vzvault('list', 'list', store, '--json');
  const listed = JSON.parse(list.out) as readonly { readonly snapshot: string; readonly vmid: number }[];
  bench.require(listed.length === GUESTS * SNAPSHOTS, `${listed.length} snapshots are listed`);

  const gone = listed.filter(({ vmid }) => vmid % 2 === 0).map(({ snapshot }) => snapshot);
  await bench.vzvault(`removal of ${gone.length} snapshots`, 'forget', store, ...gone);
  const freed = await bench.vzvault('collection of what is garbage', 'gc', store, '--grace', '0');
  say('', freed.err.trim().split('\n').join('; '));
  await bench.vzvault('verification without a key', 'verify', store, '--keyless', '--grace', '0', '--json');
}

const cleanups = new Cleanups();
try {
  const bench = new Bench(cleanups);
  await measure(bench);
  process.exitCode = bench.isWithinBounds ? 0 : 1;
} finally {
  await cleanups.undo();
}
