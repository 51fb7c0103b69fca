/**
 * The values that recur in the RPC's methods (docs/protocol.md, "Values that recur"), as zod schemas with their limits. All are plain data:
 * parsing changes nothing, it accepts or refuses.
 */
import { z } from 'zod';
import { GUEST_TYPES, MAX_VMID, MIN_VMID } from '../lib/guest.js';
import { argumentLimits, rpcLimits } from '../lib/limits.js';
import { isTimeSeconds } from '../lib/time.js';
import { parseVolumeName } from '../lib/volume-name.js';

/** An integer number of bytes that a double holds exactly. */
export const sizeBytes = z.int().min(0);

export const timeSeconds = z.int().refine(isTimeSeconds, 'not a time between 1970 and 9999');

export const vmid = z.int().min(MIN_VMID).max(MAX_VMID);

export const guestType = z.enum(GUEST_TYPES);

// No control characters: what is not a name for people is not a name for a path, a log line or a command either.
// eslint-disable-next-line no-control-regex
const absolutePath = /^\/[^\u0000-\u001f\u007f]*$/;

export const path = z
  .string()
  .regex(absolutePath, 'not an absolute path')
  .refine((text) => Buffer.byteLength(text) <= argumentLimits.pathBytes, 'longer than a path can be');

/** The spelling of storage ids in storage.cfg (pve-storage Plugin.pm, parse_storage_id). */
export const storageId = z
  .string()
  .max(100)
  .regex(/^[a-z][a-z0-9\-_.]*[a-z0-9]$/i, 'not a storage id');

/** How Proxmox VE takes a container's files back. */
export const containerRestore = z.enum(['tar', 'directory']);

/** How Proxmox VE hands a VM's disks over. */
export const vmMechanism = z.enum(['nbd', 'file-handle']);

export const storage = z.strictObject({
  id: storageId,
  path,
  isMountpoint: z.union([z.literal(''), z.literal('yes'), path]),
  chunkSizeBytes: z
    .union([z.literal(262_144), z.literal(524_288), z.literal(1_048_576), z.literal(4_194_304)])
    .exactOptional(),
  /** `vzvault-instance`: random, given to the section when it was added. */
  instance: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .exactOptional(),
  /** `encryption-key`: the fingerprint of the key in the storage's key file. */
  encryptionKey: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .exactOptional(),
  /** `vzvault-vm-mechanism`; nbd where it is absent. */
  vmMechanism: vmMechanism.exactOptional(),
});
export type Storage = z.infer<typeof storage>;

export const volume = z
  .string()
  .max(255)
  .refine((text) => parseVolumeName(text) !== null, 'not the name of a backup of ours');

/** A process, as far as it is known. */
export const pid = z.int().min(1);

/** [offset, length] in bytes. */
export const region = z.tuple([sizeBytes, z.int().min(1)]);

/** Ids that the daemon gave out. Any well-formed text is let through: one that is unknown is E_SESSION_UNKNOWN. */
export const sessionId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'not an id');

/** A device as QEMU and PVE name it: `drive-scsi0`, `drive-tpmstate0-backup`. It becomes a file name. */
export const device = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,62}$/, 'not a device name');

/** A record by device. A plain z.record would let `constructor` and the like through as they are; device names are checked anyway. */
export function byDevice<T extends z.ZodType>(value: T): z.ZodRecord<typeof device, T> {
  return z.record(device, value);
}

// Checked piecewise: one regular expression over megabytes needs a stack as deep.
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0 || /[^A-Za-z0-9+/=]/.test(text)) return false;
  const padding = text.indexOf('=');
  return padding === -1 || (padding >= text.length - 2 && text.endsWith('='));
}

/** RFC 4648 §4, padded, without line breaks. */
export function base64(maxBytes: number): z.ZodString {
  const longest = Math.min(Math.ceil(maxBytes / 3) * 4, rpcLimits.stringBytes);
  return z.string().max(longest).refine(isBase64, 'not base64');
}

export const verifyState = z.enum(['none', 'ok', 'damaged', 'unknown']);

/** One backup as storage.list and storage.info tell it. */
export const listEntry = z.strictObject({
  volume,
  guestType,
  vmid,
  timeSeconds,
  sizeBytes,
  addedBytes: sizeBytes,
  notes: z.string().max(argumentLimits.notesCharacters),
  protected: z.boolean(),
  verifyState,
});
export type ListEntry = z.infer<typeof listEntry>;

/** Nothing, as a map. */
export const nothing = z.strictObject({});
