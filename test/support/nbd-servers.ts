/** Disks over NBD for tests: real QEMU, and nbdkit where a disk has to misbehave. */
import { startProgram, untilAccepting, type Program } from './processes.js';
import type { Cleanups } from './temp.js';

export interface NbdDisk {
  /** The export's name. */
  readonly name: string;
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
}

export interface QemuNbdOptions {
  /** Of each disk. */
  readonly readBytesPerSecond?: number;
}

/** qemu-storage-daemon with one export a disk on one socket, read-only, as Proxmox VE exports a snapshot access. */
export async function startQemuNbd(
  cleanups: Cleanups,
  socketPath: string,
  disks: readonly NbdDisk[],
  { readBytesPerSecond = 0 }: QemuNbdOptions = {},
): Promise<Program> {
  const args = ['--nbd-server', `addr.type=unix,addr.path=${socketPath},max-connections=16`];
  args.push('--object', `throttle-group,id=limit,x-bps-read=${readBytesPerSecond}`);
  disks.forEach((disk, number) => {
    const file = `{"driver":"file","filename":${JSON.stringify(disk.path)},"node-name":"file${number}","read-only":true}`;
    const image = `{"driver":"${disk.format}","file":"file${number}","node-name":"image${number}","read-only":true}`;
    const node = `{"driver":"throttle","throttle-group":"limit","file":"image${number}","node-name":"disk${number}","read-only":true}`;
    args.push('--blockdev', file, '--blockdev', image, '--blockdev', node);
    args.push('--export', `type=nbd,id=export${number},node-name=disk${number},name=${disk.name},writable=off`);
  });
  const program = startProgram(cleanups, 'qemu-storage-daemon', args);
  await untilAccepting(program, socketPath);
  return program;
}

/** nbdkit with whatever plugin and filters the arguments name. One disk, answering to every export name. */
export async function startNbdkit(cleanups: Cleanups, socketPath: string, args: readonly string[]): Promise<Program> {
  const program = startProgram(cleanups, 'nbdkit', ['--foreground', '--unix', socketPath, ...args]);
  await untilAccepting(program, socketPath);
  return program;
}
