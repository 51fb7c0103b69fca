/**
 * Checkers for the direction of imports. Each takes files and answers what is wrong with them, one line a problem.
 *
 * TypeScript: daemon, cli → rpc, commands → provider, storage → repository → engine → lib. A file imports from its own
 * directory and from lower layers only, types included. C++: base ← source, chunk ← store ← archive ← pipeline, and
 * above them addon and fuse, the only places that know Node-API and FUSE.
 */
import { dirname, join } from 'node:path/posix';
import ts from 'typescript';
import type { SourceFile } from './tree.js';

const LAYERS: ReadonlyMap<string, number> = new Map([
  ['daemon', 5],
  ['cli', 5],
  ['rpc', 4],
  ['commands', 4],
  ['provider', 3],
  ['storage', 3],
  ['repository', 2],
  ['engine', 1],
  ['lib', 0],
]);

const CORE_LAYERS: ReadonlyMap<string, number> = new Map([
  ['base', 0],
  ['source', 1],
  ['chunk', 1],
  ['store', 2],
  ['archive', 3],
  ['pipeline', 4],
  ['collect', 4],
]);

/** `src/rpc/frame.ts` belongs to `rpc`, `src/daemon.ts` to `daemon`. */
function layerOf(path: string): string {
  const [, part = ''] = path.split('/');
  return part.replace(/\.ts$/, '');
}

/** The modules of the project that a file names, as paths of their sources; packages and node: modules are left out. */
export function importsOf(file: SourceFile): string[] {
  const { importedFiles } = ts.preProcessFile(file.text, true, true);
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => join(dirname(file.path), name).replace(/\.js$/, '.ts'));
}

/** Imports that do not run downwards, and files of src/ that stand in no layer. */
export function upwardImports(files: readonly SourceFile[]): string[] {
  const problems: string[] = [];
  for (const file of files) {
    const from = layerOf(file.path);
    const rank = LAYERS.get(from);
    if (rank === undefined) {
      problems.push(`${file.path} stands in no layer`);
      continue;
    }
    for (const target of importsOf(file)) {
      const to = layerOf(target);
      if (!target.startsWith('src/')) problems.push(`${file.path} imports ${target}, which is not in src/`);
      else if (to !== from && (LAYERS.get(to) ?? Infinity) >= rank) problems.push(`${file.path} imports ${target}`);
    }
  }
  return problems;
}

/** Circles of imports, each named once, by the path that closes it. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const graph = new Map(files.map((file) => [file.path, importsOf(file)]));
  const done = new Set<string>();
  const problems: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) problems.push([...trail.slice(start), path].join(' → '));
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return problems;
}

/** Files outside src/engine that could load a native addon. */
export function addonLoaders(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => !file.path.startsWith('src/engine/'))
    .filter((file) => /\bcreateRequire\b|\bdlopen\b|\.node['"`]/.test(file.text))
    .map((file) => `${file.path} loads an addon`);
}

/** Includes of C++ files that reach upwards, or that bring Node-API or FUSE where they do not belong. */
export function nativeIncludes(files: readonly SourceFile[]): string[] {
  const problems: string[] = [];
  for (const file of files) {
    const [, top = '', part = ''] = file.path.split('/');
    for (const [, name = ''] of file.text.matchAll(/^\s*#\s*include\s*[<"]([^">]+)[">]/gm)) {
      if (top !== 'addon' && /^(?:napi|node_api|js_native_api|uv|v8)\b.*\.h$/.test(name))
        problems.push(`${file.path} includes ${name}`);
      if (top !== 'fuse' && /^fuse(?:3\/|_|\.h)/.test(name)) problems.push(`${file.path} includes ${name}`);
      if (top === 'core' && !mayInclude(part, name)) problems.push(`${file.path} includes ${name}`);
    }
  }
  return problems;
}

function mayInclude(part: string, name: string): boolean {
  if (/^(?:addon|fuse|test|fuzz|bench)\//.test(name)) return false;
  const other = /^core\/([a-z]+)\//.exec(name)?.[1];
  if (other === undefined || other === part) return true;
  return (CORE_LAYERS.get(other) ?? Infinity) < (CORE_LAYERS.get(part) ?? -1);
}
