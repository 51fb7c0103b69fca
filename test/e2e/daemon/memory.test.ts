/** Memory does not grow with the disk: 64 GiB with 2 GiB of data in it, backed up and restored. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatBytes } from '../../../src/lib/units.js';
import { backUpGuest, createStorage, diskAt, TestDaemon } from '../../support/daemon.js';
import { makeImage } from '../../support/images.js';
import { startQemuNbd } from '../../support/nbd-servers.js';
import { cleanupsOf } from '../../support/temp.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** The largest resident set that a process ever had. */
function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Runs a program and answers how many bytes it read, in all. */
async function bytesReadBy(command: string, args: readonly string[]): Promise<number> {
  const child = spawn(command, args, { stdio: 'inherit' });
  let bytes = 0;
  const poll = setInterval(() => {
    try {
      bytes = Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${child.pid}/io`, 'utf8'))?.[1] ?? bytes);
    } catch {
      // It has just ended.
    }
  }, 5);
  const [code] = (await once(child, 'exit')) as [number | null];
  clearInterval(poll);
  assert.equal(code, 0);
  return bytes;
}

test('64 GiB with 2 GiB of data: less than 300 MiB resident, and a restore that reads no hole', async (t) => {
  const cleanups = cleanupsOf(t);
  const directory = cleanups.directory();
  const socket = join(directory, 'nbd.sock');
  const sizeBytes = 64 * GIB;
  const image = join(directory, 'disk.raw');
  const extents = Array.from({ length: 64 }, (_, n) => ({ offset: n * GIB + 5 * MIB, lengthBytes: 32 * MIB }));
  makeImage(image, sizeBytes, extents);
  await startQemuNbd(cleanups, socket, [{ name: 'drive-scsi0', path: image, format: 'raw' }]);
  const daemon = await TestDaemon.start(cleanups, { directory });
  const client = await daemon.connect();
  const storage = await createStorage(client, join(directory, 'store'));

  const beganMs = performance.now();
  const { volume, readBytes } = await backUpGuest(client, { storage, disks: [diskAt(socket, sizeBytes)] });
  const seconds = (performance.now() - beganMs) / 1000;
  const peak = peakBytes(daemon.program.pid);
  t.diagnostic(
    `backup: ${formatBytes(readBytes)} read in ${seconds.toFixed(1)} s, peak of vzvaultd ${formatBytes(peak)}`,
  );
  assert.ok(readBytes >= 2 * GIB && readBytes < 2.2 * GIB, `${formatBytes(readBytes)} read`);
  assert.ok(peak < 300 * MIB, `vzvaultd had ${formatBytes(peak)} resident`);

  const { restoreId } = await client.call('restore.begin', { storage, volume });
  const { path } = await client.call('restore.openDisk', { restoreId, device: 'drive-scsi0' });
  const target = join(directory, 'restored.raw');
  const read = await bytesReadBy('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', path, target]);
  const state = JSON.parse(readFileSync(join(daemon.runDirectory, 'mounts', `${restoreId}.json`), 'utf8')) as {
    mountProcess: { pid: number };
  };
  t.diagnostic(
    `restore: ${formatBytes(read)} read, peak of vzvault-fuse ${formatBytes(peakBytes(state.mountProcess.pid))}`,
  );
  assert.ok(read < readBytes + 64 * MIB, `${formatBytes(read)} were read to restore ${formatBytes(readBytes)}`);
  await client.call('restore.end', { restoreId });
  execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', target, image]);
});
