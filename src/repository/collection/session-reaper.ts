/**
 * Ends the sessions of those who are gone: provably (the process is one of this machine's and does not run), or because they have not counted on
 * for too long. A writer's name is taken first, so that it cannot commit any more, should it wake up.
 */

import { VzvaultError } from '../../lib/errors.js';
import { formatIsoTime } from '../../lib/time.js';
import { formatDuration } from '../../lib/units.js';
import { reservedBy, type SessionDocument } from '../sessions/session-document.js';
import type { ListedSession } from '../sessions/session-files.js';
import { describeOwner, isProvablyGone } from '../sessions/session-owner.js';
import { buryName } from '../sessions/tombstone.js';
import type { CollectorContext } from './collector-context.js';

const PREFIX = 'session ';

/** Looks at all sessions and ends those that are over. Answers those that were there before. */
export async function observeSessions(context: CollectorContext): Promise<ListedSession[]> {
  const { sightings, fenceAfterMs, sharing } = context;
  const listed = await context.sessions.list();
  sightings.keepOnly(PREFIX, new Set(listed.map(({ sid }) => PREFIX + sid)));
  for (const { sid, document } of listed) {
    if (sid === context.sid || document === null) continue;
    const { owner, counter } = document;
    const silentMs = sightings.unchangedMs(PREFIX + sid, String(counter));
    if (isProvablyGone(owner, sharing.processes)) await endSession(context, document, 'its process has ended');
    else if (silentMs >= fenceAfterMs)
      await endSession(context, document, `it was silent for ${formatDuration(silentMs)}`);
  }
  return listed;
}

async function endSession(context: CollectorContext, document: SessionDocument, why: string): Promise<void> {
  const { target, sharing, sid: by, sessions, report } = context;
  const { sid, kind, owner } = document;
  const reserved = reservedBy(document);
  if (reserved !== null) {
    if ((await target.blobs.noReplace()) === 'none') {
      throw new VzvaultError(
        'E_UNSUPPORTED',
        `fencing the session ${sid} of ${describeOwner(owner)}: its storage cannot create names atomically`,
      );
    }
    const tombstone = { sid, by, fencedAt: formatIsoTime(sharing.clock.nowSeconds()) };
    await buryName(target.blobs, target.sealer, reserved, tombstone);
  }
  await sessions.remove(sid);
  report(`ended the session ${sid} of a ${kind} (${describeOwner(owner)}): ${why}`);
}
