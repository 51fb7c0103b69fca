/**
 * What only an encrypted repository has, against docs/format.md: its keys, its sealing, and that nothing of it opens otherwise. All else of the
 * golden one is compared in format-1.test.ts and format-1-archive.test.ts.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { FormatError } from '../support/format-error.js';
import { readKeyDocument, unwrap, type Opener } from '../support/format-keys.js';
import { readRepository } from '../support/format-reader.js';
import {
  readChunk,
  readDocument,
  readPack,
  readSegment,
  sha256,
  type DocumentKind,
} from '../support/format-records.js';
import { encryptedBy, fingerprintOf, hkdf, type Suite } from '../support/format-suite.js';
import { encryptedGoldenRepository, goldenRepository } from '../support/golden-fixtures.js';
import { cleanupsOf } from '../support/temp.js';

const { repository: golden, expected, opener } = encryptedGoldenRepository;
const encryption = expected.encryption ?? assert.fail();
const secret = Buffer.from(encryption.secret, 'hex');
const key = Buffer.from(encryption.key, 'hex');
const suite = encryptedBy(secret);
const SNAPSHOT = 'snapshots/qemu/100/20261122T041714Z';
const KINDS: Readonly<Record<string, DocumentKind>> = { snapshot: 1, notes: 2, log: 3, 'verify-state': 4 };

const wrongSecret = (): Buffer => flipped(secret, 0, 1);

/** A copy with one bit changed. */
function flipped(bytes: Buffer, at: number, mask: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ mask, at);
  return copy;
}

const digestOf = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

/** Names below a part of the repository, from its root. */
function namesIn(part: string): string[] {
  const files = readdirSync(join(golden, part), { recursive: true, withFileTypes: true });
  return files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name).slice(golden.length + 1));
}

const bytesOf = (name: string): Buffer => readFileSync(join(golden, name));
const documents = namesIn('snapshots').filter((name) => basename(name) in KINDS);
const kindOf = (name: string): DocumentKind => KINDS[basename(name)] ?? assert.fail();

function copyOfGolden(t: TestContext): string {
  const copy = join(cleanupsOf(t).directory(), 'vzvault');
  cpSync(golden, copy, { recursive: true });
  return copy;
}

describe('the keys of the encrypted golden repository', () => {
  const { config } = readRepository(golden, opener);

  it('are the secret, a key and a passphrase, each of which opens it', () => {
    const openers: Opener[] = [
      { kind: 'secret', secret },
      { kind: 'key', key },
      { kind: 'passphrase', passphrase: encryption.passphrase },
    ];
    for (const each of openers) assert.equal(readRepository(golden, each).snapshots.length, 3, each.kind);
    assert.equal(fingerprintOf(secret, 'vzvault fingerprint'), config.keyFingerprint);
  });

  it('seal the secret in the documents that bear their fingerprints', () => {
    const read = (name: string): ReturnType<typeof readKeyDocument> =>
      readKeyDocument(bytesOf(name), basename(name), config.repositoryId);
    const [byKey, byPassphrase, ...others] = namesIn('keys')
      .map(read)
      .sort((a, b) => Number(a.header.scrypt !== null) - Number(b.header.scrypt !== null));
    assert.ok(byKey && byPassphrase && others.length === 0);
    assert.deepEqual([byKey.header.scrypt === null, byPassphrase.header.scrypt === null], [true, false]);
    assert.equal(byKey.header.fingerprint, fingerprintOf(key, 'vzvault key'));
    assert.deepEqual(unwrap(byKey, key), secret);
    assert.throws(() => unwrap(byPassphrase, key), /does not decrypt/);
  });

  it('are refused where they are others', () => {
    const wrong: [Opener | null, RegExp][] = [
      [null, /there is no key/],
      [{ kind: 'secret', secret: wrongSecret() }, /not that of the repository/],
      [{ kind: 'secret', secret: key }, /not that of the repository/],
      [{ kind: 'key', key: flipped(key, 31, 0x80) }, /no document is named by the key/],
      [{ kind: 'key', key: secret }, /no document is named by the key/],
      [{ kind: 'passphrase', passphrase: `${encryption.passphrase} ` }, /no document is opened/],
    ];
    for (const [each, message] of wrong) assert.throws(() => readRepository(golden, each), message);
  });

  it('are refused with a flipped bit anywhere in their document, also where its digest was made anew', () => {
    const name = fingerprintOf(key, 'vzvault key');
    const bytes = bytesOf(`keys/${name}`);
    const open = (changed: Buffer): Buffer => unwrap(readKeyDocument(changed, name, config.repositoryId), key);
    assert.deepEqual(open(bytes), secret);
    const text = bytes.length - 'sha256:'.length - 64 - 1;
    for (let at = 0; at < bytes.length; at += 1) assert.throws(() => open(flipped(bytes, at, 1)), FormatError);
    for (let at = 0; at < text; at += 1) {
      const changed = flipped(bytes, at, 1);
      changed.write(digestOf(changed.subarray(0, text)).toString('hex'), text + 'sha256:'.length);
      // In another form of the base64 there may be the same bytes, but only one form is allowed.
      assert.throws(() => open(changed), FormatError, `at ${at}`);
    }
  });

  it('are not those of another repository, and not found where their document is gone', (t) => {
    const copy = copyOfGolden(t);
    rmSync(join(copy, 'keys', fingerprintOf(key, 'vzvault key')));
    assert.throws(() => readRepository(copy, opener), /no document is named by the key/);
    assert.equal(readRepository(copy, { kind: 'secret', secret }).snapshots.length, 3);
    const [name = ''] = namesIn('keys');
    assert.throws(() => readKeyDocument(bytesOf(name), basename(name), '0'.repeat(32)), /of another repository/);
  });
});

