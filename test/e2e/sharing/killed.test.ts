/** Those who end without a word, or fall asleep, on a repository that others collect. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { formatIsoTime } from '../../../src/lib/time.js';
import { makeImage } from '../../support/images.js';
import { freeze, startProgram, type Program } from '../../support/processes.js';
import { makeProgramsQuick, quickEnvironment } from '../../support/quick-programs.js';
import {
  assertNoLeftovers,
  assertRestores,
  condemnedNames,
  DEVICE,
  digestOf,
  packsOf,
  eventually,
} from '../../support/shared-repository.js';
import { Station, vzvaultProgram } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const diskBytes = 16 * MIB;
const DOOMED = 'qemu/101@2026-01-02T00:00:00Z';
const firstSeconds = 1_790_000_000;

makeProgramsQuick();

interface Stage {
  readonly station: Station;
  /** Of the snapshot that stays. */
  readonly digest: string;
}

async function backUp(station: Station, vmid: number, time: string, seed: number): Promise<string> {
  const disk = station.path(`${vmid}.raw`);
  makeImage(disk, diskBytes, [{ offset: 0, lengthBytes: 8 * MIB }], seed);
  await station.must(
    ...['backup', station.store, '--guest', `qemu/${vmid}`, '--disk', `${DEVICE}=${disk}`],
    ...['--time', time],
  );
  return digestOf(disk);
}

/** One snapshot that stays, and where it is wanted one that is forgotten. */
async function setUp(t: TestContext, { withGarbage = false } = {}): Promise<Stage> {
  const station = await Station.withRepository(t);
  const digest = await backUp(station, 100, '2026-01-01T00:00:00Z', 1);
  if (withGarbage) {
    await backUp(station, 101, '2026-01-01T00:00:00Z', 2);
    await station.must('forget', station.store, 'qemu/101@2026-01-01T00:00:00Z');
  }
  return { station, digest };
}

/** A backup of the disk of guest 101 that takes some seconds. */
function startWriter(station: Station): Program {
  return station.start(
    ...['backup', station.store, '--guest', 'qemu/101', '--disk', `${DEVICE}=${station.path('101.raw')}`],
    ...['--time', '2026-01-02T00:00:00Z', '--limit', '3M', '--json'],
  );
}

async function assertWhole({ station, digest }: Stage): Promise<void> {
  await assertRestores(station, 'qemu/100@latest', digest);
  await station.must('verify', station.store);
}

describe('a writer that is killed', () => {
  it('leaves nothing that the next collection does not remove at once', async (t) => {
    const stage = await setUp(t);
    const { station } = stage;
    const before = packsOf(station);
    makeImage(station.path('101.raw'), diskBytes, [{ offset: 0, lengthBytes: 16 * MIB }], 3);
    const writer = startWriter(station);
    await eventually('it writes', () => station.files('tmp').some((path) => /\/[0-9a-f]{32}-/.test(path)));
    assert.equal(await writer.stop('SIGKILL'), 'SIGKILL');
    assert.equal(station.files('sessions').length, 1);
    const { err } = await station.must('gc', station.store, '--fence-after', '7200');
    assert.match(err, /ended the session [0-9a-f]{32} of a writer \([^\n]+\): its process has ended/);
    assertNoLeftovers(station);
    assert.deepEqual(packsOf(station), before);
    assert.deepEqual(
      (await station.snapshots()).map(({ snapshot }) => snapshot),
      ['qemu/100@2026-01-01T00:00:00Z'],
    );
    await assertWhole(stage);
  });

  it('loses what it had stored, where no snapshot needs it', async (t) => {
    const stage = await setUp(t);
    const { station } = stage;
    const before = packsOf(station);
    const disk = station.path('101.raw');
    makeImage(disk, diskBytes, [{ offset: 0, lengthBytes: 8 * MIB }], 4);
    const args = ['backup', station.store, '--guest', 'qemu/101', '--disk', `${DEVICE}=${disk}`];
    const env = { ...station.environment, VZVAULT_CRASH_AT: 'chunks-durable' };
    assert.equal(await startProgram(station.cleanups, vzvaultProgram, args, { env }).ended, 'SIGKILL');
    assert.ok(packsOf(station).length > before.length);
    await station.must('gc', station.store, '--fence-after', '7200');
    assert.deepEqual(packsOf(station), before);
    assertNoLeftovers(station);
    await assertWhole(stage);
  });
});

