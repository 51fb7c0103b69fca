/** A guest that a seed drives: what it writes, trims and grows. Everything it does is told to `say`. */
import { canZeroDuringAccess } from './model-access.js';
import { noise } from './images.js';
import type { ModelVm } from './model-vm.js';
import type { SeededRandom } from './seeded-random.js';

const MIB = 1024 * 1024;
const sector = 512;
/** Of one disk. */
const largestDiskBytes = 72 * MIB;

interface Range {
  readonly device: string;
  readonly offset: number;
  readonly lengthBytes: number;
}

export class RandomGuest {
  #noise = 0;

  private constructor(
    private readonly random: SeededRandom,
    private readonly canZeroDuringAccess: boolean,
    private readonly say: (what: string) => void,
  ) {}

  static async with(random: SeededRandom, say: (what: string) => void): Promise<RandomGuest> {
    return new RandomGuest(random, await canZeroDuringAccess(), say);
  }

  device(vm: ModelVm): string {
    return this.random.pick(vm.disks).device;
  }

  /** A few writes of any alignment; most are small, some are of zeroes. */
  async write(vm: ModelVm, writes: number): Promise<void> {
    for (let write = 0; write < writes; write += 1) await this.#write(vm, 6 * MIB, this.random.chance(0.15));
  }

  /** One write while a backup runs. */
  async writeDuringAccess(vm: ModelVm): Promise<void> {
    await this.#write(vm, MIB, this.random.chance(0.15) && this.canZeroDuringAccess);
  }

  async discard(vm: ModelVm): Promise<void> {
    const { device, offset, lengthBytes } = this.#range(vm, 12 * MIB);
    const from = Math.floor(offset / sector) * sector;
    const length = Math.ceil(lengthBytes / sector) * sector;
    this.say(`trims ${device} ${from} +${length}`);
    await vm.discard(device, from, Math.min(length, vm.disk(device).sizeBytes - from));
  }

  async grow(vm: ModelVm): Promise<void> {
    const { device, sizeBytes } = this.random.pick(vm.disks);
    const grown = sizeBytes + sector * (1 + this.random.below((6 * MIB) / sector));
    if (grown > largestDiskBytes) return;
    this.say(`${device} grows to ${grown}`);
    await vm.growDisk(device, grown);
  }

  async #write(vm: ModelVm, largest: number, isZero: boolean): Promise<void> {
    const { device, offset, lengthBytes } = this.#range(vm, largest);
    this.#noise += 1;
    this.say(`writes ${device} ${offset} +${lengthBytes}${isZero ? ' of zeroes' : ''}`);
    await vm.write(device, offset, isZero ? Buffer.alloc(lengthBytes) : noise(lengthBytes, this.#noise));
  }

  #range(vm: ModelVm, largest: number): Range {
    const { device, sizeBytes } = this.random.pick(vm.disks);
    const lengthBytes = 1 + Math.floor(this.random.next() ** 4 * (Math.min(largest, sizeBytes) - 1));
    return { device, lengthBytes, offset: this.random.below(sizeBytes - lengthBytes + 1) };
  }
}
