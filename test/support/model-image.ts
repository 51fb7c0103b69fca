/**
 * What the bytes of a disk are, kept by a test beside the real disk: an array of blocks that are shared between the present and every
 * moment that was remembered, so that a history of hundreds of backups costs what was written.
 *
 * Invariant: a block is never changed once it is in an array; writing puts a new one in its place. Null is a block of zeroes.
 */
import { open } from 'node:fs/promises';

export const imageBlockBytes = 64 * 1024;
const compareBytes = 1024 * 1024;
const zeroes = Buffer.alloc(imageBlockBytes);

type Block = Buffer | null;

/** The bytes of one moment. */
export class FrozenImage {
  constructor(
    readonly sizeBytes: number,
    private readonly blocks: readonly Block[],
  ) {}

  /** Where the file first differs, as a sentence; null where it is the same in every byte and in length. */
  async differenceTo(path: string): Promise<string | null> {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size !== this.sizeBytes) return `${path} has ${size} bytes instead of ${this.sizeBytes}`;
      const buffer = Buffer.allocUnsafe(compareBytes);
      for (let offset = 0; offset < size; offset += compareBytes) {
        const length = Math.min(compareBytes, size - offset);
        const { bytesRead } = await file.read(buffer, 0, length, offset);
        if (bytesRead !== length) return `${path} ends at ${offset + bytesRead}`;
        const difference = this.#difference(buffer.subarray(0, length), offset);
        if (difference !== null) return `${path} differs ${difference}`;
      }
      return null;
    } finally {
      await file.close();
    }
  }

  copyBlocks(): Block[] {
    return [...this.blocks];
  }

  /** The first block that is not the same: from where to where in it. */
  #difference(bytes: Buffer, offset: number): string | null {
    for (let at = 0; at < bytes.length; at += imageBlockBytes) {
      const found = bytes.subarray(at, Math.min(at + imageBlockBytes, bytes.length));
      const expected = (this.blocks[(offset + at) / imageBlockBytes] ?? zeroes).subarray(0, found.length);
      if (found.equals(expected)) continue;
      const first = found.findIndex((byte, index) => byte !== expected[index]);
      const last = found.findLastIndex((byte, index) => byte !== expected[index]);
      const what = found.subarray(first, last + 1).every((byte) => byte === 0) ? 'zeroes' : 'other bytes';
      return `from ${offset + at + first} to ${offset + at + last}: ${what}`;
    }
    return null;
  }
}

/** The bytes as they are now. New bytes read as zero. */
export class DiskImage {
  #blocks: Block[] = [];

  constructor(private size: number) {
    this.resize(size);
  }

  get sizeBytes(): number {
    return this.size;
  }

  /** Grows only: the disks of running guests do. */
  resize(sizeBytes: number): void {
    const count = Math.ceil(sizeBytes / imageBlockBytes);
    while (this.#blocks.length < count) this.#blocks.push(null);
    this.size = sizeBytes;
  }

  write(offset: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length;) {
      const index = Math.floor((offset + done) / imageBlockBytes);
      const within = (offset + done) % imageBlockBytes;
      const length = Math.min(imageBlockBytes - within, bytes.length - done);
      const piece = bytes.subarray(done, done + length);
      const block = Buffer.from(this.#blocks[index] ?? zeroes);
      piece.copy(block, within);
      this.#blocks[index] = block.equals(zeroes) ? null : block;
      done += length;
    }
  }

  freeze(): FrozenImage {
    return new FrozenImage(this.size, [...this.#blocks]);
  }

  /** Back to what it was, as a rolled back disk. */
  rollBack(to: FrozenImage): void {
    this.size = to.sizeBytes;
    this.#blocks = to.copyBlocks();
  }
}
