/**
 * Encrypted stores and documents through the engine, read again with nothing but node:crypto and docs/format.md: a second opinion on every byte
 * of suite 1.
 */
import assert from 'node:assert/strict';
import { createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { engine, type ChunkStore, type DocumentKind, type RepositoryKey } from '../../../src/engine/index.js';
import { rejectsWith, throwsWith } from '../../support/assertions.js';
import { cleanupsOf } from '../../support/temp.js';
import { UNLIMITED } from '../../support/writer-options.js';

const KIB = 1024;
const TAG_BYTES = 16;
const name = 'snapshots/qemu/100/20261122T041714Z/notes';

function derive(key: Buffer, salt: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, `vzvault ${info}`, 32));
}
const noSalt = Buffer.alloc(0);

function open(key: Buffer, nonce: Buffer, associated: Buffer, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce);
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()]);
}

interface Chunk {
  readonly id: Buffer;
  readonly type: number;
  readonly codec: number;
  readonly encoded: Buffer;
}

/** Every chunk of a pack, opened. */
function openPack(file: Buffer, dataKey: Buffer): Chunk[] {
  const header = file.subarray(0, 48);
  assert.equal(header.readUInt16LE(10), 1);
  const key = derive(dataKey, header.subarray(16, 48), 'pack');
  const entries = file.readUInt32LE(file.length - 48);
  const chunks: Chunk[] = [];
  for (let ordinal = 0; ordinal < entries; ordinal++) {
    const entry = file.subarray(
      file.length - 48 - 52 * (entries - ordinal),
      file.length - 48 - 52 * (entries - ordinal - 1),
    );
    const offset = Number(entry.readBigUInt64LE(44));
    const number = Buffer.alloc(4);
    number.writeUInt32LE(ordinal);
    // Ordinal, then id, type, codec and reserved as they stand in the table, then the plain length.
    const associated = Buffer.concat([header, number, entry.subarray(0, 36), entry.subarray(40, 44)]);
    const sealed = file.subarray(offset, offset + entry.readUInt32LE(36));
    const encoded = open(key, Buffer.concat([number, Buffer.alloc(8)]), associated, sealed);
    chunks.push({ id: entry.subarray(0, 32), type: entry.readUInt8(32), codec: entry.readUInt8(33), encoded });
  }
  return chunks;
}

function loadKey(secret: Buffer): RepositoryKey {
  return engine.loadKey(Buffer.from(secret));
}

async function openStore(test: TestContext, directory: string, key: RepositoryKey | null): Promise<ChunkStore> {
  const store = await engine.openStore({
    path: join(directory, 'vzvault'),
    cacheDirectory: join(directory, 'cache'),
    key,
  });
  cleanupsOf(test).add(async () => store.close());
  return store;
}

function makeRepository(test: TestContext): string {
  const directory = cleanupsOf(test).directory();
  for (const part of ['packs', 'index', 'tmp']) mkdirSync(join(directory, 'vzvault', part), { recursive: true });
  return directory;
}

function packsOf(directory: string): Buffer[] {
  const packs = join(directory, 'vzvault', 'packs');
  return readdirSync(packs).flatMap((prefix) =>
    readdirSync(join(packs, prefix)).map((pack) => readFileSync(join(packs, prefix, pack))),
  );
}

async function backUp(
  store: ChunkStore,
  path: string,
): Promise<{ sizeBytes: number; chunkSizeBytes: number; rootId: string; levels: number }> {
  const writer = await store.writer(UNLIMITED);
  const source = { kind: 'file', path } as const;
  const volume = await writer.backupVolume({
    source,
    chunkSizeBytes: 256 * KIB,
    stallTimeoutMs: 30_000,
    incremental: null,
    discard: false,
  });
  await writer.flush();
  await writer.close();
  return volume.map;
}

describe('a key', () => {
  it('has the fingerprint that the format says, and is opaque', () => {
    const secret = randomBytes(32);
    const key = loadKey(secret);
    const digest = createHmac('sha256', secret).update('vzvault fingerprint').digest('hex');
    assert.equal(key.fingerprint, digest.slice(0, 32));
    assert.deepEqual(Object.keys(key), ['fingerprint']);
  });

  it('stays what it was when the Buffer that it came in is overwritten', () => {
    const secret = randomBytes(32);
    const copy = Buffer.from(secret);
    const key = engine.loadKey(copy);
    const sealed = engine.sealDocument('notes', Buffer.from('x'), { key, name });
    copy.fill(0);
    assert.equal(engine.openDocument('notes', sealed, { key: loadKey(secret), name }).toString(), 'x');
  });

  it('has 32 bytes and was loaded here', () => {
    for (const length of [0, 31, 33, 64]) throwsWith('E_ARGUMENT_INVALID', () => engine.loadKey(Buffer.alloc(length)));
    const forged = { fingerprint: loadKey(randomBytes(32)).fingerprint };
    throwsWith('E_INTERNAL', () => engine.sealDocument('notes', Buffer.from('x'), { key: forged, name }));
  });
});

