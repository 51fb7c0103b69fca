/**
 * What the names in `condemned/` say (docs/format.md, "Collection"). Pure.
 *
 *     000000000017               the packs that generation 17 wants to delete
 *     000000000017.claim.<sid>   the session has taken it into account
 *     000000000017.verdict       what is deleted
 *     000000000017.done          it is over
 *
 * Invariant that all rely on: only the highest number that any name bears can be pending. Whatever has a lower number is over, also where its
 * `.done` is missing: then somebody slept through the end of it and came too late, or its entry in the ledger was removed.
 */

const NAME = /^(\d{12})(?:\.(verdict|done|claim\.([0-9a-f]{32})))?$/;
const DIGITS = 12;

export interface Generation {
  readonly number: number;
  readonly isCondemned: boolean;
  readonly hasVerdict: boolean;
  readonly isDone: boolean;
  /** Ids of the sessions that have claimed it. */
  readonly claims: readonly string[];
}

export interface Ledger {
  /** The highest number; 0 where there was no generation yet. */
  readonly highest: number;
  /** The one generation that is condemned and not over; null where there is none. */
  readonly pending: Generation | null;
  /** All, ascending. */
  readonly generations: readonly Generation[];
}

export function generationName(generation: number): string {
  return String(generation).padStart(DIGITS, '0');
}

export function claimName(generation: number, sid: string): string {
  return `${generationName(generation)}.claim.${sid}`;
}

export function verdictName(generation: number): string {
  return `${generationName(generation)}.verdict`;
}

export function doneName(generation: number): string {
  return `${generationName(generation)}.done`;
}

/** Reads a listing of `condemned/`; names of nothing known are passed over. */
export function readLedger(names: readonly string[]): Ledger {
  const byNumber = new Map<number, { isCondemned: boolean; hasVerdict: boolean; isDone: boolean; claims: string[] }>();
  for (const name of names) {
    const [match, digits = '', what, sid] = NAME.exec(name) ?? [];
    const number = Number(digits);
    if (match === undefined || number === 0) continue;
    const entry = byNumber.get(number) ?? { isCondemned: false, hasVerdict: false, isDone: false, claims: [] };
    byNumber.set(number, entry);
    if (what === undefined) entry.isCondemned = true;
    else if (what === 'verdict') entry.hasVerdict = true;
    else if (what === 'done') entry.isDone = true;
    else if (sid !== undefined) entry.claims.push(sid);
  }
  const generations = [...byNumber]
    .map(([number, entry]): Generation => ({ number, ...entry }))
    .sort((a, b) => a.number - b.number);
  const last = generations.at(-1);
  const pending = last !== undefined && last.isCondemned && !last.isDone ? last : null;
  return { highest: last?.number ?? 0, pending, generations };
}
