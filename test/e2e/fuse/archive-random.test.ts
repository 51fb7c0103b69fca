/** Trees at random: types, names, sizes, holes, owners, modes, times, attributes. Each is backed up and restored both ways; the seed is printed. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { join } from 'node:path';
import { describeTree, mountArchive, storeTree, unpack } from '../../support/archives.js';
import { makeRandomTree } from '../../support/random-tree.js';
import { cleanupsOf } from '../../support/temp.js';

const TREES = 6;
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_007);

for (let tree = 0; tree < TREES; ++tree) {
  it(`a random tree comes back as it was, mounted and unpacked (SEED=${seed + tree})`, async (t) => {
    const cleanups = cleanupsOf(t);
    const source = cleanups.directory();
    makeRandomTree(source, seed + tree);
    const expected = await describeTree(source);
    const mount = await mountArchive(cleanups, await storeTree(cleanups, source));
    assert.deepEqual(await describeTree(join(mount.path, 'root')), expected);
    assert.deepEqual(await describeTree(unpack(cleanups, join(mount.path, 'root.tar'))), expected);
  });
}
