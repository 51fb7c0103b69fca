/**
 * The container of a golden repository: members of every type, with everything that a member can have, in the order of its tar stream. Small in
 * the repository, since what is large in it compresses well.
 */
import type { GoldenMember, Run } from '../test/support/golden-archives.js';
import type { Extent, Rule } from '../test/support/golden-disks.js';
import { sha256 } from '../test/support/format-records.js';
import { contentOf } from './golden-tar.js';

/** Whether a piece of the catalogue may end behind the record of this path. */
export type IsMarked = (path: string) => boolean;

const KIB = 1024;
/** At and beyond which a file has pieces of its own. */
const LARGE_BYTES = 256 * KIB;
/** One more than a record can have. */
const COMB_TEETH = 16_385;

type Described = Pick<GoldenMember, 'type' | 'path'> & Partial<GoldenMember>;

const plain = { uid: 0, gid: 0, mtimeSeconds: 1_795_321_034, nanoseconds: 0 };
const MODES = { directory: '0755', 'symbolic link': '0777' } as const;

function member(described: Described): GoldenMember {
  const mode = described.type === 'directory' || described.type === 'symbolic link' ? MODES[described.type] : '0644';
  return { mode, ...plain, ...described };
}

function directory(path: string, more: Partial<GoldenMember> = {}): GoldenMember {
  return member({ type: 'directory', path, ...more });
}

interface Content {
  readonly sizeBytes: number;
  readonly extents: readonly Extent[];
  readonly stored?: readonly Run[];
}

function file(path: string, content: Content, more: Partial<GoldenMember> = {}): GoldenMember {
  const described = member({ type: 'file', path, content: { ...content, sha256: '' }, ...more });
  return { ...described, content: { ...content, sha256: sha256(contentOf(described)) } };
}

const laid = (offset: number, lengthBytes: number, label: string, rule: Rule = 'text'): Extent => ({
  ...{ offset, lengthBytes, rule, label },
});
/** A file that is one extent. */
const of = (sizeBytes: number, label: string, rule: Rule = 'text'): Content => ({
  ...{ sizeBytes, extents: [laid(0, sizeBytes, label, rule)] },
});
/** The same `lengthBytes` again and again, so that it compresses. */
const again = (sizeBytes: number, lengthBytes: number, label: string): Content => ({
  sizeBytes,
  extents: Array.from({ length: Math.ceil(sizeBytes / lengthBytes) }, (_, index) =>
    laid(index * lengthBytes, Math.min(lengthBytes, sizeBytes - index * lengthBytes), label),
  ),
});
const run = (offset: number, lengthBytes: number, count = 1, everyBytes = 0): Run => ({
  ...{ offset, lengthBytes, count, everyBytes },
});
const numbered = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Four components of 200 bytes and one of 255. */
const longPath = ['home', ...numbered(4, (index) => String(index).repeat(200)), 'n'.repeat(255)];
const utf8 = (text: string): string => Buffer.from(text).toString('latin1');
const oddNames = [
  'line\nbreak',
  'quo"te\'s \\',
  ' blank ',
  '-dash',
  'a=b%',
  utf8('ä – 日本'),
  '\xff\xfe\x01\x80',
  '\\377',
];
const capability = '\x01\0\0\x02\0\x20\0\x20\0\0\0\0\0\0\0\0\0\0\0\0';
const namedAcl = 'user::rw-,user:0:---,user:1000:rw-,group::r--,group:12345:r-x,mask::rwx,other::r--';

