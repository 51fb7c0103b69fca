/**
 * Trees made from a seed, and changed by it: the same seed makes the same tree. Needs root.
 *
 * What GNU tar does not keep is not in them: sockets, and other names of pipes and devices.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { noise } from './images.js';
import { SeededRandom } from './seeded-random.js';
import { aclValue, capabilityValue, setAttributes, type Attributes } from './tree-attributes.js';

const MEMBERS = 150;
const NAME_MAX_BYTES = 255;
/** What programs take as one path name, with room for where a tree is unpacked. */
const PATH_MAX_BYTES = 3500;
const CHAIN_BYTES = 1200;
const BLOCK = 4096;
const KIB = 1024;
/** Around blocks, the records of tar, and where chunks may and must end. */
const SMALL_SIZES = [0, 1, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1, 10_239, 10_240, 10_241, 100_000];
const LARGE_SIZES = [128, 256, 512, 2048].flatMap((kib) => [kib * KIB - 1, kib * KIB, kib * KIB + 1]);
const SECONDS_FROM = -1_500_000_000;
const SECONDS_TO = 4_000_000_000;

const KINDS = {
  ...{ directory: 16, chain: 1, link: 14, symlink: 8, fifo: 3, device: 4 },
  ...{ small: 42, large: 8, copy: 10, sparse: 18 },
} as const;
type Kind = keyof typeof KINDS;

const CHANGES = {
  ...{ add: 5, remove: 3, rename: 5, touch: 4, owner: 2, attribute: 2 },
  ...{ append: 3, insert: 3, overwrite: 3, truncate: 2 },
} as const;

export interface RandomTreeOptions {
  /**
   * Of an unprivileged container: ids of the host begin here, capabilities are those of its root, and devices stand below `dev`, as what a
   * restore leaves out. Null: any ids, devices anywhere.
   */
  readonly idBase: number | null;
}

export class RandomTree {
  readonly #random: SeededRandom;
  readonly #directories: Buffer[];
  readonly #others: Buffer[] = [];
  /** Regular files, each by one name. */
  readonly #files: Buffer[] = [];
  /** Files and symbolic links. */
  readonly #linked: Buffer[] = [];
  readonly #attributes: Attributes[] = [];
  #number = 0;

  constructor(
    readonly root: string,
    seed: number,
    private readonly options: RandomTreeOptions,
  ) {
    this.#random = new SeededRandom(seed);
    this.#directories = [Buffer.from(root)];
  }

  /** What `pct restore` wants to see is always there. */
  make(): void {
    for (const name of ['sbin', 'dev']) {
      const path = Buffer.from(`${this.root}/${name}`);
      mkdirSync(path);
      this.#own(path);
      if (name !== 'dev') this.#directories.push(path);
    }
    this.#own(Buffer.from(this.root));
    for (let member = 0; member < MEMBERS; ++member) this.#add();
    this.#finish([...this.#others, ...this.#directories]);
  }

