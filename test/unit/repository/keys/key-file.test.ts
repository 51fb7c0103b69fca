import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { keyLimits } from '../../../../src/lib/limits.js';
import {
  keyInFile,
  parseKeyFile,
  plainKeyFile,
  readKeyFile,
  sealKeyFile,
  writeKeyFile,
} from '../../../../src/repository/keys/key-file.js';
import { fingerprintOfKey, randomKey, requirePassphrase } from '../../../../src/repository/keys/key-material.js';
import { rejectsWith, throwsWith } from '../../../support/assertions.js';
import { cleanupsOf } from '../../../support/temp.js';

const facts = { repositoryId: 'a'.repeat(32), createdAtSeconds: 1795321034 };
const nobody = async (): Promise<null> => null;
const says = (text: string) => async () => Buffer.from(text);

describe('a key file', () => {
  it('is for its owner only, and says what it is', async (t) => {
    const path = join(cleanupsOf(t).directory(), 'key.json');
    const key = randomKey();
    await writeKeyFile(path, plainKeyFile(key, facts));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {
      vzvaultKey: 1,
      fingerprint: fingerprintOfKey(key),
      repositoryId: facts.repositoryId,
      createdAt: '2026-11-22T04:17:14Z',
      key: key.toString('base64'),
    });
    assert.deepEqual(await keyInFile(await readKeyFile(path), path, nobody), key);
  });

  it('is refused where others can read it', async (t) => {
    const path = join(cleanupsOf(t).directory(), 'key.json');
    await writeKeyFile(path, plainKeyFile(randomKey(), facts));
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      chmodSync(path, mode);
      assert.match((await rejectsWith('E_PERMISSION', readKeyFile(path))).message, /can be read by others/);
    }
    chmodSync(path, 0o400);
    await readKeyFile(path);
  });

  it('is never written over, unless it is replaced, which leaves nothing else', async (t) => {
    const directory = cleanupsOf(t).directory();
    const path = join(directory, 'key.json');
    const [first, second] = [randomKey(), randomKey()];
    await writeKeyFile(path, plainKeyFile(first, facts));
    await rejectsWith('E_TARGET_EXISTS', writeKeyFile(path, plainKeyFile(second, facts)));
    assert.deepEqual(await keyInFile(await readKeyFile(path), path, nobody), first);
    await writeKeyFile(path, plainKeyFile(second, facts), { replace: true });
    assert.deepEqual(await keyInFile(await readKeyFile(path), path, nobody), second);
    assert.deepEqual(readdirSync(directory), ['key.json']);
    await rejectsWith('E_PERMISSION', writeKeyFile(join(directory, 'absent', 'key'), plainKeyFile(first, facts)));
  });

  it('opens with its passphrase, and with no other', async (t) => {
    const path = join(cleanupsOf(t).directory(), 'key.json');
    const key = randomKey();
    const passphrase = Buffer.from('a good passphrase');
    const sealed = await sealKeyFile(plainKeyFile(key, facts), passphrase, keyLimits.scryptCostMin);
    await writeKeyFile(path, sealed);
    assert.ok(!readFileSync(path, 'utf8').includes(key.toString('base64')));
    const file = await readKeyFile(path);
    assert.deepEqual(await keyInFile(file, path, says('a good passphrase')), key);
    assert.match(
      (await rejectsWith('E_KEY_WRONG', keyInFile(file, path, says('a bad passphrase')))).line,
      /passphrase/,
    );
    assert.match((await rejectsWith('E_KEY_MISSING', keyInFile(file, path, nobody))).message, /sealed by a passphrase/);
  });

  it('is refused in one line that tells nothing of the key where it is no key file', async (t) => {
    const directory = cleanupsOf(t).directory();
    const path = join(directory, 'key.json');
    await rejectsWith('E_KEY_MISSING', readKeyFile(path));
    mkdirSync(join(directory, 'folder'));
    await rejectsWith('E_KEY_WRONG', readKeyFile(join(directory, 'folder')));
    const key = randomKey();
    const good = {
      vzvaultKey: 1,
      fingerprint: fingerprintOfKey(key),
      createdAt: '2026-11-22T04:17:14Z',
      key: key.toString('base64'),
    };
    const texts = [
      '',
      'rubbish',
      '{}',
      JSON.stringify({ ...good, vzvaultKey: 2 }),
      JSON.stringify({ ...good, fingerprint: fingerprintOfKey(randomKey()) }),
      JSON.stringify({ ...good, key: `${good.key}AAAA` }),
      JSON.stringify({ ...good, key: undefined }),
      'x'.repeat(keyLimits.keyFileBytes + 1),
    ];
    for (const text of texts) {
      writeFileSync(path, text, { mode: 0o600 });
      const { line } = await rejectsWith('E_KEY_WRONG', readKeyFile(path));
      assert.ok(!line.includes(good.key.slice(0, 20)) && !line.includes('\n'), line);
    }
    assert.equal(parseKeyFile(Buffer.from(JSON.stringify(good)), path).repositoryId, null);
  });

  it('with any bit of a sealed key flipped opens no more', async () => {
    const key = randomKey();
    const passphrase = Buffer.from('a good passphrase');
    const file = await sealKeyFile(plainKeyFile(key, facts), passphrase, keyLimits.scryptCostMin);
    assert.ok(file.key.kind === 'sealed');
    for (let bit = 0; bit < file.key.sealed.length * 8; bit += 37) {
      const sealed = Buffer.from(file.key.sealed);
      sealed[bit >> 3] = (sealed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const damaged = { ...file, key: { ...file.key, sealed } };
      await rejectsWith('E_KEY_WRONG', keyInFile(damaged, 'x', says('a good passphrase')));
    }
  });
});

describe('a passphrase', () => {
  it('is long enough to be one', () => {
    throwsWith('E_ARGUMENT_INVALID', () => {
      requirePassphrase(Buffer.from('short'));
    });
    throwsWith('E_ARGUMENT_INVALID', () => {
      requirePassphrase(Buffer.alloc(keyLimits.passphraseMaxBytes + 1));
    });
    requirePassphrase(Buffer.from('twelve bytes'));
  });
});
