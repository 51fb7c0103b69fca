/** Parsers of option values. Each throws commander's InvalidArgumentError, whose message becomes part of one line. */

import { InvalidArgumentError } from 'commander';
import { resolve } from 'node:path';
import { parseGuest, type Guest } from '../lib/guest.js';
import { parseIsoTime } from '../lib/time.js';
import { formatBytes, parseBytes } from '../lib/units.js';
import { CHUNK_SIZES, isChunkSize } from '../repository/config.js';
import { isComponentName } from '../repository/snapshot-document.js';
import type { BackupSource } from '../engine/types.js';

export interface DiskArgument {
  readonly name: string;
  readonly source: BackupSource;
}

export function guestArgument(text: string): Guest {
  const guest = parseGuest(text);
  if (guest === null) throw new InvalidArgumentError('Write qemu/100 or lxc/101.');
  return guest;
}

export function sizeArgument(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined) throw new InvalidArgumentError('Write a size such as 512K, 4M or 1G.');
  return bytes;
}

export function chunkSizeArgument(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined || !isChunkSize(bytes)) {
    throw new InvalidArgumentError(`Write one of ${CHUNK_SIZES.map((size) => formatBytes(size)).join(', ')}.`);
  }
  return bytes;
}

export function timeArgument(text: string): number {
  const timeSeconds = parseIsoTime(text);
  if (timeSeconds === null) throw new InvalidArgumentError('Write a UTC time as 2026-11-22T04:17:14Z.');
  return timeSeconds;
}

export function integerArgument(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : NaN;
    if (!(value >= minimum && value <= maximum)) {
      throw new InvalidArgumentError(`Write a number from ${minimum} to ${maximum}.`);
    }
    return value;
  };
}

const DURATION_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Seconds of 90m, 12h, 30d or 4w. */
export function durationArgument(text: string): number {
  const [, number = '', unit = ''] = /^([0-9]{1,6})([smhdw])$/.exec(text) ?? [];
  const seconds = Number(number) * (DURATION_SECONDS[unit] ?? 0);
  if (seconds === 0) throw new InvalidArgumentError('Write a time such as 90m, 12h, 30d or 4w.');
  return seconds;
}

/** Collects `--disk drive-scsi0=SOURCE`, which may be repeated. */
export function diskArgument(text: string, earlier: readonly DiskArgument[] = []): DiskArgument[] {
  const equals = text.indexOf('=');
  const name = text.slice(0, equals);
  const source = text.slice(equals + 1);
  if (equals < 0 || source === '')
    throw new InvalidArgumentError('Write NAME=SOURCE, as drive-scsi0=/dev/vg0/vm-100-disk-0.');
  if (!isComponentName(name)) throw new InvalidArgumentError(`'${name}' cannot be the name of a disk.`);
  if (earlier.some((disk) => disk.name === name)) throw new InvalidArgumentError(`There are two disks called ${name}.`);
  return [...earlier, { name, source: parseSource(source) }];
}

/** NBD URIs as libnbd takes them; everything else is a path, which may start from the working directory. */
function parseSource(text: string): BackupSource {
  return /^nbds?(\+unix|\+vsock|\+ssh)?:/.test(text)
    ? { kind: 'nbd-uri', uri: text }
    : { kind: 'file', path: resolve(text) };
}
