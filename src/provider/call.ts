/** What a handler of the provider knows of the call that it answers, and the parts of params that recur. */
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

/** A section of storage.cfg, as the plugin sends it. */
export interface StorageSection {
  readonly id: string;
  readonly path: string;
  readonly isMountpoint: string;
}

export interface GuestCall {
  readonly guestType: GuestType;
  readonly vmid: number;
  readonly startTimeSeconds: number;
}

export interface DiskRequest {
  readonly device: string;
  readonly sizeBytes: number;
  /** As Proxmox VE says it. */
  readonly bitmapMode: 'none' | 'new' | 'reuse';
  /** The socket of the NBD export; its name is the device's. */
  readonly nbdPath: string;
  readonly bitmapName: string | null;
}

export interface VmBackupRequest {
  readonly configBase64: string;
  readonly firewallBase64: string | null;
  /** 0: none. */
  readonly bandwidthLimitBytesPerSecond: number;
  readonly disks: readonly DiskRequest[];
}
