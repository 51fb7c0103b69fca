/** Temporary directories and mounts of tests, gone when the test is. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestContext } from 'node:test';

/** Things to undo, last first, whatever fails in between. `after` of a test or of a suite takes `undo`. */
export class Cleanups {
  readonly #steps: (() => void | Promise<void>)[] = [];

  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  async undo(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'cleaning up failed');
  }

  /** A directory of its own, mode 0700. */
  directory(parent = tmpdir()): string {
    const path = mkdtempSync(join(parent, 'vzvault-test-'));
    this.add(() => {
      rmSync(path, { recursive: true, force: true });
    });
    return path;
  }

  /** A small file system in memory at `path`, which must be an empty directory. Needs root. */
  tmpfs(path: string, sizeBytes: number): void {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'vzvault-test', path]);
    // A daemon that has just answered may still be closing its handles.
    this.add(() => withPatience(() => execFileSync('umount', [path], { stdio: 'pipe' })));
  }
}

/** Tries until it succeeds, for at most 5 s. */
async function withPatience(attempt: () => void): Promise<void> {
  const end = performance.now() + 5_000;
  for (;;) {
    try {
      attempt();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(50);
    }
  }
}

/** The mount points below a directory. */
export function mountPointsBelow(directory: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.map((line) => line.split(' ')[4] ?? '').filter((point) => point.startsWith(`${directory}/`));
}

/** Takes them out of the tree, also where somebody still uses them. Needs root. */
export function unmountAllBelow(directory: string): void {
  for (const point of mountPointsBelow(directory).reverse()) execFileSync('umount', ['-l', point]);
}

/** Cleanups that run when the test ends. */
export function cleanupsOf(test: TestContext): Cleanups {
  const cleanups = new Cleanups();
  test.after(() => cleanups.undo());
  return cleanups;
}
