/**
 * What a second backup of a real container costs, and what listing its tar file costs, from counters: `make bench-container`.
 *
 * Makes a Debian root file system of about 1 GiB with debootstrap, backs it up as vzdump does, installs packages in it with apt, and backs it
 * up again. Needs root, the package debootstrap, a mirror and 6 GiB in the temporary directory; takes minutes. Nothing is left.
 *
 * VZVAULT_BENCH_MIRROR, VZVAULT_BENCH_SUITE: the mirror and the release, else those of this machine.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../src/lib/units.js';
import { changeBetween, contentsOf, type Contents } from '../test/support/changed-files.js';
import { ContainerNode, type ContainerBackup } from '../test/support/model-container.js';
import { Cleanups } from '../test/support/temp.js';

/** Beyond a minimal system: about 1 GiB together. */
const PACKAGES = [
  ...[
    'build-essential',
    'cmake',
    'gdb',
    'git',
    'vim',
    'emacs-nox',
    'perl',
    'perl-doc',
    'python3',
    'python3-dev',
    'python3-pip',
  ],
  ...['rsync', 'openssh-server', 'ca-certificates', 'curl', 'locales', 'man-db', 'manpages-dev', 'systemd-sysv'],
  ...['php-cli', 'ruby', 'tcpdump'],
];
const INSTALLED_LATER = ['nginx', 'samba', '--no-install-recommends'];
const LIMIT_RATIO = 1.3;
const LIMIT_LISTED = 0.02;

const { VZVAULT_BENCH_MIRROR: mirror = ownMirror(), VZVAULT_BENCH_SUITE: suite = ownSuite() } = process.env;

function ownSuite(): string {
  return /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
}

function ownMirror(): string {
  const format = ['--format', '$(REPO_URI)', `Codename: ${ownSuite()}`, 'Created-By: Packages'];
  const [first = ''] = execFileSync('apt-get', ['indextargets', ...format], { encoding: 'utf8' }).split('\n');
  return first;
}

/** What the command said is shown where it fails. */
function run(command: string, ...args: readonly string[]): void {
  const { status, stdout, error } = spawnSync(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    maxBuffer: 1 << 28,
  });
  if (status === 0) return;
  process.stderr.write(stdout.subarray(-4000));
  throw error ?? new Error(`${command} ended with ${String(status)}`);
}

/** Whatever it starts ends with it. */
function inside(root: string, ...command: readonly string[]): void {
  run('unshare', '--mount', '--pid', '--fork', `--mount-proc=${join(root, 'proc')}`, 'chroot', root, ...command);
}

function say(what: string, value: string): void {
  console.log(`${what.padEnd(48)}${value}`);
}

async function backUp(node: ContainerNode, root: string, name: string): Promise<ContainerBackup> {
  const startedMs = performance.now();
  // As a privileged container: its files have the ids that debootstrap gave them.
  const backup = await node.backUp(root, { idMap: null, excludes: ['/tmp/?*', '/var/tmp/?*', '/var/run/?*.pid'] });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const { archives, stats } = await node.figures(backup.volume);
  const [{ members, data, catalogue }] = archives as [(typeof archives)[0]];
  say(`${name}: files`, `${members}, ${formatBytes(data.sizeBytes)}; catalogue ${formatBytes(catalogue.sizeBytes)}`);
  say(
    `${name}: new data, repository grew by`,
    `${formatBytes(stats.newBytes)}, ${formatBytes(stats.addedBytes)} in ${seconds} s`,
  );
  return backup;
}

async function measureChange(root: string, before: Contents, { addedBytes }: ContainerBackup): Promise<boolean> {
  const change = await changeBetween(root, before, contentsOf(root));
  const ratio = addedBytes / change.compressedBytes;
  say(
    'changed by content',
    `${change.files} files, ${formatBytes(change.sizeBytes)}, zstd -1: ${formatBytes(change.compressedBytes)}`,
  );
  say('added by the second backup / that', `${ratio.toFixed(3)} (at most ${LIMIT_RATIO})`);
  return ratio <= LIMIT_RATIO;
}

async function measureListing(node: ContainerNode, volume: string): Promise<boolean> {
  const decoded = async (command: string): Promise<number> => {
    const counters = await node.countMount(volume, (point) => {
      execFileSync('sh', ['-c', command, join(point, 'root.tar')], { stdio: ['ignore', 'ignore', 'inherit'] });
    });
    return counters.dataBytes + counters.mapBytes + counters.catalogueBytes;
  };
  const listed = await decoded('tar -tvf "$0" --numeric-owner');
  const read = await decoded('cat "$0"');
  const share = listed / read;
  say(
    'decoded for tar -tvf root.tar, for a full read',
    `${formatBytes(listed)}, ${formatBytes(read)}: ${(100 * share).toFixed(2)} % (below 2 %)`,
  );
  return share < LIMIT_LISTED;
}

const cleanups = new Cleanups();
try {
  const node = await ContainerNode.start(cleanups);
  const root = node.newRoot(null);
  run('debootstrap', '--variant=minbase', `--include=${PACKAGES.join(',')}`, suite, root, mirror);
  // apt's own caches are large and written anew at every call: they would hide what an installation changes.
  writeFileSync(join(root, 'etc/apt/apt.conf.d/no-caches'), 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n');
  inside(root, 'apt-get', 'clean');
  copyFileSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'));
  writeFileSync(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const [size = ''] = execFileSync('du', ['-sh', root], { encoding: 'utf8' }).split('\t');
  say('root file system', `${suite}, ${size}`);
  inside(root, 'apt-get', '-qq', 'update');
  await backUp(node, root, 'first backup');
  const before = contentsOf(root);
  for (const args of [['-y', 'install', ...INSTALLED_LATER], ['clean']]) inside(root, 'apt-get', '-qq', ...args);
  const second = await backUp(node, root, 'second backup');
  const results = [await measureChange(root, before, second), await measureListing(node, second.volume)];
  process.exitCode = results.every(Boolean) ? 0 : 1;
} finally {
  await cleanups.undo();
}
