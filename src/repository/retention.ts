/**
 * Which snapshots of one guest retention keeps. The same as Proxmox VE's own answer (pve-storage, PVE/Storage.pm,
 * prune_mark_backup_group), which test/fixtures/retention holds for thousands of series. Pure.
 *
 * The rules apply one after the other, each to what those before it left undecided, from the newest snapshot to the oldest. A rule
 * `keep-daily 7` wants one snapshot of each day, of seven days at most: the newest of a day is kept and the others of that
 * day go, where the day has none that an earlier rule keeps. Days are those of the local time zone. What no rule decides goes.
 */

import { VzvaultError } from '../lib/errors.js';
import { formatGuest, type SnapshotId } from '../lib/guest.js';

/** How many of each; absent or 0: the rule does not apply. None at all: everything is kept. */
export interface KeepRules {
  readonly last?: number;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
}

/** In the order in which they apply. */
export const KEEP_RULES = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type KeepRule = (typeof KEEP_RULES)[number];

/** `protected`: kept, and not counted by any rule. `damaged`: the same, since it must not make a good one go in its place. */
export type Mark = 'keep' | 'remove' | 'protected' | 'damaged';

export interface PrunableSnapshot {
  readonly id: SnapshotId;
  readonly protected: boolean;
  readonly damaged: boolean;
}

export interface MarkedSnapshot {
  readonly id: SnapshotId;
  readonly mark: Mark;
}

type Period = (time: Date, timeSeconds: number) => string;

const day: Period = (time) => `${time.getFullYear()}-${time.getMonth()}-${time.getDate()}`;

const PERIODS: Readonly<Record<KeepRule, Period>> = {
  last: (_, timeSeconds) => String(timeSeconds),
  // An hour that a clock shows twice in a night of autumn is one, as Proxmox VE has it.
  hourly: (time, timeSeconds) => `${day(time, timeSeconds)} ${time.getHours()}`,
  daily: day,
  weekly: isoWeek,
  monthly: (time) => `${time.getFullYear()}-${time.getMonth()}`,
  yearly: (time) => String(time.getFullYear()),
};

/** Reads `keep-last=3,keep-daily=7`, or `keep-all=1`, as storage.cfg has it; E_ARGUMENT_INVALID for anything else. */
export function parseKeepRules(text: string): KeepRules {
  const rules = new Map<KeepRule, number>();
  for (const part of text.split(',')) {
    const [, name = '', count = ''] = /^\s*keep-([a-z]+)=([0-9]{1,9})\s*$/.exec(part) ?? [];
    const rule = KEEP_RULES.find((known) => known === name);
    if (rule !== undefined) rules.set(rule, Number(count));
    else if (name !== 'all') throw new VzvaultError('E_ARGUMENT_INVALID', `what to keep is not understood: ${text}`);
    else if (Number(count) > 0) return {};
  }
  return Object.fromEntries(rules);
}

/** Marks each snapshot, of any number of guests; the order stays. Every guest is judged by itself. */
export function markSnapshots(snapshots: readonly PrunableSnapshot[], rules: KeepRules): MarkedSnapshot[] {
  const guests = new Map<string, PrunableSnapshot[]>();
  for (const snapshot of snapshots) {
    const guest = formatGuest(snapshot.id);
    guests.set(guest, [...(guests.get(guest) ?? []), snapshot]);
  }
  const marks = new Map<PrunableSnapshot, Mark>();
  for (const group of guests.values()) markGuest(group, rules, marks);
  return snapshots.map((snapshot) => ({ id: snapshot.id, mark: marks.get(snapshot) ?? 'keep' }));
}

/** Whether any rule applies. */
export function hasRules(rules: KeepRules): boolean {
  return KEEP_RULES.some((rule) => (rules[rule] ?? 0) > 0);
}

function markGuest(group: readonly PrunableSnapshot[], rules: KeepRules, marks: Map<PrunableSnapshot, Mark>): void {
  const newestFirst = [...group].sort((one, other) => other.id.timeSeconds - one.id.timeSeconds);
  for (const snapshot of newestFirst) {
    if (snapshot.protected) marks.set(snapshot, 'protected');
    else if (snapshot.damaged) marks.set(snapshot, 'damaged');
  }
  const all = !hasRules(rules);
  if (!all) for (const rule of KEEP_RULES) applyRule(newestFirst, PERIODS[rule], rules[rule] ?? 0, marks);
  for (const snapshot of newestFirst) if (!marks.has(snapshot)) marks.set(snapshot, all ? 'keep' : 'remove');
}

function applyRule(
  newestFirst: readonly PrunableSnapshot[],
  period: Period,
  count: number,
  marks: Map<PrunableSnapshot, Mark>,
): void {
  if (count === 0) return;
  const periodOf = ({ id }: PrunableSnapshot): string => period(new Date(id.timeSeconds * 1000), id.timeSeconds);
  const served = new Set(newestFirst.filter((snapshot) => marks.get(snapshot) === 'keep').map(periodOf));
  const opened = new Set<string>();
  for (const snapshot of newestFirst) {
    const name = periodOf(snapshot);
    if (marks.has(snapshot) || served.has(name)) continue;
    if (opened.has(name)) {
      marks.set(snapshot, 'remove');
    } else {
      // The rule has what it wants; what is older is for those that follow.
      if (opened.size >= count) return;
      opened.add(name);
      marks.set(snapshot, 'keep');
    }
  }
}

/** ISO 8601: weeks begin on Monday, and belong to the year that has their Thursday. */
function isoWeek(time: Date): string {
  const thursday = new Date(time.getFullYear(), time.getMonth(), time.getDate() + 4 - (time.getDay() || 7));
  const firstOfYear = new Date(thursday.getFullYear(), 0, 1);
  // Rounded, since a day in between may have 23 or 25 hours.
  const dayOfYear = Math.round((thursday.getTime() - firstOfYear.getTime()) / 86_400_000);
  return `${thursday.getFullYear()}-W${Math.floor(dayOfYear / 7) + 1}`;
}
