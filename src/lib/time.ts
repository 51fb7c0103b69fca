/**
 * Times as vzvault writes them: whole Unix seconds inside, and three spellings of the same UTC second outside.
 *
 * | spelling | example | where |
 * |---|---|---|
 * | iso | `2026-11-22T04:17:14Z` | documents, command line |
 * | compact | `20261122T041714Z` | names of snapshot directories |
 * | underscored | `2026_11_22-04_17_14` | names of volumes in Proxmox VE |
 *
 * Parsing is exact: one spelling per second, existing calendar days only, years 1970 to 9999, no leap seconds. What is
 * not such a time is null. Nothing here reads a clock.
 */

const ISO = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z$/;
const COMPACT = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z$/;
const UNDERSCORED = /^([0-9]{4})_([0-9]{2})_([0-9]{2})-([0-9]{2})_([0-9]{2})_([0-9]{2})$/;

/** The last second of the year 9999, the largest time that any of the spellings can hold. */
export const LAST_TIME_SECONDS = 253_402_300_799;

export function isTimeSeconds(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= LAST_TIME_SECONDS;
}

/** REQUIRES isTimeSeconds(timeSeconds); so do the two below. */
export function formatIsoTime(timeSeconds: number): string {
  return new Date(timeSeconds * 1000).toISOString().slice(0, 19) + 'Z';
}

export function formatCompactTime(timeSeconds: number): string {
  return formatIsoTime(timeSeconds).replace(/[-:]/g, '');
}

export function formatUnderscoredTime(timeSeconds: number): string {
  return formatIsoTime(timeSeconds).slice(0, 19).replace(/[-:]/g, '_').replace('T', '-');
}

export function parseIsoTime(text: string): number | null {
  return parseTime(ISO, text);
}

export function parseCompactTime(text: string): number | null {
  return parseTime(COMPACT, text);
}

export function parseUnderscoredTime(text: string): number | null {
  return parseTime(UNDERSCORED, text);
}

function parseTime(pattern: RegExp, text: string): number | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  const iso = `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}Z`;
  const milliseconds = Date.parse(iso);
  if (Number.isNaN(milliseconds)) return null;
  const seconds = milliseconds / 1000;
  // Date turns 30 February into March and 24:00 into the next day; only what it writes back unchanged exists.
  return isTimeSeconds(seconds) && formatIsoTime(seconds) === iso ? seconds : null;
}