  /** Changes a tree that was made, here and there. */
  change(changes: number): void {
    const touched = new Set<Buffer>();
    for (let change = 0; change < changes; ++change) {
      const path = this.#change();
      // At once: the next change may take its file away.
      setAttributes(this.#attributes.splice(0));
      if (path !== null) touched.add(path);
    }
    this.#finish([...touched].filter((path) => this.#others.includes(path)));
  }

  /** What is made in a directory changes its time: all times are set at the end. */
  #finish(paths: readonly Buffer[]): void {
    setAttributes(this.#attributes.splice(0));
    for (const path of [...paths].reverse()) {
      const seconds = SECONDS_FROM + this.#random.next() * (SECONDS_TO - SECONDS_FROM);
      // Node takes a number below 0 for the present time, but not a string.
      lutimesSync(path, String(seconds), String(seconds));
    }
  }

  #add(): Buffer | null {
    const random = this.#random;
    const kind = random.weighted<Kind>(KINDS);
    const parent = this.options.idBase !== null && kind === 'device' ? `${this.root}/dev` : null;
    const path = this.#below(parent === null ? random.pick(this.#directories) : Buffer.from(parent));
    if (path.length > PATH_MAX_BYTES) return null;
    if (kind === 'chain') return this.#addChain(path);
    if (kind === 'link') {
      if (this.#linked.length > 0) linkSync(random.pick(this.#linked.slice(-12)), path);
      return null;
    }
    this.#make(kind, path);
    (kind === 'directory' ? this.#directories : this.#others).push(path);
    if (kind !== 'directory' && kind !== 'fifo' && kind !== 'device') this.#linked.push(path);
    this.#own(path, kind);
    return path;
  }

  #make(kind: Exclude<Kind, 'chain' | 'link'>, path: Buffer): void {
    const random = this.#random;
    if (kind === 'directory') {
      mkdirSync(path);
    } else if (kind === 'symlink') {
      symlinkSync(this.#bytes(1 + random.below(500), [0]), path);
    } else if (kind === 'fifo') {
      this.#makeNode(path, ['p']);
    } else if (kind === 'device') {
      this.#makeNode(path, [random.pick(['c', 'b']), String(random.below(4096)), String(random.below(1_048_576))]);
    } else {
      if (kind === 'copy' && this.#files.length > 0) copyFileSync(random.pick(this.#files), path);
      else if (kind === 'sparse') this.#writeSparse(path);
      else writeFileSync(path, this.#content(random.pick(kind === 'large' ? LARGE_SIZES : SMALL_SIZES)));
      this.#files.push(path);
    }
  }

  /** Programs take names of text only. */
  #makeNode(path: Buffer, args: readonly string[]): void {
    const name = `${this.root}/node`;
    execFileSync('mknod', [name, ...args]);
    renameSync(name, path);
  }

  #addChain(path: Buffer): null {
    let at = path;
    while (at.length < CHAIN_BYTES) {
      mkdirSync(at);
      this.#own(at, 'directory');
      this.#directories.push(at);
      at = this.#below(at);
    }
    return null;
  }

  #change(): Buffer | null {
    const random = this.#random;
    const change = random.weighted(CHANGES);
    if (change === 'add') return this.#add();
    const path = random.pick(change === 'rename' || change === 'touch' ? this.#others : this.#files);
    if (change === 'touch') return path;
    if (change === 'remove') {
      rmSync(path);
      this.#forget(path);
      return null;
    }
    if (change === 'rename') {
      const target = this.#below(random.pick(this.#directories));
      if (target.length > PATH_MAX_BYTES || lstatSync(path).isBlockDevice() || lstatSync(path).isCharacterDevice())
        return null;
      renameSync(path, target);
      for (const list of [this.#others, this.#files, this.#linked]) {
        const index = list.indexOf(path);
        if (index >= 0) list[index] = target;
      }
      return target;
    }
    if (change === 'owner') this.#own(path, 'small');
    else if (change === 'attribute') this.#attributes.push({ path, values: { 'user.changed': this.#bytes(20) } });
    else this.#write(change, path);
    return path;
  }

  #write(change: 'append' | 'insert' | 'overwrite' | 'truncate', path: Buffer): void {
    const random = this.#random;
    const sizeBytes = lstatSync(path).size;
    const at = random.below(sizeBytes + 1);
    if (change === 'truncate') {
      truncateSync(path, at);
      return;
    }
    if (change === 'insert') {
      const before = readFileSync(path);
      const inserted = this.#bytes(1 + random.below(300));
      // In place, so that all else of it stays.
      writeFileSync(path, Buffer.concat([before.subarray(0, at), inserted, before.subarray(at)]), { flag: 'r+' });
      return;
    }
    const fd = openSync(path, 'r+');
    const bytes = this.#content(1 + random.below(20_000));
    writeSync(fd, bytes, 0, bytes.length, change === 'append' ? sizeBytes : at);
    closeSync(fd);
  }

  #forget(path: Buffer): void {
    for (const list of [this.#others, this.#files, this.#linked]) {
      const index = list.indexOf(path);
      if (index >= 0) list.splice(index, 1);
    }
  }

  #id(): number {
    const { idBase } = this.options;
    if (idBase === null) return this.#random.pick([0, 1000, 100_000, 2_097_151, 2_097_152, 4_294_967_294]);
    return idBase + this.#random.pick([0, 0, 1, 33, 1000, 65_533, 65_534, 65_535]);
  }

  /** Owner, mode, attributes and ACLs. */
  #own(path: Buffer, kind: Kind = 'directory'): void {
    const random = this.#random;
    lchownSync(path, this.#id(), this.#id());
    if (kind === 'symlink') return;
    chmodSync(path, random.below(0o10000));
    if (kind === 'fifo' || kind === 'device') return;
    const values: Record<string, Buffer> = {};
    if (random.chance(0.3))
      values[`user.${random.pick(['a', 'b c', 'e=q%', 'long'])}`] = this.#bytes(random.below(700));
    if (random.chance(0.1)) values['user.more'] = this.#bytes(random.pick([0, 1, 2000]));
    if (random.chance(0.3)) values['system.posix_acl_access'] = this.#acl();
    if (random.chance(0.4) && kind === 'directory') values['system.posix_acl_default'] = this.#acl();
    if (random.chance(0.2) && kind !== 'directory') values['security.capability'] = this.#capability();
    if (Object.keys(values).length > 0) this.#attributes.push({ path, values });
  }

  #acl(): Buffer {
    const random = this.#random;
    const entries = (most: number): [number, number][] => {
      const ids = new Set(Array.from({ length: random.below(most) }, () => this.#id()));
      return [...ids].sort((one, other) => one - other).map((id) => [id, random.below(8)]);
    };
    return aclValue({
      ...{ owner: random.below(8), group: random.below(8), other: random.below(8) },
      ...{ users: entries(3), groups: entries(3), mask: random.below(8) },
    });
  }

  #capability(): Buffer {
    return capabilityValue(this.#random.below(2 ** 30), this.#random.chance(0.5), this.options.idBase ?? 0);
  }

  #writeSparse(path: Buffer): void {
    const random = this.#random;
    const blocks = 1 + random.below(400);
    const fd = openSync(path, 'wx');
    for (let block = 0; block < blocks; block += 1 + random.below(60)) {
      if (random.chance(0.5)) writeSync(fd, this.#content(BLOCK), 0, BLOCK, block * BLOCK);
    }
    ftruncateSync(fd, blocks * BLOCK - random.below(BLOCK));
    closeSync(fd);
  }

  #below(directory: Buffer): Buffer {
    return Buffer.concat([directory, Buffer.from('/'), this.#name()]);
  }

  /** Any bytes but NUL and the slash, or a short one; a number makes it one of its own. */
  #name(): Buffer {
    const random = this.#random;
    const number = this.#number++;
    if (random.chance(0.25)) return Buffer.from(`n${number}`);
    const length = 1 + random.below(random.pick([20, NAME_MAX_BYTES - 12]));
    return Buffer.concat([this.#bytes(length, [0, 0x2f]), Buffer.from(`.${number}`)]);
  }

  #content(length: number): Buffer {
    const random = this.#random;
    const kind = random.weighted({ zero: 2, noise: 3, pattern: 3 });
    if (kind === 'zero') return Buffer.alloc(length);
    if (kind === 'noise') return noise(length, random.below(2 ** 31));
    return Buffer.alloc(length, this.#bytes(1 + random.below(997)));
  }

  #bytes(length: number, without: readonly number[] = []): Buffer {
    return Buffer.from(
      Array.from({ length }, () => {
        const byte = this.#random.below(256);
        return without.includes(byte) ? 0x5f : byte;
      }),
    );
  }
}
