/**
 * A life of a VM, drawn from a seed: writes, backups of every kind, faults, kills, and all that happens to disks, storages and
 * repositories. Every snapshot that comes to be is compared with the VM as it was, and again at later times.
 *
 * The steps and what is in them depend on the seed alone; where a kill hits depends on the machine too. A failure says seed, step and what
 * happened last.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bitmapNameOf } from './model-access.js';
import { KeptBitmap } from './model-bitmaps.js';
import { momentOf, type Moment } from './model-history.js';
import { RandomGuest } from './model-random-guest.js';
import { howRead } from './model-lines.js';
import { run } from './model-run.js';
import { mechanisms, type Fault, type RunningVzdump } from './model-vzdump.js';
import type { Backup, BackupOptions, ModelStorage, World } from './model-world.js';
import type { SeededRandom } from './seeded-random.js';

/** In one repository; above it the oldest go first. */
const mostSnapshots = 24;
const tailLines = 60;

const faults: readonly Fault[] = ['fail-after-commit', 'fail-after-success', 'fail-after-cleanup', 'regions-cut'];

export interface LifeCounts {
  readonly steps: number;
  readonly backups: number;
  readonly incremental: number;
  readonly compared: number;
}

interface Step {
  readonly weight: number;
  readonly take: () => Promise<void>;
}

export class RandomLife {
  readonly #tail: string[] = [];
  readonly #repositories: readonly string[];
  /** Storage ids and where they lead at the moment. */
  readonly #storages: ModelStorage[];
  #copy: { readonly of: string; readonly path: string } | null = null;
  #step = 0;
  #backups = 0;
  #incremental = 0;
  #compared = 0;

  private constructor(
    private readonly world: World,
    private readonly random: SeededRandom,
  ) {
    this.#repositories = [world.storage.path, join(world.directory, 'second')];
    this.#storages = ['store', 'other'].map((id) => ({ id, path: world.storage.path }));
  }

  /** Rejects at the first thing that is not as it has to be. */
  static async live(world: World, random: SeededRandom, steps: number): Promise<LifeCounts> {
    const life = new RandomLife(world, random);
    return await life.#live(steps);
  }

  async #live(steps: number): Promise<LifeCounts> {
    await this.world.addStorage({ id: 'other', path: this.#repositories[1]! });
    const guest = await RandomGuest.with(this.random, (what) => {
      this.#say(what);
    });
    const table = this.#steps(guest);
    const weights = Object.fromEntries(Object.entries(table).map(([name, { weight }]) => [name, weight]));
    for (this.#step = 1; this.#step <= steps; this.#step += 1) {
      const step = this.random.weighted(weights);
      this.#say(`== ${step}`);
      await this.#orSay(step, table[step]!.take);
    }
    await this.#orSay('the end', async () => {
      for (const path of this.#repositories) await this.world.verify({ id: 'store', path });
    });
    return { steps, backups: this.#backups, incremental: this.#incremental, compared: this.#compared };
  }

  /** A failure says what led to it. */
  async #orSay(step: string, take: () => Promise<void>): Promise<void> {
    try {
      await take();
    } catch (error) {
      const tail = this.#tail.slice(-tailLines).join('\n');
      throw new Error(`${String(error)}\nseed ${this.random.seed}, step ${this.#step} (${step})\n${tail}`, {
        cause: error,
      });
    }
  }

