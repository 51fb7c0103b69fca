/**
 * Containers at random: types, names, sizes, holes, owners, modes, times, attributes, ACLs, capabilities, hard links. Each is backed up as vzdump
 * does it, changed here and there, backed up again, and both are restored both ways as `pct restore` does it, and mounted. Seeds are
 * printed; SEED= and TREES= choose them.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assertSameTrees, describeTree, unpack, type DescribeOptions } from '../../support/archives.js';
import { ContainerNode, defaultConfig, restoreMechanisms, unprivileged } from '../../support/model-container.js';
import { RandomTree } from '../../support/random-tree.js';
import { cleanupsOf } from '../../support/temp.js';
import { setAttributes } from '../../support/tree-attributes.js';

const CHANGES = 25;
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_007);
const trees = Number(process.env['TREES'] ?? 4);
const firewall = '[OPTIONS]\nenable: 1\n';
/** Of the host. */
const asOwned: DescribeOptions = { idBase: unprivileged[0] };
/** A restore leaves devices out; what the archive says of the root directory itself tar passes over, since it exists (--skip-old-files). */
const restorable: DescribeOptions = { ...asOwned, without: /^$|^dev\// };

for (let tree = seed; tree < seed + trees; ++tree) {
  it(`a random container comes back as it was, restored both ways and mounted (SEED=${tree})`, async (t) => {
    const node = await ContainerNode.start(cleanupsOf(t));
    const root = node.newRoot();
    const random = new RandomTree(root, tree, { idBase: unprivileged[0] });
    random.make();
    const backups = [];
    for (const changes of [0, CHANGES]) {
      random.change(changes);
      const { volume, log } = await node.backUp(root, { firewall });
      assert.deepEqual(
        log.filter((line) => !line.startsWith('info')),
        [],
      );
      backups.push({ volume, owned: describeTree(root, asOwned), restorable: describeTree(root, restorable) });
    }
    for (const { volume, ...expected } of backups) {
      assertSameTrees(describeTree(join(await node.mount(volume), 'root')), expected.owned);
      for (const mechanism of restoreMechanisms) {
        const restored = await node.restore(volume, mechanism);
        assertSameTrees(describeTree(restored.root, restorable), expected.restorable, mechanism);
        assert.deepEqual([restored.config, restored.firewall], [defaultConfig, firewall]);
        rmSync(restored.root, { recursive: true });
      }
    }
  });
}

it(`a random privileged container is mounted and unpacked as it was (SEED=${seed})`, async (t) => {
  const cleanups = cleanupsOf(t);
  const node = await ContainerNode.start(cleanups);
  const root = node.newRoot(null);
  new RandomTree(root, seed, { idBase: null }).make();
  const expected = describeTree(root);
  const { volume } = await node.backUp(root, { idMap: null });
  const mount = await node.mount(volume);
  assertSameTrees(describeTree(join(mount, 'root')), expected);
  assertSameTrees(describeTree(unpack(cleanups, join(mount, 'root.tar'))), expected);
});

describe('two trees that differ', () => {
  const changes: Record<string, (file: string, link: string) => void> = {
    'in the mode': (file) => chmodSync(file, 0o600),
    'in the owner': (file) => chownSync(file, 0, 1),
    'in a byte': (file) => writeFileSync(file, 'y', { flag: 'r+' }),
    'in the size': (file) => truncateSync(file, 1_000_001),
    'in a hole': (file) => {
      const fd = openSync(file, 'r+');
      writeSync(fd, Buffer.alloc(4096), 0, 4096, 500_000);
      closeSync(fd);
    },
    'in a name': (file) => linkSync(file, `${file}-too`),
    'in the target of a link': (_file, link) => {
      unlinkSync(link);
      symlinkSync('another', link);
    },
    'in an attribute': (file) => setAttributes([{ path: Buffer.from(file), values: { 'user.a': Buffer.from('b') } }]),
    'in an ACL': (file) => execFileSync('setfacl', ['-m', 'u:1:r', file]),
    'in a nanosecond': (file) => execFileSync('touch', ['-d', '@1800000000.123456788', file]),
  };
  for (const [what, change] of Object.entries(changes)) {
    it(`${what} are not taken for the same`, (t) => {
      const root = cleanupsOf(t).directory();
      const [file, link] = [join(root, 'file'), join(root, 'link')];
      const setTimes = (): void => {
        execFileSync('touch', ['-h', '-d', '@1800000000.123456789', file, link, root]);
      };
      writeFileSync(file, 'x'.repeat(5000));
      truncateSync(file, 1_000_000);
      symlinkSync('target', link);
      setAttributes([{ path: Buffer.from(file), values: { 'user.a': Buffer.from('a') } }]);
      setTimes();
      const expected = describeTree(root);
      assertSameTrees(describeTree(root), expected);
      change(file, link);
      if (what !== 'in a nanosecond') setTimes();
      assert.throws(() => {
        assertSameTrees(describeTree(root), expected);
      });
    });
  }
});
