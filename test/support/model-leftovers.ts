/** What of ours may still be there when a backup or restore is over: nothing but the daemon and its socket. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './processes.js';
import type { World } from './model-world.js';
import { mountPointsBelow } from './temp.js';

/** Longer than the daemon takes to notice that a process is gone. */
const sweepMs = 12_000;

/** Waits for it: what belonged to a process that was killed is found by a sweep. */
export async function assertNothingLeft(world: World): Promise<void> {
  const { daemon, directory, vm } = world;
  const ours = [vm.isRunning ? vm.pid : -1, daemon.program.pid];
  let left: string[] = [];
  await until(
    'nothing is left',
    () => {
      left = [
        ...mountPointsBelow(daemon.runDirectory).map((point) => `mount ${point}`),
        ...processesNaming(directory, ours).map((process) => `process ${process}`),
        ...filesBelow(daemon.runDirectory).map((file) => `file ${file}`),
        ...descriptorsInto(daemon.program.pid, vm.directory).map((path) => `descriptor of ${path}`),
      ];
      return left.length === 0;
    },
    sweepMs,
  ).catch(() => undefined);
  assert.deepEqual(left, []);
}

/** Names of unfinished files in a repository. They count as absent, but a backup that was not killed leaves none. */
export function unfinishedFiles(repository: string): string[] {
  return readdirSync(join(repository, 'vzvault/tmp'));
}

function processesNaming(directory: string, known: readonly number[]): string[] {
  const found: string[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name) || known.includes(Number(name))) continue;
    const command = readText(`/proc/${name}/cmdline`).replaceAll('\0', ' ');
    if (command.includes(directory)) found.push(`${name} ${command}`);
  }
  return found;
}

/** The socket and what is known of the bitmaps stay. */
function filesBelow(runDirectory: string): string[] {
  return readdirSync(runDirectory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && entry.name !== 'vzvaultd.sock')
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.startsWith(join(runDirectory, 'bitmaps')));
}

function descriptorsInto(pid: number, directory: string): string[] {
  const descriptors = `/proc/${pid}/fd`;
  if (!existsSync(descriptors)) return [];
  const targets = readdirSync(descriptors).map((name) => {
    try {
      return readlinkSync(join(descriptors, name));
    } catch {
      return '';
    }
  });
  return targets.filter((target) => target.startsWith(directory));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