  #steps(guest: RandomGuest): Record<string, Step> {
    const { world } = this;
    const at = (act: (running: RunningVzdump) => unknown): BackupOptions => ({
      during: (running) => this.#after(running, act),
    });
    return {
      write: { weight: 26, take: () => guest.write(world.vm, 1 + this.random.below(5)) },
      discard: { weight: 4, take: () => guest.discard(world.vm) },
      backup: { weight: 34, take: () => this.#backUp(guest) },
      fault: { weight: 6, take: () => this.#fail(guest, { fault: this.random.pick(faults) }) },
      terminate: {
        weight: 3,
        take: () =>
          this.#fail(
            guest,
            at((running) => running.kill('SIGTERM')),
          ),
      },
      killDriver: {
        weight: 1,
        take: () =>
          this.#fail(
            guest,
            at((running) => running.kill('SIGKILL')),
          ),
      },
      killDaemon: {
        weight: 3,
        take: async () => {
          await this.#fail(
            guest,
            at(() => world.killDaemon()),
          );
          await world.restartDaemon();
        },
      },
      restartDaemon: { weight: 1, take: () => world.restartDaemon() },
      powerCycle: { weight: 3, take: () => world.vm.powerCycle() },
      grow: { weight: 1.5, take: () => guest.grow(world.vm) },
      forgetAny: { weight: 5, take: () => this.#forget((volumes) => this.random.pick(volumes)) },
      forgetNewest: { weight: 2, take: () => this.#forget((volumes) => volumes.at(-1)!) },
      switchStorage: { weight: 2, take: async () => this.#switchStorage() },
      reattach: { weight: 1.5, take: () => this.#reattach(guest) },
      move: { weight: 1, take: () => world.vm.moveDisk(guest.device(world.vm)) },
      rollBack: { weight: 2, take: () => this.#rollBack(guest) },
      repositoryCopy: { weight: 1.5, take: () => this.#copyRepository() },
      look: { weight: 5, take: () => this.#look() },
    };
  }

  #say(what: string): void {
    this.#tail.push(`${this.#step}: ${what}`);
    if (this.#tail.length > 10 * tailLines) this.#tail.splice(0, 9 * tailLines);
  }

  /** What every backup of this life has in common. */
  #options(guest: RandomGuest): BackupOptions {
    const storage = this.random.pick(this.#storages);
    const mechanism = this.random.pick(mechanisms);
    const writes = this.random.chance(0.4) ? 1 + this.random.below(6) : 0;
    this.#say(`${mechanism} through ${storage.id} into ${storage.path}, ${writes} writes`);
    return {
      ...{ storage, mechanism },
      atOnce: async () => {
        for (let write = 0; write < writes; write += 2) await guest.writeDuringAccess(this.world.vm);
      },
      during: async (running) => {
        for (let write = 1; write < writes; write += 2) {
          if (await this.#isReading(running)) await guest.writeDuringAccess(this.world.vm);
        }
      },
    };
  }

  /** Whether the point in time is past, and the access open. */
  async #isReading(running: RunningVzdump): Promise<boolean> {
    let isOver = false;
    void running.ended.then(() => (isOver = true)).catch(() => (isOver = true));
    while (!isOver && !running.isServing) await sleep(2);
    return !isOver;
  }

  async #backUp(guest: RandomGuest): Promise<void> {
    const options = this.#options(guest);
    this.#count(await this.world.backup(options));
    await this.#thin(options.storage!.path);
  }

  /** A backup that something happens to. What is listed after it has to be whole all the same. */
  async #fail(guest: RandomGuest, mishap: BackupOptions): Promise<void> {
    const options = { ...this.#options(guest), ...mishap };
    const backup = await this.world.tryBackup(options);
    this.#say(`${backup.error?.trimEnd() ?? 'no error'}, ${backup.isListed ? 'listed' : 'not listed'}`);
    if (mishap.fault === 'regions-cut')
      assert.ok(!this.#wasCut(backup) || !backup.isListed, 'never less than is dirty');
    if (!backup.isListed) return;
    await this.world.compare(backup, options.storage);
    this.#count(backup);
  }

  /** Whether more was dirty than the first region that the cut list has. */
  #wasCut({ devices, log }: Backup): boolean {
    return log.some((line) => line.includes('E_SOURCE_BITMAP')) && devices.some(({ action }) => action === 'used');
  }

  #count(backup: Backup): void {
    this.#backups += 1;
    this.#compared += 1;
    const read = Object.values(howRead(backup));
    if (read.includes('incremental')) this.#incremental += 1;
    this.#say(`${backup.volume}: ${read.join('; ')}`);
  }

  /** At some moment of a backup. */
  async #after(running: RunningVzdump, act: (running: RunningVzdump) => unknown): Promise<void> {
    await Promise.race([sleep(this.random.below(350)), running.ended]);
    await act(running);
  }

  async #thin(path: string): Promise<void> {
    const volumes = [...this.world.history.of(path).keys()];
    for (const volume of volumes.slice(0, Math.max(0, volumes.length - mostSnapshots))) {
      await this.world.forget(volume, { id: 'store', path });
    }
  }

  async #forget(choose: (volumes: readonly string[]) => string): Promise<void> {
    const path = this.random.pick(this.#repositories);
    const volumes = [...this.world.history.of(path).keys()].sort();
    if (volumes.length === 0) return;
    const volume = choose(volumes);
    this.#say(`${volume} of ${path}`);
    await this.world.forget(volume, { id: 'store', path });
  }

  #switchStorage(): void {
    const index = this.random.below(this.#storages.length);
    const path = this.random.pick(this.#repositories);
    this.#say(`${this.#storages[index]!.id} leads to ${path}`);
    this.#storages[index] = { ...this.#storages[index]!, path };
  }

  async #reattach(guest: RandomGuest): Promise<void> {
    const { vm } = this.world;
    const disk = await vm.detachDisk(guest.device(vm));
    if (vm.disks.length > 0 && this.random.chance(0.5)) await this.#backUp(guest);
    await vm.attachDisk(disk);
  }

  /** Disks and memory go back to what they were some writes and a backup ago; with the memory, the bitmaps. */
  async #rollBack(guest: RandomGuest): Promise<void> {
    const { vm } = this.world;
    const before: Moment = momentOf(vm);
    const putBack = await vm.keepDisks();
    const bitmaps: KeptBitmap[] = [];
    for (const { id } of this.#storages) {
      for (const { device } of vm.disks) {
        const kept = await KeptBitmap.of(vm, device, bitmapNameOf(id));
        if (kept !== null) bitmaps.push(kept);
      }
    }
    await guest.write(vm, this.random.below(4));
    if (this.random.chance(0.7)) await this.#backUp(guest);
    await vm.stop();
    await putBack();
    for (const [device, image] of before) vm.disk(device).image.rollBack(image);
    await vm.start();
    for (const bitmap of bitmaps) await bitmap.bringBack(vm);
  }

  /** Takes a copy of a repository, or puts the one that was taken in its place. */
  async #copyRepository(): Promise<void> {
    const { direct, history } = this.world;
    if (this.#copy === null) {
      const of = this.random.pick(this.#repositories);
      this.#copy = { of, path: join(this.world.directory, 'copy') };
      await run('cp', '-a', of, this.#copy.path);
      history.copy(of, this.#copy.path);
      return;
    }
    const { of, path } = this.#copy;
    this.#say(`the older copy of ${of} takes its place`);
    await direct.close();
    rmSync(of, { recursive: true });
    await run('mv', path, of);
    history.copy(path, of);
    this.#copy = null;
  }

  /** At one that was compared when it was made. */
  async #look(): Promise<void> {
    const path = this.random.pick(this.#repositories);
    const volumes = [...this.world.history.of(path).keys()];
    if (volumes.length === 0) return;
    const volume = this.random.pick(volumes);
    this.#say(`${volume} of ${path}`);
    await this.world.history.compare(this.world.direct, path, volume);
    this.#compared += 1;
  }
}
