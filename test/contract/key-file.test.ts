/** The key files that the storage plugin writes are those that vzvault reads. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseKeyFile } from '../../src/repository/keys/key-file.js';
import { fingerprintOfKey } from '../../src/repository/keys/key-material.js';
import { projectRoot } from '../support/project.js';

const script = `
  use strict; use warnings; use JSON::PP; use PVE::Vzvault::EncryptionKey;
  print encode_json(PVE::Vzvault::EncryptionKey::from_value($ARGV[0]));`;

function written(value: string): { text: string; fingerprint: string } {
  const libraries = ['perl', 'test/perl/stubs'].map((path) => `-I${join(projectRoot, path)}`);
  return JSON.parse(execFileSync('perl', [...libraries, '-e', script, value]).toString()) as {
    text: string;
    fingerprint: string;
  };
}

describe('a key file of the storage plugin', () => {
  it('has the key that was given, in any of its forms', () => {
    const key = randomBytes(32);
    const { text } = written(key.toString('hex'));
    for (const value of [key.toString('base64'), text]) assert.equal(written(value).fingerprint, fingerprintOfKey(key));
    const file = parseKeyFile(Buffer.from(text), 'x');
    assert.deepEqual(file.key, { kind: 'plain', bytes: key });
    assert.equal(file.fingerprint, fingerprintOfKey(key));
    assert.equal(file.repositoryId, null);
  });

  it('has one that was made', () => {
    const { text, fingerprint } = written('autogen');
    assert.equal(parseKeyFile(Buffer.from(text), 'x').fingerprint, fingerprint);
  });
});
