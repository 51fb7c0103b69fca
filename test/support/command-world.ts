/** A world for tests of commands: an empty repository in memory, a disk and a configuration in real files. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { CommandLine } from './command-line.js';
import { cleanupsOf } from './temp.js';

export const STORE = '/mnt/nas';
export const SNAPSHOT = 'qemu/100@2026-11-22T04:17:14Z';
export const VOLUME = 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv';
export const ERROR_LINE = /^vzvault: [^\n]+ \(E_[A-Z_]+: [^\n]+\)\n$/;

export interface World {
  cli: CommandLine;
  directory: string;
  disk: string;
  config: string;
}

export async function setUp(t: TestContext): Promise<World> {
  const directory = cleanupsOf(t).directory();
  process.env['VZVAULT_CACHE_DIR'] = join(directory, 'cache');
  const disk = join(directory, 'disk.raw');
  const config = join(directory, '100.conf');
  writeFileSync(disk, Buffer.alloc(3000, 7));
  writeFileSync(config, 'memory: 512\nname: büro\n');
  const cli = new CommandLine();
  cli.engine.disk.makeDirectory(STORE);
  assert.equal((await cli.run('init', STORE)).code, 0);
  return { cli, directory, disk, config };
}

export async function withSnapshot(t: TestContext): Promise<World> {
  const world = await setUp(t);
  const { code, err } = await world.cli.run(
    'backup',
    STORE,
    '--guest',
    'qemu/100',
    '--disk',
    `drive-scsi0=${world.disk}`,
    '--config',
    world.config,
  );
  assert.equal(code, 0, err);
  return world;
}