describe('what the encrypted golden repository holds', () => {
  it('is encrypted: each pack, segment and document of the kinds 1 to 4, of all four kinds', () => {
    for (const name of [...namesIn('packs'), ...namesIn('index'), ...documents]) {
      assert.equal(bytesOf(name).readUInt16LE(10), 1, name);
    }
    assert.deepEqual(new Set(documents.map(kindOf)), new Set([1, 2, 3, 4]));
  });

  it('has tables and segments that can be read without the key', () => {
    const keyless: Suite = { ...suite, ...{ openChunk: refuse, openDocument: refuse, chunkId: refuse } };
    const entries = namesIn('packs').flatMap((name) => readPack(bytesOf(name), basename(name), keyless).entries);
    const listed = namesIn('index').flatMap((name) => readSegment(bytesOf(name), basename(name), keyless).entries);
    assert.deepEqual(listed.map(({ id }) => id).sort(), entries.map(({ id }) => id).sort());
  });

  it('shares no id with the same content that is not encrypted, nor says what it is', () => {
    const plain = goldenRepository.read();
    const idsOf = ({ packs }: typeof plain): string[] =>
      [...packs.values()].flatMap(({ entries }) => entries.map(({ id }) => id));
    const known = new Set(idsOf(plain));
    assert.deepEqual(
      idsOf(encryptedGoldenRepository.read()).filter((id) => known.has(id)),
      [],
    );
    const words = ['drive-scsi0', 'guest.conf', 'upgrade', 'Backup job', 'etc/hostname', 'home 0', 'secret 0'];
    for (const name of [...namesIn('packs'), ...documents]) {
      for (const word of words) assert.ok(!bytesOf(name).includes(word), `${word} in ${name}`);
    }
  });

  it('has salts that are used once, segments included', () => {
    const salts = [
      ...namesIn('packs').map((name) => bytesOf(name).toString('hex', 16, 48)),
      ...namesIn('index').map((name) => bytesOf(name).toString('hex', 32, 64)),
      ...documents.map((name) => bytesOf(name).toString('hex', 24, 56)),
    ];
    assert.equal(new Set(salts).size, salts.length);
    assert.ok(!salts.includes('0'.repeat(64)));
  });
});

describe('what was encrypted is refused', () => {
  it('by another secret', () => {
    const other = encryptedBy(wrongSecret());
    for (const name of namesIn('packs')) {
      const pack = readPack(bytesOf(name), basename(name), other);
      for (const ordinal of pack.entries.keys()) {
        assert.throws(() => readChunk(pack, ordinal, other), /does not decrypt/);
      }
    }
    for (const name of documents) {
      assert.throws(() => readDocument(bytesOf(name), kindOf(name), name, other), /does not decrypt/, name);
    }
  });

  it('with a flipped bit anywhere that a document is bound to, where its digest matches', () => {
    for (const name of documents) {
      const bytes = bytesOf(name);
      for (let at = 0; at < bytes.length - 32; at += 1) {
        const changed = flipped(bytes, at, 0x10);
        digestOf(changed.subarray(0, -32)).copy(changed, changed.length - 32);
        assert.throws(() => readDocument(changed, kindOf(name), name, suite), FormatError, `${name} at ${at}`);
      }
    }
  });

  it('as a document in the place of another', () => {
    for (const name of documents) {
      for (const other of documents.filter((each) => each !== name)) {
        assert.throws(() => readDocument(bytesOf(name), kindOf(name), other, suite), /does not decrypt/);
      }
    }
  });

  it('with a flipped bit in a chunk, its entry or the header of its pack, where all digests match', () => {
    for (const name of namesIn('packs')) {
      const bytes = bytesOf(name);
      const count = bytes.readUInt32LE(bytes.length - 48);
      const tableAt = bytes.length - 48 - 52 * count;
      const reads = (changed: Buffer): void => {
        const digest = digestOf(Buffer.concat([changed.subarray(0, 48), changed.subarray(tableAt, -40)]));
        digest.copy(changed, changed.length - 40);
        const pack = readPack(changed, sha256(changed), suite);
        for (const ordinal of pack.entries.keys()) readChunk(pack, ordinal, suite);
      };
      reads(Buffer.from(bytes));
      const places = [16, 47, 48, 49, tableAt - 17, tableAt - 16, tableAt - 1];
      for (let at = 0; at < 52; at += 1) places.push(tableAt + at);
      for (const at of places) assert.throws(() => reads(flipped(bytes, at, 2)), FormatError, `${name} at ${at}`);
    }
  });

  it('as a chunk in the place of another, or in another pack', () => {
    for (const name of namesIn('packs')) {
      const { bytes, entries } = readPack(bytesOf(name), basename(name), suite);
      assert.ok(readChunk({ bytes, entries }, 0, suite).length > 0);
      const moved = entries[0];
      assert.ok(moved);
      assert.throws(() => readChunk({ bytes, entries: [moved, moved] }, 1, suite), /does not decrypt/);
      const elsewhere = flipped(bytes, 20, 1);
      assert.throws(() => readChunk({ bytes: elsewhere, entries }, 0, suite), /does not decrypt/);
    }
  });

  it('beside what is not encrypted, and where the config says that nothing is', (t) => {
    const { repository: plain } = goldenRepository;
    const copy = copyOfGolden(t);
    const [name = ''] = readdirSync(join(plain, 'index'));
    writeFileSync(join(copy, 'index', name), readFileSync(join(plain, 'index', name)));
    assert.throws(() => readRepository(copy, opener), /a segment is of another suite/);
    rmSync(join(copy, 'index', name));
    writeFileSync(join(copy, SNAPSHOT, 'notes'), readFileSync(join(plain, SNAPSHOT, 'notes')));
    assert.throws(() => readRepository(copy, opener), /a document is of another suite/);
    writeFileSync(join(copy, 'config'), readFileSync(join(plain, 'config')));
    assert.throws(() => readRepository(copy), /a pack is of another suite/);
  });
});

