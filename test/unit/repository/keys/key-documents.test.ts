import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { keyLimits } from '../../../../src/lib/limits.js';
import {
  makeKeyDocument,
  openKeyDocument,
  parseKeyDocument,
  type Protector,
} from '../../../../src/repository/keys/key-document.js';
import { KeyDocuments } from '../../../../src/repository/keys/key-documents.js';
import {
  fingerprintOfKey,
  fingerprintOfSecret,
  keyOfPassphrase,
  randomKey,
} from '../../../../src/repository/keys/key-material.js';
import { rejectsWith, throwsWith } from '../../../support/assertions.js';
import { MemoryDisk } from '../../../support/memory-directory.js';
import { projectRoot } from '../../../support/project.js';

const repositoryId = 'a'.repeat(32);
const facts = { repositoryId, createdAtSeconds: 1795321034 };
const CHEAP = keyLimits.scryptCostMin;

function keyProtector(key: Buffer, label = 'node1'): Protector {
  return { kind: 'key', key, label };
}

function passphraseProtector(text: string): Protector {
  return { kind: 'passphrase', passphrase: Buffer.from(text), label: 'the boss', scryptCost: CHEAP };
}

describe('a key document', () => {
  it('is three lines that tell whose key it is, and hides the secret', async () => {
    const [secret, key] = [randomKey(), randomKey()];
    const { fingerprint, bytes } = await makeKeyDocument(secret, keyProtector(key), facts);
    assert.equal(fingerprint, fingerprintOfKey(key));
    const [line = '', sealed = '', checksum = '', end] = bytes.toString().split('\n');
    const header = JSON.parse(line) as Record<string, unknown>;
    assert.deepEqual(
      { ...header, salt: '' },
      {
        version: 1,
        repositoryId,
        fingerprint,
        label: 'node1',
        createdAt: '2026-11-22T04:17:14Z',
        scrypt: null,
        salt: '',
      },
    );
    assert.match(sealed, /^[A-Za-z0-9+/]{64}$/);
    assert.match(checksum, /^sha256:[0-9a-f]{64}$/);
    assert.equal(end, '');
    for (const hidden of [secret, key]) assert.ok(!bytes.includes(hidden) && !bytes.includes(hidden.toString('hex')));
  });

  it('gives the secret back to the key, and to no other', async () => {
    const [secret, key] = [randomKey(), randomKey()];
    const { fingerprint, bytes } = await makeKeyDocument(secret, keyProtector(key), facts);
    const document = parseKeyDocument(bytes, fingerprint, 'x');
    assert.deepEqual(openKeyDocument(document, key, fingerprintOfSecret(secret)), secret);
    assert.equal(openKeyDocument(document, randomKey(), fingerprintOfSecret(secret)), null);
    assert.equal(openKeyDocument(document, key, fingerprintOfSecret(randomKey())), null, 'another secret');
  });

  it('gives the secret back to the passphrase, and to no other', async () => {
    const secret = randomKey();
    const { fingerprint, bytes } = await makeKeyDocument(secret, passphraseProtector('correct horse battery'), facts);
    const { scrypt, ...document } = parseKeyDocument(bytes, fingerprint, 'x');
    assert.ok(scrypt);
    const right = await keyOfPassphrase(Buffer.from('correct horse battery'), scrypt);
    assert.equal(fingerprintOfKey(right), fingerprint);
    assert.deepEqual(openKeyDocument({ ...document, scrypt }, right, fingerprintOfSecret(secret)), secret);
    const wrong = await keyOfPassphrase(Buffer.from('Correct horse battery'), scrypt);
    assert.equal(openKeyDocument({ ...document, scrypt }, wrong, fingerprintOfSecret(secret)), null);
  });

  it('is refused with any bit of it flipped', async () => {
    const [secret, key] = [randomKey(), randomKey()];
    const { fingerprint, bytes } = await makeKeyDocument(secret, keyProtector(key), facts);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      throwsWith('E_CONFIG_INVALID', () => parseKeyDocument(flipped, fingerprint, 'keys/x'));
    }
  });

  it('is bound to every field of it: whoever mends the checksum gains nothing', async () => {
    const [secret, key] = [randomKey(), randomKey()];
    const { fingerprint, bytes } = await makeKeyDocument(secret, keyProtector(key), facts);
    const document = parseKeyDocument(bytes, fingerprint, 'x');
    for (let bit = 0; bit < document.context.length * 8; bit += 1) {
      const context = Buffer.from(document.context);
      context[bit >> 3] = (context[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(openKeyDocument({ ...document, context }, key, fingerprintOfSecret(secret)), null);
    }
  });

  it('is the one of docs/format.md', () => {
    const format = readFileSync(join(projectRoot, 'docs/format.md'), 'utf8');
    const [line = ''] = /^`(\{"version":1,.*\})`$/m.exec(format)?.slice(1) ?? [];
    const [sealed = ''] = /the second line is `([A-Za-z0-9+/]{64})`/.exec(format)?.slice(1) ?? [];
    const [secret, key] = [0, 32].map((from) => Buffer.from(Array.from({ length: 32 }, (_, index) => from + index)));
    assert.ok(secret && key);
    const text = `${line}\n${sealed}\n`;
    const bytes = Buffer.from(`${text}sha256:${createHash('sha256').update(text).digest('hex')}\n`);
    const document = parseKeyDocument(bytes, fingerprintOfKey(key), 'x');
    assert.deepEqual(openKeyDocument(document, key, '83456f10b36410894c64fbbb30ab0c13'), secret);
  });

  it('never asks for more memory than a node has', async () => {
    const { fingerprint, bytes } = await makeKeyDocument(randomKey(), passphraseProtector('x'.repeat(12)), facts);
    const document = parseKeyDocument(bytes, fingerprint, 'x');
    assert.equal(document.scrypt?.cost, CHEAP);
    for (const N of [2, 2 ** 25, CHEAP + 1, -1, 1.5]) {
      const line = document.context.toString().replace(`"N":${CHEAP}`, `"N":${N}`);
      const text = `${line}\n${document.sealed.toString('base64')}\n`;
      const forged = `${text}sha256:${createHash('sha256').update(text).digest('hex')}\n`;
      throwsWith('E_CONFIG_INVALID', () => parseKeyDocument(Buffer.from(forged), fingerprint, 'x'));
    }
  });
});

describe('the keys of a repository', () => {
  const secret = randomKey();

  function setUp(): { disk: MemoryDisk; keys: KeyDocuments; other: KeyDocuments } {
    const disk = new MemoryDisk().makeDirectory('/r');
    const open = (id: string): KeyDocuments => new KeyDocuments(disk.open('/r'), id);
    return { disk, keys: open(repositoryId), other: open('b'.repeat(32)) };
  }

  it('are listed, read and removed, but for the last', async () => {
    const { keys } = setUp();
    assert.deepEqual(await keys.list(), []);
    const first = await keys.add(secret, keyProtector(randomKey()), 0);
    const second = await keys.add(secret, passphraseProtector('a long passphrase'), 0);
    assert.deepEqual(
      (await keys.list()).map(({ fingerprint }) => fingerprint),
      [first, second].sort(),
    );
    assert.equal((await keys.read(second))?.label, 'the boss');
    assert.equal(await keys.read('0'.repeat(32)), null);
    await keys.remove(first);
    await rejectsWith('E_KEY_MISSING', keys.remove(first));
    assert.match((await rejectsWith('E_UNSUPPORTED', keys.remove(second))).message, /last key/);
    assert.equal((await keys.list()).length, 1);
  });

  it('keep one where two removals meet', async () => {
    const { disk, keys } = setUp();
    const first = await keys.add(secret, keyProtector(randomKey()), 0);
    const second = await keys.add(secret, keyProtector(randomKey()), 0);
    const bytes = disk.files.get(`/r/keys/${second}`);
    disk.fault = (call, path) => {
      if (call === 'remove' && path.endsWith(first)) disk.files.delete(`/r/keys/${second}`);
    };
    await rejectsWith('E_UNSUPPORTED', keys.remove(first));
    assert.deepEqual(
      (await keys.list()).map(({ fingerprint }) => fingerprint),
      [first],
    );
    assert.ok(bytes);
  });

  it('say that a key is one of them already', async () => {
    const { keys } = setUp();
    const key = randomKey();
    const fingerprint = await keys.add(secret, keyProtector(key), 0);
    const error = await rejectsWith('E_NAME_TAKEN', keys.add(secret, keyProtector(key), 0));
    assert.match(error.message, new RegExp(fingerprint));
  });

  it('are told from those of another repository, and from damaged ones, which never count as the one that stays', async () => {
    const { disk, keys, other } = setUp();
    const foreign = await other.add(secret, keyProtector(randomKey()), 0);
    const damaged = await keys.add(secret, keyProtector(randomKey()), 0);
    const good = await keys.add(secret, keyProtector(randomKey()), 0);
    disk.files.get(`/r/keys/${damaged}`)?.fill(0x20, 10, 20);
    disk.files.set(`/r/keys/${'c'.repeat(32)}`, Buffer.alloc(keyLimits.documentBytes + 1));
    disk.files.set('/r/keys/README', Buffer.from('not a key'));
    assert.match((await rejectsWith('E_CONFIG_INVALID', keys.read(foreign))).message, /that of the repository bbbb/);
    assert.match((await rejectsWith('E_CONFIG_INVALID', keys.read(damaged))).message, /checksum/);
    const listed = await keys.list();
    assert.deepEqual(
      listed.filter(({ damage }) => damage === null).map(({ fingerprint }) => fingerprint),
      [good],
    );
    assert.equal(listed.length, 4);
    await rejectsWith('E_UNSUPPORTED', keys.remove(good));
    await keys.remove(damaged);
  });

  it('take the place of a document that opens nothing', async () => {
    const { keys, other } = setUp();
    const key = randomKey();
    const fingerprint = await other.add(randomKey(), keyProtector(key), 0);
    assert.equal(await keys.add(secret, keyProtector(key), 0), fingerprint);
    const document = await keys.read(fingerprint);
    assert.ok(document);
    assert.deepEqual(openKeyDocument(document, key, fingerprintOfSecret(secret)), secret);
  });

  it('are not refused under another name only: the name is checked', async () => {
    const { disk, keys } = setUp();
    const fingerprint = await keys.add(secret, keyProtector(randomKey()), 0);
    disk.files.set(`/r/keys/${'d'.repeat(32)}`, disk.files.get(`/r/keys/${fingerprint}`) ?? Buffer.alloc(0));
    assert.match((await rejectsWith('E_CONFIG_INVALID', keys.read('d'.repeat(32)))).message, /that of the key/);
  });

  it('are at most so many', async () => {
    const { disk, keys } = setUp();
    for (let index = 0; index < keyLimits.documents; index += 1)
      disk.files.set(`/r/keys/${index.toString(16).padStart(32, '0')}`, Buffer.from('x'));
    disk.makeDirectory('/r/keys');
    await rejectsWith('E_UNSUPPORTED', keys.add(secret, keyProtector(randomKey()), 0));
  });
});