describe('a writer that falls asleep', () => {
  it('is fenced, cannot commit when it wakes up, and takes nothing with it', async (t) => {
    const stage = await setUp(t, { withGarbage: true });
    const { station } = stage;
    // It refers to what nobody else needs any more.
    const before = packsOf(station);
    const writer = startWriter(station);
    await eventually('it reads', () => station.files('sessions').length === 1);
    await freeze(writer.pid);
    const { err } = await station.must('gc', station.store, '--fence-after', '1');
    assert.match(err, /ended the session [0-9a-f]{32} of a writer \([^\n]+\): it was silent for/);
    assert.deepEqual(station.files('sessions'), []);
    assert.ok(packsOf(station).length < before.length);
    process.kill(writer.pid, 'SIGCONT');
    assert.equal(await writer.ended, 1);
    assert.match(writer.output(), /^vzvault: [^\n]+\(E_SESSION_FENCED: [^\n]+\)$/m);
    assert.deepEqual(
      (await station.snapshots()).map(({ snapshot }) => snapshot),
      ['qemu/100@2026-01-01T00:00:00Z'],
    );
    // The name stays taken for ever.
    const again = startWriter(station);
    assert.equal(await again.ended, 1);
    assert.match(again.output(), /E_NAME_TAKEN|E_SESSION_FENCED/);
    await station.must('gc', station.store);
    assertNoLeftovers(station);
    const digest = await backUp(station, 101, '2026-01-03T00:00:00Z', 2);
    await assertRestores(station, 'qemu/101@latest', digest);
    await assertWhole(stage);
  });

  it('is waited for until then, and keeps what it refers to', async (t) => {
    const stage = await setUp(t, { withGarbage: true });
    const { station } = stage;
    const digest = digestOf(station.path('101.raw'));
    const writer = startWriter(station);
    await eventually('it reads', () => station.files('sessions').length === 1);
    await freeze(writer.pid);
    const collector = station.start('gc', station.store);
    await eventually('it waits', () => /generation 1 waits for the writer on /.test(collector.output()));
    process.kill(writer.pid, 'SIGCONT');
    assert.equal(await collector.ended, 0, collector.output());
    assert.equal(await writer.ended, 0, writer.output());
    await assertRestores(station, DOOMED, digest);
    await assertWhole(stage);
  });
});

describe('a collector that is killed', () => {
  /** Whether it has come so far, in a generation of that name. */
  const moments: Readonly<Record<string, (station: Station, name: string, before: readonly string[]) => boolean>> = {
    'it has condemned packs': (station, name) => condemnedNames(station).includes(name),
    'there is its verdict': (station, name) => condemnedNames(station).includes(`${name}.verdict`),
    'it has deleted packs': (station, _name, before) => packsOf(station).length < before.length,
  };

  it('is gone on with by another, wherever it was', async (t) => {
    const stage = await setUp(t);
    const { station } = stage;
    const env = { ...station.environment, ...quickEnvironment(400) };
    let generation = 0;
    const collectAndKill = async (moment: string): Promise<boolean> => {
      generation += 1;
      const time = formatIsoTime(firstSeconds + generation);
      await backUp(station, 101, time, 2);
      await station.must('forget', station.store, `qemu/101@${time}`);
      const before = packsOf(station);
      const collector = startProgram(station.cleanups, vzvaultProgram, ['gc', station.store], { env });
      const name = String(generation).padStart(12, '0');
      await eventually(moment, () => moments[moment]?.(station, name, before) === true);
      return (await collector.stop('SIGKILL')) === 'SIGKILL';
    };
    for (const moment of Object.keys(moments)) {
      // On a busy machine it may be through before it is killed.
      let attempts = 1;
      while (!(await collectAndKill(moment))) assert.ok((attempts += 1) <= 5, moment);
      const { err } = await station.must('gc', station.store);
      assert.match(err, new RegExp(`generation ${generation} was left unfinished; resuming it`));
      assert.match(err, new RegExp(`generation ${generation} is over`));
      assertNoLeftovers(station);
    }
    await assertWhole(stage);
  });
});

describe('a collector that falls asleep', () => {
  it('does no harm when it wakes up behind the end of its generation', async (t) => {
    const stage = await setUp(t, { withGarbage: true });
    const { station } = stage;
    const before = packsOf(station);
    const env = { ...station.environment, ...quickEnvironment(800) };
    const sleeper = startProgram(station.cleanups, vzvaultProgram, ['gc', station.store], { env });
    await eventually('there is its verdict', () => condemnedNames(station).includes('000000000001.verdict'));
    await freeze(sleeper.pid);
    const { err } = await station.must('gc', station.store, '--fence-after', '1');
    assert.match(err, /generation 1 is over/);
    assert.ok(packsOf(station).length < before.length);
    // The same data as what was deleted.
    const digest = await backUp(station, 101, '2026-01-03T00:00:00Z', 2);
    const after = packsOf(station);
    process.kill(sleeper.pid, 'SIGCONT');
    assert.equal(await sleeper.ended, 0, sleeper.output());
    assert.deepEqual(packsOf(station), after);
    assert.deepEqual(condemnedNames(station), ['000000000001.done']);
    await assertRestores(station, 'qemu/101@latest', digest);
    await station.must('gc', station.store, '--fence-after', '1');
    assertNoLeftovers(station);
    await assertWhole(stage);
  });
});
