/** Where a disk's bytes and its dirty regions come from, by mechanism. */
import type { BackupSource, DirtyRegions } from '../engine/types.js';
import { VzvaultError } from '../lib/errors.js';
import type { DiskRequest, VmCall } from './call.js';

/** The `index`th of the request's disks. E_ARGUMENT_INVALID where neither a socket nor a descriptor came for it. */
export function sourceOf(disk: DiskRequest, index: number, call: VmCall): BackupSource {
  const { device, nbdPath } = disk;
  if (nbdPath !== null) return { kind: 'nbd', socketPath: nbdPath, exportName: device };
  const fd = call.descriptors[index];
  if (fd !== undefined) return { kind: 'descriptor', fd, name: device };
  throw new VzvaultError('E_ARGUMENT_INVALID', `backing up ${device}: neither a socket nor a descriptor came for it`);
}

/** What changed on a disk whose bitmap is reused. E_SOURCE_BITMAP where that could not be told from a part of it. */
export function dirtyRegionsOf(disk: DiskRequest, call: VmCall): DirtyRegions {
  const { device, nbdPath, bitmapName, dirtyBytes } = disk;
  if (nbdPath !== null && bitmapName !== null) return { kind: 'bitmap', bitmapName };
  // Proxmox VE reads the list from a child process and takes its death for the end of the list; only the count tells.
  if (nbdPath === null && dirtyBytes !== null) {
    return { kind: 'batches', next: async () => await call.nextDirtyRegions(device) };
  }
  const lacks = nbdPath === null ? 'how much of it is dirty' : 'the name of its bitmap';
  throw new VzvaultError('E_SOURCE_BITMAP', `backing up ${device}: Proxmox VE did not say ${lacks}`);
}
