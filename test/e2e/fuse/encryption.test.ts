/** Mounts of an encrypted repository: with its key, without one, with another, and where the key can be seen. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { engine } from '../../../src/engine/index.js';
import {
  CHUNK,
  MIB,
  mountFuse,
  specOf,
  startFuse,
  writeDisk,
  type FixtureRepository,
} from '../../support/fuse-mounts.js';
import { until } from '../../support/processes.js';
import { cleanupsOf, type Cleanups } from '../../support/temp.js';
import { UNLIMITED } from '../../support/writer-options.js';

interface Encrypted extends FixtureRepository {
  readonly disk: string;
  readonly key: { readonly secret: Buffer; readonly fingerprint: string };
}

/** A repository with one disk, of 20 MiB with 3 MiB of data in two places. */
async function makeEncrypted(cleanups: Cleanups): Promise<Encrypted> {
  const base = cleanups.directory();
  const path = join(base, 'repository');
  const cacheDirectory = join(base, 'cache');
  mkdirSync(path);
  const disk = writeDisk(join(base, 'disk'), 20 * MIB, [
    { offset: 0, length: 2 * MIB },
    { offset: 19 * MIB, length: MIB },
  ]);
  const secret = randomBytes(32);
  const key = engine.loadKey(secret);
  const store = await engine.openStore({ path, cacheDirectory, key });
  cleanups.add(async () => store.close());
  const writer = await store.writer(UNLIMITED);
  const { map } = await writer.backupVolume({
    source: { kind: 'file', path: disk },
    chunkSizeBytes: CHUNK,
    stallTimeoutMs: 30_000,
    incremental: null,
    discard: false,
  });
  await writer.flush();
  await writer.close();
  const volumes = new Map([['disk', map]]);
  return { path, cacheDirectory, volumes, disk, key: { secret, fingerprint: key.fingerprint } };
}

it('shows an encrypted volume to who has the key, and shows the key to nobody', async (t) => {
  const cleanups = cleanupsOf(t);
  const repository = await makeEncrypted(cleanups);
  const { key } = repository;
  const mount = await mountFuse(cleanups, { ...specOf(repository), key });
  assert.ok(readFileSync(join(mount.path, 'disk.raw')).equals(readFileSync(repository.disk)));
  await mount.statistics();

  const { pid } = mount.program;
  const seen = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'latin1'));
  seen.push(mount.program.output());
  for (const text of seen) {
    for (const form of ['base64', 'hex', 'latin1'] as const) assert.ok(!text.includes(key.secret.toString(form)));
  }
  assert.deepEqual(mount.lines('error'), []);
});

it('answers EIO and says E_KEY_MISSING where there is no key', async (t) => {
  const cleanups = cleanupsOf(t);
  const mount = await mountFuse(cleanups, specOf(await makeEncrypted(cleanups)));
  assert.throws(() => readFileSync(join(mount.path, 'disk.raw')), { code: 'EIO' });
  assert.match(await mount.firstError(), /E_KEY_MISSING/);
});

it('refuses a key that is another one, or none', async (t) => {
  const cleanups = cleanupsOf(t);
  const repository = await makeEncrypted(cleanups);
  const mountPoint = cleanups.directory();
  const other = randomBytes(32);
  const cases: readonly [{ secret: Buffer; fingerprint: string }, RegExp][] = [
    [{ secret: other, fingerprint: repository.key.fingerprint }, /^failed E_KEY_WRONG: .*fingerprint/m],
    [
      { secret: other.subarray(1), fingerprint: repository.key.fingerprint },
      /^failed E_ARGUMENT_INVALID: .*field key/m,
    ],
  ];
  for (const [key, expected] of cases) {
    const program = startFuse(cleanups, { ...specOf(repository), key }, mountPoint);
    assert.equal(await program.ended, 1);
    await until('the reason has come', () => expected.test(program.output()));
    assert.ok(!program.output().includes(other.subarray(1, 25).toString('base64')));
  }
});
