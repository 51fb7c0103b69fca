/**
 * Every kind of file × everything that can happen to it: verify names it, and what is not damaged can be restored, from the guest next door and,
 * where the damage is not in its data, from the same.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  cpSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { makeImage } from '../../support/images.js';
import { sealDocument } from '../../support/sealed-document.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const HURT = 'qemu/100@2026-11-22T04:17:14Z';
const OTHER = 'qemu/101@2026-11-22T04:17:14Z';
const SID = 'ab'.repeat(16);

type Way = 'missing' | 'cut' | 'flipped' | 'duplicated' | 'foreign';
const WAYS: readonly Way[] = ['missing', 'cut', 'flipped', 'duplicated', 'foreign'];

interface Kind {
  readonly name: string;
  /** The file, relative to the repository. */
  readonly file: (repository: string) => string;
  /** A second name that it might be found under. */
  readonly twin: (file: string) => string;
  /** Where a bit is flipped. Negative: from the end. */
  readonly at: number;
  /** What verify has to say; null: it cannot tell, and nothing is wrong. */
  readonly says: Readonly<Record<Way, RegExp | null>>;
  /** Ways after which the snapshot of the file cannot be restored whole. */
  readonly unrestorable: readonly Way[];
}

const filesBelow = (repository: string, part: string): string[] =>
  readdirSync(join(repository, part), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(repository.length + 1))
    .sort();

/** Packs of the guest 100: those that were there before the other guest's. */
const packOf =
  (isData: boolean) =>
  (repository: string): string => {
    const names = JSON.parse(readFileSync(join(repository, '../packs-of-100.json'), 'utf8')) as string[];
    const sized = names.map((name) => ({ name, length: readFileSync(join(repository, name)).length }));
    sized.sort((a, b) => b.length - a.length);
    return (isData ? sized[0] : sized.at(-1))?.name ?? '';
  };

const otherHex = (file: string): string => {
  const name = createHash('sha256').update(file).digest('hex').slice(0, basename(file).length);
  return file.startsWith('packs/') ? `packs/${name.slice(0, 2)}/${name}` : join(dirname(file), name);
};
const PACK_DAMAGE = /E_PACK_DAMAGED|E_CHUNK_DAMAGED/;
const ofPack = { missing: /E_PACK_MISSING/, cut: PACK_DAMAGE, flipped: PACK_DAMAGE, duplicated: PACK_DAMAGE };
const SNAPSHOT = 'snapshots/qemu/100/20261122T041714Z';
const damaged = /E_SNAPSHOT_DAMAGED/;
const inTwinSnapshot = (file: string): string => file.replace('20261122T041714Z', '20261122T041715Z');

