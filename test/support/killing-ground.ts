/**
 * A repository on which programs work and are killed, and what must be true of it afterwards: what was committed is there and whole, the next
 * work succeeds, and nobody who is dead is taken for a session.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatSnapshotId, type SnapshotId } from '../../src/lib/guest.js';
import { formatIsoTime } from '../../src/lib/time.js';
import { formatVolumeName } from '../../src/lib/volume-name.js';
import { backUpGuest, diskAt, storageAt, TestDaemon } from './daemon.js';
import { makeImage, noise, restoreAll } from './images.js';
import { startQemuNbd } from './nbd-servers.js';
import { SeededRandom } from './seeded-random.js';
import { Cleanups } from './temp.js';
import { Station } from './vzvault.js';

export type Work = 'backup' | 'gc' | 'verify' | 'restore' | 'forget' | 'daemon backup' | 'daemon restore';
/** Whether it was killed, or over before that. */
export type End = 'killed' | 'over';

const MIB = 1024 * 1024;
const diskBytes = 32 * MIB;
const device = 'drive-scsi0';
/** More than these are forgotten, so that there is something to collect. */
const snapshotsMax = 6;
const snapshotsMin = 2;
const firstSeconds = 1_790_000_000;

interface Made {
  readonly id: SnapshotId;
  /** Of the disk at that time. */
  readonly digest: string;
}

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

export class KillingGround {
  /** Contents of the snapshots that must be there. */
  readonly #committed = new Map<string, Made>();
  /** Those that are forgotten or made by somebody who was killed: there or not. */
  readonly #possible = new Map<string, Made>();
  /** How long each work takes when nobody disturbs it. */
  readonly #durationMs = new Map<Work, number>();
  #seconds = firstSeconds;

  private constructor(
    private readonly station: Station,
    private readonly random: SeededRandom,
  ) {}

