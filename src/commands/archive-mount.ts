/**
 * The files of a container's snapshot as a directory, for the length of one command: a mount of vzvault-fuse of our own, in a directory
 * that nobody else can enter.
 */
import { mkdir, mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { wipe } from '../repository/keys/key-material.js';
import { archiveNodes, archivePaths, repositorySpec } from '../repository/mount-spec.js';
import { withReader } from '../repository/sessions/reading.js';
import type { Repository } from '../repository/repository.js';
import type { SnapshotDocument } from '../repository/snapshot-document.js';
import { resolveSnapshot } from '../repository/snapshot-reference.js';
import type { CommandContext } from './context.js';
import { withRepository } from './with-repository.js';

export interface ArchiveTree {
  readonly id: SnapshotId;
  /** The directory that is the container's root. */
  readonly root: Buffer;
}

/** Mounts, works, unmounts. E_VOLUME_MISSING where the snapshot is not one of a container. */
export async function withArchiveTree<T>(
  context: CommandContext,
  { store, reference }: { readonly store: string; readonly reference: string },
  work: (tree: ArchiveTree) => Promise<T>,
): Promise<T> {
  return await withRepository(context, store, async (repository) => {
    const id = await resolveSnapshot(repository.snapshots, reference);
    const document = await repository.snapshots.read(id);
    return await withReader(repository, context.sharing, document, () =>
      withMount(context, repository, document, work),
    );
  });
}

async function withMount<T>(
  { startMount, terminal, signal }: CommandContext,
  repository: Repository,
  { id, archives: [archive] }: SnapshotDocument,
  work: (tree: ArchiveTree) => Promise<T>,
): Promise<T> {
  if (archive === undefined) {
    const what = `${formatSnapshotId(id)} is not the backup of a container`;
    throw new VzvaultError('E_VOLUME_MISSING', `${what}; vzvault mount shows the disks of a VM`);
  }
  await mkdir(repository.cacheDirectory, { recursive: true, mode: 0o700 });
  const nodes = archiveNodes(archive, id.timeSeconds).filter(({ archiveTree }) => archiveTree !== undefined);
  const spec = { ...repositorySpec(repository), allowOther: false, nodes };
  const directory = await mkdtemp(join(tmpdir(), 'vzvault-files-'));
  // Damage is told, not the figures at the end.
  const onLine = (line: string): void => {
    if (!line.startsWith('vzvault-fuse: info: ')) terminal.err(`${line}\n`);
  };
  try {
    const mount = await startMount({ directory, spec, log: { kind: 'lines', onLine }, signal });
    try {
      return await work({ id, root: Buffer.from(join(directory, archivePaths(archive.name).directory)) });
    } finally {
      await mount.stop();
    }
  } finally {
    wipe(spec.key?.secret);
    // What is still mounted cannot be removed, and must not be.
    await rmdir(directory).catch(() => undefined);
  }
}
