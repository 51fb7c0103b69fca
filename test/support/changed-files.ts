/** What is new in a directory tree by content, and what it would take compressed: the measure of what a backup of it may cost. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of each content that regular files have, one path. */
export type Contents = ReadonlyMap<string, { readonly path: string; readonly sizeBytes: number }>;

/** Contents of all regular files below `root`; paths are relative to it. Names have to be text. */
export function contentsOf(root: string): Contents {
  const contents = new Map<string, { path: string; sizeBytes: number }>();
  const inodes = new Set<number>();
  const walk = (below: string): void => {
    for (const entry of readdirSync(join(root, below), { withFileTypes: true })) {
      const path = join(below, entry.name);
      if (entry.isDirectory()) walk(path);
      if (!entry.isFile()) continue;
      const { ino, size } = lstatSync(join(root, path));
      if (size === 0 || inodes.has(ino)) continue;
      inodes.add(ino);
      const hash = createHash('sha256').update(readFileSync(join(root, path)));
      contents.set(hash.digest('hex'), { path, sizeBytes: size });
    }
  };
  walk('');
  return contents;
}

export interface Change {
  readonly files: number;
  readonly sizeBytes: number;
  /** As one tar through zstd -1. */
  readonly compressedBytes: number;
}

/** The contents of `after` that `before` has not, in files below `root`. */
export async function changeBetween(root: string, before: Contents, after: Contents): Promise<Change> {
  const changed = [...after].filter(([hash]) => !before.has(hash)).map(([, file]) => file);
  const tar = spawn('tar', ['-cf', '-', '-C', root, '--no-recursion', '--null', '--files-from=-'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const zstd = spawn('zstd', ['-1', '-c', '-q'], { stdio: [tar.stdout, 'pipe', 'inherit'] });
  tar.stdin.end(changed.map(({ path }) => `${path}\0`).join(''));
  let compressedBytes = 0;
  for await (const chunk of zstd.stdout) compressedBytes += (chunk as Buffer).length;
  return {
    files: changed.length,
    sizeBytes: changed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    compressedBytes,
  };
}
