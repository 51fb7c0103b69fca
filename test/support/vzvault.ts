/** The real command line, run as a program on a repository in a temporary directory. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { projectRoot } from './project.js';
import { startProgram, type Program } from './processes.js';
import { cleanupsOf, type Cleanups } from './temp.js';

export const vzvaultProgram = join(projectRoot, 'build/bin/vzvault');

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end, whatever that is. */
export function runVzvault(environment: Readonly<Record<string, string>>, args: readonly string[]): Promise<Ran> {
  const options = { env: { ...process.env, ...environment }, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((settle) => {
    const child = execFile(vzvaultProgram, args, options, (_error, out, err) => {
      settle({ code: child.exitCode ?? -1, out, err });
    });
  });
}

/** A storage with a repository, and room for images. */
export class Station {
  readonly cleanups: Cleanups;
  readonly directory: string;
  /** The storage's path. */
  readonly store: string;

  private constructor(test: TestContext) {
    this.cleanups = cleanupsOf(test);
    this.directory = this.cleanups.directory();
    this.store = this.path('store');
    mkdirSync(this.store);
  }

  static async withRepository(test: TestContext, ...options: string[]): Promise<Station> {
    const station = new Station(test);
    const { code, err } = await station.run('init', station.store, ...options);
    if (code !== 0) throw new Error(err);
    return station;
  }

  static empty(test: TestContext): Station {
    return new Station(test);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  get environment(): Record<string, string> {
    return { VZVAULT_CACHE_DIR: this.path('cache'), VZVAULT_SOCKET: this.path('no-daemon.sock') };
  }

  run(...args: string[]): Promise<Ran> {
    return runVzvault(this.environment, args);
  }

  /** Runs what has to succeed. */
  async must(...args: string[]): Promise<Ran> {
    const ran = await this.run(...args);
    if (ran.code !== 0) throw new Error(`vzvault ${args.join(' ')} ended with ${ran.code}: ${ran.err}`);
    return ran;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse((await this.must(...args, '--json')).out) as T;
  }

  start(...args: string[]): Program {
    return startProgram(this.cleanups, vzvaultProgram, args, { env: this.environment });
  }

  backup(disk: string, ...more: string[]): Promise<Ran> {
    return this.run('backup', this.store, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`, ...more);
  }

  async snapshots(): Promise<{ snapshot: string; damage: string | null; notes: string }[]> {
    return await this.json('list', this.store);
  }

  /** Paths below a part of the repository, sorted. */
  files(part: string): string[] {
    const directory = join(this.store, 'vzvault', part);
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
  }
}