const system: readonly GoldenMember[] = [
  directory(''),
  directory('sbin'),
  file('sbin/su', of(3, 's'), { mode: '4755', attributes: { 'security.capability': capability } }),
  directory('etc', { attributes: { 'user.big': { text: 'v', times: 700 } } }),
  file('etc/hostname', of(32, 'ct'), {
    acl: namedAcl,
    attributes: { 'user.a=b%': '\0\xff', 'user.comment': 'has = and % and \n', 'user.empty': '' },
  }),
  member({ type: 'hard link', path: 'etc/name', target: 'etc/hostname' }),
  file('etc/empty', { sizeBytes: 0, extents: [] }, { mtimeSeconds: -86_401, nanoseconds: 500_000_000 }),
  file('etc/shadow', of(100, 'secret'), { mode: '0640', gid: 42, nanoseconds: 123_456_789 }),
  directory('dev'),
  member({ type: 'character device', path: 'dev/null', mode: '0666', device: [1, 3] }),
  member({ type: 'block device', path: 'dev/sdz', mode: '0660', gid: 6, device: [4095, 1_048_575] }),
  directory('run'),
  member({ type: 'fifo', path: 'run/initctl', mode: '0600', mtimeSeconds: 0 }),
  directory('tmp', { mode: '1777', mtimeSeconds: 8 ** 11 }),
];

const home: readonly GoldenMember[] = [
  directory('home', {
    ...{ uid: 1000, gid: 2_097_153, mode: '2770' },
    acl: 'user::rwx,group::rwx,mask::r-x,other::---',
    defaultAcl: 'user::rwx,user:1001:rwx,group::r-x,mask::rwx,other::---',
  }),
  ...numbered(4, (depth) => directory(longPath.slice(0, depth + 2).join('/'))),
  file(longPath.join('/'), of(25, 'deep'), { uid: 4_294_967_294, gid: 4_294_967_293 }),
  ...oddNames.map((name, index) => file(`home/${name}`, of(10 + index, 'odd'))),
  member({ type: 'symbolic link', path: 'home/up', target: '../etc/hostname' }),
  member({ type: 'symbolic link', path: 'home/out', target: '/etc/passwd', uid: 1000, gid: 1000, nanoseconds: 1 }),
  member({ type: 'symbolic link', path: 'home/long', target: `\xff${'x'.repeat(4094)}` }),
];

const data: readonly GoldenMember[] = [
  directory('usr'),
  // Many small files have pieces in common, which end where their content says.
  ...numbered(8, (index) => file(`usr/doc-${index}`, again(20_000 + index, 8 * KIB, `doc ${index}`))),
  // One byte short of having pieces of its own, and just large enough.
  file('usr/nearly', again(LARGE_BYTES - 1, 8 * KIB, 'nearly')),
  file('usr/barely', again(LARGE_BYTES, 8 * KIB, 'barely')),
  file('usr/behind', of(7, 'behind')),
  file('usr/large', again(1_700_003, 64 * KIB, 'grand')),
  directory('var'),
  file('var/sparse', {
    ...{ sizeBytes: 3_000_000, extents: [laid(0, 4096, 'head'), laid(1_000_000, 5000, 'body')] },
    stored: [run(0, 4096), run(1_000_000, 5000), run(2_999_000, 1000)],
  }),
  file('var/late', { sizeBytes: 100_000, extents: [laid(1, 1, 'x')], stored: [run(1, 1)] }),
  file('var/hole', { sizeBytes: 2_000_000, extents: [], stored: [] }),
];

/** Its name makes a piece of the catalogue end, between its first record and that of its further extents. */
const comb = (isMarked: IsMarked): GoldenMember =>
  file(markedPath(isMarked), { ...of(2 * COMB_TEETH + 100, 'comb'), stored: [run(3, 1, COMB_TEETH, 2)] });

function markedPath(isMarked: IsMarked): string {
  for (let number = 0; ; number += 1) {
    const path = `var/lib/comb-${number}`;
    if (isMarked(path)) return path;
  }
}

/** A record that makes a piece end by its length alone. */
const wide = file('var/lib/wide', of(1, 'w'), {
  attributes: Object.fromEntries(numbered(5, (index) => [`user.${index}`, { text: String(index), times: 64 * KIB }])),
});

/** Pieces enough for a map of two levels, all of them zero. */
const blanks = numbered(40, (index) => file(`var/blank-${index}`, { sizeBytes: LARGE_BYTES, extents: [] }));

export function containerMembers(isMarked: IsMarked): GoldenMember[] {
  const named = [...system, ...home, ...data, directory('var/lib'), comb(isMarked)];
  return [...named, wide, ...blanks, file('var/last', of(5, 'last'))];
}
