/**
 * Whose a session is: a process on a machine since its last start. Where all of it can be seen from here and the process is gone, the session
 * is over without waiting for its silence.
 */

import { z } from 'zod';
import { sharingLimits } from '../../lib/limits.js';
import { isAlive, type ProcessIdentity, type ProcessTable } from '../../lib/process-identity.js';

export interface SessionOwner extends ProcessIdentity {
  /** For people. */
  readonly hostname: string;
  /** Both empty where the machine did not tell. */
  readonly bootId: string;
  readonly pidNamespace: string;
}

const text = z.string().max(sharingLimits.ownerCharacters);

export const ownerSchema: z.ZodType<SessionOwner> = z.object({
  hostname: text,
  bootId: text,
  pidNamespace: text,
  pid: z.int().min(0),
  startTicks: z.int().min(0),
});

/** `process`, one of this machine's, as an owner; null where it cannot be told apart from others. */
export function ownerOn(hostname: string, processes: ProcessTable, process: ProcessIdentity | null): SessionOwner {
  const { pid, startTicks } = process ?? { pid: 0, startTicks: 0 };
  const bootId = processes.bootId() ?? '';
  return { hostname, bootId, pidNamespace: processes.pidNamespace() ?? '', pid, startTicks };
}

/** Whether the owner's process is one that could be seen from here, if it ran. */
function isVisible(owner: SessionOwner, processes: ProcessTable): boolean {
  if (owner.pid === 0 || owner.bootId === '' || owner.pidNamespace === '') return false;
  if (owner.bootId !== processes.bootId() || owner.pidNamespace !== processes.pidNamespace()) return false;
  // Where /proc hides other users' processes, it hides the first one as well.
  return processes.identify(1) !== null;
}

/** Whether it is proved that the owner has ended. */
export function isProvablyGone(owner: SessionOwner, processes: ProcessTable): boolean {
  return isVisible(owner, processes) && !isAlive(owner, processes);
}

/** `node1, process 4711`, for messages. */
export function describeOwner({ hostname, pid }: SessionOwner): string {
  return `${hostname === '' ? 'an unknown machine' : hostname}, process ${pid}`;
}
