/** The snapshots of an empty repository in memory, opened twice: as by two machines. */
import { RepositoryAccess } from '../../src/repository/keys/repository-access.js';
import { Snapshots } from '../../src/repository/snapshots.js';
import { FakeEngine } from './fake-engine.js';
import type { MemoryDisk } from './memory-directory.js';

const REPOSITORY = 'f'.repeat(32);
/** Where that of `idOf(100)` lies. */
export const DIRECTORY = '/r/snapshots/qemu/100/20261122T041714Z';

export function openSnapshots(): { disk: MemoryDisk; snapshots: Snapshots; other: Snapshots } {
  const engine = new FakeEngine();
  engine.disk.makeDirectory('/r');
  const open = (): Snapshots => new Snapshots(engine.disk.open('/r'), RepositoryAccess.plain(engine), REPOSITORY);
  return { disk: engine.disk, snapshots: open(), other: open() };
}
