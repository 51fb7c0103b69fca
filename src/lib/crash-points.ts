/**
 * Named points of a backup and a restore at which a test can end the process as a power cut would: SIGKILL, no cleanup. The native core has
 * points of its own between the steps of making a file durable (native/core/base/crash_point.h).
 *
 * `VZVAULT_CRASH_AT` names the one that is armed; without it passing a point costs a comparison.
 */

/** In the order in which a backup and then a restore pass them. */
export const CRASH_POINTS = [
  /** A job has opened its repository; vzdump does not know its id yet. */
  'job-begun',
  /** A guest's backup has its name. */
  'backup-begun',
  /** It is decided which bitmaps are used. */
  'incremental-queried',
  /** The repository is open for writing, nothing is read yet. */
  'backup-started',
  /** The chunks of one disk went to the store, which may still hold some of them back. */
  'volume-stored',
  /** Packs and segments are durable, no snapshot refers to them. */
  'chunks-durable',
  /** The snapshot is there, what is known of the bitmaps is still what was before. */
  'snapshot-committed',
  /** What is known of the bitmaps is up to date, Proxmox VE has no answer. */
  'bitmaps-recorded',
  /** The task log lies beside the snapshot. */
  'log-kept',
  /** A restore has read its snapshot. */
  'restore-begun',
  /** It is written down that a mount will be made. */
  'mount-recorded',
  /** The mount is there and written down. */
  'mount-ready',
  /** Proxmox VE is about to hear the path of a disk. */
  'disk-opened',
  /** The mount is about to be taken down. */
  'restore-ending',
  /** It is gone. */
  'restore-ended',
] as const;

export type CrashPoint = (typeof CRASH_POINTS)[number];

const armed = process.env['VZVAULT_CRASH_AT'];

/** Does not return where the point is armed. */
export function crashPoint(point: CrashPoint): void {
  if (point !== armed) return;
  process.kill(process.pid, 'SIGKILL');
  // A signal to oneself arrives soon, not at once: nothing more is done until then.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
