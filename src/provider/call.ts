/** What a handler of the provider knows of the call that it answers, and the parts of params that recur. */
import type { Readable } from 'node:stream';
import type { Region } from '../engine/types.js';
import type { GuestType } from '../lib/guest.js';

export type LogLevel = 'info' | 'warn' | 'err';

export interface Call {
  /** The process that called, from the kernel (SO_PEERCRED). */
  readonly peer: { readonly pid: number };
  /** Aborted when the caller is gone or does not want the answer any more. */
  readonly signal: AbortSignal;
  /** A line for the task log; lost quietly where the caller is gone. */
  log(level: LogLevel, message: string): void;
}

/** The call that backs a VM up. */
export interface VmCall extends Call {
  /** Open files of the disks, in their order, where the mechanism is file-handle. Closed by others, not before the call is answered. */
  readonly descriptors: readonly number[];
  /** Asks the caller for a disk's next dirty regions. Rejects where the caller is gone or fails. */
  nextDirtyRegions(device: string): Promise<{ readonly regions: readonly Region[]; readonly done: boolean }>;
}

/** How tar ended: one of the two is null. */
export interface TarEnd {
  readonly exitCode: number | null;
  readonly signal: number | null;
}

/** The call that backs a container up. Its descriptors are closed by others, but for what `closeArchive` closes. */
export interface ContainerCall extends Call {
  /** The tar stream. */
  readonly archiveFd: number;
  /** What tar says: ends when tar has. */
  readonly messages: Readable;
  /** Nobody reads the stream any more: a tar that still writes ends by that. Repeatable. */
  closeArchive(): void;
  /** Asks the caller how tar ended, which it waits for. Rejects where the caller is gone or fails. */
  archiveEnd(): Promise<TarEnd>;
}

export type VmMechanism = 'nbd' | 'file-handle';

/** A section of storage.cfg, as the plugin sends it. */
export interface StorageSection {
  readonly id: string;
  readonly path: string;
  readonly isMountpoint: string;
  /** `encryption-key`: the fingerprint of the storage's key; absent where it has none. */
  readonly encryptionKey?: string;
  /** Tells a section that was removed and added again under its old id from the one before; absent in one written by hand. */
  readonly instance?: string;
  /** nbd where it is absent. */
  readonly vmMechanism?: VmMechanism;
}

export interface GuestCall {
  readonly guestType: GuestType;
  readonly vmid: number;
  readonly startTimeSeconds: number;
}

export type ContainerMechanism = 'directory';
export type ContainerRestore = 'tar' | 'directory';

/** What is common to the backups of all guests. */
export interface GuestBackupRequest {
  readonly configBase64: string;
  readonly firewallBase64: string | null;
  /** 0: none. */
  readonly bandwidthLimitBytesPerSecond: number;
}

export interface DiskRequest {
  readonly device: string;
  readonly sizeBytes: number;
  /** As Proxmox VE says it. */
  readonly bitmapMode: 'none' | 'new' | 'reuse';
  /** What QEMU counted as dirty; null where it is not known. */
  readonly dirtyBytes: number | null;
  /** The socket of the NBD export, whose name is the device's; null with the mechanism file-handle. */
  readonly nbdPath: string | null;
  readonly bitmapName: string | null;
}

export interface VmBackupRequest extends GuestBackupRequest {
  readonly disks: readonly DiskRequest[];
}
