/**
 * Made test/fixtures/format-1 and format-1-encrypted, the golden repositories of format 1, and makes those of the next format:
 *
 *   node build/js/tools/make-golden-repository.js test/fixtures/format-2
 *   node build/js/tools/make-golden-repository.js test/fixtures/format-2-encrypted encrypted
 *
 * A golden repository is what a released format looked like. It must never be made anew, and this program refuses to touch a
 * directory that exists: repositories of that format are out there, and a fixture that follows the writer would hide that
 * the reader no longer reads them. It is kept for the next format, and because it says what is in the fixture. Sizes and times are
 * fixed; the repository's id, its keys and the salts are random, so no two runs give the same bytes.
 *
 * Disks are backed up by the program itself, run as an administrator would. Needs root: it runs under a host name of its own,
 * since snapshots name the machine that made them. The container's tar stream is made here (golden-tar.ts), since the program alone backs up
 * no containers.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { engine } from '../src/engine/index.js';
import { systemProcesses } from '../src/lib/process-identity.js';
import { openRepository, type Repository } from '../src/repository/repository.js';
import { sharingOf } from '../src/repository/sessions/sharing.js';
import { resolveSnapshot } from '../src/repository/snapshot-reference.js';
import { VERSION } from '../src/lib/version.js';
import { systemClock } from '../src/lib/clock.js';
import { beginBackup } from '../src/repository/backup-session.js';
import type { GoldenArchive, GoldenMember } from '../test/support/golden-archives.js';
import {
  diskBytes,
  type Extent,
  type GoldenDisk,
  type GoldenEncryption,
  type GoldenSnapshot,
} from '../test/support/golden-disks.js';
import { encryptedBy, PLAIN } from '../test/support/format-suite.js';
import { projectRoot } from '../test/support/project.js';
import { Cleanups } from '../test/support/temp.js';
import { containerMembers } from './golden-container.js';
import { tarStream } from './golden-tar.js';

const KIB = 1024;
const chunkSizeBytes = 256 * KIB;
const hostname = 'pve1';
const group = 'qemu/100';
const container = { group: 'lxc/101', time: '2026-11-22T06:17:14Z' };
/** In the directory of the fixture. */
const KEY_FILE = 'node.key';
const passphrase = 'correct horse – Zürich';

interface Plan extends Omit<GoldenSnapshot, 'disks'> {
  readonly disks: readonly { readonly name: string; readonly sizeBytes: number; readonly extents: readonly Extent[] }[];
}

const text = (offset: number, lengthBytes: number, label: string): Extent => ({
  offset,
  lengthBytes,
  rule: 'text',
  label,
});
const noise = (offset: number, lengthBytes: number, label: string): Extent => ({
  offset,
  lengthBytes,
  rule: 'noise',
  label,
});
const chunk = (number: number): number => number * chunkSizeBytes;

/** Two full chunks, the second of them zero, and a short one that does not compress. */
const efidisk = {
  name: 'drive-efidisk0',
  sizeBytes: 540_672,
  extents: [text(0, 40_000, 'efi'), noise(chunk(2), 16 * KIB, 'efi')],
};
/** Zero, and of a size that is no multiple of anything. */
const blank = { name: 'drive-virtio1', sizeBytes: 1_000_001, extents: [] };
/** 600 full chunks and one of 20 KiB: three leaves. */
const systemBytes = chunk(600) + 20 * KIB;
/** Its first, its last and a middle chunk of the first leaf; nothing in the second; the third with a chunk twice. */
const systemBefore = [
  text(0, chunk(1), 'boot'),
  text(chunk(3) + 1000, 3000, 'grub'),
  text(chunk(255), chunk(1), 'root'),
  text(chunk(520), chunk(1), 'home'),
  text(chunk(521), chunk(1), 'home'),
  noise(chunk(600), 20 * KIB, 'tail'),
];
/** A chunk gone, one replaced, and 1 KiB across the border of the first two leaves. */
const systemAfter = [
  text(0, chunk(1), 'boot'),
  text(chunk(255), chunk(1), 'root'),
  text(chunk(256) - 512, 1024, 'span'),
  text(chunk(520), chunk(1), 'home'),
  text(chunk(521), chunk(1), 'mail'),
  noise(chunk(600), 20 * KIB, 'tail'),
];
const guestConfig = (memory: number): string =>
  `#Caf\u00e9, the golden guest\nmemory: ${memory}\nname: golden\nscsi0: vault:100/vm-100-disk-0.raw,size=153620K\n`;

