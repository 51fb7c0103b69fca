/** Trees made from a seed: the same seed makes the same tree. Needs root. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

const MEMBERS = 150;
const NAME_MAX_BYTES = 255;
/** What programs take as one path name, with room for where a tree is unpacked. */
const PATH_MAX_BYTES = 3500;
const BLOCK = 4096;
const SIZES = [0, 1, 511, 512, 513, BLOCK, 10_239, 10_240, 10_241, 100_000, 262_143, 262_144, 1_500_000];
const IDS = [0, 1, 1000, 65_534, 100_000, 2_097_151, 2_097_152, 4_294_967_294];
const KINDS = [
  ...['directory', 'directory', 'directory', 'link', 'symlink', 'fifo', 'device'],
  ...['file', 'file', 'file', 'file', 'file', 'sparse', 'sparse', 'sparse'],
] as const;

class RandomTree {
  readonly #root: string;
  #state: number;
  readonly #directories: Buffer[];
  readonly #others: Buffer[] = [];
  /** Files and symbolic links: tar tells of no other names of pipes and devices. */
  readonly #linked: Buffer[] = [];

  constructor(root: string, seed: number) {
    this.#root = root;
    this.#state = seed >>> 0;
    this.#directories = [Buffer.from(root)];
  }

  make(): void {
    for (let number = 0; number < MEMBERS; ++number) this.#add(number);
    // What is made in a directory changes its time: all times are set at the end.
    for (const path of [...this.#others, ...this.#directories.reverse()]) {
      const seconds = this.#below(4_000_000_000) - 500_000_000 + this.#below(1000) / 1000;
      lutimesSync(path, seconds, seconds);
    }
  }

  #add(number: number): void {
    const kind = this.#pick(KINDS);
    const special = kind === 'fifo' || kind === 'device';
    const path = special
      ? Buffer.from(`${this.#root}/${kind}-${number}`)
      : Buffer.concat([this.#pick(this.#directories), Buffer.from('/'), this.#name(number)]);
    if (path.length > PATH_MAX_BYTES) return;
    if (kind === 'link') {
      if (this.#linked.length > 0) linkSync(this.#pick(this.#linked), path);
      return;
    }
    if (kind === 'directory') {
      mkdirSync(path);
    } else if (kind === 'symlink') {
      symlinkSync(this.#bytes(1 + this.#below(500), [0]), path);
    } else if (kind === 'fifo') {
      execFileSync('mkfifo', [path.toString()]);
    } else if (kind === 'device') {
      const type = this.#pick(['c', 'b']);
      execFileSync('mknod', [path.toString(), type, String(this.#below(4096)), String(this.#below(1_048_576))]);
    } else if (kind === 'file') {
      writeFileSync(path, this.#content(this.#pick(SIZES)));
    } else {
      this.#writeSparse(path);
    }
    (kind === 'directory' ? this.#directories : this.#others).push(path);
    if (kind !== 'directory' && !special) this.#linked.push(path);
    lchownSync(path, this.#pick(IDS), this.#pick(IDS));
    if (kind !== 'symlink') this.#decorate(path, special);
  }

  #decorate(path: Buffer, special: boolean): void {
    chmodSync(path, this.#below(0o10000));
    const plain = path.toString('latin1');
    if (special || !/^[\w/.-]+$/.test(plain)) return; // what a program takes as an argument
    if (this.#below(2) === 0) {
      const value = this.#bytes(this.#below(300)).toString('hex');
      execFileSync('setfattr', ['-n', `user.a${this.#below(9)}`, '-v', `0x${value}`, plain]);
    }
    if (this.#below(2) === 0) {
      const mask = this.#pick(['r', 'rwx', '-']);
      const entries = `u:${this.#below(70_000)}:rx,g:${this.#below(70_000)}:w,m:${mask}`;
      execFileSync('setfacl', ['-m', entries, plain]);
    }
  }

  #writeSparse(path: Buffer): void {
    const blocks = 1 + this.#below(400);
    const fd = openSync(path, 'wx');
    for (let block = 0; block < blocks; block += 1 + this.#below(60)) {
      if (this.#below(2) === 0) writeSync(fd, this.#content(BLOCK), 0, BLOCK, block * BLOCK);
    }
    ftruncateSync(fd, blocks * BLOCK - this.#below(BLOCK));
    closeSync(fd);
  }

  /** Any bytes but NUL and the slash, or a short one; a number makes it one of its own. */
  #name(number: number): Buffer {
    if (this.#below(4) === 0) return Buffer.from(`n${number}`);
    const length = 1 + this.#below(this.#pick([20, NAME_MAX_BYTES - 12]));
    return Buffer.concat([this.#bytes(length, [0, 0x2f]), Buffer.from(`.${number}`)]);
  }

  #content(length: number): Buffer {
    return this.#below(3) === 0 ? Buffer.alloc(length) : Buffer.alloc(length, this.#bytes(1 + this.#below(997)));
  }

  #bytes(length: number, without: readonly number[] = []): Buffer {
    return Buffer.from(
      Array.from({ length }, () => {
        const byte = this.#below(256);
        return without.includes(byte) ? 0x5f : byte;
      }),
    );
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  /** mulberry32 */
  #below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * limit);
  }
}

export function makeRandomTree(root: string, seed: number): void {
  new RandomTree(root, seed).make();
}
