/** `vzvault mount` on the backup of a container: what is seen there, and what does not work there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertSameTrees, describeTree, type TreeDescription } from '../../support/archives.js';
import { ContainerNode, type ContainerBackup } from '../../support/model-container.js';
import { backUpSampleTwice } from '../../support/sample-backups.js';
import { Cleanups, unmountAllBelow } from '../../support/temp.js';

const LATEST = 'lxc/101@latest';

describe("a mount of a container's backup", () => {
  const cleanups = new Cleanups();
  let node: ContainerNode;
  let expected: TreeDescription;
  let first: ContainerBackup;

  before(async () => {
    node = await ContainerNode.start(cleanups);
    ({ expected, first } = await backUpSampleTwice(node));
    cleanups.add(() => {
      unmountAllBelow(node.directory);
    });
  });
  after(() => cleanups.undo());

  it('is read-only, without devices and set-uid programs, two backups at once', async () => {
    const one = await node.mount(first.volume);
    const other = await node.mount(LATEST);
    for (const point of [one, other]) {
      assert.deepEqual(readdirSync(point).sort(), ['backup.log', 'firewall.conf', 'guest.conf', 'root', 'root.tar']);
      const options = readFileSync('/proc/mounts', 'utf8')
        .split('\n')
        .find((line) => line.split(' ')[1] === point)!
        .split(' ')[3]!;
      for (const option of ['ro', 'nosuid', 'nodev']) assert.ok(options.split(',').includes(option), options);
      assert.throws(
        () => {
          writeFileSync(join(point, 'root/etc/hostname'), 'x');
        },
        { code: 'EROFS' },
      );
    }
    assertSameTrees(describeTree(join(one, 'root')), expected);
    assert.equal(readFileSync(join(other, 'root/etc/hostname'), 'utf8'), 'renamed\n');
    const differing = ((): string => {
      try {
        return execFileSync('diff', ['-rq', '--no-dereference', join(one, 'root/etc'), join(other, 'root/etc')], {
          encoding: 'utf8',
        });
      } catch (error) {
        return (error as { stdout: string }).stdout;
      }
    })();
    assert.deepEqual(
      differing
        .split('\n')
        .map((line) => line.split('/').at(-1))
        .filter(Boolean),
      ['hostname differ', 'name differ'],
    );
    // A device node is shown, and is none that works.
    assert.throws(() => readFileSync(join(one, 'root/dev/null')), { code: 'EACCES' });
  });

  it('shows links as links, and no way out of the tree', async () => {
    const point = await node.mount(first.volume);
    assert.equal(readlinkSync(join(point, 'root/etc/escape')), '/etc/passwd');
    const outside = execFileSync('find', [point, '-name', '..*'], { encoding: 'utf8' });
    assert.equal(outside, '');
    assert.equal(readFileSync(join(point, 'root/../guest.conf'), 'utf8'), 'arch: amd64\nunprivileged: 1\n');
  });

  it('gives nobody the ids of a set-uid program', async () => {
    const directory = node.newRoot(null);
    for (const name of ['sbin', 'bin']) mkdirSync(join(directory, name));
    execFileSync('cp', ['/usr/bin/id', join(directory, 'bin/id')]);
    chmodSync(join(directory, 'bin/id'), 0o6755);
    const { volume } = await node.backUp(directory, { idMap: null, vmid: 102 });
    const point = mkdtempSync(join(node.directory, 'mnt-'));
    await node.must('mount', node.store, volume, point, '--allow-other');
    const program = join(point, 'root/bin/id');
    const asNobody = (file: string): string =>
      execFileSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', file, '-u'], {
        encoding: 'utf8',
      }).trim();
    // The test's own: where it may be set-uid, it is.
    chownSync(join(directory, 'bin/id'), 0, 0);
    chmodSync(join(directory, 'bin/id'), 0o6755);
    chmodSync(directory, 0o755);
    assert.equal(asNobody(join(directory, 'bin/id')), '0');
    assert.equal(asNobody(program), '65534');
    assert.ok(existsSync(program));
  });
});
