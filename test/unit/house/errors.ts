/**
 * Checkers that hold the error table equal in its four places: src/lib/errors.ts (the source), native/core/base/status.h,
 * docs/errors.md, and whatever else names a code. Each answers what is wrong, one line a problem.
 */
import { type ErrorKind } from '../../../src/lib/errors.js';
import type { SourceFile } from './tree.js';

export type Table = Readonly<Record<string, ErrorKind>>;

/** The longest hint that still fits on a line of a task log beside its message. */
const MAX_HINT_CHARS = 120;

/** The codes of VZV_ERROR_CODES, in order. */
export function nativeCodes(statusHeader: string): string[] {
  const macro = /#define VZV_ERROR_CODES\(X\)(?:[^\n]*\\\n)*[^\n]*/.exec(statusHeader)?.[0] ?? '';
  return [...macro.matchAll(/X\((E_[A-Z_]+)\)/g)].map(([, code = '']) => code);
}

/** The page must have, in the table's order, a row `| CODE | yes/no | actor |` and a section with text for every code. */
export function pageProblems(page: string, table: Table): string[] {
  const problems: string[] = [];
  const codes = Object.keys(table);
  const rows = [...page.matchAll(/^\| \[?`?(E_[A-Z_]+)`?[^|]*\| (yes|no) \| ([a-z]+) \|$/gm)];
  const sections = [...page.matchAll(/^### (E_[A-Z_]+)\n+((?:(?!#).*\n?)*)/gm)];
  if (rows.map(([, code]) => code).join() !== codes.join()) problems.push('the rows are not the codes of the table');
  if (sections.map(([, code]) => code).join() !== codes.join())
    problems.push('the sections are not the codes of the table');
  for (const [, code = '', retry, actor] of rows) {
    const kind = table[code];
    if (kind === undefined) problems.push(`${code} is not in the table`);
    else if (kind.actor !== actor || kind.retryable !== (retry === 'yes')) problems.push(`the row of ${code} is wrong`);
  }
  for (const [, code = '', text = ''] of sections) {
    if (text.trim().length < 40) problems.push(`the section of ${code} says nothing`);
  }
  return problems;
}

/** Names that look like codes and are in no table; E_CODE stands for any of them in prose. */
export function unknownCodes(files: readonly SourceFile[], table: Table): string[] {
  const problems: string[] = [];
  for (const { path, text } of files) {
    const named = new Set([...text.matchAll(/\bE_(?!CODE\b)[A-Z][A-Z_]*[A-Z]\b/g)].map(([code]) => code));
    for (const code of named) if (!Object.hasOwn(table, code)) problems.push(`${path} names ${code}`);
  }
  return problems;
}

/** A hint is one short line in lower case without a full stop at its end, since it ends up inside brackets. */
export function hintProblems(table: Table): string[] {
  return Object.entries(table)
    .filter(([, { hint }]) => !/^[^A-Z\s].*[^.\s]$/.test(hint) || /[\r\n]/.test(hint) || hint.length > MAX_HINT_CHARS)
    .map(([code]) => `the hint of ${code} is not one short line`);
}
