/**
 * The project's own text files, as the rules of the house see them. Read only; paths are relative to the project's root
 * and use '/'. What is built or installed (build/, node_modules/, .git/) is not part of the house.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** This module runs as build/js/test/unit/house/tree.js. */
const ROOT = fileURLToPath(new URL('../../../../../', import.meta.url));
const NOT_OURS = new Set(['.git', 'node_modules', 'build']);
const TEXT = /(?:\.(?:ts|js|json|cc|h|cmake|txt|pm|pl|t|md|sh|service|yml)|\/[A-Za-z-]+|^Makefile)$/;

/** Every text file below `directory` (default: all of them) whose path matches `pattern`, in the order of their paths. */
export function sourceFiles(pattern: RegExp = TEXT, directory = ''): SourceFile[] {
  return walk(directory)
    .filter((path) => TEXT.test(path) && pattern.test(path))
    .map((path) => ({ path, text: readText(path) }));
}

/** The text of one file; throws when there is none. */
export function readText(path: string): string {
  return readFileSync(ROOT + path, 'utf8');
}

function walk(directory: string): string[] {
  const paths: string[] = [];
  for (const entry of readdirSync(ROOT + directory, { withFileTypes: true })) {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
    if (entry.isDirectory() && !NOT_OURS.has(entry.name)) paths.push(...walk(path));
    if (entry.isFile()) paths.push(path);
  }
  return paths.sort();
}