  static async make(test: TestContext, seed: number): Promise<KillingGround> {
    const station = await Station.withRepository(test);
    const ground = new KillingGround(station, new SeededRandom(seed));
    makeImage(ground.#disk, diskBytes, [{ offset: 0, lengthBytes: 16 * MIB }], seed % 1000);
    await startQemuNbd(station.cleanups, `${ground.#disk}.sock`, [{ name: device, path: ground.#disk, format: 'raw' }]);
    for (const work of ['backup', 'daemon backup', 'backup', 'backup'] as const) await ground.finish(work);
    return ground;
  }

  /** Begins the work and kills it. */
  async kill(work: Work): Promise<End> {
    if (work.startsWith('daemon')) return await this.#killDaemon(work);
    if (!this.#durationMs.has(work)) await this.finish(work);
    const { args, settle } = this.#commandOf(work);
    const program = this.station.start(...args);
    await Promise.race([sleep(this.#moment(work)), program.ended]);
    const end = await program.stop('SIGKILL');
    settle(end === 0);
    if (end === 'SIGKILL') return 'killed';
    assert.equal(end, 0, `vzvault ${args.join(' ')}: ${program.output()}`);
    return 'over';
  }

  /** The same work, which nobody disturbs, succeeds. */
  async finish(work: Work): Promise<void> {
    if (work.startsWith('daemon')) {
      await this.#withDaemon((daemon) => this.#timed(work, this.#prepareCall(work, daemon)));
      return;
    }
    const { args, settle } = this.#commandOf(work);
    await this.#timed(work, () => this.station.must(...args));
    settle(true);
  }

  /** Nothing that was promised is missing, nothing that is there is damaged, and no session is left over. */
  async assertWhole(): Promise<void> {
    const listed = await this.station.snapshots();
    for (const { snapshot, damage } of listed) {
      assert.equal(damage, null, snapshot);
      assert.ok(this.#committed.has(snapshot) || this.#possible.has(snapshot), `${snapshot} is one that was made`);
    }
    const names = new Set(listed.map(({ snapshot }) => snapshot));
    for (const snapshot of this.#committed.keys()) assert.ok(names.has(snapshot), `${snapshot} is still there`);
    for (const [snapshot, made] of this.#possible) if (names.has(snapshot)) this.#committed.set(snapshot, made);
    this.#possible.clear();
    await this.station.must('verify', this.station.store);
    // The dead are buried by the next collection, at once: they were processes of this machine.
    await this.station.must('gc', this.station.store, '--grace', '0');
    assert.deepEqual(this.station.files('sessions'), []);
    // What is not a session's is removed only once it is old (src/repository/collection/leftovers.ts).
    assert.deepEqual(
      this.station.files('tmp').filter((path) => /\/[0-9a-f]{32}-[0-9a-f]+$/.test(path)),
      [],
    );
    await this.#assertRestores(this.random.pick([...this.#committed.keys()]));
  }

  async assertAllRestore(): Promise<void> {
    for (const snapshot of this.#committed.keys()) await this.#assertRestores(snapshot);
  }

  async #timed(work: Work, run: () => Promise<unknown>): Promise<void> {
    const startMs = performance.now();
    await run();
    this.#durationMs.set(work, performance.now() - startMs);
  }

  get #disk(): string {
    return this.station.path('disk.raw');
  }

  get #copy(): string {
    return this.station.path('copy.raw');
  }

  /** Somewhere in the time that the work takes. */
  #moment(work: Work): number {
    return this.random.next() * (this.#durationMs.get(work) ?? 1000);
  }

  async #assertRestores(snapshot: string): Promise<void> {
    rmSync(this.#copy, { force: true });
    await this.station.must('restore', this.station.store, snapshot, '--disk', device, '--to', this.#copy);
    assert.equal(digestOf(this.#copy), this.#committed.get(snapshot)?.digest, `${snapshot} is what was backed up`);
  }

  #writeToDisk(): void {
    const fd = openSync(this.#disk, 'r+');
    const lengthBytes = (1 + this.random.below(8)) * MIB;
    const offset = this.random.below(diskBytes - lengthBytes);
    writeSync(fd, noise(lengthBytes, this.random.below(1e9)), 0, lengthBytes, offset);
    closeSync(fd);
  }

  /** What has to be run, and what is known afterwards. */
  #commandOf(work: Work): { args: readonly string[]; settle: (succeeded: boolean) => void } {
    const { store } = this.station;
    const nothing = (): void => undefined;
    switch (work) {
      case 'backup': {
        const made = this.#nextBackup();
        const time = formatIsoTime(made.id.timeSeconds);
        const args = ['backup', store, '--guest', 'qemu/100', '--disk', `${device}=${this.#disk}`, '--time', time];
        const settle = (succeeded: boolean): void => {
          (succeeded ? this.#committed : this.#possible).set(formatSnapshotId(made.id), made);
        };
        return { args, settle };
      }
      case 'forget': {
        const snapshots = [...this.#committed.keys()];
        if (snapshots.length <= snapshotsMin) return this.#commandOf('backup');
        const going = snapshots.slice(0, Math.max(1, snapshots.length - snapshotsMax));
        const settle = (succeeded: boolean): void => {
          for (const snapshot of going) {
            const made = this.#committed.get(snapshot);
            if (!succeeded && made !== undefined) this.#possible.set(snapshot, made);
            this.#committed.delete(snapshot);
          }
        };
        return { args: ['forget', store, ...going], settle };
      }
      case 'restore': {
        rmSync(this.#copy, { force: true });
        const snapshot = this.random.pick([...this.#committed.keys()]);
        return { args: ['restore', store, snapshot, '--disk', device, '--to', this.#copy], settle: nothing };
      }
      case 'gc':
        return { args: ['gc', store, '--grace', '0'], settle: nothing };
      default:
        return { args: ['verify', store], settle: nothing };
    }
  }

  async #withDaemon<T>(use: (daemon: TestDaemon) => Promise<T>): Promise<T> {
    const cleanups = new Cleanups();
    try {
      return await use(await TestDaemon.start(cleanups, { directory: this.station.directory }));
    } finally {
      await cleanups.undo();
    }
  }

  async #killDaemon(work: Work): Promise<End> {
    if (!this.#durationMs.has(work)) await this.finish(work);
    return await this.#withDaemon(async (daemon) => {
      let end: End = 'killed';
      const working = this.#prepareCall(work, daemon)().then(
        () => {
          end = 'over';
        },
        () => undefined,
      );
      await Promise.race([sleep(this.#moment(work)), working]);
      await daemon.stop('SIGKILL');
      await working;
      return end;
    });
  }

  /** Work through the daemon, as Proxmox VE does it. */
  #prepareCall(work: Work, daemon: TestDaemon): () => Promise<void> {
    const storage = storageAt(this.station.store);
    if (work === 'daemon restore') {
      const { id, digest } = this.random.pick([...this.#committed.values()]);
      return async () => {
        const client = await daemon.connect();
        await restoreAll(client, storage, formatVolumeName(id), this.station.path('restored'));
        assert.equal(digestOf(this.station.path(`restored/${device}.raw`)), digest);
      };
    }
    const made = this.#nextBackup();
    const snapshot = formatSnapshotId(made.id);
    this.#possible.set(snapshot, made);
    const disks = [diskAt(`${this.#disk}.sock`, diskBytes)];
    return async () => {
      const client = await daemon.connect();
      await backUpGuest(client, { storage, disks, startTimeSeconds: made.id.timeSeconds });
      this.#possible.delete(snapshot);
      this.#committed.set(snapshot, made);
    };
  }

  /** Of a disk that has changed. */
  #nextBackup(): Made {
    this.#writeToDisk();
    this.#seconds += 1;
    return { id: { guestType: 'qemu', vmid: 100, timeSeconds: this.#seconds }, digest: digestOf(this.#disk) };
  }
}
