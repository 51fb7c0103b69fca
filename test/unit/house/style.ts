/** Checkers of what STYLE asks of every file. Each takes one file and answers what is wrong with it. */
import { basename } from 'node:path/posix';
import type { SourceFile } from './tree.js';

const MAX_LINES = 400;
const CODE = /\.(?:ts|js|cc|h|pm|pl|t|sh)$|^tools\/[a-z-]+$/;

/** The marks of unfinished work, written so that they do not find themselves. */
const UNFINISHED = /\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X))\b/;
/** Tests that are switched off, or that switch others off. */
const SWITCHED_OFF =
  /\b(?:it|test|describe|suite)\.(?:skip|only|todo)\b|\b(?:skip|only|todo)\s*:\s*(?:true|['"`])|\bdoctest::skip\b|\bskip_all\b|\bSKIP:/;
/** Absolute paths that exist on the author's machine only. */
const MACHINE_PATH = /(?:^|[\s'"`(=:])\/(?:work|build|src)\//;

export function fileTooLong({ path, text }: SourceFile): string[] {
  const lines = text.split('\n').length - 1;
  return CODE.test(path) && lines > MAX_LINES ? [`${path} has ${lines} lines, more than ${MAX_LINES}`] : [];
}

export function badName({ path }: SourceFile): string[] {
  const name = basename(path);
  const good =
    name.endsWith('.ts') || name.endsWith('.js')
      ? /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z]+)+$/.test(name)
      : !/\.(?:cc|h)$/.test(name) || /^[a-z0-9]+(?:_[a-z0-9]+)*\.(?:cc|h)$/.test(name);
  return good ? [] : [`${path} is not named as the others`];
}

export function unfinished({ path, text }: SourceFile): string[] {
  return linesThat(UNFINISHED, text).map((line) => `${path}:${line} is unfinished`);
}

export function switchedOff({ path, text }: SourceFile): string[] {
  if (!/^(?:test|native\/test)\//.test(path)) return [];
  return linesThat(SWITCHED_OFF, text).map((line) => `${path}:${line} switches a test off`);
}

export function machinePath({ path, text }: SourceFile): string[] {
  return linesThat(MACHINE_PATH, text).map((line) => `${path}:${line} names a path of one machine`);
}

/** Modules of src/, C++ headers and C++ sources without a header of their own open with a comment. */
export function noOpening(file: SourceFile, all: readonly SourceFile[]): string[] {
  const header = file.path.replace(/\.cc$/, '.h');
  const module =
    /^src\/.*\.ts$/.test(file.path) ||
    /^native\/(?:core|addon|fuse)\/.*\.h$/.test(file.path) ||
    (/^native\/(?:core|addon|fuse)\/.*\.cc$/.test(file.path) && !all.some((other) => other.path === header));
  return module && !/^(?:#!.*\n)?(?:\/\*|\/\/)/.test(file.text) ? [`${file.path} does not open with a comment`] : [];
}

/** Perl tests run as pvedaemon runs the plugin, under the taint switch, which only the first line can turn on. */
export function notTainted({ path, text }: SourceFile): string[] {
  return /^test\/perl\/.*\.t$/.test(path) && !/^#!\/usr\/bin\/perl -[a-zA-Z]*T/.test(text)
    ? [`${path} does not begin with #!/usr/bin/perl -T`]
    : [];
}

function linesThat(pattern: RegExp, text: string): number[] {
  return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [index + 1] : []));
}
