/**
 * The contract of the RPC: every method of docs/protocol.md in both directions, with schemas that check it at run time and the types
 * that follow from them. The server parses params before a handler sees them and results before the peer does.
 *
 * `answerWithinMs` is a promise to the peer: the server answers E_STORAGE_TIMEOUT by itself when a handler takes longer.
 */
import { z } from 'zod';
import { argumentLimits, repositoryLimits } from '../lib/limits.js';
import {
  base64,
  byDevice,
  containerRestore,
  device,
  guestType,
  listEntry,
  nothing,
  path,
  pid,
  region,
  sessionId,
  sizeBytes,
  storage,
  timeSeconds,
  vmid,
  vmMechanism,
  volume,
} from './values.js';

export type { ListEntry, Storage } from './values.js';

/** Versions of the protocol that this program speaks. */
export const protocolMin = 1;
export const protocolMax = 1;

interface Method {
  readonly params: z.ZodType;
  readonly result: z.ZodType;
  readonly answerWithinMs?: number;
}

// docs/protocol.md, "Storage": 2 s in all, since pvestatd runs these inline, one after the other. Below the client's own patience, so
// that the error which names the storage wins.
const promptMs = 1_800;
// Below the 60 s alarm of PVE's cluster lock, under which free_image and the add hook run.
const patientMs = 49_000;

const storageVolume = z.strictObject({ storage, volume });
const sizesByDevice = byDevice(z.strictObject({ sizeBytes }));

const storageMethods = {
  'storage.create': {
    params: z.strictObject({ storage }),
    result: z.strictObject({ created: z.boolean(), repositoryId: z.string() }),
    answerWithinMs: patientMs,
  },
  'storage.unlock': {
    params: z.strictObject({ storage }),
    result: z.strictObject({ repositoryId: z.string() }),
    answerWithinMs: promptMs,
  },
  'storage.activate': {
    params: z.strictObject({ storage }),
    result: z.strictObject({ repositoryId: z.string() }),
    answerWithinMs: promptMs,
  },
  'storage.status': {
    params: z.strictObject({ storage }),
    result: z.strictObject({ totalBytes: sizeBytes, availableBytes: sizeBytes, usedBytes: sizeBytes }),
    answerWithinMs: promptMs,
  },
  'storage.list': {
    params: z.strictObject({ storage, vmid: vmid.exactOptional(), after: volume.exactOptional() }),
    result: z.strictObject({ backups: z.array(listEntry).max(argumentLimits.listEntries), more: z.boolean() }),
    answerWithinMs: promptMs,
  },
  'storage.info': { params: storageVolume, result: listEntry, answerWithinMs: promptMs },
  'storage.setNotes': {
    params: z.strictObject({ storage, volume, notes: z.string().max(argumentLimits.notesCharacters) }),
    result: nothing,
    answerWithinMs: promptMs,
  },
  'storage.setProtected': {
    params: z.strictObject({ storage, volume, protected: z.boolean() }),
    result: nothing,
    answerWithinMs: promptMs,
  },
  'storage.free': { params: storageVolume, result: nothing, answerWithinMs: patientMs },
  'storage.readConfig': {
    params: z.strictObject({ storage, volume, name: z.enum(['guest.conf', 'firewall.conf']) }),
    result: z.strictObject({ contentBase64: base64(argumentLimits.configBytes).nullable() }),
    answerWithinMs: promptMs,
  },
} as const satisfies Record<string, Method>;

/** What the backup of a guest came to. */
const stored = z.strictObject({ addedBytes: sizeBytes, readBytes: sizeBytes, sizeBytes });

const backupDisk = z.strictObject({
  device,
  sizeBytes,
  bitmapMode: z.enum(['none', 'new', 'reuse']),
  /** What QEMU counted as dirty; null where it is not known. */
  dirtyBytes: sizeBytes.nullable(),
  /** The socket of the NBD export; null where a descriptor of the disk came with the request. */
  nbdPath: path.nullable(),
  bitmapName: z.string().max(1023).nullable(),
});

