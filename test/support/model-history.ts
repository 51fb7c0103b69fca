/** What every backup of a model VM has to hold: the disks at their moments, by repository and volume. */
import assert from 'node:assert/strict';
import type { FrozenImage } from './model-image.js';
import type { SnapshotReader } from './model-readers.js';
import type { ModelVm } from './model-vm.js';

/** The disks of a VM at one moment, by device. */
export type Moment = ReadonlyMap<string, FrozenImage>;

export function momentOf(vm: ModelVm): Moment {
  return new Map(vm.disks.map(({ device, image }) => [device, image.freeze()]));
}

export class BackupHistory {
  /** Repository to volume to moment. */
  readonly #moments = new Map<string, Map<string, Moment>>();

  /** Of one repository, by volume; the oldest first. */
  of(repository: string): ReadonlyMap<string, Moment> {
    return this.#moments.get(repository) ?? new Map();
  }

  remember(repository: string, volume: string, moment: Moment): void {
    const moments = this.#moments.get(repository) ?? new Map<string, Moment>();
    this.#moments.set(repository, moments.set(volume, moment));
  }

  forget(repository: string, volume: string): void {
    this.#moments.get(repository)?.delete(volume);
  }

  /** A repository was put where another was, or nothing. */
  copy(from: string, to: string): void {
    this.#moments.set(to, new Map(this.of(from)));
  }

  /** Fails where the snapshot holds other disks, or one byte of one disk is another. */
  async compare(
    reader: SnapshotReader,
    repository: string,
    volume: string,
    devices?: readonly string[],
  ): Promise<void> {
    const moment = this.of(repository).get(volume);
    if (moment === undefined) throw new Error(`${volume} in ${repository} is not known to the model`);
    const found = await reader.devices(repository, volume);
    assert.deepEqual([...found].sort(), [...moment.keys()].sort(), `${volume} holds the disks that the VM had`);
    for (const [device, image] of moment) {
      if (devices !== undefined && !devices.includes(device)) continue;
      const difference = await reader.read(repository, volume, device, (path) => image.differenceTo(path));
      assert.equal(difference, null, `${device} of ${volume} in ${repository}: ${difference}`);
    }
  }

  /** Fails where another set of snapshots is listed, or one differs. */
  async compareAll(reader: SnapshotReader, repository: string): Promise<void> {
    const known = [...this.of(repository).keys()].sort();
    assert.deepEqual(await reader.volumes(repository), known, `the snapshots in ${repository}`);
    for (const volume of known) await this.compare(reader, repository, volume);
  }
}