const plans: readonly Plan[] = [
  {
    group,
    time: '2026-11-22T04:17:14Z',
    protected: true,
    notes: 'before the upgrade\nZürich – 日本語 🙂',
    log: null,
    files: { 'guest.conf': guestConfig(2048), 'firewall.conf': '[OPTIONS]\n\nenable: 1\n' },
    disks: [{ name: 'drive-scsi0', sizeBytes: systemBytes, extents: systemBefore }, efidisk, blank],
  },
  {
    group,
    time: '2026-11-22T05:17:14Z',
    protected: false,
    notes: null,
    log: 'INFO: starting\nINFO: Backup job finished successfully\n',
    files: { 'guest.conf': guestConfig(4096) },
    disks: [{ name: 'drive-scsi0', sizeBytes: systemBytes, extents: systemAfter }, efidisk, blank],
  },
];

function vzvault(cache: string, ...args: readonly string[]): void {
  const program = join(projectRoot, 'build/bin/vzvault');
  const underName = ['--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', hostname, program, ...args];
  execFileSync('unshare', underName, { stdio: 'inherit', env: { ...process.env, VZVAULT_CACHE_DIR: cache } });
}

/** A sparse file. */
function writeDisk(path: string, sizeBytes: number, extents: readonly Extent[]): void {
  const bytes = diskBytes(sizeBytes, extents);
  const fd = openSync(path, 'w');
  try {
    ftruncateSync(fd, sizeBytes);
    for (const { offset, lengthBytes } of extents) writeSync(fd, bytes, offset, lengthBytes, offset);
  } finally {
    closeSync(fd);
  }
}

function describe({ name, sizeBytes, extents }: Plan['disks'][number]): GoldenDisk {
  const bytes = diskBytes(sizeBytes, extents);
  const zero = Buffer.alloc(chunkSizeBytes);
  const dataChunkOffsets: number[] = [];
  for (let at = 0; at < sizeBytes; at += chunkSizeBytes) {
    const piece = bytes.subarray(at, at + chunkSizeBytes);
    if (!piece.equals(zero.subarray(0, piece.length))) dataChunkOffsets.push(at);
  }
  const levels = sizeBytes > 256 * chunkSizeBytes ? 2 : 1;
  return {
    name,
    sizeBytes,
    levels,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    extents,
    dataChunkOffsets,
  };
}

function backup(plan: Plan, store: string, work: string): void {
  const args = ['backup', store, '--guest', plan.group, '--time', plan.time];
  for (const { name, sizeBytes, extents } of plan.disks) {
    const path = join(work, `${name}.raw`);
    writeDisk(path, sizeBytes, extents);
    args.push('--disk', `${name}=${path}`);
  }
  const options: Readonly<Record<string, string>> = { 'guest.conf': '--config', 'firewall.conf': '--firewall' };
  for (const [name, content] of Object.entries(plan.files)) {
    writeFileSync(join(work, name), content);
    args.push(options[name] ?? '', join(work, name));
  }
  if (plan.notes !== null) args.push('--notes', plan.notes);
  vzvault(join(work, 'cache'), ...args);
}

/** With its key, where it has one. */
async function open(store: string): Promise<Repository> {
  const keyFile = join(store, KEY_FILE);
  return await openRepository(engine, { path: store, unlocking: existsSync(keyFile) ? { keyFile } : {} });
}

/** Makes a passphrase open it as well, and tells all its secrets. */
async function describeEncryption(store: string, work: string): Promise<GoldenEncryption> {
  const file = join(work, 'passphrase');
  writeFileSync(file, passphrase, { mode: 0o600 });
  vzvault(join(work, 'cache'), 'key', 'add', store, '--passphrase', '--new-passphrase-file', file);
  const repository = await open(store);
  try {
    const { secret } = repository.access;
    const { key } = JSON.parse(readFileSync(join(store, KEY_FILE), 'utf8')) as { key: string };
    if (secret === null) throw new Error('it is not encrypted');
    return { secret: secret.toString('hex'), key: Buffer.from(key, 'base64').toString('hex'), passphrase };
  } finally {
    await repository.close();
  }
}