const backupMethods = {
  'job.begin': {
    params: z.strictObject({ storage, startTimeSeconds: timeSeconds }),
    result: z.strictObject({ jobId: sessionId }),
  },
  'job.end': { params: z.strictObject({ jobId: sessionId }), result: nothing },
  'backup.begin': {
    params: z.strictObject({ jobId: sessionId, guestType, vmid, startTimeSeconds: timeSeconds }),
    result: z.strictObject({ backupId: sessionId, volume }),
  },
  'backup.mechanism': {
    params: z.strictObject({ backupId: sessionId }),
    result: z.strictObject({ mechanism: z.union([vmMechanism, z.literal('directory')]) }),
  },
  'backup.queryIncremental': {
    params: z.strictObject({ backupId: sessionId, qemuPid: pid.nullable(), disks: sizesByDevice }),
    result: z.strictObject({ modes: byDevice(z.enum(['new', 'use'])) }),
  },
  'backup.vm': {
    params: z.strictObject({
      backupId: sessionId,
      configBase64: base64(argumentLimits.configBytes),
      firewallBase64: base64(argumentLimits.configBytes).nullable(),
      bandwidthLimitBytesPerSecond: sizeBytes,
      disks: z.array(backupDisk).max(argumentLimits.disks),
    }),
    result: stored,
  },
  /** Two descriptors come with it: what tar writes, and what it says. */
  'backup.container': {
    params: z.strictObject({
      backupId: sessionId,
      configBase64: base64(argumentLimits.configBytes),
      firewallBase64: base64(argumentLimits.configBytes).nullable(),
      bandwidthLimitBytesPerSecond: sizeBytes,
    }),
    result: stored,
  },
  'backup.end': {
    params: z.strictObject({
      backupId: sessionId,
      success: z.boolean(),
      error: z.string().max(argumentLimits.errorCharacters).nullable(),
    }),
    result: z.strictObject({ addedBytes: sizeBytes }),
  },
  'backup.keepLog': {
    params: z.strictObject({ backupId: sessionId, logBase64: base64(argumentLimits.logBytes) }),
    result: z.strictObject({ kept: z.boolean() }),
  },
} as const satisfies Record<string, Method>;

const archive = z.strictObject({ name: z.string(), sizeBytes });

const restoreMethods = {
  'restore.begin': {
    params: storageVolume,
    result: z.strictObject({
      restoreId: sessionId,
      disks: sizesByDevice,
      archives: z.array(archive).max(repositoryLimits.archives),
    }),
  },
  'restore.openDisk': {
    params: z.strictObject({ restoreId: sessionId, device }),
    result: z.strictObject({ path }),
  },
  'restore.closeDisk': { params: z.strictObject({ restoreId: sessionId, device }), result: nothing },
  'restore.openArchive': {
    params: z.strictObject({ restoreId: sessionId, mechanism: containerRestore }),
    result: z.strictObject({ path }),
  },
  'restore.end': { params: z.strictObject({ restoreId: sessionId }), result: nothing },
} as const satisfies Record<string, Method>;

const daemonMethods = {
  'daemon.ping': {
    params: nothing,
    result: z.strictObject({ version: z.string(), pid: z.int().min(1) }),
  },
} as const satisfies Record<string, Method>;

/** Client to daemon, after the handshake. */
export const daemonContract = { ...storageMethods, ...backupMethods, ...restoreMethods, ...daemonMethods } as const;

export type DaemonContract = typeof daemonContract;
export type DaemonMethod = keyof DaemonContract;
export type Params<M extends DaemonMethod> = z.output<DaemonContract[M]['params']>;
export type Result<M extends DaemonMethod> = z.input<DaemonContract[M]['result']>;

export function isDaemonMethod(method: string): method is DaemonMethod {
  return Object.hasOwn(daemonContract, method);
}

/** Daemon to client, while a request of the client's is being answered. */
export const clientContract = {
  'backup.nextDirtyRegions': {
    params: z.strictObject({ device }),
    result: z.strictObject({ regions: z.array(region).max(argumentLimits.dirtyRegions), done: z.boolean() }),
  },
  /** How tar ended: by itself with a code, or by a signal. */
  'backup.archiveEnd': {
    params: nothing,
    result: z.strictObject({
      exitCode: z.int().min(0).max(255).nullable(),
      signal: z.int().min(1).max(127).nullable(),
    }),
  },
} as const satisfies Record<string, Method>;

export type ClientContract = typeof clientContract;
export type ClientMethod = keyof ClientContract;
export type ClientParams<M extends ClientMethod> = z.input<ClientContract[M]['params']>;
export type ClientResult<M extends ClientMethod> = z.output<ClientContract[M]['result']>;

/** The first request of every connection. Not among the methods: it is answered by the server itself, once. */
export const hello = {
  // Not strict, so that a later protocol may say more before the versions are known to match.
  params: z.object({ protocolMin: z.int().min(1), protocolMax: z.int().min(1), client: z.string().max(200) }),
  result: z.object({ protocol: z.int().min(1), daemon: z.string() }),
} as const;

/** Levels of a task log's line, as PVE's log function takes them. */
export const logLevels = ['info', 'warn', 'err'] as const;
export type LogLevel = (typeof logLevels)[number];

export const notifications = {
  /** Daemon to client: a line for the task log of the call with the id `request`. */
  log: z.strictObject({ level: z.enum(logLevels), message: z.string(), request: z.int().min(1) }),
  /** Either direction: stop the work on request `id` of the sender. */
  cancel: z.strictObject({ id: z.int().min(1) }),
} as const;
