/** A storage that cannot create names atomically: it can be backed up to and read, and is not collected. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeImage } from '../../support/images.js';
import { projectRoot } from '../../support/project.js';
import { makeProgramsQuick } from '../../support/quick-programs.js';
import {
  assertNoLeftovers,
  assertRestores,
  condemnedNames,
  DEVICE,
  digestOf,
  packsOf,
} from '../../support/shared-repository.js';
import { Station, vzvaultProgram, type Ran } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const withoutLinks = join(projectRoot, 'test/support/without-links.pl');

makeProgramsQuick();

/** As `station.run`, in a process that the kernel refuses hard links and renameat2(2). */
function runWithout(station: Station, ...args: string[]): Promise<Ran> {
  const env = { ...process.env, ...station.environment };
  return new Promise((settle) => {
    const child = execFile('perl', [withoutLinks, vzvaultProgram, ...args], { env }, (_error, out, err) => {
      settle({ code: child.exitCode ?? -1, out, err });
    });
  });
}

test('without atomic names backups work, and nothing is collected', async (t) => {
  const station = Station.empty(t);
  const made = await runWithout(station, 'init', station.store);
  assert.equal(made.code, 0, made.err);
  const disk = station.path('disk.raw');
  const backUp = async (vmid: number, seed: number): Promise<void> => {
    makeImage(disk, 8 * MIB, [{ offset: 0, lengthBytes: 4 * MIB }], seed);
    const source = `${DEVICE}=${disk}`;
    const { code, err } = await runWithout(
      ...([station, 'backup', station.store, '--guest', `qemu/${vmid}`, '--disk', source] as const),
    );
    assert.equal(code, 0, err);
  };
  await backUp(101, 1);
  await backUp(100, 2);
  const forgotten = await runWithout(station, 'forget', station.store, 'qemu/101@latest');
  assert.equal(forgotten.code, 0, forgotten.err);
  const before = packsOf(station);
  const refused = await runWithout(station, 'gc', station.store);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /^vzvault: collecting [^\n]+ cannot create names atomically \(E_UNSUPPORTED: [^\n]+\)\n$/);
  const dry = await runWithout(station, 'gc', station.store, '--dry-run');
  assert.equal(dry.code, 0, dry.err);
  assert.match(dry.out, /^[1-9][0-9]* of them are not needed: /m);
  const verified = await runWithout(station, 'verify', station.store);
  assert.equal(verified.code, 0, verified.err);
  assert.deepEqual(packsOf(station), before);
  assert.deepEqual(condemnedNames(station), []);
  assertNoLeftovers(station);
  // Where names can be created atomically it is collected: what was written without is the same.
  await station.must('gc', station.store);
  assert.ok(packsOf(station).length < before.length);
  await assertRestores(station, 'qemu/100@latest', digestOf(disk));
});
