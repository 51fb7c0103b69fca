/**
 * Repositories made from files, and vzvault-fuse over them: what test/e2e/fuse is made of.
 *
 * VZVAULT_NATIVE_BUILD names another build of the native code than build/native, a sanitized one for instance.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import type { VolumeMap } from '../../src/engine/types.js';
import { encodeMountSpec, type MountNode, type MountSpec } from '../../src/repository/mount-spec.js';
import { startProgram, until, type Program } from './processes.js';
import { projectRoot } from './project.js';
import type { Cleanups } from './temp.js';

export const CHUNK = 512 * 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

const nativeBuild = process.env['VZVAULT_NATIVE_BUILD'] ?? join(projectRoot, 'build/native');
/** A program of the native build. */
export function nativeProgram(name: string): string {
  return join(nativeBuild, name);
}
const fuseProgram = nativeProgram('fuse/vzvault-fuse');
const fixtureProgram = nativeProgram('test/fuse/make_fuse_fixture');

export const run = promisify(execFile);

/** Half open: [offset, offset + length). */
export interface Piece {
  readonly offset: number;
  readonly length: number;
}

/** A sparse file with random bytes in the pieces. */
export function writeDisk(path: string, sizeBytes: number, pieces: readonly Piece[]): string {
  const fd = openSync(path, 'wx');
  try {
    for (const { offset, length } of pieces) {
      for (let done = 0; done < length; done += 4 * MIB) {
        writeSync(fd, randomBytes(Math.min(4 * MIB, length - done)), 0, undefined, offset + done);
      }
    }
  } finally {
    closeSync(fd);
  }
  truncateSync(path, sizeBytes);
  return path;
}

export interface FixtureRepository {
  readonly path: string;
  readonly cacheDirectory: string;
  readonly volumes: ReadonlyMap<string, VolumeMap>;
}

/** Stores each file as a volume, data and map in packs of its own, listed by a segment of its own. */
export function makeRepository(
  cleanups: Cleanups,
  files: Readonly<Record<string, string>>,
  chunkSizeBytes = CHUNK,
): FixtureRepository {
  const base = cleanups.directory();
  const path = join(base, 'repository');
  const cacheDirectory = join(base, 'cache');
  mkdirSync(path);
  const sources = Object.entries(files).map(([name, file]) => `${name}=${file}`);
  const output = execFileSync(fixtureProgram, [path, cacheDirectory, String(chunkSizeBytes), ...sources], {
    encoding: 'utf8',
  });
  const list = JSON.parse(output) as { name: string; volume: VolumeMap }[];
  return { path, cacheDirectory, volumes: new Map(list.map(({ name, volume }) => [name, volume])) };
}

/** Packs of the repository, largest first: of a disk of some size, the first holds data and the last a map. */
export function packsOf(repository: { readonly path: string }): string[] {
  const root = join(repository.path, 'packs');
  const paths = readdirSync(root).flatMap((part) =>
    readdirSync(join(root, part)).map((name) => join(root, part, name)),
  );
  const sized = paths.map((path) => ({ path, sizeBytes: readFileSync(path).length }));
  return sized.sort((one, other) => other.sizeBytes - one.sizeBytes).map(({ path }) => path);
}

/** NAME.raw for each volume. */
export function specOf(repository: FixtureRepository, more: readonly MountNode[] = []): MountSpec {
  const nodes = [...repository.volumes].map(([name, volume]) => ({
    path: `${name}.raw`,
    volume,
    modifiedSeconds: 1_795_321_034,
  }));
  return {
    version: 1,
    repository: repository.path,
    cacheDirectory: repository.cacheDirectory,
    allowOther: true,
    nodes: [...nodes, ...more],
  };
}

/** Starts the program with this text, or spec, on descriptor 3; does not wait for anything. */
export function startFuse(cleanups: Cleanups, spec: MountSpec | string | Buffer, mountPoint: string): Program {
  const program = startProgram(cleanups, fuseProgram, ['--spec-fd', '3', mountPoint], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const pipe = program.child.stdio[3] as Writable;
  pipe.on('error', () => undefined); // a program that refuses early does not read to the end
  pipe.end(typeof spec === 'string' || Buffer.isBuffer(spec) ? spec : encodeMountSpec(spec));
  return program;
}

/** Runs the program with arguments of the caller's. */
export function startFuseWith(cleanups: Cleanups, args: readonly string[]): Program {
  return startProgram(cleanups, fuseProgram, args);
}

export function isMounted(mountPoint: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === mountPoint);
}

export interface FuseMount {
  readonly path: string;
  readonly program: Program;
  /** The numbers of the next statistics line. */
  statistics(): Promise<Readonly<Record<string, number>>>;
  /** Lines of the log that hold this text, as far as they have come. */
  lines(text: string): string[];
  /** The first error in the log, once it comes. */
  firstError(): Promise<string>;
}

/** A mount that answers, on a directory of its own; gone when the test is. */
export async function mountFuse(cleanups: Cleanups, spec: MountSpec): Promise<FuseMount> {
  const path = mkdtempSync(join(cleanups.directory(), 'mount-'));
  cleanups.add(() => {
    if (isMounted(path)) execFileSync('umount', ['-l', path]);
  });
  const program = startFuse(cleanups, spec, path);
  await until('vzvault-fuse is ready', () => {
    if (program.child.exitCode !== null) throw new Error(`vzvault-fuse ended: ${program.output()}`);
    return program.output().includes('ready\n');
  });
  const lines = (text: string): string[] =>
    program
      .output()
      .split('\n')
      .filter((line) => line.includes(text));
  const statistics = async (): Promise<Record<string, number>> => {
    const before = lines(' stats ').length;
    program.child.kill('SIGUSR1');
    await until('a statistics line', () => lines(' stats ').length > before);
    const pairs = [
      ...lines(' stats ')
        .at(-1)!
        .matchAll(/(\w+)=(\d+)/g),
    ];
    return Object.fromEntries(pairs.map(([, name, value]) => [name!, Number(value)]));
  };
  const firstError = async (): Promise<string> => {
    await until('an error in the log', () => lines('error').length > 0);
    return lines('error')[0]!;
  };
  return { path, program, statistics, lines, firstError };
}

/** The extents with data that SEEK_DATA and SEEK_HOLE tell, as QEMU sees them. */
export async function dataExtents(path: string): Promise<Piece[]> {
  const { stdout } = await run('qemu-img', ['map', '-f', 'raw', '--output=json', path]);
  const extents = JSON.parse(stdout) as { start: number; length: number; data: boolean }[];
  return extents.filter(({ data }) => data).map(({ start, length }) => ({ offset: start, length }));
}