describe('an encrypted document', () => {
  const secret = randomBytes(32);
  const key = loadKey(secret);

  it('is sealed as docs/format.md says', () => {
    const kinds: readonly DocumentKind[] = ['snapshot', 'notes', 'log', 'verify-state'];
    for (const [n, kind] of kinds.entries()) {
      const plain = randomBytes(100);
      const sealed = engine.sealDocument(kind, plain, { key, name });
      const header = sealed.subarray(0, 56);
      assert.deepEqual([header.readUInt16LE(10), header.readUInt8(12), header.readUInt8(13)], [1, n + 1, 0]);
      const stored = sealed.subarray(56, 56 + header.readUInt32LE(20));
      const documentKey = derive(derive(secret, noSalt, 'document'), header.subarray(24, 56), 'document');
      const associated = Buffer.concat([header, Buffer.from(name)]);
      assert.deepEqual(open(documentKey, Buffer.alloc(12), associated, stored), plain);
      const digest = createHash('sha256')
        .update(sealed.subarray(0, 56 + stored.length))
        .digest();
      assert.deepEqual(sealed.subarray(56 + stored.length), digest);
    }
  });

  it('opens with its key and under its name only', () => {
    const sealed = engine.sealDocument('notes', Buffer.from('Zürich'), { key, name });
    assert.equal(engine.openDocument('notes', sealed, { key, name }).toString(), 'Zürich');
    const other = loadKey(randomBytes(32));
    throwsWith('E_SNAPSHOT_DAMAGED', () => engine.openDocument('notes', sealed, { key: other, name }));
    throwsWith('E_SNAPSHOT_DAMAGED', () =>
      engine.openDocument('notes', sealed, { key, name: name.replace('100', '101') }),
    );
    throwsWith('E_KEY_MISSING', () => engine.openDocument('notes', sealed));
    const plain = engine.sealDocument('notes', Buffer.from('x'));
    throwsWith('E_SUITE_MISMATCH', () => engine.openDocument('notes', plain, { key, name }));
  });

  it('is none where everybody must read it', () => {
    const sealed = engine.sealDocument('session', Buffer.from('{}'), { key, name: 'sessions/x' });
    assert.equal(engine.openDocument('session', sealed).toString(), '{}');
  });
});

describe('an encrypted store', () => {
  it('is written as docs/format.md says', async (test) => {
    const secret = randomBytes(32);
    const directory = makeRepository(test);
    const disk = Buffer.concat([randomBytes(256 * KIB), Buffer.alloc(256 * KIB), randomBytes(256 * KIB)]);
    writeFileSync(join(directory, 'disk'), disk);
    const store = await openStore(test, directory, loadKey(secret));
    const map = await backUp(store, join(directory, 'disk'));

    const dataKey = derive(secret, noSalt, 'data');
    const idKey = derive(secret, noSalt, 'id');
    const idOf = (plain: Buffer): Buffer => createHmac('sha256', idKey).update(plain).digest();
    const chunks = packsOf(directory).flatMap((file) => openPack(file, dataKey));
    const found = new Map(chunks.map((chunk) => [chunk.id.toString('hex'), chunk]));
    assert.equal(found.size, 3);
    for (const at of [0, 512 * KIB]) {
      const plain = disk.subarray(at, at + 256 * KIB);
      const chunk = found.get(idOf(plain).toString('hex'));
      assert.deepEqual([chunk?.type, chunk?.codec], [1, 0]);
      assert.deepEqual(chunk?.encoded, plain);
    }
    assert.equal(found.get(map.rootId)?.type, 2);
  });

  it('is read, restored and verified with its key, and counted without', async (test) => {
    const secret = randomBytes(32);
    const directory = makeRepository(test);
    const disk = randomBytes(700 * KIB);
    writeFileSync(join(directory, 'disk'), disk);
    const map = await backUp(await openStore(test, directory, loadKey(secret)), join(directory, 'disk'));

    const again = await openStore(test, directory, loadKey(secret));
    await again.restoreVolume(map, { path: join(directory, 'restored'), overwrite: false });
    assert.deepEqual(readFileSync(join(directory, 'restored')), disk);
    assert.deepEqual((await again.verifyVolume(map)).damages, []);
    assert.deepEqual((await again.verifyPacks({ decode: true })).damages, []);

    const keyless = await openStore(test, directory, null);
    assert.deepEqual((await keyless.verifyPacks({ decode: false })).damages, []);
    assert.equal((await keyless.statistics()).packs, 2);
    await rejectsWith('E_KEY_MISSING', keyless.verifyPacks({ decode: true }));
    await rejectsWith('E_KEY_MISSING', keyless.writer(UNLIMITED));
    const target = { path: join(directory, 'not restored'), overwrite: false };
    await rejectsWith('E_KEY_MISSING', keyless.restoreVolume(map, target));
  });
});
