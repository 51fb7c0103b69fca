import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { makeImage } from '../../support/images.js';
import { Station } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const LATEST = 'qemu/100@latest';

async function withSnapshot(t: TestContext): Promise<Station> {
  const station = await Station.withRepository(t);
  makeImage(station.path('disk'), 16 * MIB, [{ offset: 2 * MIB, lengthBytes: 5 * MIB }]);
  assert.equal((await station.backup(station.path('disk'))).code, 0);
  return station;
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x40;
  writeFileSync(path, bytes);
}

const restoreTo = (station: Station): Promise<{ code: number; err: string }> =>
  station.run('restore', station.store, LATEST, '--disk', 'drive-scsi0', '--to', station.path('copy'));

function largestPack(station: Station): string {
  const sizes = station.files('packs').map((path) => ({ path, length: readFileSync(path).length }));
  return sizes.sort((a, b) => b.length - a.length)[0]?.path ?? '';
}

describe('damage', () => {
  it('in a chunk is found by verify, and ends a restore without leaving a file', async (t) => {
    const station = await withSnapshot(t);
    flip(largestPack(station), 100_000);
    const verified = await station.run('verify', station.store, '--no-quarantine');
    assert.equal(verified.code, 3, verified.err);
    assert.match(verified.out, /^E_PACK_DAMAGED|^E_CHUNK_DAMAGED/m);
    assert.match(verified.out, /^E_CHUNK_DAMAGED qemu\/100@.*drive-scsi0/m);
    assert.match(verified.out, /DAMAGED, 1 snapshots are touched\n$/);
    const restored = await restoreTo(station);
    assert.equal(restored.code, 1);
    assert.match(restored.err, /^vzvault: .*\(E_CHUNK_DAMAGED: .*\)$/m);
    assert.equal(existsSync(station.path('copy')), false);
  });

  it('of a pack that is cut short or gone is found', async (t) => {
    const cut = await withSnapshot(t);
    truncateSync(largestPack(cut), 200_000);
    assert.equal((await cut.run('verify', cut.store, '--grace', '0')).code, 3);
    assert.equal((await restoreTo(cut)).code, 1);
    const gone = await withSnapshot(t);
    rmSync(largestPack(gone));
    const verified = await gone.run('verify', gone.store);
    assert.equal(verified.code, 3);
    assert.match(verified.out, /E_(CHUNK|PACK)_MISSING/);
    assert.match((await restoreTo(gone)).err, /E_(CHUNK|PACK)_MISSING/);
    assert.equal(existsSync(gone.path('copy')), false);
  });

  it('of a pack is healed by the next backup of the same disk where the pack is gone', async (t) => {
    const station = await withSnapshot(t);
    rmSync(largestPack(station));
    assert.equal((await station.backup(station.path('disk'))).code, 0);
    assert.equal((await restoreTo(station)).code, 0);
  });

  it('is kept with the snapshot until a backup has mended it', async (t) => {
    const station = await withSnapshot(t);
    const states = async (): Promise<unknown[]> =>
      (await station.json<{ verifyState: string }[]>('list', station.store)).map(({ verifyState }) => verifyState);
    await station.must('verify', station.store);
    assert.deepEqual(await states(), ['ok']);
    rmSync(largestPack(station));
    assert.equal((await station.run('verify', station.store, LATEST)).code, 3);
    assert.deepEqual(await states(), ['damaged']);
    const [{ snapshot } = { snapshot: '' }] = await station.snapshots();
    const shown = await station.run('show', station.store, snapshot);
    assert.equal(shown.code, 3);
    assert.match(shown.out, /^verified: +DAMAGED at .*Z: E_(CHUNK|PACK)_MISSING drive-scsi0: /m);
    const { err } = await station.backup(station.path('disk'));
    assert.match(err, new RegExp(`^whole again, .*: ${snapshot}$`, 'm'));
    assert.deepEqual(await states(), ['ok', 'none']);
    await station.must('verify', station.store, snapshot);
  });

  it('of a snapshot document is listed, and harms no other snapshot', async (t) => {
    const station = await withSnapshot(t);
    const [document = ''] = station.files('snapshots');
    assert.equal((await station.backup(station.path('disk'))).code, 0);
    flip(document, 70);
    const [damaged, intact] = await station.snapshots();
    assert.match(damaged?.damage ?? '', /reading the snapshot qemu\/100@/);
    assert.equal(intact?.damage, null);
    assert.equal((await station.run('verify', station.store)).code, 3);
    assert.match((await station.run('show', station.store, damaged?.snapshot ?? '')).out, /DAMAGED/);
    assert.equal((await restoreTo(station)).code, 0);
    await station.must('forget', station.store, damaged?.snapshot ?? '');
    assert.equal((await station.run('verify', station.store)).code, 0);
  });

  it('of an index segment is named', async (t) => {
    const station = await withSnapshot(t);
    rmSync(station.path('cache'), { recursive: true, force: true });
    for (const segment of station.files('index')) flip(segment, 80);
    const verified = await station.run('verify', station.store);
    assert.notEqual(verified.code, 0);
    assert.match(verified.out + verified.err, /E_SEGMENT_DAMAGED/);
  });

  it('of the config is told from a newer format', async (t) => {
    const station = await withSnapshot(t);
    const config = join(station.store, 'vzvault/config');
    const original = readFileSync(config, 'utf8');
    writeFileSync(config, original.replace('"chunkSizeBytes":524288', '"chunkSizeBytes":262144'));
    assert.match((await station.run('list', station.store)).err, /E_CONFIG_INVALID/);
    writeFileSync(config, original.replace('"format":1', '"format":2'));
    const { code, err } = await station.run('list', station.store);
    assert.equal(code, 1);
    assert.match(err, /is of format 2.*E_FORMAT_UNKNOWN/);
  });
});
