/** A thread that compares random ranges of two files; run by test/e2e/fuse/load.test.ts. Posts how many it compared. */
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

export interface RandomReads {
  readonly shown: string;
  readonly expected: string;
  readonly sizeBytes: number;
  readonly reads: number;
  readonly seed: number;
}

const { shown, expected, sizeBytes, reads, seed } = workerData as RandomReads;

/** Numbers in [0, 1) that a seed determines (xorshift32). */
let state = seed || 1;
function random(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}

const fds = [shown, expected].map((path) => openSync(path, 'r'));
for (let i = 0; i < reads; i += 1) {
  const offset = Math.floor(random() * sizeBytes);
  const length = 1 + Math.floor(random() ** 3 * 3 * 1024 * 1024);
  const [one, other] = fds.map((fd) => {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
  });
  if (!one!.equals(other!)) throw new Error(`differs in ${length} bytes at ${offset}, seed ${seed}`);
}
fds.forEach((fd) => {
  closeSync(fd);
});
parentPort!.postMessage(reads);
