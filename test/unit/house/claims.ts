/**
 * The tests that pages name as their proof: a code span that is the name of a test file, behind it the titles that are meant, in double quotes.
 * A file's name is the end of its path, as much of it as makes it the only one; '…' in a title stands for anything. Pure.
 */
import type { SourceFile } from './tree.js';

/** One file that a page names, and the titles quoted behind it. */
export interface Claim {
  readonly line: number;
  readonly file: string;
  readonly titles: readonly string[];
}

const TEST_FILE = /^[a-z0-9_./-]+(?:\.test\.ts|_test\.cc|\.t)$/;
/** A code span or a quoted title, whichever comes next. Neither goes over the end of a line. */
const MARK = /`([^`\n]+)`|"([^"\n]+)"/g;

/** What the page claims, in its order. Titles belong to the test file named last on their line, and to none behind another code span. */
export function claimsOf(page: SourceFile): Claim[] {
  return page.text.split('\n').flatMap((text, index) => {
    const claims: { line: number; file: string; titles: string[] }[] = [];
    let titles: string[] = [];
    for (const [, span, title] of text.matchAll(MARK)) {
      if (title !== undefined) titles.push(title);
      if (span === undefined) continue;
      titles = [];
      if (TEST_FILE.test(span)) claims.push({ line: index + 1, file: span, titles });
    }
    return claims;
  });
}

/** Test files that are not there or could be several, and titles that are not in them. */
export function unproven(page: SourceFile, tests: readonly SourceFile[]): string[] {
  return claimsOf(page).flatMap(({ line, file, titles }) => {
    const at = `${page.path}:${line}`;
    const found = tests.filter(({ path }) => `/${path}`.endsWith(`/${file}`));
    const [test] = found;
    if (test === undefined || found.length > 1) return [`${at} names ${file}: there are ${found.length} such tests`];
    return titles.filter((title) => !hasTitle(test, title)).map((title) => `${at}: ${test.path} has no "${title}"`);
  });
}

/** Rows of tables with a column `test` that name none, unless they say what somebody can do, or that a row above has it. */
export function unclaimed(page: SourceFile): string[] {
  let inTable = false;
  return page.text.split('\n').flatMap((text, index) => {
    if (!text.startsWith('|')) inTable = false;
    else if (/\| test \|$/.test(text)) inTable = true;
    if (!inTable || /\| test \|$|^\|[-|]+$|^\| \*\*can\*\* |\bas above\b/.test(text)) return [];
    return claimsOf({ path: page.path, text }).length > 0 ? [] : [`${page.path}:${index + 1} names no test`];
  });
}

function hasTitle(test: SourceFile, title: string): boolean {
  const parts = title.split(/ ?… ?/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(parts.join('.*')).test(test.text);
}
