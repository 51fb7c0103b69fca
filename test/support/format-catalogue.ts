/**
 * The catalogue of an archive (docs/format.md, "Catalogue"), read from that page alone. Bytes of paths, targets, names and values are strings
 * of one character a byte (latin1): they compare as the bytes do.
 */
import { mustBeAcl } from './format-acl.js';
import { MemberOrder } from './format-order.js';
import { must } from './format-error.js';
import { RecordCursor } from './format-cursor.js';

const TYPES = [
  'file',
  'directory',
  'symbolic link',
  'hard link',
  'character device',
  'block device',
  'fifo',
  'further extents',
] as const;
const FLAG_SPARSE = 1;
const FLAG_ATTRIBUTES = 2;
const FLAG_ACL = 4;
const FLAG_DEFAULT_ACL = 8;
const ALL_FLAGS = FLAG_SPARSE | FLAG_ATTRIBUTES | FLAG_ACL | FLAG_DEFAULT_ACL;
const KIB = 1024;
const MAX_EXTENTS = 16_384;
const MAX_PATH_BYTES = 64 * KIB;
const MAX_NAME_BYTES = 255;
const MAX_TARGET_BYTES = 4_095;
const MAX_ATTRIBUTE_BYTES = 64 * KIB;
const MAX_ATTRIBUTES_BYTES = 2 * KIB * KIB;
const MAX_ACL_BYTES = 256 * KIB;
const U32_MAX = 2 ** 32 - 1;
const MAX_MAJOR = 2 ** 12 - 1;
const MAX_MINOR = 2 ** 20 - 1;

export type MemberType = Exclude<(typeof TYPES)[number], 'further extents'>;

/** [offset, length] */
export type StoredExtent = readonly [number, number];

export interface Member {
  readonly type: MemberType;
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly nanoseconds: number;
  /** Of a file: its size, and how much of it is stored. */
  readonly sizeBytes: number;
  readonly storedBytes: number;
  /** Null: it is no sparse file. */
  readonly extents: readonly StoredExtent[] | null;
  /** Of a link. */
  readonly target: string | null;
  /** Of a device: major, minor. */
  readonly device: readonly [number, number] | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly acl: string | null;
  readonly defaultAcl: string | null;
}

/** What decides where a piece ends. */
export interface RecordPlace {
  /** Of the member that the record is about. */
  readonly path: string;
  readonly lengthBytes: number;
}

export interface Catalogue {
  readonly members: readonly Member[];
  readonly records: readonly RecordPlace[];
}

/** The catalogue whose pieces these are. */
export function readCatalogue(pieces: readonly Buffer[]): Catalogue {
  const reader = new CatalogueReader();
  for (const piece of pieces) reader.take(piece);
  return reader.end();
}

