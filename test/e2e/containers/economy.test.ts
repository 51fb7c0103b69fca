/** What the second backup of a container costs, and what listing its tar file costs, from counters: what changed, not what there is. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { changeBetween, contentsOf } from '../../support/changed-files.js';
import { ContainerNode, type ContainerBackup } from '../../support/model-container.js';
import { run } from '../../support/model-run.js';
import { Cleanups } from '../../support/temp.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const TREE_BYTES = 150 * MIB;
const NEW_BYTES = 10 * MIB;
/** Of data. */
const MAX_CHUNK_BYTES = 2 * MIB;
/** What every Debian that builds this project has plenty of. */
const SOURCES = ['/usr/share/perl', '/usr/lib/python3', '/usr/include', '/usr/bin', '/usr/lib/gcc', '/usr/share'];

interface Sources {
  /** Of this machine, about TREE_BYTES. */
  readonly tree: readonly string[];
  /** More of them, about NEW_BYTES. */
  readonly more: readonly string[];
}

function pickFiles(): Sources {
  const wanted = ['-xdev', '-type', 'f', '-size', '-20480k', '-printf', '%s %p\n'];
  const listed = execFileSync('find', [...SOURCES, ...wanted], { encoding: 'latin1', maxBuffer: 1 << 28 });
  const picked: [string[], string[]] = [[], []];
  let sizeBytes = 0;
  for (const line of new Set(listed.trim().split('\n'))) {
    const [size = '', path = ''] = line.split(/ (.*)/);
    if (sizeBytes >= TREE_BYTES + NEW_BYTES) break;
    picked[sizeBytes < TREE_BYTES ? 0 : 1].push(path);
    sizeBytes += Number(size);
  }
  assert.ok(sizeBytes >= TREE_BYTES + NEW_BYTES, 'this machine has too few files');
  return { tree: picked[0], more: picked[1] };
}

/** Below `target`, as they stand below the root of this machine. */
function copyFiles(files: readonly string[], target: string): void {
  mkdirSync(target, { recursive: true });
  const input = files.map((path) => `${path.slice(1)}\0`).join('');
  const copy = 'tar -cf - -C / --null --files-from=- | tar -xf - -C "$0" --no-same-owner';
  execFileSync('sh', ['-c', copy, target], { input });
}

describe('the backups of a container', () => {
  const cleanups = new Cleanups();
  let node: ContainerNode;
  let root: string;
  let sources: Sources;
  let first: ContainerBackup;
  let touches = 0;

  before(async () => {
    node = await ContainerNode.start(cleanups);
    root = node.newRoot();
    sources = pickFiles();
    copyFiles(sources.tree, root);
    mkdirSync(join(root, 'var/lib'), { recursive: true });
    writeFileSync(join(root, 'var/lib/status'), execFileSync('cat', ['/var/lib/dpkg/status']));
    await run('chown', '-R', '100000:100000', root);
    first = await node.backUp(root);
  });
  after(() => cleanups.undo());

  /** Of those that are still where they were. */
  function files(): string[] {
    return sources.tree.map((path) => join(root, path)).filter((path) => existsSync(path));
  }

  function touchSome(): void {
    touches += 1;
    files().forEach((path, index) => {
      if (index % 20 === 0) utimesSync(path, 1_800_000_000, 1_800_000_000 + touches);
    });
  }

  /** Into another directory; answers its size. */
  function moveLargest(): number {
    const large = files().reduce((one, other) => (lstatSync(one).size >= lstatSync(other).size ? one : other));
    const sizeBytes = lstatSync(large).size;
    renameSync(large, join(root, 'var', basename(large)));
    return sizeBytes;
  }

  it('store no data and next to no catalogue where nothing has changed', async () => {
    const bytesBefore = node.repositoryBytes();
    const again = await node.backUp(root);
    const grown = node.repositoryBytes() - bytesBefore;
    assert.ok(grown < 16 * KIB, `the repository grew by ${grown} bytes`);
    const { stats, archives } = await node.figures(again.volume);
    assert.equal(again.addedBytes, stats.addedBytes);
    const { stats: firstStats } = await node.figures(first.volume);
    assert.equal(stats.newBytes, 0);
    assert.equal(stats.reusedBytes + stats.zeroBytes, archives[0]!.data.sizeBytes);
    assert.ok(stats.addedBytes <= grown);
    assert.ok(firstStats.newBytes > 100 * MIB);
  });

  it('store little where only times and places of files have changed', async () => {
    touchSome();
    const moved = moveLargest();
    const { stats } = await node.figures((await node.backUp(root)).volume);
    assert.ok(
      stats.newBytes < 2 * MAX_CHUNK_BYTES,
      `${stats.newBytes} bytes were new: more than what was beside the file that moved`,
    );
    assert.ok(stats.addedBytes < MIB, `${stats.addedBytes} bytes were added`);
    assert.ok(moved > MIB);
  });

  it('store what an installation of packages changes, and not much more', async () => {
    const before = contentsOf(root);
    copyFiles(sources.more, join(root, 'opt/new'));
    const status = readFileSync(join(root, 'var/lib/status'));
    const half = Math.floor(status.length / 2);
    const entry = Buffer.from('Package: new\n'.repeat(50));
    writeFileSync(
      join(root, 'var/lib/status'),
      Buffer.concat([status.subarray(0, half), entry, status.subarray(half)]),
    );
    for (const at of [0.2, 0.5, 0.8]) {
      writeFileSync(files()[Math.floor(at * files().length)]!, 'replaced', { flag: 'a' });
    }
    touchSome();
    moveLargest();
    await run('chown', '-R', '100000:100000', root);
    const { addedBytes } = await node.backUp(root);
    const change = await changeBetween(root, before, contentsOf(root));
    assert.ok(change.sizeBytes >= NEW_BYTES / 2, JSON.stringify(change));
    assert.ok(
      addedBytes <= 1.3 * change.compressedBytes,
      `${addedBytes} bytes were added for ${JSON.stringify(change)}`,
    );
  });

  it('decode less than two in a hundred bytes for a list', async () => {
    const listed = await node.countMount(first.volume, async (point) => {
      await run('sh', '-c', 'tar -tvf "$0" --numeric-owner > /dev/null', join(point, 'root.tar'));
    });
    const read = await node.countMount(first.volume, async (point) => {
      await run('sh', '-c', 'cat "$0" > /dev/null', join(point, 'root.tar'));
    });
    assert.equal(listed.dataBytes, 0);
    const all = listed.dataBytes + listed.mapBytes + listed.catalogueBytes;
    assert.ok(all < 0.02 * read.dataBytes, JSON.stringify({ listed, read }));
  });
});
