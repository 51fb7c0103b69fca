/**
 * Extended attributes of whole trees as bytes, ACLs and capabilities among them, by getfattr and setfattr: names of any bytes, two processes
 * a tree.
 */
import { execFileSync } from 'node:child_process';

export interface Attributes {
  readonly path: Buffer;
  readonly values: Readonly<Record<string, Buffer>>;
}

const undefinedId = 0xffff_ffff;
const aclVersion = 2;
/** linux/posix_acl_xattr.h: user and group entries, which have an id. */
const namedTags = [0x02, 0x08];
const aclEntryBytes = 8;
/** linux/capability.h, struct vfs_ns_cap_data. */
const capabilityRevision2 = 0x0200_0000;
const capabilityRevision3 = 0x0300_0000;
const capabilityEffective = 1;
const capabilityBytes = 20;

/** What getfattr and setfattr make of a name in their listings. */
function escape(bytes: Buffer): string {
  return [...bytes]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[\w/.-]/.test(character) ? character : `\\${byte.toString(8).padStart(3, '0')}`;
    })
    .join('');
}

function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** Sets them, not following links. */
export function setAttributes(list: readonly Attributes[]): void {
  if (list.length === 0) return;
  const blocks = list.map(({ path, values }) => {
    const lines = Object.entries(values).map(([name, value]) => {
      return `${escape(Buffer.from(name, 'latin1'))}=0x${value.toString('hex')}\n`;
    });
    return `# file: ${escape(path)}\n${lines.join('')}\n`;
  });
  execFileSync('setfattr', ['-h', '--restore=-'], { input: blocks.join(''), stdio: ['pipe', 'inherit', 'inherit'] });
}

/**
 * Names and values of all extended attributes, by path below the directory as latin1, both as getfattr prints them. Ids in them are less by
 * `idBase`.
 */
export function attributesOf(directory: string, idBase = 0): Map<string, string> {
  const text = execFileSync('getfattr', ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '.'], {
    cwd: directory,
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
  const blocks = text.split('\n\n').filter((block) => block !== '');
  return new Map(
    blocks.map((block) => {
      const [title = '', ...lines] = block.split('\n');
      const path = unescape(title.slice('# file: '.length)).replace(/^\.$|^\.\//, '');
      const values = lines.map((line) => {
        const [, name = '', value = ''] = /^(.*)=0x([0-9a-f]*)$/.exec(line) ?? [];
        return `${name}=${withIdsFrom(name, Buffer.from(value, 'hex'), idBase).toString('hex')}`;
      });
      return [path, values.sort().join('\n')];
    }),
  );
}

function withIdsFrom(name: string, value: Buffer, idBase: number): Buffer {
  if (idBase === 0) return value;
  if (name.startsWith('system.posix_acl_')) return aclWithIdsFrom(value, idBase);
  if (name === 'security.capability' && value.length > capabilityBytes) {
    // The kernel shows the root of the namespace an older form without its own id.
    const owner = value.readUInt32LE(capabilityBytes) - idBase;
    if (owner !== 0) throw new Error(`capabilities of id ${owner}`);
    const older = Buffer.from(value.subarray(0, capabilityBytes));
    older.writeUInt32LE(capabilityRevision2 | (value.readUInt32LE(0) & capabilityEffective), 0);
    return older;
  }
  return value;
}

function aclWithIdsFrom(value: Buffer, idBase: number): Buffer {
  const moved = Buffer.from(value);
  for (let at = 4; at < value.length; at += aclEntryBytes) {
    if (namedTags.includes(value.readUInt16LE(at))) moved.writeUInt32LE(value.readUInt32LE(at + 4) - idBase, at + 4);
  }
  return moved;
}

export interface Acl {
  readonly owner: number;
  /** Ids, ascending, and permissions of 0 .. 7. */
  readonly users: readonly (readonly [number, number])[];
  readonly group: number;
  readonly groups: readonly (readonly [number, number])[];
  readonly mask: number;
  readonly other: number;
}

/** The value of system.posix_acl_access or _default (linux/posix_acl_xattr.h). */
export function aclValue({ owner, users, group, groups, mask, other }: Acl): Buffer {
  const entries: readonly (readonly [number, number, number])[] = [
    [0x01, owner, undefinedId],
    ...users.map(([id, permissions]) => [0x02, permissions, id] as const),
    [0x04, group, undefinedId],
    ...groups.map(([id, permissions]) => [0x08, permissions, id] as const),
    [0x10, mask, undefinedId],
    [0x20, other, undefinedId],
  ];
  const value = Buffer.alloc(4 + aclEntryBytes * entries.length);
  value.writeUInt32LE(aclVersion, 0);
  entries.forEach(([tag, permissions, id], index) => {
    const at = 4 + aclEntryBytes * index;
    value.writeUInt16LE(tag, at);
    value.writeUInt16LE(permissions, at + 2);
    value.writeUInt32LE(id, at + 4);
  });
  return value;
}

/** The value of security.capability, of the root of a user namespace where `rootId` is not 0: permitted capabilities. */
export function capabilityValue(permitted: number, isEffective: boolean, rootId: number): Buffer {
  const value = Buffer.alloc(rootId === 0 ? capabilityBytes : capabilityBytes + 4);
  const revision = rootId === 0 ? capabilityRevision2 : capabilityRevision3;
  value.writeUInt32LE(revision | (isEffective ? capabilityEffective : 0), 0);
  value.writeUInt32LE(permitted, 4);
  if (rootId !== 0) value.writeUInt32LE(rootId, capabilityBytes);
  return value;
}
