/** Disk images for tests, and looking at them. */
import { execFile } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DaemonClient } from '../../src/rpc/client.js';
import type { Storage } from '../../src/rpc/contract.js';

const run = promisify(execFile);

const KIB = 1024;

/** Bytes that look random, do not compress, and are the same for the same seed. */
export function noise(lengthBytes: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(Math.ceil(lengthBytes / 4) * 4);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let at = 0; at < bytes.length; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, at);
  }
  return bytes.subarray(0, lengthBytes);
}

/** A sparse image with noise where `extents` say. */
export function makeImage(
  path: string,
  sizeBytes: number,
  extents: readonly { readonly offset: number; readonly lengthBytes: number }[],
  seed = 1,
): void {
  const fd = openSync(path, 'w');
  try {
    ftruncateSync(fd, sizeBytes);
    for (const { offset, lengthBytes } of extents) {
      for (let at = 0; at < lengthBytes; at += 1024 * KIB) {
        const piece = noise(Math.min(1024 * KIB, lengthBytes - at), seed + (offset + at) / KIB);
        writeSync(fd, piece, 0, piece.length, offset + at);
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** Fails where the two files differ in any byte or in their length. */
export async function assertSameBytes(left: string, right: string): Promise<void> {
  await run('cmp', [left, right]);
}

/** Restores all disks of a volume with qemu-img into `directory`, as DEVICE.raw. */
export async function restoreAll(
  client: DaemonClient,
  storage: Storage,
  volume: string,
  directory: string,
): Promise<string[]> {
  mkdirSync(directory, { recursive: true });
  const { restoreId, disks } = await client.call('restore.begin', { storage, volume });
  try {
    const devices = Object.keys(disks);
    for (const device of devices) {
      const { path } = await client.call('restore.openDisk', { restoreId, device });
      await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', path, join(directory, `${device}.raw`)]);
      await client.call('restore.closeDisk', { restoreId, device });
    }
    return devices;
  } finally {
    await client.call('restore.end', { restoreId });
  }
}
