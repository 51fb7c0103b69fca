import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { makeImage } from '../../support/images.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;

interface Report {
  readonly packs: number;
  readonly damages: readonly { code: string; message: string }[];
  readonly snapshots: readonly { snapshot: string; damages: readonly { code: string }[] }[];
  readonly quarantined: readonly string[];
  readonly salvagedChunks: number;
  readonly lostChunks: number;
  readonly remaining: { packs: number; snapshots: number };
}

interface Listed {
  readonly snapshot: string;
  readonly verifyState: string;
}

async function withSnapshot(t: TestContext, ...initOptions: string[]): Promise<Station> {
  const station = await Station.withRepository(t, ...initOptions);
  makeImage(station.path('disk'), 16 * MIB, [{ offset: 2 * MIB, lengthBytes: 5 * MIB }]);
  assert.equal((await station.backup(station.path('disk'))).code, 0);
  return station;
}

/** Verifies, without waiting for directories that other machines may see late: there are none. */
async function verify(station: Station, ...more: string[]): Promise<Report & { code: number; err: string }> {
  const { code, out, err } = await station.run('verify', station.store, '--json', '--grace', '0', ...more);
  assert.ok(code === 0 || code === 3, err);
  return { ...(JSON.parse(out) as Report), code, err };
}

const states = async (station: Station): Promise<string[]> =>
  (await station.json<Listed[]>('list', station.store)).map(({ verifyState }) => verifyState);

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x40;
  writeFileSync(path, bytes);
}

/** Of data, which is the largest, or of map nodes. */
function packOf(station: Station, kind: 'data' | 'maps'): string {
  const packs = station.files('packs').map((path) => ({ path, length: readFileSync(path).length }));
  packs.sort((a, b) => b.length - a.length);
  return (kind === 'data' ? packs[0] : packs.at(-1))?.path ?? '';
}

function quarantined(station: Station): string[] {
  const directory = join(station.store, 'vzvault/quarantine');
  return existsSync(directory) ? readdirSync(directory) : [];
}

async function restoresAs(station: Station, snapshot: string): Promise<void> {
  const copy = station.path('copy');
  rmSync(copy, { force: true });
  await station.must('restore', station.store, snapshot, '--disk', 'drive-scsi0', '--to', copy);
  assert.ok(readFileSync(copy).equals(readFileSync(station.path('disk'))), `${snapshot} is not the disk`);
}

const damages: readonly { name: string; kind: 'data' | 'maps'; damage: (path: string) => void; lost: number | null }[] =
  [
    { name: 'a flipped byte in a chunk', kind: 'data', damage: (path) => flip(path, 100_000), lost: 1 },
    {
      name: 'a flipped byte in the table',
      kind: 'data',
      damage: (path) => flip(path, readFileSync(path).length - 100),
      lost: 0,
    },
    {
      name: 'a flipped byte in the trailer',
      kind: 'data',
      damage: (path) => flip(path, readFileSync(path).length - 3),
      lost: 0,
    },
    { name: 'a flipped byte in the header', kind: 'data', damage: (path) => flip(path, 1), lost: 10 },
    {
      name: 'half of a pack',
      kind: 'data',
      damage: (path) => truncateSync(path, readFileSync(path).length / 2),
      lost: null,
    },
    { name: 'a flipped byte in a map node', kind: 'maps', damage: (path) => flip(path, 60), lost: 1 },
  ];

