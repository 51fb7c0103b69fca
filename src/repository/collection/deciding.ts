/**
 * Steps 3 to 5 of a collection: waiting until every writer that could still refer to what is condemned has claimed it or is over, and the one
 * verdict.
 *
 * The order of the listings is what safety hangs on, together with the waits between them: a listing may be `graceMs` old. Whoever ends without
 * a claim has committed before the snapshots are listed; whoever claims, or reads, after claims and sessions are listed looks
 * for its snapshot still later, and finds only what was listed among the snapshots.
 */

import { hasCode, VzvaultError } from '../../lib/errors.js';
import type { ListedSession } from '../sessions/session-files.js';
import { describeOwner } from '../sessions/session-owner.js';
import { settle, type CollectorContext } from './collector-context.js';
import type { Generation } from './ledger.js';
import { markOthers, markSnapshots } from './marking.js';
import { observeSessions } from './session-reaper.js';

/** True where there is a verdict now; false where the generation is over without us. REQUIRES: it was listed `2 * graceMs` ago or earlier. */
export async function decide(context: CollectorContext, generation: number): Promise<boolean> {
  const awaited = await writersToWaitFor(context);
  /** Whose roots or claims could not be read in any earlier round. */
  const wereStuck = new Set<string>();
  for (;;) {
    const round = await waitForClaims(context, generation, awaited);
    if (round === null) return false;
    if (round.hasVerdict) return true;
    // Of these the session was over before the snapshots are listed, so what they claim is in a snapshot or nobody's.
    const over = new Set([...wereStuck].filter((sid) => !round.sids.has(sid)));
    await settle(context, context.graceMs);
    await markSnapshots(context);
    await settle(context, 2 * context.graceMs);
    const needs = await needsOf(context, generation);
    if (needs === null) return false;
    const stuck = withoutAll(new Map([...needs.unreadable, ...(await markOthers(context, needs.roots))]), over);
    if (stuck.size === 0) return await putVerdict(context, generation, needs.keeps);
    const [sid = '', why = ''] = [...stuck][0] ?? [];
    for (const each of stuck.keys()) wereStuck.add(each);
    context.report(`generation ${generation} waits for the end of the session ${sid}: ${why}`);
    await settle(context, Math.max(context.pollMs, context.graceMs));
  }
}

/** The writers that may have begun before they could know of the generation. What cannot be read may be one. */
async function writersToWaitFor(context: CollectorContext): Promise<ReadonlySet<string>> {
  const sessions = await context.sessions.list();
  return new Set(
    sessions.filter(({ document }) => document === null || document.kind === 'writer').map(({ sid }) => sid),
  );
}

interface Round {
  readonly hasVerdict: boolean;
  /** Sessions that were there at the end of the wait. */
  readonly sids: ReadonlySet<string>;
}

/** Until no awaited session is left that has not claimed. Null where the generation is over. */
async function waitForClaims(
  context: CollectorContext,
  number: number,
  awaited: ReadonlySet<string>,
): Promise<Round | null> {
  let said = '';
  for (;;) {
    const generation = await pendingGeneration(context, number);
    if (generation === null) return null;
    const sessions = await observeSessions(context);
    const missing = sessions.filter(({ sid }) => awaited.has(sid) && !generation.claims.includes(sid));
    const sids = new Set(sessions.map(({ sid }) => sid));
    if (generation.hasVerdict || missing.length === 0) return { hasVerdict: generation.hasVerdict, sids };
    const line = `generation ${number} waits for ${missing.map(describe).join('; ')}`;
    if (line !== said) context.report(line);
    said = line;
    await settle(context, context.pollMs);
  }
}

interface Needs {
  readonly keeps: ReadonlySet<string>;
  readonly roots: readonly { readonly sid: string; readonly roots: ListedRoots }[];
  /** Sessions of which it is not known what they need: why. */
  readonly unreadable: ReadonlyMap<string, string>;
}
type ListedRoots = NonNullable<ListedSession['document']>['roots'];

/** What claims and sessions need, claims first. Null where the generation is over. */
async function needsOf(context: CollectorContext, number: number): Promise<Needs | null> {
  const generation = await pendingGeneration(context, number);
  if (generation === null) return null;
  const keeps = new Set<string>();
  const roots: { sid: string; roots: ListedRoots }[] = [];
  const unreadable = new Map<string, string>();
  for (const sid of generation.claims) {
    const claim = await context.generations.claim(number, sid).catch(damageOf);
    if (claim === null || claim instanceof VzvaultError) {
      unreadable.set(sid, claim?.message ?? `its claim of generation ${number} is listed, but not there`);
      continue;
    }
    for (const pack of claim.keeps) keeps.add(pack);
    roots.push({ sid, roots: claim.roots });
  }
  for (const { sid, document, damage } of await observeSessions(context)) {
    if (document === null) unreadable.set(sid, damage);
    else roots.push({ sid, roots: document.roots });
  }
  return { keeps, roots, unreadable };
}

async function putVerdict(context: CollectorContext, generation: number, keeps: ReadonlySet<string>): Promise<boolean> {
  const { generations, collection, sid } = context;
  const condemned = await generations.condemned(generation);
  if (condemned === null) return false;
  const candidates = condemned.packs.filter((pack) => !keeps.has(pack));
  const needed = new Set(await collection.stillNeeded(candidates));
  const packs = candidates.filter((pack) => !needed.has(pack));
  await generations.putVerdict({ generation, sid, packs });
  context.report(`generation ${generation}: ${packs.length} of ${condemned.packs.length} condemned packs go`);
  return true;
}

/** The generation where it is pending; null where it is over. */
async function pendingGeneration(context: CollectorContext, number: number): Promise<Generation | null> {
  const { pending } = await context.generations.ledger();
  return pending?.number === number ? pending : null;
}

function describe({ sid, document, damage }: ListedSession): string {
  return document === null ? `the session ${sid} (${damage})` : `the writer on ${describeOwner(document.owner)}`;
}

function damageOf(thrown: unknown): VzvaultError {
  if (hasCode(thrown, 'E_SNAPSHOT_DAMAGED')) return thrown;
  throw thrown;
}

function withoutAll(entries: ReadonlyMap<string, string>, keys: ReadonlySet<string>): ReadonlyMap<string, string> {
  return new Map([...entries].filter(([key]) => !keys.has(key)));
}
