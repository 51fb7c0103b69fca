/**
 * Whether a bitmap may be trusted: the proof that what it marks is all that changed since a snapshot that is still there.
 *
 * QEMU keeps one bitmap per storage id and drive and finds it by name. It is cleared exactly when backup_vm returned without an error, so it
 * marks what changed since the last backup that was answered with success through that storage id; the record tells which that was. A
 * bitmap that was revived, lost, or cleared for another repository looks the same from outside. Whatever is not proved is read in
 * full, which costs a read of the disk and no more. Pure.
 */
import type { VolumeMap } from '../engine/types.js';
import type { Guest, SnapshotId } from '../lib/guest.js';
import type { ProcessIdentity } from '../lib/process-identity.js';

/** A process on a machine that was not restarted since. */
export interface QemuIdentity extends ProcessIdentity {
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
}

/** What is remembered of the last backup of a guest that was answered with success through one storage id. */
export interface BitmapRecord extends Guest {
  readonly storageId: string;
  /** Of the storage's section; empty where it had none. */
  readonly instance: string;
  readonly repositoryId: string;
  readonly timeSeconds: number;
  readonly qemu: QemuIdentity;
  /** The disks that had a bitmap, by device: what that snapshot holds of them. */
  readonly disks: Readonly<Record<string, VolumeMap>>;
}

/** What the record is held against. */
export interface Present {
  readonly repositoryId: string;
  /** Null where the process that runs the guest is not known. */
  readonly qemu: QemuIdentity | null;
  readonly base: BaseState;
}

/** The snapshot that the record names, as it is found now. */
export type BaseState =
  | { readonly state: 'present'; readonly volumes: readonly (VolumeMap & { readonly name: string })[] }
  | { readonly state: 'missing' | 'damaged' };

/** Why a disk is read in full. docs/operations.md explains each to an administrator. */
export type FullReason =
  /** No backup of the guest through this storage is known on this node. */
  | 'no-record'
  /** Proxmox VE did not say which process runs the guest, or it cannot be seen. */
  | 'qemu-unknown'
  /** The guest runs in another QEMU process than at its last backup: restarted, rolled back, migrated, made anew. */
  | 'qemu-restarted'
  /** The storage led to another repository then. */
  | 'repository-changed'
  /** The snapshot that the bitmap counts from was removed, or the repository is an older copy. */
  | 'snapshot-missing'
  /** That snapshot was found damaged. */
  | 'snapshot-damaged'
  /** The disk was not in that backup, or had no bitmap. */
  | 'disk-new'
  | 'disk-resized'
  /** TPM state is attached anew for every backup. */
  | 'tpm-state'
  /** All was proved, but QEMU has no such bitmap any more: the disk was detached, moved or replaced. */
  | 'bitmap-lost'
  /** Proxmox VE made no bitmap for this disk. */
  | 'bitmap-none';

export type DriveDecision =
  | { readonly mode: 'incremental'; readonly since: SnapshotId; readonly base: VolumeMap }
  | { readonly mode: 'full'; readonly reason: FullReason };

/** Decides about one disk of the size that QEMU says. */
export function proveBitmap(
  record: BitmapRecord | null,
  present: Present,
  device: string,
  sizeBytes: number,
): DriveDecision {
  const full = (reason: FullReason): DriveDecision => ({ mode: 'full', reason });
  if (device.includes('tpmstate')) return full('tpm-state');
  if (present.qemu === null) return full('qemu-unknown');
  if (record === null) return full('no-record');
  if (record.repositoryId !== present.repositoryId) return full('repository-changed');
  if (!isSameQemu(record.qemu, present.qemu)) return full('qemu-restarted');
  if (present.base.state !== 'present') return full(`snapshot-${present.base.state}`);
  const known = record.disks[device];
  const base = present.base.volumes.find(({ name }) => name === device);
  if (known === undefined) return full('disk-new');
  // Under the recorded name lies another snapshot: the repository was replaced by a copy that went its own way.
  if (base === undefined || !isSameMap(known, base)) return full('snapshot-missing');
  if (known.sizeBytes !== sizeBytes) return full('disk-resized');
  const { guestType, vmid, timeSeconds } = record;
  return { mode: 'incremental', since: { guestType, vmid, timeSeconds }, base: known };
}

export function isSameQemu(a: QemuIdentity, b: QemuIdentity): boolean {
  return a.bootId === b.bootId && a.pid === b.pid && a.startTicks === b.startTicks;
}

function isSameMap(a: VolumeMap, b: VolumeMap): boolean {
  return a.rootId === b.rootId && a.sizeBytes === b.sizeBytes && a.chunkSizeBytes === b.chunkSizeBytes;
}
