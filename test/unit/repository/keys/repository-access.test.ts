import assert from 'node:assert/strict';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { snapshotDirectory } from '../../../../src/lib/guest.js';
import { keyLimits } from '../../../../src/lib/limits.js';
import { encodeConfig } from '../../../../src/repository/config.js';
import { keyInFile, plainKeyFile, readKeyFile, writeKeyFile } from '../../../../src/repository/keys/key-file.js';
import { fingerprintOfKey, randomKey } from '../../../../src/repository/keys/key-material.js';
import { encodeMountSpec, repositorySpec } from '../../../../src/repository/mount-spec.js';
import { createRepository, openRepository, type Repository } from '../../../../src/repository/repository.js';
import type { Unlocking } from '../../../../src/repository/keys/unlock.js';
import { verifyStateOf } from '../../../../src/repository/snapshots.js';
import { rejectsWith } from '../../../support/assertions.js';
import { documentOf, idOf } from '../../../support/documents.js';
import { FakeEngine } from '../../../support/fake-engine.js';
import { cleanupsOf } from '../../../support/temp.js';

const PATH = '/mnt/nas';
const ID = idOf(100);
const DIRECTORY = `${PATH}/vzvault/${snapshotDirectory(ID)}`;

interface World {
  readonly engine: FakeEngine;
  readonly keyFile: string;
  readonly directory: string;
  open(unlocking?: Unlocking): Promise<Repository>;
}

/** An encrypted repository with one snapshot, its notes and its log; its key is in a file. */
async function setUp(t: TestContext): Promise<World> {
  const directory = cleanupsOf(t).directory();
  const keyFile = join(directory, 'key.json');
  const key = randomKey();
  await writeKeyFile(keyFile, plainKeyFile(key, { repositoryId: null, createdAtSeconds: 0 }));
  const engine = new FakeEngine();
  engine.disk.makeDirectory(PATH);
  const repository = await createRepository(
    engine,
    { path: PATH },
    { createdAtSeconds: 0, protector: { kind: 'key', key, label: 'node1' } },
  );
  await repository.snapshots.commit(documentOf(ID));
  await repository.snapshots.sidecars.setNotes(ID, 'before the upgrade');
  await repository.snapshots.sidecars.setLog(ID, Buffer.from('INFO: done\n'));
  await repository.close();
  return { engine, keyFile, directory, open: (unlocking = {}) => openRepository(engine, { path: PATH, unlocking }) };
}

