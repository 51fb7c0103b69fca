/**
 * vzvault keep-session, not for people: `vzvault mount` leaves it behind, since vzvault-fuse cannot say in the repository that it still reads. It counts
 * the mount's session on as long as vzvault-fuse runs, and ends it then. A storage that does not answer is asked again.
 *
 * Where it is killed the session stays: it is that of vzvault-fuse, and is over when that is, or after hours of silence.
 */

import type { Command } from 'commander';
import type { VzvaultError } from '../lib/errors.js';
import { sharingLimits } from '../lib/limits.js';
import { isAlive, type ProcessIdentity } from '../lib/process-identity.js';
import { adoptReader } from '../repository/sessions/adopted-reader.js';
import { EXIT, type Action, type CommandContext } from './context.js';
import { runs } from './run.js';

/** The file system is kept busy no longer than this after an unmount. */
const LOOK_MS = 1_000;

export const KEEP_SESSION = 'keep-session';

/** The arguments behind the command's name. */
export function keepSessionArguments(path: string, sid: string, { pid, startTicks }: ProcessIdentity): string[] {
  return [path, sid, String(pid), String(startTicks)];
}

export function registerKeepSession(program: Command, context: CommandContext): void {
  program
    .command(KEEP_SESSION, { hidden: true })
    .argument('<repository>')
    .argument('<session>')
    .argument('<pid>')
    .argument('<start-ticks>')
    .action(runs(context, keepSession));
}

async function keepSession(context: CommandContext, args: readonly string[]): Action {
  const [path = '', sid = '', pid = '', startTicks = ''] = args;
  const { engine, sharing, signal } = context;
  const reader = { pid: Number(pid), startTicks: Number(startTicks) };
  const adopting = {
    ...{ engine, sharing },
    onFailure: async (error: VzvaultError) => {
      if (await reads(context, reader, sharingLimits.heartbeatMs)) return true;
      throw error;
    },
  };
  const adopted = await adoptReader(adopting, { path, sid });
  if (adopted === null) return EXIT.ok;
  const { repository, session } = adopted;
  try {
    while (!session.isLost && (await reads(context, reader, LOOK_MS)));
    if (!signal.aborted) await session.end();
    return EXIT.ok;
  } finally {
    await repository.close();
  }
}

/** Waits for so long; false as soon as the reader has ended, or we are to stop. */
async function reads(
  { clock, sharing, signal }: CommandContext,
  reader: ProcessIdentity,
  forMs: number,
): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < forMs; waitedMs += LOOK_MS) {
    if (signal.aborted || !isAlive(reader, sharing.processes)) return false;
    await clock.sleep(LOOK_MS, signal);
  }
  return true;
}
