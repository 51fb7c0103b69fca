/**
 * A tar stream of members that are described, not read from a disk: so that it has what no file system holds in a few bytes, and the same bytes
 * on every machine. In the form of GNU tar's `--format=posix --sparse`: pax headers for all that ustar has no room for, sparse format 1.0.
 */
import { diskBytes } from '../test/support/golden-disks.js';
import { attributeText, rangesOf, type GoldenMember } from '../test/support/golden-archives.js';

const BLOCK_BYTES = 512;
const RECORD_BYTES = 20 * BLOCK_BYTES;
const NAME_BYTES = 100;
/** What fits into seven octal digits. */
const MAX_OCTAL = 0o7777777;

const TYPE_FLAGS = {
  file: '0',
  'hard link': '1',
  'symbolic link': '2',
  'character device': '3',
  'block device': '4',
  directory: '5',
  fifo: '6',
} as const;

/** All bytes of a file, what lies in holes of a sparse one zeroed. */
export function contentOf({ content }: GoldenMember): Buffer {
  if (content === undefined) return Buffer.alloc(0);
  const bytes = diskBytes(content.sizeBytes, content.extents);
  if (content.stored === undefined) return bytes;
  const sparse = Buffer.alloc(content.sizeBytes);
  for (const [offset, length] of rangesOf(content.stored)) bytes.copy(sparse, offset, offset, offset + length);
  return sparse;
}

export function tarStream(members: readonly GoldenMember[]): Buffer {
  const stream = Buffer.concat([...members.map(tarMember), Buffer.alloc(2 * BLOCK_BYTES)]);
  return Buffer.concat([stream, padding(stream.length, RECORD_BYTES)]);
}

function tarMember(member: GoldenMember): Buffer {
  const records = paxRecords(member);
  const data = dataOf(member);
  const pax = Buffer.from(records.map(([name, value]) => paxRecord(name, value)).join(''), 'latin1');
  const parts = [header(member, data.length), data, padding(data.length, BLOCK_BYTES)];
  if (pax.length > 0) {
    const itsOwn = { ...member, path: 'PaxHeaders/0', mode: '0644', uid: 0, gid: 0 };
    parts.unshift(header(itsOwn, pax.length, 'x'), pax, padding(pax.length, BLOCK_BYTES));
  }
  return Buffer.concat(parts);
}

const nameOf = ({ path }: GoldenMember): string => `./${path}`;
const targetOf = ({ type, target = '' }: GoldenMember): string => (type === 'hard link' ? `./${target}` : target);

/** What a file stores, behind the map of a sparse one. */
function dataOf(member: GoldenMember): Buffer {
  const bytes = contentOf(member);
  const stored = member.content?.stored;
  if (stored === undefined) return bytes;
  const ranges = rangesOf(stored);
  const map = Buffer.from([ranges.length, ...ranges.flat()].map((number) => `${number}\n`).join(''));
  const pieces = ranges.map(([offset, length]) => bytes.subarray(offset, offset + length));
  return Buffer.concat([map, padding(map.length, BLOCK_BYTES), ...pieces]);
}

function paxRecords(member: GoldenMember): [string, string][] {
  const { content, uid, gid, mtimeSeconds, nanoseconds, attributes = {}, acl, defaultAcl } = member;
  const records: [string, string][] = [];
  if (nameOf(member).length > NAME_BYTES) records.push(['path', nameOf(member)]);
  if (targetOf(member).length > NAME_BYTES) records.push(['linkpath', targetOf(member)]);
  if (uid > MAX_OCTAL) records.push(['uid', String(uid)]);
  if (gid > MAX_OCTAL) records.push(['gid', String(gid)]);
  if (nanoseconds > 0 || mtimeSeconds < 0 || mtimeSeconds >= 8 ** 11)
    records.push(['mtime', timeText(mtimeSeconds, nanoseconds)]);
  for (const [name, value] of Object.entries(attributes))
    records.push([`SCHILY.xattr.${name.replaceAll('%', '%25').replaceAll('=', '%3D')}`, attributeText(value)]);
  if (acl !== undefined) records.push(['SCHILY.acl.access', acl]);
  if (defaultAcl !== undefined) records.push(['SCHILY.acl.default', defaultAcl]);
  if (content?.stored !== undefined) {
    records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0']);
    records.push(['GNU.sparse.name', nameOf(member)], ['GNU.sparse.realsize', String(content.sizeBytes)]);
  }
  return records;
}

/** `-1.5` is half a second after -2. */
function timeText(seconds: number, nanoseconds: number): string {
  const all = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  const digits = String(all < 0n ? -all : all).padStart(10, '0');
  return `${all < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/** Its length counts its own digits. */
function paxRecord(name: string, value: string): string {
  const rest = ` ${name}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function header(member: GoldenMember, sizeBytes: number, flag: string = TYPE_FLAGS[member.type]): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const text = (at: number, value: string): number => block.write(value, at, 'latin1');
  const octal = (at: number, digits: number, value: number): number =>
    text(at, value.toString(8).padStart(digits, '0'));
  text(0, nameOf(member).slice(0, NAME_BYTES));
  text(100, member.mode.padStart(7, '0'));
  octal(108, 7, Math.min(member.uid, MAX_OCTAL));
  octal(116, 7, Math.min(member.gid, MAX_OCTAL));
  octal(124, 11, sizeBytes);
  octal(136, 11, Math.min(Math.max(member.mtimeSeconds, 0), 8 ** 11 - 1));
  text(148, ' '.repeat(8));
  text(156, flag);
  text(157, targetOf(member).slice(0, NAME_BYTES));
  text(257, 'ustar\x0000');
  const [major, minor] = member.device ?? [0, 0];
  octal(329, 7, major);
  octal(337, 7, minor);
  octal(
    148,
    6,
    block.reduce((sum, byte) => sum + byte, 0),
  );
  text(154, '\0 ');
  return block;
}

function padding(lengthBytes: number, unitBytes: number): Buffer {
  return Buffer.alloc((unitBytes - (lengthBytes % unitBytes)) % unitBytes);
}
