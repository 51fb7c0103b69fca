/** A container that was backed up twice, for tests that look into its backups. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeTree, type TreeDescription } from './archives.js';
import type { ContainerBackup, ContainerNode } from './model-container.js';
import { makeSampleTree } from './sample-tree.js';

export interface SampleBackups {
  /** The root of the container, as it is in the second one. */
  readonly root: string;
  /** As it is in the first one. */
  readonly expected: TreeDescription;
  readonly first: ContainerBackup;
}

/** Backs up the sample tree, and once more with `renamed` in etc/hostname. */
export async function backUpSampleTwice(node: ContainerNode): Promise<SampleBackups> {
  // A privileged container: its files have the same ids on the host, so that trees can be compared as they are.
  const root = node.newRoot(null);
  makeSampleTree(root);
  const expected = describeTree(root);
  const first = await node.backUp(root, { idMap: null });
  writeFileSync(join(root, 'etc/hostname'), 'renamed\n');
  await node.backUp(root, { idMap: null });
  return { root, expected, first };
}
