/**
 * PVE's backup access on a model VM, in the order of its QEMU: the point in time, the bitmaps, the fleecing images, the NBD exports, and
 * the end of it all. The commands that only PVE's QEMU has are made of upstream ones.
 *
 * While the access is open guest writes go through copy-before-write into the fleecing image. The owner tears it down, once.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { addDirtyBitmap, dirtyBytesOf, granuleBytes } from './model-bitmaps.js';
import { run } from './model-run.js';
import type { ModelVm } from './model-vm.js';

const background = 'backup-access-background-bitmap';

/**
 * Whether the guest may zero or trim while an access is open. Before QEMU 8.0 the view of a moment takes such a range for a hole that it
 * always was, where it borders on one that is as it was: hbitmap_status() answered the wrong way round.
 */
export async function canZeroDuringAccess(): Promise<boolean> {
  const [, major = '0'] = /version ([0-9]+)/.exec(await run('qemu-storage-daemon', '--version')) ?? [];
  return Number(major) >= 8;
}

export type RequestedMode = 'none' | 'new' | 'use';
export type BitmapAction = 'not-used' | 'not-used-removed' | 'new' | 'used' | 'missing-recreated';

/** What backup-access-setup answers about a disk, with what query-pbs-bitmap-info says. */
export interface AccessDevice {
  readonly device: string;
  readonly sizeBytes: number;
  readonly action: BitmapAction;
  readonly dirtyBytes: number;
  /** Null in mode none. */
  readonly bitmapName: string | null;
}

export interface AccessOptions {
  /** Of the storage: QEMU keeps one bitmap for each. */
  readonly storeid: string;
  readonly modes: Readonly<Record<string, RequestedMode>>;
  /** Where fleecing images are made. */
  readonly fleecingDirectory: string;
}

interface Opened extends AccessDevice {
  readonly formatNode: string;
  readonly fleecingPath: string;
  readonly fleecingNode: string;
  readonly copyNode: string;
  readonly snapshotNode: string;
}

export function bitmapNameOf(storeid: string): string {
  return `snapshot-access:${storeid}`;
}

export class BackupAccess {
  readonly #exported: string[] = [];

  private constructor(
    private readonly vm: ModelVm,
    private readonly opened: readonly Opened[],
    /** Of the NBD server; all disks are exported on it under their device's names. */
    readonly nbdPath: string,
  ) {}

  /** From here on the exports show the disks as they are now. */
  static async open(vm: ModelVm, options: AccessOptions): Promise<BackupAccess> {
    const opened: Opened[] = [];
    const name = bitmapNameOf(options.storeid);
    for (const { device, sizeBytes } of vm.disks) {
      const bitmap = await prepareBitmap(vm, device, sizeBytes, name, options.modes[device] ?? 'none');
      const fleecingPath = join(options.fleecingDirectory, `${vm.fresh(`${device}-fleecing`)}.raw`);
      opened.push({
        ...{ device, sizeBytes, ...bitmap, formatNode: vm.formatNode(device), fleecingPath },
        ...{ fleecingNode: vm.fresh('fleecing'), copyNode: vm.fresh('cbw'), snapshotNode: vm.fresh('snapshot') },
      });
    }
    for (const disk of opened) await interpose(vm, disk);
    return new BackupAccess(vm, opened, vm.life.nbdPath);
  }

  get devices(): readonly AccessDevice[] {
    return this.opened;
  }

  fleecingPath(device: string): string {
    const found = this.opened.find((disk) => disk.device === device);
    if (found === undefined) throw new Error(`${device} is not accessed`);
    return found.fleecingPath;
  }

  /** Writable, for discards; with the bitmap where one is used. */
  async serve(): Promise<void> {
    const { qmp } = this.vm;
    for (const { device, snapshotNode, formatNode, bitmapName } of this.opened) {
      const bitmaps = bitmapName === null ? {} : { bitmaps: [{ node: formatNode, name: bitmapName }] };
      await qmp.execute('block-export-add', {
        ...{ type: 'nbd', id: device, 'node-name': snapshotNode, name: device, writable: true, ...bitmaps },
      });
      this.#exported.push(device);
    }
  }