/** The bytes of a file, holes and all, whose data begins there. */
export function memberBytes({ sizeBytes, storedBytes, extents }: Member, data: Buffer, dataOffset: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let at = dataOffset;
  for (const [offset, length] of extents ?? [[0, storedBytes] as const]) {
    data.copy(bytes, offset, at, at + length);
    at += length;
  }
  return bytes;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

class CatalogueReader {
  readonly #members: Mutable<Member>[] = [];
  readonly #records: RecordPlace[] = [];
  readonly #order = new MemberOrder();
  /** What the file of the record before stores beyond the extents that were listed so far. */
  #missingBytes = 0;

  take(piece: Buffer): void {
    const cursor = new RecordCursor(piece);
    let pathBefore = '';
    while (!cursor.isAtEnd) {
      const begin = cursor.at;
      const type = TYPES[cursor.u8() - 1];
      must(type !== undefined, 'a record is of an unknown type');
      const flags = cursor.u8();
      must((flags & ~ALL_FLAGS) === 0, 'a record has an unknown flag');
      must((type === 'further extents') === this.#missingBytes > 0, 'further extents are missing, or follow unasked');
      if (type === 'further extents') {
        must(flags === FLAG_SPARSE, 'further extents have other flags than theirs');
        this.#addExtents(cursor);
      } else {
        pathBefore = this.#addMember(cursor, type, flags, pathBefore);
      }
      this.#records.push({ path: this.#members.at(-1)?.path ?? '', lengthBytes: cursor.at - begin });
    }
  }

  end(): Catalogue {
    must(this.#missingBytes === 0, 'further extents are missing at the end');
    return { members: this.#members, records: this.#records };
  }

  #addMember(cursor: RecordCursor, type: MemberType, flags: number, pathBefore: string): string {
    const isSparse = (flags & FLAG_SPARSE) !== 0;
    must(!isSparse || type === 'file', 'something that is no file is sparse');
    const path = readPath(cursor, pathBefore);
    must(path !== '' || type === 'directory', 'the root is no directory');
    const member: Mutable<Member> = {
      type,
      path,
      mode: cursor.number(0o7777),
      uid: cursor.number(U32_MAX),
      gid: cursor.number(U32_MAX),
      mtimeSeconds: cursor.signed(),
      nanoseconds: cursor.number(999_999_999),
      ...{ sizeBytes: 0, storedBytes: 0, extents: null, target: null, device: null },
      ...{ attributes: {}, acl: null, defaultAcl: null },
    };
    this.#members.push(member);
    if (type === 'file') this.#takeFile(cursor, member, isSparse);
    if (type === 'symbolic link' || type === 'hard link') member.target = readTarget(cursor, type);
    if (type === 'character device' || type === 'block device')
      member.device = [cursor.number(MAX_MAJOR), cursor.number(MAX_MINOR)];
    if ((flags & FLAG_ATTRIBUTES) !== 0) member.attributes = readAttributes(cursor);
    if ((flags & FLAG_ACL) !== 0) member.acl = mustBeAcl(cursor.text(MAX_ACL_BYTES));
    if ((flags & FLAG_DEFAULT_ACL) !== 0) member.defaultAcl = mustBeAcl(cursor.text(MAX_ACL_BYTES));
    this.#order.add(member);
    return path;
  }

  #takeFile(cursor: RecordCursor, member: Mutable<Member>, isSparse: boolean): void {
    member.sizeBytes = cursor.number(Number.MAX_SAFE_INTEGER);
    member.storedBytes = cursor.number(Number.MAX_SAFE_INTEGER);
    if (isSparse) {
      member.extents = [];
      this.#missingBytes = member.storedBytes;
      this.#addExtents(cursor);
    } else {
      must(member.storedBytes === member.sizeBytes, 'a file stores another length than its size');
    }
  }

  /** To the file that came last. */
  #addExtents(cursor: RecordCursor): void {
    const file = this.#members.at(-1);
    must(file !== undefined && file.extents !== null, 'extents of no file');
    const isFurther = file.extents.length > 0;
    const [last = [0, 0]] = file.extents.slice(-1);
    const extents = readExtents(cursor);
    must(extents.length > 0 || !isFurther, 'further extents are none');
    const [first] = extents;
    must(!isFurther || first === undefined || first[0] > last[0] + last[1], 'further extents do not lie further');
    for (const [offset, length] of extents) {
      must(offset + length <= file.sizeBytes, 'an extent lies beyond the size');
      this.#missingBytes -= length;
    }
    must(this.#missingBytes >= 0, 'extents are longer than what is stored');
    file.extents = [...file.extents, ...extents];
  }
}

function readExtents(cursor: RecordCursor): StoredExtent[] {
  const count = cursor.number(MAX_EXTENTS);
  const extents: StoredExtent[] = [];
  let end = 0;
  for (let index = 0; index < count; index += 1) {
    const gap = cursor.number(Number.MAX_SAFE_INTEGER);
    must(gap > 0 || index === 0, 'an extent begins where the one before ends');
    const length = cursor.number(Number.MAX_SAFE_INTEGER);
    must(length > 0, 'an extent is empty');
    extents.push([end + gap, length]);
    end += gap + length;
  }
  return extents;
}

function readPath(cursor: RecordCursor, before: string): string {
  const shared = cursor.number(before.length);
  const suffix = cursor.text(MAX_PATH_BYTES);
  must(
    suffix === '' || shared === before.length || before[shared] !== suffix[0],
    'a path shares less with the one before than it could',
  );
  return mustBePath(before.slice(0, shared) + suffix);
}

function mustBePath(path: string): string {
  must(path.length <= MAX_PATH_BYTES, 'a path is too long');
  for (const component of path === '' ? [] : path.split('/')) {
    must(!['', '.', '..'].includes(component), 'a path has a component that is empty, . or ..');
    must(component.length <= MAX_NAME_BYTES, 'a path has a component that is too long');
    must(!component.includes('\0'), 'a path has a NUL');
  }
  return path;
}

function readTarget(cursor: RecordCursor, type: MemberType): string {
  if (type === 'hard link') return mustBePath(cursor.text(MAX_PATH_BYTES));
  const target = cursor.text(MAX_TARGET_BYTES);
  must(target.length >= 1 && !target.includes('\0'), 'the target of a symbolic link is empty or has a NUL');
  return target;
}

function readAttributes(cursor: RecordCursor): Record<string, string> {
  const attributes: [string, string][] = [];
  const count = cursor.number(cursor.remaining);
  must(count >= 1, 'a record has the flag for attributes, and none');
  let totalBytes = 0;
  for (let index = 0; index < count; index += 1) {
    const name = cursor.text(MAX_NAME_BYTES);
    must(name.length >= 1 && !name.includes('\0'), 'the name of an attribute is empty or has a NUL');
    const before = attributes.at(-1);
    must(before === undefined || before[0] < name, 'attributes are not in ascending order');
    const value = cursor.text(MAX_ATTRIBUTE_BYTES);
    totalBytes += name.length + value.length;
    must(totalBytes <= MAX_ATTRIBUTES_BYTES, 'the attributes of a member are too large');
    attributes.push([name, value]);
  }
  return Object.fromEntries(attributes);
}
