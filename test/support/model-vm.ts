/**
 * A running VM as Proxmox VE treats it, as far as its disks go: a real QEMU (the storage daemon) with a throttle node `drive-scsi0` over a
 * format node, as PVE 9 builds it, and a "guest" that writes through the throttle node, past whatever PVE puts between the two.
 *
 * A disk belongs to a VM and outlives its QEMU process; its bitmaps do not. `GuestDisk.image` says what the disk holds; every byte that
 * the guest writes goes to both. One owner at a time calls these methods: nothing here is locked.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { engine } from '../../src/engine/index.js';
import { GuestDevice } from './model-guest-device.js';
import { DiskImage } from './model-image.js';
import { Qmp } from './model-qmp.js';
import { firstConnection, startProgram, type Program } from './processes.js';
import { run } from './model-run.js';
import type { Cleanups } from './temp.js';

export type DiskFormat = 'raw' | 'qcow2';

export interface DiskOptions {
  readonly device: string;
  readonly sizeBytes: number;
  readonly format: DiskFormat;
}

/** A disk that a VM has, attached or not. */
export class GuestDisk {
  readonly image: DiskImage;

  constructor(
    readonly device: string,
    readonly format: DiskFormat,
    public path: string,
    sizeBytes: number,
  ) {
    this.image = new DiskImage(sizeBytes);
  }

  get sizeBytes(): number {
    return this.image.sizeBytes;
  }
}

interface Attached {
  readonly disk: GuestDisk;
  /** The format node below the throttle node; changes when the disk is moved. */
  formatNode: string;
  guest: GuestDevice;
}

/** One life of the VM: from the start of QEMU to its end. */
interface Life {
  readonly program: Program;
  readonly qmp: Qmp;
  /**
   * Of an NBD server for all that is exported in this life: nbd-server-stop of QEMU 7.2 never comes back where a client is still in its
   * handshake.
   */
  readonly nbdPath: string;
  readonly attached: Map<string, Attached>;
  /** Nodes that hold an all-dirty bitmap, by size. */
  readonly scratches: Map<number, string>;
}

export class ModelVm {
  readonly #disks = new Map<string, GuestDisk>();
  #life: Life | null = null;
  #counter = 0;

  constructor(
    private readonly cleanups: Cleanups,
    readonly vmid: number,
    /** Disk images, sockets and the guest's devices are in it. */
    readonly directory: string,
  ) {
    mkdirSync(directory, { recursive: true });
    // Also where QEMU was killed and left a dead mount.
    cleanups.add(() => this.kill());
  }

