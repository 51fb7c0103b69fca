/**
 * Paths in a container's files. They are bytes: what is no printable text is written `\377`, a backslash `\\`, so that what one command
 * prints another takes.
 *
 * A symbolic link in a container means a place in that container. The kernel would follow it into the machine we run on, so it is
 * followed here, and never leads out of the tree.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { VzvaultError } from '../lib/errors.js';

const slash = 0x2f;
/** As many as Linux follows. */
const maxLinks = 40;

export function escapePath(path: Buffer): string {
  const octal = (bytes: Buffer): string => [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(path);
    return text.replace(/[\\\p{C}]/gu, (character) => (character === '\\' ? '\\\\' : octal(Buffer.from(character))));
  } catch {
    return path.toString('latin1').replace(/[^\x20-\x5b\x5d-\x7e]/g, (character) => {
      return character === '\\' ? '\\\\' : octal(Buffer.from(character, 'latin1'));
    });
  }
}

/** E_ARGUMENT_INVALID where a backslash stands before something else, or a byte is none of a path. */
export function unescapePath(text: string): Buffer {
  const parts = text.split(/(\\[0-7]{3}|\\\\)/);
  const bytes = Buffer.concat(
    parts.map((part, index) => {
      if (index % 2 === 0) {
        if (part.includes('\\'))
          throw new VzvaultError('E_ARGUMENT_INVALID', `'${text}': write \\\\ for a backslash, \\012 for a byte`);
        return Buffer.from(part);
      }
      return part === '\\\\' ? Buffer.from('\\') : Buffer.from([parseInt(part.slice(1), 8) & 0xff]);
    }),
  );
  if (bytes.includes(0)) throw new VzvaultError('E_ARGUMENT_INVALID', `'${text}' has a byte that no path has`);
  return bytes;
}

export function joinPath(...parts: readonly Buffer[]): Buffer {
  const [first = Buffer.alloc(0), ...rest] = parts.filter((part) => part.length > 0);
  return rest.reduce((path, part) => Buffer.concat([path, Buffer.from([slash]), part]), first);
}

export function splitPath(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from <= path.length;) {
    const end = path.indexOf(slash, from);
    const to = end === -1 ? path.length : end;
    parts.push(path.subarray(from, to));
    from = to + 1;
  }
  return parts;
}

/** A place in the tree: its path below the root without links on the way ('' is the root), and what is there. */
export interface TreePlace {
  readonly path: Buffer;
  readonly status: BigIntStats;
}

/**
 * What `path` means below `root`, as a process of the container would see it. The last component's link is followed where
 * `followLast`, or where a slash follows it. E_ARGUMENT_INVALID where there is nothing.
 */
export async function resolveInside(
  root: Buffer,
  path: Buffer,
  { followLast }: { followLast: boolean },
): Promise<TreePlace> {
  let pending = splitPath(path);
  let at: Buffer[] = [];
  let links = 0;
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name.length === 0 || name.equals(Buffer.from('.'))) continue;
    if (name.equals(Buffer.from('..'))) {
      at.pop();
      continue;
    }
    const here = joinPath(root, ...at, name);
    const status = await statusOf(here, joinPath(...at, name));
    if (status.isSymbolicLink() && (followLast || pending.length > 0)) {
      links += 1;
      if (links > maxLinks) throw missing(path, 'it leads in a circle');
      const target = await readlink(here, { encoding: 'buffer' });
      if (target[0] === slash) at = [];
      pending = [...splitPath(target), ...pending];
    } else {
      if (pending.length > 0 && !status.isDirectory()) throw missing(path, 'there is a file on the way');
      at.push(name);
    }
  }
  const found = joinPath(...at);
  return { path: found, status: await statusOf(joinPath(root, found), found) };
}

/** What is there, not what a link there leads to. `name` is for the error. */
export async function statusOf(place: Buffer, name: Buffer): Promise<BigIntStats> {
  try {
    return await lstat(place, { bigint: true });
  } catch (error) {
    throw treeError(error, name);
  }
}

/** What a call on the mount rejected with, as an error of ours. What is damaged, vzvault-fuse has said. */
export function treeError(error: unknown, path: Buffer): VzvaultError {
  if (error instanceof VzvaultError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return missing(path, 'it is not in the backup');
  return new VzvaultError('E_STORAGE_IO', `reading /${escapePath(path)}: ${message}`, { cause: error });
}

function missing(path: Buffer, why: string): VzvaultError {
  return new VzvaultError('E_ARGUMENT_INVALID', `there is no ${escapePath(path)}: ${why}`);
}