function refuse(): never {
  throw new Error('this takes the key');
}

describe('the worked example of the page', () => {
  const ascending = (from: number): Buffer => Buffer.from(Array.from({ length: 32 }, (_, index) => from + index));
  const [example, salt] = [ascending(0), ascending(0xa0)];
  const made = encryptedBy(example);

  it('has those keys, that fingerprint and that gear', () => {
    assert.equal(fingerprintOf(example, 'vzvault fingerprint'), '83456f10b36410894c64fbbb30ab0c13');
    const keys = {
      data: '59677d3423c67019a5e85b29be762c168039566e7f72aff5a34708846677a5df',
      id: '3dd1d6830e37694f36d9b0c9b0d95c14cb4a98d15ba084dcd66da6d355e9ea95',
      cut: '193bd8bb4c95200f37d0c3bfaa6741b5c837274b274752e582b91980148b180a',
      document: 'd15ae87b351c732e0f5f29996c6c61e38a2cf306d7d5f185f0d2e4ac3094c362',
    };
    for (const [use, hex] of Object.entries(keys)) assert.equal(hkdf(example, `vzvault ${use}`).toString('hex'), hex);
    assert.deepEqual([made.gear[0], made.gear[255]], [0x7828542187314ff0n, 0x478dec70d42a9337n]);
  });

  it('has that chunk', () => {
    const plain = Buffer.from('vzvault');
    const id = '9fdd87b65237279deb362973a2329961fd8ed807153ed87b66bebee63160e123';
    assert.equal(made.chunkId(plain), id);
    const header = Buffer.concat([Buffer.from('VZVPACK\n\x01\0\x01\0\0\0\0\0', 'latin1'), salt]);
    const stored = Buffer.from('1d7556e02af5df30a25c0c9a536c3ab693c5c1acf36f01', 'hex');
    assert.deepEqual(made.openChunk(header, 1, { id, type: 1, codec: 0, plainLength: 7 }, stored), plain);
  });

  it('has those notes', () => {
    const header = Buffer.from('565a565345414c0a01000100020000000200000012000000', 'hex');
    const stored = Buffer.from('bb1f99c32d48f415828dab7821e3d8208940', 'hex');
    const opened = made.openDocument(Buffer.concat([header, salt]), `${SNAPSHOT}/notes`, stored);
    assert.equal(opened.toString(), 'hi');
  });

  it('has that key', () => {
    const line =
      '{"version":1,"repositoryId":"00112233445566778899aabbccddeeff","fingerprint":"8d12882bd93b0c14e757778a678539cc",' +
      '"label":"node1","createdAt":"2026-11-22T04:17:14Z","scrypt":null,' +
      `"salt":"${salt.toString('hex')}"}`;
    const text = `${line}\nVASlJrqqVbWxZiNkAAo8OhIihwLOVk3E2fheF/YbdArVpkCX21Tdc9fCaCU9MfRA\n`;
    const bytes = Buffer.from(`${text}sha256:${sha256(Buffer.from(text))}\n`);
    const name = fingerprintOf(ascending(0x20), 'vzvault key');
    const document = readKeyDocument(bytes, name, '00112233445566778899aabbccddeeff');
    assert.deepEqual(unwrap(document, ascending(0x20)), example);
  });
});