/** Stores the container's files, and describes what became of them. */
async function backupContainer(store: string, work: string, members: readonly GoldenMember[]): Promise<GoldenSnapshot> {
  const files = { 'guest.conf': 'arch: amd64\nhostname: ct\nrootfs: vault:101/vm-101-disk-0.raw,size=8G\n' };
  const tar = join(work, 'root.tar');
  writeFileSync(tar, tarStream(members));
  const fd = openSync(tar, 'r');
  const repository = await open(store);
  try {
    const id = await resolveSnapshot(repository.snapshots, `${container.group}@${container.time}`);
    const session = await beginBackup(repository, {
      id,
      createdBy: { version: VERSION, hostname },
      clock: systemClock,
      sharing: sharingOf({ hostname, processes: systemProcesses, clock: systemClock }),
    });
    for (const [name, content] of Object.entries(files)) session.addFile(name, Buffer.from(content));
    const { archive } = await session.backupArchive({ name: 'root', fd });
    await session.commit();
    const [data, catalogue] = [archive.data, archive.catalogue].map(({ rootId, ...stream }) => ({
      ...stream,
      root: rootId,
    })) as [GoldenArchive['data'], GoldenArchive['catalogue']];
    return {
      ...container,
      ...{ protected: false, notes: null, log: null, files, disks: [] },
      archive: { name: 'root', data, catalogue, members },
    };
  } finally {
    await repository.close();
    closeSync(fd);
  }
}

/** What only Proxmox VE's interface sets, not the command line. */
async function setSidecars(store: string): Promise<void> {
  const repository = await open(store);
  try {
    for (const { time, protected: isProtected, log } of plans) {
      const id = await resolveSnapshot(repository.snapshots, `${group}@${time}`);
      if (isProtected) await repository.snapshots.sidecars.setProtected(id, true);
      if (log !== null) await repository.snapshots.sidecars.setLog(id, Buffer.from(log));
    }
  } finally {
    await repository.close();
  }
}

/** JSON whose innermost objects and lists have a line each. */
function inLines(value: unknown): string {
  const json = JSON.stringify(value, null, 1);
  return `${json.replace(/\{[^{}[\]]*\}|\[[^{}[\]]*\]/g, (innermost) => innermost.replace(/\n */g, ' '))}\n`;
}

async function make(target: string, isEncrypted: boolean, cleanups: Cleanups): Promise<void> {
  if (existsSync(target)) throw new Error(`${target} exists, and a golden repository is never made anew`);
  const work = cleanups.directory();
  process.env['VZVAULT_CACHE_DIR'] = join(work, 'cache');
  mkdirSync(target, { recursive: true });
  const keyFile = join(target, KEY_FILE);
  if (isEncrypted) process.env['VZVAULT_KEY_FILE'] = keyFile;
  const options = isEncrypted ? ['--encryption-key', keyFile] : [];
  vzvault(join(work, 'cache'), 'init', target, '--chunk-size', '256K', ...options);
  for (const plan of plans) backup(plan, target, work);
  await setSidecars(target);
  const encryption = isEncrypted ? await describeEncryption(target, work) : undefined;
  const suite = encryption === undefined ? PLAIN : encryptedBy(Buffer.from(encryption.secret, 'hex'));
  const members = containerMembers((path) => suite.pathDigest(Buffer.from(path, 'latin1'))[0] === 0);
  const ofContainer = await backupContainer(target, work, members);
  // A document of each kind that is encrypted.
  if (isEncrypted) vzvault(join(work, 'cache'), 'verify', target, `${group}@${plans[0]?.time ?? ''}`);
  // Git keeps no empty directories, and a reader needs none.
  for (const name of ['sessions', 'tmp']) rmSync(join(target, 'vzvault', name), { recursive: true });
  const disks = plans.map((plan) => ({ ...plan, disks: plan.disks.map(describe) }));
  // In the order of their groups.
  const expected = { format: 1, chunkSizeBytes, encryption, snapshots: [ofContainer, ...disks] };
  writeFileSync(join(target, 'expected.json'), inLines(expected));
  writeFileSync(join(target, '.gitattributes'), '# Bytes, whatever they look like.\nvzvault/** -text\n');
}

const [target, suite] = process.argv.slice(2);
if (target === undefined) throw new Error('which directory shall it make?');
const cleanups = new Cleanups();
try {
  await make(resolve(target), suite === 'encrypted', cleanups);
} finally {
  await cleanups.undo();
}
