/**
 * vzvault keep-session, not for people: `vzvault mount` leaves it behind, since vzvault-fuse cannot say in the repository that it still reads. It counts
 * the mount's session on as long as vzvault-fuse runs, and ends it then.
 *
 * Where it is killed the session stays: it is that of vzvault-fuse, and is over when that is, or after hours of silence.
 */

import type { Command } from 'commander';
import { isAlive, type ProcessIdentity } from '../lib/process-identity.js';
import { openRepository } from '../repository/repository.js';
import { PassiveSession } from '../repository/sessions/passive-session.js';
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
  const { engine, sharing, clock, signal } = context;
  const reader = { pid: Number(pid), startTicks: Number(startTicks) };
  const repository = await openRepository(engine, { path });
  try {
    const session = await PassiveSession.adopt(repository.blobs, repository.sealer, sharing, sid);
    if (session === null) return EXIT.ok;
    while (!signal.aborted && !session.isLost && isAlive(reader, sharing.processes)) await clock.sleep(LOOK_MS, signal);
    if (!signal.aborted) await session.end();
    return EXIT.ok;
  } finally {
    await repository.close();
  }
}