  /** Of the attached disks, ordered as Proxmox VE orders them. */
  get disks(): readonly GuestDisk[] {
    return [...this.#disks.values()].sort((a, b) => (a.device < b.device ? -1 : 1));
  }

  disk(device: string): GuestDisk {
    const disk = this.#disks.get(device);
    if (disk === undefined) throw new Error(`the VM has no ${device}`);
    return disk;
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  /** Of the QEMU that runs; 0 where none does. */
  get pid(): number {
    return this.#life?.program.pid ?? 0;
  }

  get program(): Program {
    return this.life.program;
  }

  get qmp(): Qmp {
    return this.life.qmp;
  }

  get life(): Life {
    if (this.#life === null) throw new Error('the VM is not running');
    return this.#life;
  }

  /** A name that nothing in this VM had before. */
  fresh(kind: string): string {
    this.#counter += 1;
    return `${kind}-${this.#counter}`;
  }

  formatNode(device: string): string {
    return this.#attached(device).formatNode;
  }

  async start(): Promise<void> {
    const socket = join(this.directory, 'qmp.sock');
    // A connection that comes and goes while QEMU starts its monitor may take the next one with it, or QEMU; so there is one, and
    // QEMU waits for it before it does anything else.
    const program = startProgram(this.cleanups, 'qemu-storage-daemon', [
      ...['--chardev', `socket,id=qmp,path=${socket},server=on,wait=on`, '--monitor', 'chardev=qmp'],
    ]);
    const connection = await firstConnection(program, socket);
    let exit: unknown = 'it runs';
    void program.ended.then((how) => (exit = how));
    const qmp = await Qmp.open(connection, () => `(QEMU ${program.pid}: ${String(exit)}, ${program.output()})`);
    const nbdPath = join(this.directory, `${this.fresh('nbd')}.sock`);
    await qmp.execute('nbd-server-start', { addr: { type: 'unix', data: { path: nbdPath } } });
    this.#life = { program, qmp, nbdPath, attached: new Map(), scratches: new Map() };
    for (const disk of this.disks) await this.#attach(disk);
  }

  /** Shuts the guest down. */
  async stop(): Promise<void> {
    const life = this.life;
    for (const device of [...life.attached.keys()]) await this.#detach(device);
    this.#life = null;
    life.qmp.close();
    await life.program.stop();
  }

  /** QEMU dies. What the guest wrote is in the images, as if it had flushed. Harmless where none runs. */
  async kill(): Promise<void> {
    const life = this.#life;
    if (life === null) return;
    for (const { guest } of life.attached.values()) await guest.flush().catch(() => undefined);
    this.#life = null;
    life.qmp.close();
    await life.program.stop('SIGKILL');
    for (const { guest } of life.attached.values()) await guest.unmount();
  }

  async powerCycle(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Makes a disk of zeroes, and attaches it where the VM runs. */
  async addDisk({ device, sizeBytes, format }: DiskOptions): Promise<GuestDisk> {
    const path = join(this.directory, `${this.fresh('disk')}.${format}`);
    await run('qemu-img', 'create', '-q', '-f', format, path, String(sizeBytes));
    const disk = new GuestDisk(device, format, path, sizeBytes);
    await this.attachDisk(disk);
    return disk;
  }

  async attachDisk(disk: GuestDisk): Promise<void> {
    this.#disks.set(disk.device, disk);
    if (this.isRunning) await this.#attach(disk);
  }

  /** The disk stays as it is, for `attachDisk`. */
  async detachDisk(device: string): Promise<GuestDisk> {
    const disk = this.disk(device);
    if (this.isRunning) await this.#detach(device);
    this.#disks.delete(device);
    return disk;
  }

  async growDisk(device: string, sizeBytes: number): Promise<void> {
    const { disk, guest } = this.#attached(device);
    // QEMU resizes nothing that is exported.
    await guest.close();
    await this.qmp.execute('block_resize', { 'node-name': device, size: sizeBytes });
    disk.image.resize(sizeBytes);
    await this.#giveToGuest(device);
  }

  /** To another image while the VM runs, by a mirror job, as a disk goes to another storage. */
  async moveDisk(device: string): Promise<void> {
    const attached = this.#attached(device);
    const { disk, formatNode } = attached;
    const path = join(this.directory, `${this.fresh('moved')}.${disk.format}`);
    await run('qemu-img', 'create', '-q', '-f', disk.format, path, String(disk.sizeBytes));
    const target = await this.#openImage(path, disk.format);
    // QEMU mirrors nothing that could be resized, as its FUSE exports could.
    await attached.guest.close();
    const job = this.fresh('mirror');
    const isJob = (data: Readonly<Record<string, unknown>>): boolean => data['device'] === job;
    await this.qmp.execute('blockdev-mirror', {
      ...{ 'job-id': job, device, replaces: formatNode, target, sync: 'full' },
    });
    await this.qmp.event('BLOCK_JOB_READY', isJob);
    await this.qmp.execute('block-job-complete', { device: job });
    await this.qmp.event('BLOCK_JOB_COMPLETED', isJob);
    await this.qmp.execute('blockdev-del', { 'node-name': formatNode });
    attached.formatNode = target;
    disk.path = path;
    await this.#giveToGuest(device);
  }

  /** The guest writes. */
  async write(device: string, offset: number, bytes: Buffer): Promise<void> {
    const { disk, guest } = this.#attached(device);
    await guest.write(offset, bytes);
    disk.image.write(offset, bytes);
  }

  /** The guest trims: what the range holds afterwards is the disk's affair, and read back. */
  async discard(device: string, offset: number, lengthBytes: number): Promise<void> {
    const { disk, guest } = this.#attached(device);
    await guest.discard(offset, lengthBytes);
    disk.image.write(offset, await guest.read(offset, lengthBytes));
  }

  /** What a guest sees. */
  async read(device: string, offset: number, lengthBytes: number): Promise<Buffer> {
    return await this.#attached(device).guest.read(offset, lengthBytes);
  }

  /** The images as they are now, as a snapshot of a storage; answers how to put them back, for a VM that is stopped. */
  async keepDisks(): Promise<() => Promise<void>> {
    for (const { guest } of this.life.attached.values()) await guest.flush();
    const kept = this.disks.map(({ path }) => ({ path, copy: `${path}.kept` }));
    for (const { path, copy } of kept) await run('cp', '--sparse=always', path, copy);
    return async () => {
      for (const { path, copy } of kept) await run('mv', copy, path);
    };
  }

  /** Puts a node between the throttle node and what was below it, or takes it out again. */
  async relink(device: string, below: string): Promise<void> {
    await this.qmp.execute('blockdev-reopen', {
      options: [{ driver: 'throttle', 'node-name': device, 'throttle-group': `throttle-${device}`, file: below }],
    });
  }

  #attached(device: string): Attached {
    const attached = this.life.attached.get(device);
    if (attached === undefined) throw new Error(`${device} is not attached`);
    return attached;
  }

  async #openImage(path: string, format: DiskFormat): Promise<string> {
    const node = this.fresh('format');
    await this.qmp.execute('blockdev-add', {
      ...{ driver: format, 'node-name': node, discard: 'unmap', 'detect-zeroes': 'unmap' },
      file: { driver: 'file', filename: path, discard: 'unmap', locking: 'off' },
    });
    return node;
  }

  async #attach(disk: GuestDisk): Promise<void> {
    const { device } = disk;
    const formatNode = await this.#openImage(disk.path, disk.format);
    await this.qmp.execute('object-add', { 'qom-type': 'throttle-group', id: `throttle-${device}` });
    await this.qmp.execute('blockdev-add', {
      ...{ driver: 'throttle', 'node-name': device, 'throttle-group': `throttle-${device}`, file: formatNode },
    });
    const guest = await this.#openGuest(device);
    this.life.attached.set(device, { disk, formatNode, guest });
  }

  async #giveToGuest(device: string): Promise<void> {
    const attached = this.#attached(device);
    attached.guest = await GuestDevice.open(this.qmp, device, join(this.directory, `${device}.guest`), engine.sparse);
  }

  async #openGuest(device: string): Promise<GuestDevice> {
    return await GuestDevice.open(this.qmp, device, join(this.directory, `${device}.guest`), engine.sparse);
  }

  async #detach(device: string): Promise<void> {
    const { formatNode, guest } = this.#attached(device);
    await guest.close();
    await this.qmp.execute('blockdev-del', { 'node-name': device });
    await this.qmp.execute('blockdev-del', { 'node-name': formatNode });
    await this.qmp.execute('object-del', { id: `throttle-${device}` });
    this.life.attached.delete(device);
  }
}