/** What another repository put in a pack's or a document's place, under the same name. */
const KINDS: readonly Kind[] = [
  ...[
    { name: 'pack, in its header', at: 3 },
    { name: 'pack, in its data', at: 100_000 },
    { name: 'pack, in its table', at: -120 },
    { name: 'pack, in its trailer', at: -5 },
  ].map(({ name, at }) => ({
    ...{ name, at, file: packOf(true), twin: otherHex, says: { ...ofPack, foreign: PACK_DAMAGE } },
    unrestorable:
      at === -120 || at === -5
        ? (['missing', 'cut', 'foreign'] as const)
        : (['missing', 'cut', 'flipped', 'foreign'] as const),
  })),
  {
    ...{ name: 'pack of map nodes', at: 60, file: packOf(false), twin: otherHex },
    ...{ says: { ...ofPack, foreign: PACK_DAMAGE }, unrestorable: ['missing', 'cut', 'flipped', 'foreign'] },
  },
  {
    ...{ name: 'segment', at: 80, file: (repository) => filesBelow(repository, 'index')[0] ?? '', twin: otherHex },
    says: {
      // Of a segment that is gone the chunks are missing; both guests' may be in it, so that the index is repaired before the restores.
      ...{ missing: /E_CHUNK_MISSING/, cut: /E_SEGMENT_DAMAGED/, flipped: /E_SEGMENT_DAMAGED/ },
      ...{ duplicated: /E_SEGMENT_DAMAGED/, foreign: /E_SEGMENT_DAMAGED/ },
    },
    unrestorable: [],
  },
  {
    ...{ name: 'snapshot', at: 70, file: () => `${SNAPSHOT}/snapshot`, twin: inTwinSnapshot },
    says: { missing: /but no snapshot/, cut: damaged, flipped: damaged, duplicated: damaged, foreign: damaged },
    unrestorable: ['missing', 'cut', 'flipped', 'foreign'],
  },
  ...['notes', 'log'].map((name) => ({
    ...{ name, at: 60, file: () => `${SNAPSHOT}/${name}`, twin: inTwinSnapshot },
    // Neither has to be there, and without encryption nothing tells whose they are.
    says: { missing: null, cut: damaged, flipped: damaged, duplicated: /but no snapshot/, foreign: null },
    unrestorable: [],
  })),
  {
    // It is written anew by the verification that finds it; until then the snapshot counts as damaged.
    ...{ name: 'verify-state', at: 60, file: () => `${SNAPSHOT}/verify-state`, twin: inTwinSnapshot },
    says: { missing: null, cut: null, flipped: null, duplicated: /but no snapshot/, foreign: null },
    unrestorable: [],
  },
  {
    ...{ name: 'session', at: 60, file: () => `sessions/${SID}`, twin: otherHex },
    says: { missing: null, cut: damaged, flipped: damaged, duplicated: damaged, foreign: null },
    unrestorable: [],
  },
  {
    ...{ name: 'collected generation', at: 60, file: () => 'condemned/000000000001.done' },
    twin: () => 'condemned/000000000002.done',
    says: { missing: null, cut: damaged, flipped: damaged, duplicated: damaged, foreign: null },
    unrestorable: [],
  },
  {
    ...{ name: 'times of checks', at: 5, file: (repository) => filesBelow(repository, 'verified')[0] ?? '' },
    // They are only hints: what cannot be read counts as never checked.
    twin: () => 'verified/zz',
    says: { missing: null, cut: null, flipped: null, duplicated: null, foreign: null },
    unrestorable: [],
  },
];

async function makeRepository(station: Station, seed: number): Promise<string> {
  const repository = join(station.store, 'vzvault');
  for (const [vmid, disk] of [
    [100, 'hurt'],
    [101, 'other'],
  ] as const) {
    makeImage(station.path(disk), 8 * MIB, [{ offset: MIB, lengthBytes: 3 * MIB }], seed + vmid);
    const source = `drive-scsi0=${station.path(disk)}`;
    const named = ['--time', '2026-11-22T04:17:14Z', '--notes', `notes of ${vmid}`];
    await station.must('backup', station.store, '--guest', `qemu/${vmid}`, '--disk', source, ...named);
    if (vmid === 100)
      writeFileSync(join(repository, '../packs-of-100.json'), JSON.stringify(filesBelow(repository, 'packs')));
  }
  writeFileSync(join(repository, SNAPSHOT, 'log'), sealDocument('log', Buffer.from('INFO: a log\n')));
  const owner = { hostname: 'away', bootId: 'b', pidNamespace: 'n', pid: 1, startTicks: 1 };
  const session = { sid: SID, kind: 'reader', counter: 1, owner, snapshot: null, roots: [], seen: 0 };
  writeFileSync(join(repository, 'sessions', SID), sealDocument('session', Buffer.from(JSON.stringify(session))));
  const done = {
    generation: 1,
    sid: SID,
    hostname: 'away',
    finishedAt: '2026-11-22T04:17:14Z',
    packs: 0,
    freedBytes: 0,
  };
  mkdirSync(join(repository, 'condemned'), { recursive: true });
  writeFileSync(
    join(repository, 'condemned/000000000001.done'),
    sealDocument('collected', Buffer.from(JSON.stringify(done))),
  );
  await station.must('verify', station.store);
  return repository;
}

