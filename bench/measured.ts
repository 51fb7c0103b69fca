/**
 * Loaded into a program before its own code (`node --import`), says at its end what it took: as JSON in the file VZVAULT_BENCH_MEASURED names.
 *
 * The peak of memory is the kernel's VmHWM, since that of getrusage(2) begins with what the parent had.
 */
import { readFileSync, writeFileSync } from 'node:fs';

export interface Measured {
  readonly peakBytes: number;
  /** Calls that read, and what they read, from files of any kind: Node's own modules too. */
  readonly reads: number;
  readonly readBytes: number;
}

function field(file: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(readFileSync(file, 'utf8'))?.[1]);
}

const { VZVAULT_BENCH_MEASURED: path } = process.env;
if (path !== undefined) {
  process.on('exit', () => {
    const measured: Measured = {
      peakBytes: field('/proc/self/status', 'VmHWM') * 1024,
      reads: field('/proc/self/io', 'syscr'),
      readBytes: field('/proc/self/io', 'rchar'),
    };
    writeFileSync(path, JSON.stringify(measured));
  });
}
