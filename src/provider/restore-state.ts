/**
 * What is written down about the mount of a restore, beside it, so that the next daemon can go on with it or clean it up:
 *
 *     RUN_DIRECTORY/mounts/<restore id>/        the mount
 *     RUN_DIRECTORY/mounts/<restore id>.json    this
 *     RUN_DIRECTORY/mounts/<restore id>.log     what vzvault-fuse says (mount-log-file.ts)
 *
 * The directory belongs to root and lies in memory: plain synchronous calls. What does not parse is treated as a mount without an owner.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { ProcessIdentity } from '../lib/process-identity.js';
import type { RestoreRecord } from './restore-session.js';

export interface RestoreState extends RestoreRecord {
  /** Null until the program is known to run. */
  readonly mountProcess: ProcessIdentity | null;
}

const restoreId = /^[0-9a-f]{32}$/;
const identity = z.object({ pid: z.int().min(1), startTicks: z.int().min(0) });
const schema = z.object({
  version: z.literal(1),
  id: z.string().regex(restoreId),
  owner: identity,
  disks: z.record(z.string(), z.int().min(0)),
  // Absent where a daemon wrote it that knew none.
  archives: z.array(z.string()).default([]),
  reader: z
    .object({ path: z.string(), sid: z.string().regex(restoreId) })
    .nullable()
    .default(null),
  mountProcess: identity.nullable(),
});

export class RestoreStateFiles {
  /** Absolute. */
  readonly directory: string;

  constructor(runDirectory: string) {
    this.directory = join(runDirectory, 'mounts');
  }

  mountDirectory(id: string): string {
    return join(this.directory, id);
  }

  logFile(id: string): string {
    return join(this.directory, `${id}.log`);
  }

  /** Makes the mount's directory. Containers' users have to get through to it, so it can be entered by all. */
  create(id: string): void {
    mkdirSync(this.mountDirectory(id), { recursive: true, mode: 0o755 });
  }

  /** Replaces what was written before. */
  write(state: RestoreState): void {
    const unfinished = `${this.#file(state.id)}.new`;
    writeFileSync(unfinished, JSON.stringify({ version: 1, ...state }), { mode: 0o600 });
    renameSync(unfinished, this.#file(state.id));
  }

  /** Every restore that left something here, in no order; null where nothing is known of it. */
  all(): ReadonlyMap<string, RestoreState | null> {
    const ids = this.#names().map((name) => name.replace(/\.(?:json|json\.new|log)$/, ''));
    return new Map(ids.filter((id) => restoreId.test(id)).map((id) => [id, this.#read(id)]));
  }

  /** REQUIRES: nothing is mounted any more. Repeatable. A directory that is not empty stays. */
  remove(id: string): void {
    try {
      rmdirSync(this.mountDirectory(id));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    for (const file of [this.#file(id), `${this.#file(id)}.new`, this.logFile(id)]) rmSync(file, { force: true });
  }

  #file(id: string): string {
    return join(this.directory, `${id}.json`);
  }

  #names(): string[] {
    try {
      return readdirSync(this.directory);
    } catch {
      return [];
    }
  }

  #read(id: string): RestoreState | null {
    try {
      const parsed = schema.safeParse(JSON.parse(readFileSync(this.#file(id), 'utf8')));
      return parsed.success && parsed.data.id === id ? parsed.data : null;
    } catch {
      return null;
    }
  }
}