function damage(way: Way, kind: Kind, repository: string, foreign: string): void {
  const path = join(repository, kind.file(repository));
  if (way === 'missing') rmSync(path);
  if (way === 'cut') truncateSync(path, Math.floor(readFileSync(path).length / 2));
  if (way === 'flipped') {
    const bytes = readFileSync(path);
    const at = kind.at < 0 ? bytes.length + kind.at : kind.at;
    bytes[at] = (bytes[at] ?? 0) ^ 0x04;
    writeFileSync(path, bytes);
  }
  if (way === 'duplicated') {
    const twin = join(repository, kind.twin(kind.file(repository)));
    mkdirSync(dirname(twin), { recursive: true });
    copyFileSync(path, twin);
  }
  if (way === 'foreign') copyFileSync(join(foreign, kind.file(foreign)), path);
}

async function restores(station: Station, snapshot: string, disk: string): Promise<boolean> {
  const copy = station.path('copy');
  rmSync(copy, { force: true });
  const { code } = await station.run('restore', station.store, snapshot, '--disk', 'drive-scsi0', '--to', copy);
  if (code === 0) assert.ok(readFileSync(copy).equals(readFileSync(station.path(disk))), `${snapshot} came back wrong`);
  else assert.equal(existsSync(copy), false);
  return code === 0;
}

async function twoRepositories(t: TestContext): Promise<{ station: Station; pristine: string; foreign: string }> {
  const station = await Station.withRepository(t);
  await makeRepository(station, 1);
  const foreign = await makeRepository(await Station.withRepository(t), 1000);
  const pristine = station.path('pristine');
  cpSync(station.store, pristine, { recursive: true });
  return { station, pristine, foreign };
}

async function check(station: Station, kind: Kind, way: Way, foreign: string): Promise<void> {
  const repository = join(station.store, 'vzvault');
  const what = `${kind.name}, ${way}`;
  damage(way, kind, repository, foreign);
  const { code, out, err } = await station.run('verify', station.store, '--grace', '0');
  const says = kind.says[way];
  if (says === null) assert.equal(code, 0, `${what}: ${out}${err}`);
  else assert.match(out + err, says, what);
  if (kind.name === 'segment') await station.must('repair', 'index', station.store, '--grace', '0');
  assert.ok(await restores(station, OTHER, 'other'), `${what}: the other guest`);
  assert.equal(await restores(station, HURT, 'hurt'), !kind.unrestorable.includes(way), what);
}

async function checkConfig(station: Station, foreign: string): Promise<void> {
  const config = join(station.store, 'vzvault/config');
  const kept = station.path('config');
  copyFileSync(config, kept);
  const verify = async (): Promise<string> => (await station.run('verify', station.store)).err;
  rmSync(config);
  assert.match(await verify(), /E_REPOSITORY_MISSING/);
  writeFileSync(config, readFileSync(kept).subarray(0, 100));
  assert.match(await verify(), /E_CONFIG_INVALID/);
  const flipped = readFileSync(kept);
  flipped[60] = (flipped[60] ?? 0) ^ 4;
  writeFileSync(config, flipped);
  assert.match(await verify(), /E_CONFIG_INVALID/);
  copyFileSync(join(foreign, 'config'), config);
  const asForeign = await station.run('verify', station.store);
  assert.equal(asForeign.code, 3);
  assert.match(asForeign.out, /E_SNAPSHOT_DAMAGED .*qemu\/100/);
  copyFileSync(kept, config);
  assert.ok(await restores(station, HURT, 'hurt'));
  assert.ok(await restores(station, OTHER, 'other'));
}

describe('the damage matrix', () => {
  it('every damage is named, and what is not damaged can be restored', async (t) => {
    const { station, pristine, foreign } = await twoRepositories(t);
    const renew = (): void => {
      rmSync(station.store, { recursive: true });
      rmSync(station.path('cache'), { recursive: true, force: true });
      cpSync(pristine, station.store, { recursive: true });
    };
    for (const kind of KINDS) {
      await t.test(`${kind.name}: missing, cut, flipped, duplicated, from another repository`, async () => {
        for (const way of WAYS) {
          renew();
          await check(station, kind, way, foreign);
        }
      });
    }
    await t.test('config: whatever happens to it is named, and with it back all is there', async () => {
      renew();
      await checkConfig(station, foreign);
    });
  });
});
