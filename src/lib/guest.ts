/**
 * Guests and the names of their snapshots inside a repository: `qemu/100` is a group, a group and a start time are a snapshot.
 *
 * Pure data; what a snapshot holds is in src/repository, how Proxmox VE spells its name in volume-name.ts.
 */

import { formatCompactTime, formatIsoTime, parseCompactTime } from './time.js';

export const GUEST_TYPES = ['qemu', 'lxc'] as const;
export type GuestType = (typeof GUEST_TYPES)[number];

/** The range of ids that Proxmox VE gives to guests (pve-common JSONSchema.pm, standard option `pve-vmid`). */
export const MIN_VMID = 100;
export const MAX_VMID = 999_999_999;

export interface Guest {
  readonly guestType: GuestType;
  readonly vmid: number;
}

/** Names one snapshot: the guest and the second in which its backup began. */
export interface SnapshotId extends Guest {
  readonly timeSeconds: number;
}

const VMID = /^[1-9][0-9]{2,8}$/;

export function isGuestType(text: string): text is GuestType {
  return (GUEST_TYPES as readonly string[]).includes(text);
}

/** A vmid in its one spelling (no leading zeros, ASCII digits), or null. */
export function parseVmid(text: string): number | null {
  return VMID.test(text) ? Number(text) : null;
}

/** `qemu/100` */
export function formatGuest(guest: Guest): string {
  return `${guest.guestType}/${String(guest.vmid)}`;
}

/** The guest of `qemu/100`, or null. */
export function parseGuest(text: string): Guest | null {
  const [guestType = '', vmidText = '', ...rest] = text.split('/');
  const vmid = parseVmid(vmidText);
  return isGuestType(guestType) && vmid !== null && rest.length === 0 ? { guestType, vmid } : null;
}

/** `qemu/100@2026-11-22T04:17:14Z`, as people write it. */
export function formatSnapshotId(id: SnapshotId): string {
  return `${formatGuest(id)}@${formatIsoTime(id.timeSeconds)}`;
}

/** `snapshots/qemu/100/20261122T041714Z`, where it lies in the repository. */
export function snapshotDirectory(id: SnapshotId): string {
  return `snapshots/${formatGuest(id)}/${formatCompactTime(id.timeSeconds)}`;
}

/** The path of its document, without which there is no snapshot. */
export function snapshotPath(id: SnapshotId): string {
  return `${snapshotDirectory(id)}/snapshot`;
}

/** The snapshot whose directory has this path, or null where it is none. */
export function parseSnapshotPath(path: string): SnapshotId | null {
  const [top = '', guestType = '', vmid = '', time = '', ...rest] = path.split('/');
  const guest = parseGuest(`${guestType}/${vmid}`);
  const timeSeconds = parseSnapshotDirectoryName(time);
  if (top !== 'snapshots' || guest === null || timeSeconds === null || rest.length > 0) return null;
  return { ...guest, timeSeconds };
}

/** The time in the name of a snapshot's directory, or null where the name is not one. */
export function parseSnapshotDirectoryName(name: string): number | null {
  return parseCompactTime(name);
}

/** Orders by guest type, then number, then time. */
export function compareSnapshotIds(a: SnapshotId, b: SnapshotId): number {
  if (a.guestType !== b.guestType) return a.guestType < b.guestType ? -1 : 1;
  return a.vmid - b.vmid || a.timeSeconds - b.timeSeconds;
}
