/** What collections and sessions that are over leave behind: their names in `condemned/`, and unfinished files in `tmp/`. */

import { collectionLimits } from '../../lib/limits.js';
import { settle, type CollectorContext } from './collector-context.js';
import { claimName, doneName, generationName, verdictName, type Generation } from './ledger.js';

const TMP = 'tmp';
const OF_SESSION = /^([0-9a-f]{32})-/;
const PREFIX = 'tmp ';

/** Removes the names of all generations that are over, but for the newest entries of the ledger. */
export async function tidyLedger({ generations: files }: CollectorContext): Promise<void> {
  const { highest, generations } = await files.ledger();
  // A listing that is made while others work may show a part of the highest one only.
  const over = generations.filter(({ number, isDone }) => number < highest || isDone);
  for (const generation of over) for (const name of namesOf(generation)) await files.remove(name);
  const done = over.filter(({ isDone }) => isDone);
  const old = done.slice(0, Math.max(0, done.length - collectionLimits.ledgerEntries));
  for (const { number } of old) await files.remove(doneName(number));
}

/** Without its entry in the ledger; the condemned packs last, since they make the rest understandable. */
function namesOf({ number, claims, hasVerdict, isCondemned }: Generation): string[] {
  return [
    ...claims.map((sid) => claimName(number, sid)),
    ...(hasVerdict ? [verdictName(number)] : []),
    ...(isCondemned ? [generationName(number)] : []),
  ];
}

/** The unfinished files that are there, to be given to `tidyTmp` later. */
export async function listTmp({ target }: CollectorContext): Promise<readonly string[]> {
  const entries = (await target.blobs.list(TMP)) ?? [];
  return entries.filter(({ kind }) => kind === 'file').map(({ name }) => name);
}

/**
 * Removes those of the files whose session is gone. A session is there before its files are: what was listed a while ago belongs to one that can be seen
 * now, or that is over. Files without a session are removed once they have not changed for as long as a session may be silent.
 */
export async function tidyTmp(context: CollectorContext, names: readonly string[]): Promise<void> {
  const { target, sessions, sightings, fenceAfterMs, graceMs } = context;
  sightings.keepOnly(PREFIX, new Set(names.map((name) => PREFIX + name)));
  if (names.length === 0) return;
  await settle(context, graceMs);
  const alive = new Set(await sessions.ids());
  for (const name of names) {
    const sid = OF_SESSION.exec(name)?.[1];
    if (sid === undefined ? await isOld(name) : !alive.has(sid)) await target.blobs.remove(`${TMP}/${name}`);
  }

  async function isOld(name: string): Promise<boolean> {
    const status = await target.blobs.status(`${TMP}/${name}`);
    if (status === null) return false;
    return sightings.unchangedMs(PREFIX + name, `${status.sizeBytes} ${status.modifiedMs}`) >= fenceAfterMs;
  }
}