describe('verify and heal', () => {
  for (const { name, kind, damage, lost } of damages) {
    it(`takes a pack with ${name} out of use, and the next backup mends the snapshot`, async (t) => {
      const station = await withSnapshot(t);
      const pack = packOf(station, kind);
      damage(pack);
      const found = await verify(station);
      assert.equal(found.code, 3);
      assert.deepEqual(found.quarantined, [pack.slice(-64)]);
      assert.deepEqual(quarantined(station), [`${pack.slice(-64)}.pack`]);
      assert.equal(existsSync(pack), false);
      if (lost !== null) assert.equal(found.lostChunks, lost);
      const [{ snapshot } = { snapshot: '' }] = await station.snapshots();
      const isTouched = found.lostChunks > 0;
      assert.deepEqual(await states(station), [isTouched ? 'damaged' : 'ok']);
      if (!isTouched) await restoresAs(station, snapshot);

      const { code, err } = await station.backup(station.path('disk'));
      assert.equal(code, 0, err);
      assert.equal(/^whole again, /m.test(err), isTouched);
      assert.deepEqual(await states(station), ['ok', 'none']);
      await restoresAs(station, snapshot);
      const after = await verify(station);
      assert.deepEqual([after.code, after.damages], [0, []]);
    });
  }

  it('does the same in an encrypted repository, but only with the key', async (t) => {
    const station = Station.empty(t);
    const key = ['--key-file', station.path('key')];
    await station.must('init', station.store, '--encryption-key', station.path('key'));
    makeImage(station.path('disk'), 16 * MIB, [{ offset: 2 * MIB, lengthBytes: 5 * MIB }]);
    assert.equal((await station.backup(station.path('disk'), ...key)).code, 0);
    const pack = packOf(station, 'data');
    flip(pack, 100_000);
    const keyless = await verify(station);
    assert.deepEqual([keyless.code, keyless.quarantined, keyless.snapshots], [3, [], []]);
    assert.match(keyless.err, /only packs were verified, by their names: .*E_KEY_MISSING/);
    const found = await verify(station, ...key);
    assert.deepEqual([found.quarantined, found.lostChunks], [[pack.slice(-64)], 1]);
    assert.match((await station.backup(station.path('disk'), ...key)).err, /^whole again, /m);
    assert.equal((await verify(station, ...key)).code, 0);
    await station.must('repair', 'index', station.store, '--grace', '0');
    assert.equal((await verify(station, ...key)).code, 0);
  });

  it('leaves a damaged pack alone where it is told to', async (t) => {
    const station = await withSnapshot(t);
    const pack = packOf(station, 'data');
    flip(pack, 100_000);
    assert.deepEqual((await verify(station, '--no-quarantine')).quarantined, []);
    assert.ok(existsSync(pack));
    assert.deepEqual(await states(station), ['damaged']);
  });

  it('marks a snapshot that was found intact a moment ago when its data are lost', async (t) => {
    const station = await withSnapshot(t);
    await verify(station);
    flip(packOf(station, 'data'), 100_000);
    // Times of checks lie with the repository, so that the pack is not read where that is not due ...
    const skipped = await verify(station, '--max-age', '1d');
    assert.deepEqual([skipped.code, skipped.packs, skipped.snapshots], [0, 0, []]);
    // ... and where it is, snapshots are read for which that alone were no reason.
    rmSync(join(station.store, 'vzvault/verified'), { recursive: true });
    const found = await verify(station, '--max-age', '1d');
    assert.deepEqual([found.code, found.snapshots.length], [3, 1]);
    assert.deepEqual(await states(station), ['damaged']);
  });

  it('keeps apart when names and when chunks were checked', async (t) => {
    const station = await withSnapshot(t);
    await verify(station, '--keyless');
    assert.equal((await verify(station, '--keyless', '--max-age', '1d')).packs, 0);
    assert.equal((await verify(station, '--max-age', '1d')).packs, 2);
    assert.equal((await verify(station, '--max-age', '1d')).packs, 0);
    assert.equal((await verify(station)).packs, 2);
  });

  it('makes the index anew where it is lost, damaged or another', async (t) => {
    const station = await withSnapshot(t);
    const other = await withSnapshot(t);
    const [{ snapshot } = { snapshot: '' }] = await station.snapshots();
    const repair = async (): Promise<void> => {
      const { out } = await station.must('repair', 'index', station.store, '--grace', '0', '--json');
      assert.equal((JSON.parse(out) as { packs: number }).packs, 2);
      const { code, damages: found } = await verify(station);
      assert.deepEqual([code, found], [0, []]);
      await restoresAs(station, snapshot);
    };
    for (const segment of station.files('index')) rmSync(segment);
    assert.equal(
      (await station.run('restore', station.store, snapshot, '--disk', 'drive-scsi0', '--to', station.path('x'))).code,
      1,
    );
    await repair();
    for (const segment of station.files('index')) flip(segment, 80);
    rmSync(station.path('cache'), { recursive: true, force: true });
    await repair();
    const [foreign = ''] = other.files('index');
    // Its packs must not be there: both disks have the same bytes, but packs have salts of their own.
    writeFileSync(join(station.store, 'vzvault/index', foreign.slice(-64)), readFileSync(foreign));
    assert.equal((await verify(station)).code, 3);
    await repair();
    assert.equal(station.files('index').length, 1);
    assert.ok(quarantined(station).includes(`${foreign.slice(-64)}.segment`));
  });
});