describe('an encrypted repository', () => {
  it('is whole with its key', async (t) => {
    const { engine, keyFile, open } = await setUp(t);
    const { snapshots, access, config, openStore } = await open({ keyFile });
    assert.equal(config.suite, 'aes-256-gcm');
    assert.deepEqual(
      [access.isEncrypted, access.problem, access.key?.fingerprint],
      [true, null, config.keyFingerprint],
    );
    const [entry] = await snapshots.list();
    assert.equal(entry?.notes, 'before the upgrade');
    assert.equal(entry.summary?.sizeBytes, 541672);
    assert.equal((await snapshots.read(ID)).files[0]?.bytes.toString(), 'memory: 512\nname: büro\n');
    assert.equal((await snapshots.sidecars.log(ID))?.toString(), 'INFO: done\n');
    assert.ok(openStore);
    const everything = Buffer.concat([...engine.disk.files.values()]);
    for (const hidden of ['upgrade', 'memory', 'drive-scsi0', 'INFO']) assert.ok(!everything.includes(hidden), hidden);
  });

  it('hands its key to the engine, and to a mount as bytes that are no string', async (t) => {
    const { engine, keyFile, open } = await setUp(t);
    process.env['VZVAULT_CACHE_DIR'] = cleanupsOf(t).directory();
    const repository = await open({ keyFile });
    await repository.openStore();
    assert.equal(engine.openedStores[0]?.key, repository.access.key);
    const spec = { ...repositorySpec(repository), allowOther: false, nodes: [] };
    const json = JSON.parse(encodeMountSpec(spec).toString()) as Record<string, unknown>;
    assert.equal(json['keyFingerprint'], repository.config.keyFingerprint);
    assert.deepEqual(Buffer.from(json['key'] as string, 'base64'), repository.access.secret);
    assert.equal(json['repository'], repository.path);
    await repository.close();
    assert.ok(!spec.key?.secret.equals(Buffer.alloc(32)), 'the copy of a mount stays');
    assert.throws(() =>
      JSON.parse(
        encodeMountSpec({ ...spec, key: undefined })
          .toString()
          .slice(1),
      ),
    );
  });

  it('overwrites its secret when it is closed', async (t) => {
    const { keyFile, open } = await setUp(t);
    const repository = await open({ keyFile });
    const { secret } = repository.access;
    assert.ok(secret !== null && !secret.equals(Buffer.alloc(32)));
    await repository.close();
    assert.deepEqual(secret, Buffer.alloc(32));
  });

  it('shows without a key what there is, and fails with one line at what needs it', async (t) => {
    const { open } = await setUp(t);
    const repository = await open();
    const { snapshots, access } = repository;
    const [entry, ...more] = await snapshots.list();
    assert.ok(entry);
    assert.deepEqual(
      [entry.id, entry.summary, entry.damage, entry.notes, entry.hasLog, more.length],
      [ID, null, null, '', true, 0],
    );
    assert.equal(verifyStateOf(entry), 'unknown');
    assert.equal((await snapshots.latest(ID)).timeSeconds, ID.timeSeconds);
    await snapshots.sidecars.setProtected(ID, true);
    assert.equal((await snapshots.get(ID)).protected, true);
    assert.match(
      access.problem?.line ?? '',
      /^the repository \S+ is encrypted, and no key was given \(E_KEY_MISSING: /,
    );
    for (const work of [
      snapshots.read(ID),
      snapshots.sidecars.notes(ID),
      snapshots.sidecars.setNotes(ID, 'x'),
      snapshots.sidecars.log(ID),
      snapshots.roots(ID),
      repository.requireWritable(),
    ]) {
      await rejectsWith('E_KEY_MISSING', work);
    }
    await snapshots.sidecars.setProtected(ID, false);
    await snapshots.remove(ID);
    assert.deepEqual(await snapshots.list(), []);
  });

  it('says that the key is wrong, and for which repository it was made', async (t) => {
    const { directory, open } = await setUp(t);
    const other = join(directory, 'other.json');
    await writeKeyFile(other, plainKeyFile(randomKey(), { repositoryId: 'b'.repeat(32), createdAtSeconds: 0 }));
    const { access, snapshots } = await open({ keyFile: other });
    assert.equal(access.problem?.code, 'E_KEY_WRONG');
    assert.match(access.problem.message, /other\.json does not open \S+; it was made for the repository b{32}$/);
    assert.equal((await snapshots.list()).length, 1);
    await rejectsWith('E_KEY_WRONG', snapshots.read(ID));
  });

  it('says that the key file is missing, open to others, or not one', async (t) => {
    const { keyFile, open } = await setUp(t);
    chmodSync(keyFile, 0o644);
    assert.equal((await open({ keyFile })).access.problem?.code, 'E_PERMISSION');
    rmSync(keyFile);
    assert.equal((await open({ keyFile })).access.problem?.code, 'E_KEY_MISSING');
  });

  it('opens by each of its keys, by a passphrase, and by the secret itself where the keys are gone', async (t) => {
    const { engine, keyFile, directory, open } = await setUp(t);
    const repository = await open({ keyFile });
    const { secret } = repository.access;
    assert.ok(secret);
    const passphrase = Buffer.from('a good passphrase');
    const scryptCost = keyLimits.scryptCostMin;
    await repository.keys.add(secret, { kind: 'passphrase', passphrase, label: 'x', scryptCost }, 0);
    const asked: string[] = [];
    const ask = (text: string) => async (what: string) => {
      asked.push(what);
      return Buffer.from(text);
    };
    assert.equal((await open({ ask: ask('a good passphrase') })).access.problem, null);
    assert.deepEqual(asked, [`the repository ${PATH}/vzvault`]);
    assert.equal((await open({ ask: ask('a bad passphrase') })).access.problem?.code, 'E_KEY_WRONG');
    assert.equal((await open({ ask: async () => null })).access.problem?.code, 'E_KEY_MISSING');

    const restored = join(directory, 'restored.json');
    await writeKeyFile(restored, plainKeyFile(secret, { repositoryId: null, createdAtSeconds: 0 }));
    for (const name of engine.disk.files.keys()) if (name.includes('/keys/')) engine.disk.files.delete(name);
    assert.equal((await open({ keyFile })).access.problem?.code, 'E_KEY_WRONG');
    const { access, snapshots } = await open({ keyFile: restored });
    assert.deepEqual([access.problem, access.openedBy], [null, null]);
    await snapshots.read(ID);
  });

  it('is not opened by a document of its key that another repository has', async (t) => {
    const { engine, keyFile, open } = await setUp(t);
    const key = await keyInFile(await readKeyFile(keyFile), keyFile, async () => null);
    engine.disk.makeDirectory('/mnt/other');
    const protector = { kind: 'key', key, label: 'node1' } as const;
    await createRepository(engine, { path: '/mnt/other' }, { createdAtSeconds: 0, protector });
    const name = `vzvault/keys/${fingerprintOfKey(key)}`;
    const foreign = engine.disk.files.get(`/mnt/other/${name}`);
    assert.ok(foreign);
    engine.disk.files.set(`${PATH}/${name}`, foreign);
    const { access } = await open({ keyFile });
    assert.equal(access.problem?.code, 'E_CONFIG_INVALID');
    assert.match(access.problem.message, /it is that of the repository/);
  });

  it('is told from one in plain that was put in its place', async (t) => {
    const { engine, keyFile } = await setUp(t);
    engine.disk.makeDirectory('/mnt/plain');
    await createRepository(engine, { path: '/mnt/plain' }, { createdAtSeconds: 0 });
    const location = { path: '/mnt/plain', unlocking: { keyFile, mustBeEncrypted: true } };
    await rejectsWith('E_SUITE_MISMATCH', openRepository(engine, location));
    await openRepository(engine, { path: '/mnt/plain', unlocking: { keyFile } });
  });

  it('finds documents damaged that were flipped, moved between snapshots, or put there in plain', async (t) => {
    const { engine, keyFile, open } = await setUp(t);
    const { snapshots } = await open({ keyFile });
    const other = idOf(101);
    await snapshots.commit(documentOf(other));
    const ours = engine.disk.files.get(`${DIRECTORY}/snapshot`) ?? Buffer.alloc(0);
    const theirs = `${PATH}/vzvault/${snapshotDirectory(other)}/snapshot`;
    const look = async (): Promise<string | null> => (await (await open({ keyFile })).snapshots.get(other)).damage;
    assert.equal(await look(), null);
    engine.disk.files.set(theirs, ours);
    assert.match((await look()) ?? '', /does not decrypt/);
    engine.disk.files.set(theirs, engine.sealDocument('snapshot', Buffer.from('{}')));
    assert.match((await look()) ?? '', /not encrypted/);
    const flipped = Buffer.from(ours);
    flipped[60] = (flipped[60] ?? 0) ^ 1;
    engine.disk.files.set(theirs, flipped);
    assert.ok(await look());
    engine.disk.files.set(
      `${DIRECTORY}/verify-state`,
      engine.sealDocument('verify-state', Buffer.from('{"state":"ok"}')),
    );
    assert.equal((await (await open({ keyFile })).snapshots.get(ID)).verified?.state, 'damaged');
  });

  it('is not opened once its config names another secret, and not believed once it names another id', async (t) => {
    const { engine, keyFile, open } = await setUp(t);
    const { config } = await open({ keyFile });
    const configPath = `${PATH}/vzvault/config`;
    engine.disk.files.set(configPath, encodeConfig({ ...config, keyFingerprint: 'f'.repeat(32) }));
    assert.equal((await open({ keyFile })).access.problem?.code, 'E_KEY_WRONG');
    engine.disk.files.set(configPath, encodeConfig({ ...config, repositoryId: 'f'.repeat(32) }));
    assert.equal((await open({ keyFile })).access.problem?.code, 'E_CONFIG_INVALID', 'its keys are of the other');
    engine.disk.files.set(configPath, encodeConfig(config));
    const { access } = await open({ keyFile });
    const restored = `${keyFile}.restored`;
    assert.ok(access.secret);
    await writeKeyFile(restored, plainKeyFile(access.secret, { repositoryId: null, createdAtSeconds: 0 }));
    engine.disk.files.set(configPath, encodeConfig({ ...config, repositoryId: 'f'.repeat(32) }));
    const { snapshots } = await open({ keyFile: restored });
    assert.match((await snapshots.get(ID)).damage ?? '', /repository/);
  });

  it('takes older notes of the same snapshot for its own: nobody can tell', async (t) => {
    const { engine, keyFile, open } = await setUp(t);
    const older = engine.disk.files.get(`${DIRECTORY}/notes`) ?? Buffer.alloc(0);
    const { snapshots } = await open({ keyFile });
    await snapshots.sidecars.setNotes(ID, 'after the upgrade');
    engine.disk.files.set(`${DIRECTORY}/notes`, older);
    assert.equal(await snapshots.sidecars.notes(ID), 'before the upgrade');
  });

  it('leaves no key behind where its making failed, and can be made again with the same', async (t) => {
    const { engine, keyFile } = await setUp(t);
    const key = await keyInFile(await readKeyFile(keyFile), keyFile, async () => null);
    engine.disk.makeDirectory('/mnt/new');
    const protector = { kind: 'key', key, label: 'node1' } as const;
    const make = (): Promise<Repository> =>
      createRepository(engine, { path: '/mnt/new' }, { createdAtSeconds: 0, protector });
    engine.disk.fault = (call, path) => {
      if (call === 'putIfAbsent' && path.endsWith('/config')) throw new Error('the power fails');
      if (call === 'remove') throw new Error('still no power');
    };
    await assert.rejects(make());
    engine.disk.fault = () => undefined;
    await make();
    assert.equal((await openRepository(engine, { path: '/mnt/new', unlocking: { keyFile } })).access.problem, null);
  });
});
