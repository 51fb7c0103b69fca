/** Everybody at once: writers, restores, verifications, removals and two collectors, each a program of its own on one repository. */
import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { formatIsoTime } from '../../../src/lib/time.js';
import { makeImage, noise } from '../../support/images.js';
import { makeProgramsQuick } from '../../support/quick-programs.js';
import { SeededRandom } from '../../support/seeded-random.js';
import {
  assertAllGoes,
  assertNoGarbage,
  assertNoLeftovers,
  assertRestores,
  DEVICE,
  digestOf,
} from '../../support/shared-repository.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const diskBytes = 16 * MIB;
const writers = 3;
const rounds = 4;
const firstSeconds = 1_790_000_000;
const seed = Number(process.env['VZVAULT_SHARING_SEED'] ?? Math.floor(Math.random() * 1e9));

makeProgramsQuick();

/** A guest whose disk changes, and what of it is in the repository. */
class Guest {
  readonly #committed = new Map<string, string>();
  readonly #random: SeededRandom;
  readonly #disk: string;
  #seconds = firstSeconds;

  constructor(
    private readonly station: Station,
    private readonly vmid: number,
  ) {
    this.#random = new SeededRandom(seed + vmid);
    this.#disk = station.path(`${vmid}.raw`);
    makeImage(this.#disk, diskBytes, [{ offset: 0, lengthBytes: 6 * MIB }], seed % 1000);
  }

  /** Writes, backs up, and by turns restores or forgets what is older. */
  async run(): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      this.#write();
      await this.#backUp();
      const [oldest = ''] = this.#committed.keys();
      if (round === 1) await this.#assertRestores(oldest);
      if (this.#committed.size < 3) continue;
      this.#committed.delete(oldest);
      await this.station.must('forget', this.station.store, oldest);
    }
  }

  async assertWhole(): Promise<void> {
    for (const snapshot of this.#committed.keys()) await this.#assertRestores(snapshot);
  }

  get snapshots(): readonly string[] {
    return [...this.#committed.keys()];
  }

  async #backUp(): Promise<void> {
    this.#seconds += 1;
    const time = formatIsoTime(this.#seconds);
    const { store } = this.station;
    const guest = `qemu/${this.vmid}`;
    await this.station.must('backup', store, '--guest', guest, '--disk', `${DEVICE}=${this.#disk}`, '--time', time);
    this.#committed.set(`${guest}@${time}`, digestOf(this.#disk));
  }

  #assertRestores(snapshot: string): Promise<void> {
    return assertRestores(this.station, snapshot, this.#committed.get(snapshot) ?? '');
  }

  /** Data that other guests write as well, now or later, anywhere on the disk: what is garbage now may be needed next. */
  #write(): void {
    const fd = openSync(this.#disk, 'r+');
    try {
      for (let pieces = 0; pieces < 3; pieces += 1) {
        const at = this.#random.below(diskBytes / MIB) * MIB;
        writeSync(fd, noise(MIB, seed + this.#random.below(8)), 0, MIB, at);
      }
    } finally {
      closeSync(fd);
    }
  }
}

test(`writers, readers and collectors at once, seed ${seed}`, { timeout: 300_000 }, async (t) => {
  t.diagnostic(`VZVAULT_SHARING_SEED=${seed}`);
  const station = await Station.withRepository(t);
  const guests = Array.from({ length: writers }, (_, number) => new Guest(station, 100 + number));
  const writing = Promise.all(guests.map((guest) => guest.run()));
  let isWriting = true;
  const over = (): void => {
    isWriting = false;
  };
  writing.then(over, over);
  let generations = 0;
  const collect = async (): Promise<void> => {
    while (isWriting) {
      const ran = await station.must('gc', station.store);
      generations += ran.err.split(' is over: ').length - 1;
    }
  };
  const verify = async (): Promise<void> => {
    while (isWriting) await station.must('verify', station.store);
  };
  await Promise.all([writing, collect(), collect(), verify()]);
  t.diagnostic(`${generations} generations`);
  assert.ok(generations > 0);
  await station.must('gc', station.store);
  await station.must('gc', station.store);
  assertNoLeftovers(station);
  assert.deepEqual(station.files('tmp'), []);
  await assertNoGarbage(station);
  const listed = (await station.snapshots()).map(({ snapshot }) => snapshot);
  assert.deepEqual(listed.sort(), guests.flatMap(({ snapshots }) => snapshots).sort());
  await Promise.all(guests.map((guest) => guest.assertWhole()));
  await station.must('verify', station.store);
  await assertAllGoes(station);
});
