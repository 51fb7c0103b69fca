/**
 * `make demo`: a VM's disks from real QEMU into a fresh repository and back, as Proxmox VE would have it done, compared byte for byte.
 *
 * Everything happens in one temporary directory (VZVAULT_DEMO_DIR chooses where; 3 GiB) and is gone afterwards. Any difference, and any
 * failure, is a non-zero exit.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { formatBytes, formatRate } from '../src/lib/units.js';
import { TestDaemon } from '../test/support/daemon.js';
import { noise } from '../test/support/images.js';
import { startQemuNbd } from '../test/support/nbd-servers.js';
import { startProgram } from '../test/support/processes.js';
import { projectRoot } from '../test/support/project.js';
import { Cleanups } from '../test/support/temp.js';

const run = promisify(execFile);
type Environment = Readonly<Record<string, string>>;
const MIB = 1024 * 1024;
const storeid = 'demo';
const diskBytes = 2 * 1024 * MIB;
const contentBytes = 350 * MIB;
const changeBytes = 48 * MIB;
const efiBytes = 540_672;
const config = '#A VM of the demonstration: caf\u00e9\nmemory: 2048\nscsi0: local:100/vm-100-disk-0.raw,size=2G\n';

function say(text: string): void {
  console.log(`\n== ${text}`);
}

/** Runs a program, shows what it prints, answers its last line. */
async function show(cleanups: Cleanups, command: string, args: readonly string[], env: Environment): Promise<string> {
  const program = startProgram(cleanups, command, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  let last: string | undefined;
  for await (const line of createInterface({ input: program.child.stdout as Readable })) {
    if (last !== undefined) console.log(`   ${last}`);
    last = line;
  }
  const code = await program.ended;
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${last ?? ''}`);
  return last ?? '';
}

interface BackedUp {
  readonly volname: string;
  readonly added: number;
  readonly seconds: number;
}

interface Restored {
  readonly config: string;
  readonly seconds: number;
}

/** The plugin and the provider, under perl -T, in a process of their own for each task, as Proxmox VE runs them. */
class Provider {
  constructor(
    private readonly cleanups: Cleanups,
    private readonly daemon: TestDaemon,
    private readonly path: string,
  ) {}

  async add(): Promise<void> {
    await this.#run('add');
  }

  async list(): Promise<void> {
    await this.#run('list');
  }

  async backup(configFile: string, socket: string): Promise<BackedUp> {
    const disks = [`drive-scsi0=${diskBytes}=${socket}`, `drive-efidisk0=${efiBytes}=${socket}`];
    return (await this.#run('backup', '100', configFile, ...disks)) as BackedUp;
  }

  async restore(volname: string, target: string): Promise<Restored> {
    mkdirSync(target, { recursive: true });
    return (await this.#run('restore', volname, target)) as Restored;
  }

  async #run(command: string, ...args: readonly string[]): Promise<unknown> {
    const modules = ['perl', 'test/perl/stubs'].map((name) => `-I${join(projectRoot, name)}`);
    const script = join(projectRoot, 'tools/demo-provider.pl');
    const perl = ['-T', ...modules, script, command, storeid, this.path, ...args];
    return JSON.parse(await show(this.cleanups, 'perl', perl, this.daemon.environment)) as unknown;
  }
}

/** A tree of real files of about `contentBytes`, copied from this machine. */
async function gatherFiles(target: string): Promise<void> {
  mkdirSync(target);
  let leftBytes = contentBytes;
  for (const parent of ['/usr/lib', '/usr/share']) {
    if (!existsSync(parent)) continue;
    const { stdout } = await run('du', ['-x', '--max-depth=1', '--block-size=1', parent]);
    const chosen: string[] = [];
    // The largest that fit: few files, since copying many takes longer than backing them up.
    const lines = stdout.trim().split('\n');
    for (const line of lines.sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10))) {
      const [bytes = '', path = ''] = line.split('\t');
      if (path === parent || Number(bytes) > leftBytes || Number(bytes) < 64 * 1024) continue;
      chosen.push(path);
      leftBytes -= Number(bytes);
    }
    const directory = join(target, parent);
    mkdirSync(directory, { recursive: true });
    if (chosen.length > 0) await run('cp', ['-a', '-x', ...chosen, directory]);
  }
}

async function makeDisks(directory: string): Promise<{ system: string; efi: string }> {
  const [files, system, efi] = ['files', 'system.raw', 'efi.raw'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  await gatherFiles(files);
  await run('mke2fs', ['-q', '-t', 'ext4', '-d', files, system, `${diskBytes / MIB}M`]);
  await run('rm', ['-rf', files]);
  writeFileSync(efi, Buffer.concat([noise(40_000, 5), Buffer.alloc(efiBytes - 40_000)]));
  return { system, efi };
}

/** What a day of work leaves in a guest: a new file, and one that is gone. */
async function changeDisk(system: string, directory: string): Promise<void> {
  const file = join(directory, 'new-file');
  writeFileSync(file, noise(changeBytes, 11));
  await run('debugfs', ['-w', '-R', `write ${file} new-file`, system]);
  await run('debugfs', ['-w', '-R', 'rmdir lost+found', system]);
}

async function repositoryBytes(path: string): Promise<number> {
  return Number.parseInt((await run('du', ['-s', '--apparent-size', '--block-size=1', path])).stdout, 10);
}

interface Row {
  readonly name: string;
  readonly backup: BackedUp;
  readonly restored: Restored;
  readonly storedBytes: number;
  readonly usedBytes: number;
}

function table(rows: readonly Row[]): string {
  const columns: readonly [string, (row: Row) => string][] = [
    ['', (row) => row.name],
    ['disks', () => formatBytes(diskBytes + efiBytes)],
    ['in use', (row) => formatBytes(row.usedBytes)],
    ['added', (row) => formatBytes(row.backup.added)],
    ['repository', (row) => formatBytes(row.storedBytes)],
    ['backup', (row) => formatRate(row.usedBytes, row.backup.seconds * 1000)],
    ['restore', (row) => formatRate(row.usedBytes, row.restored.seconds * 1000)],
    ['restored', () => 'identical'],
  ];
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, cell]) => cell(row)))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)));
  return cells.map((line) => line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ')).join('\n');
}

async function demonstrate(cleanups: Cleanups): Promise<void> {
  if (process.geteuid?.() !== 0) throw new Error('it has to run as root: restores are FUSE mounts for all users');
  const directory = cleanups.directory(process.env['VZVAULT_DEMO_DIR']);
  const [store, socket, configFile] = [
    join(directory, 'store'),
    join(directory, 'nbd.sock'),
    join(directory, '100.conf'),
  ];
  writeFileSync(configFile, Buffer.from(config, 'utf8'));

  say('making a disk image with an ext4 file system and files of this machine in it');
  const { system, efi } = await makeDisks(directory);
  const images = { 'drive-scsi0': system, 'drive-efidisk0': efi };
  console.log(
    `   ${system}: ${formatBytes(diskBytes)}, of which ${formatBytes(statSync(system).blocks * 512)} are in use`,
  );

  say('starting vzvaultd, and adding a storage as pvesm add does');
  const daemon = await TestDaemon.start(cleanups, { directory });
  const provider = new Provider(cleanups, daemon, store);
  await provider.add();

  /** Exports the disks from QEMU, backs them up, restores and compares. */
  const cycle = async (name: string): Promise<Row> => {
    say(`${name}: backing up from qemu-storage-daemon over NBD`);
    const disks = Object.entries(images).map(([device, path]) => ({ name: device, path, format: 'raw' as const }));
    const qemu = await startQemuNbd(cleanups, socket, disks);
    const backup = await provider.backup(configFile, socket);
    await qemu.stop();
    say(`${name}: restoring with qemu-img convert, comparing`);
    const restored = await restoreAndCompare(backup, images);
    const usedBytes = (statSync(system).blocks + statSync(efi).blocks) * 512;
    const storedBytes = await repositoryBytes(join(store, 'vzvault'));
    return { name, backup, restored, usedBytes, storedBytes };
  };
  const restoreAndCompare = async (backup: BackedUp, expected: Readonly<Record<string, string>>): Promise<Restored> => {
    const target = join(directory, 'restored');
    const restored = await provider.restore(backup.volname, target);
    if (restored.config !== Buffer.from(config, 'utf8').toString('latin1'))
      throw new Error('the configuration differs');
    for (const [device, image] of Object.entries(expected)) {
      await run('cmp', [image, join(target, `${device}.raw`)]);
      console.log(`   ${device}: identical`);
    }
    return restored;
  };

  const first = await cycle('first backup');
  const asItWas = join(directory, 'as-it-was.raw');
  await run('cp', ['--sparse=always', system, asItWas]);
  say(`changing the disk: a new file of ${formatBytes(changeBytes)}`);
  await changeDisk(system, directory);
  const second = await cycle('second backup');
  const third = await cycle('third backup, nothing changed');

  say('restoring the first backup once more: later ones left it alone');
  await restoreAndCompare(first.backup, { 'drive-scsi0': asItWas });
  await run('e2fsck', ['-f', '-n', join(directory, 'restored', 'drive-scsi0.raw')]);
  console.log('   drive-scsi0: its file system is clean');
  await provider.list();
  const exit = await daemon.stop();
  if (exit !== 0) throw new Error(`vzvaultd ended with ${exit}`);

  const rows = [first, second, third];
  const wholeBytes = rows.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
  say('result');
  console.log(table(rows));
  console.log(
    `\nthree backups of ${formatBytes(wholeBytes)} in use take ${formatBytes(third.storedBytes)}: ` +
      `ratio ${(wholeBytes / third.storedBytes).toFixed(1)} : 1, all identical`,
  );
}

const cleanups = new Cleanups();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void cleanups.undo().finally(() => process.exit(1));
  });
}
try {
  await demonstrate(cleanups);
} catch (error) {
  console.error(`\ndemo: FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await cleanups.undo();
}