  /** `success`: the bitmaps mark from here on what changed since this point in time. Harmless where QEMU is gone. */
  async close(success: boolean): Promise<void> {
    if (this.vm.isRunning) await this.#close(success);
    for (const { fleecingPath } of this.opened) rmSync(fleecingPath, { force: true });
  }

  async #close(success: boolean): Promise<void> {
    const { qmp } = this.vm;
    for (const device of this.#exported) await qmp.deleteExport(device);
    for (const disk of this.opened) {
      const { device, formatNode: node, snapshotNode, copyNode, fleecingNode, bitmapName: name } = disk;
      await qmp.execute('blockdev-del', { 'node-name': snapshotNode });
      await this.vm.relink(device, node);
      await qmp.execute('blockdev-del', { 'node-name': copyNode });
      if (name !== null) {
        await qmp.execute('block-dirty-bitmap-enable', { node, name });
        if (success) await qmp.execute('block-dirty-bitmap-clear', { node, name });
        await qmp.execute('block-dirty-bitmap-merge', { node, target: name, bitmaps: [background] });
        await qmp.execute('block-dirty-bitmap-remove', { node, name: background });
      }
      await qmp.execute('blockdev-del', { 'node-name': fleecingNode });
    }
  }
}

async function prepareBitmap(
  vm: ModelVm,
  device: string,
  sizeBytes: number,
  name: string,
  mode: RequestedMode,
): Promise<Pick<AccessDevice, 'action' | 'dirtyBytes' | 'bitmapName'>> {
  const node = vm.formatNode(device);
  const old = await dirtyBytesOf(vm, device, name);
  if (mode === 'use' && old !== null) return { action: 'used', dirtyBytes: Math.min(old, sizeBytes), bitmapName: name };
  if (old !== null) await vm.qmp.execute('block-dirty-bitmap-remove', { node, name });
  if (mode === 'none') {
    return { action: old === null ? 'not-used' : 'not-used-removed', dirtyBytes: sizeBytes, bitmapName: null };
  }
  await addDirtyBitmap(vm, node, name, sizeBytes);
  return { action: mode === 'use' ? 'missing-recreated' : 'new', dirtyBytes: sizeBytes, bitmapName: name };
}

/** Fleecing image, copy-before-write below the device, and the view of the moment. */
async function interpose(vm: ModelVm, disk: Opened): Promise<void> {
  const { device, sizeBytes, formatNode: node, bitmapName: name, fleecingPath, fleecingNode, copyNode } = disk;
  await run('truncate', '-s', String(sizeBytes), fleecingPath);
  await vm.qmp.execute('blockdev-add', {
    ...{ driver: 'raw', 'node-name': fleecingNode, discard: 'unmap' },
    file: { driver: 'file', filename: fleecingPath, discard: 'unmap', locking: 'off' },
  });
  if (name !== null) {
    await vm.qmp.execute('transaction', {
      actions: [
        { type: 'block-dirty-bitmap-add', data: { node, name: background, granularity: granuleBytes } },
        { type: 'block-dirty-bitmap-disable', data: { node, name } },
      ],
    });
  }
  await vm.qmp.execute('blockdev-add', {
    ...{ driver: 'copy-before-write', 'node-name': copyNode, file: node, target: fleecingNode },
    ...{ 'on-cbw-error': 'break-snapshot', 'cbw-timeout': 45 },
    ...(name === null ? {} : { bitmap: { node, name } }),
  });
  await vm.relink(device, copyNode);
  await vm.qmp.execute('blockdev-add', {
    ...{ driver: 'snapshot-access', 'node-name': disk.snapshotNode, file: copyNode },
    ...{ discard: 'unmap', 'read-only': false },
  });
}
