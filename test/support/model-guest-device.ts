/**
 * A disk as the guest has it: a FUSE export of the device's node, whose file is written like a disk. It is opened past the kernel's cache, which
 * would show zeroes where a trim was refused.
 */
import { constants, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { SparseFiles } from '../../src/engine/types.js';
import type { Qmp } from './model-qmp.js';
import { run } from './model-run.js';

/** Buffers here begin anywhere in a page; requests of so many pages that FUSE splits them come out wrong at the seams then. */
const pieceBytes = 256 * 1024;

export class GuestDevice {
  private constructor(
    private readonly qmp: Qmp,
    private readonly id: string,
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly sparse: SparseFiles,
  ) {}

  /** `path` becomes the device. */
  static async open(qmp: Qmp, node: string, path: string, sparse: SparseFiles): Promise<GuestDevice> {
    const id = `guest-${node}`;
    writeFileSync(path, '');
    await qmp.execute('block-export-add', {
      ...{ type: 'fuse', id, 'node-name': node, mountpoint: path, writable: true, 'allow-other': 'off' },
    });
    return new GuestDevice(qmp, id, path, await open(path, constants.O_RDWR | constants.O_DIRECT), sparse);
  }

  async write(offset: number, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      const { bytesWritten } = await this.file.write(piece, 0, piece.length, offset + at);
      if (bytesWritten !== piece.length) throw new Error(`${this.path} took ${bytesWritten} bytes at ${offset + at}`);
    }
  }

  async read(offset: number, lengthBytes: number): Promise<Buffer> {
    const bytes = Buffer.alloc(lengthBytes);
    for (let at = 0; at < lengthBytes; at += pieceBytes) {
      const length = Math.min(pieceBytes, lengthBytes - at);
      const { bytesRead } = await this.file.read(bytes, at, length, offset + at);
      if (bytesRead !== length) throw new Error(`${this.path} gave ${bytesRead} bytes at ${offset + at}`);
    }
    return bytes;
  }

  async discard(offset: number, lengthBytes: number): Promise<void> {
    await this.sparse.deallocate(this.file.fd, offset, lengthBytes);
  }

  async flush(): Promise<void> {
    await this.file.sync();
  }

  async close(): Promise<void> {
    await this.file.close();
    await this.qmp.deleteExport(this.id);
  }

  /** For a device whose QEMU is gone. */
  async unmount(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await run('umount', '-l', this.path).catch(() => undefined);
  }
}
