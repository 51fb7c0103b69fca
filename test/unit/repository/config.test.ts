import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../src/lib/errors.js';
import { CHUNK_SIZES, decodeConfig, encodeConfig, newConfig } from '../../../src/repository/config.js';
import { throwsWith } from '../../support/assertions.js';

const config = newConfig({ chunkSizeBytes: 524288, createdAtSeconds: 1795321034 });

function withLine(line: string): Buffer {
  return Buffer.from(`${line}\nsha256:${createHash('sha256').update(line).digest('hex')}\n`);
}

function withField(field: string, value: unknown): Buffer {
  const fields = JSON.parse(encodeConfig(config).toString().split('\n')[0] ?? '') as Record<string, unknown>;
  return withLine(JSON.stringify({ ...fields, [field]: value }));
}

describe('the config of a repository', () => {
  it('reads back what it writes, for every chunk size', () => {
    for (const chunkSizeBytes of CHUNK_SIZES) {
      const written = newConfig({ chunkSizeBytes, createdAtSeconds: 1795321034 });
      assert.deepEqual(decodeConfig(encodeConfig(written), 'config'), written);
    }
  });

  it('is two lines: a JSON object and the digest of it', () => {
    const [json = '', checksum, end] = encodeConfig(config).toString().split('\n');
    assert.deepEqual(JSON.parse(json), {
      format: 1,
      repositoryId: config.repositoryId,
      createdAt: '2026-11-22T04:17:14Z',
      chunkSizeBytes: 524288,
      hash: 'sha256',
      suite: 'none',
      keyFingerprint: null,
    });
    assert.equal(checksum, `sha256:${createHash('sha256').update(json).digest('hex')}`);
    assert.equal(end, '');
  });

  it('gives every repository an id of its own', () => {
    assert.notEqual(newConfig({ chunkSizeBytes: 524288, createdAtSeconds: 0 }).repositoryId, config.repositoryId);
  });

  it('refuses a chunk size that format 1 does not have', () => {
    throwsWith('E_ARGUMENT_INVALID', () => newConfig({ chunkSizeBytes: 524287, createdAtSeconds: 0 }));
  });

  it('names another format, whether or not its checksum is one that we know', () => {
    const error = throwsWith('E_FORMAT_UNKNOWN', () => decodeConfig(withField('format', 2), '/mnt/config'));
    assert.match(error.message, /\/mnt\/config is of format 2/);
    throwsWith('E_FORMAT_UNKNOWN', () => decodeConfig(Buffer.from('{"format":3}\nblake3:00\n'), 'config'));
    throwsWith('E_FORMAT_UNKNOWN', () => decodeConfig(Buffer.from('{"format":3}'), 'config'));
  });

  it('names an encryption that it cannot open', () => {
    const error = throwsWith('E_SUITE_UNKNOWN', () => decodeConfig(withField('suite', 'aes-512-siv'), 'config'));
    assert.match(error.message, /aes-512-siv/);
  });

  it('says whether it is encrypted, and by which secret', () => {
    const keyFingerprint = 'f'.repeat(32);
    const encrypted = newConfig({ chunkSizeBytes: 524288, createdAtSeconds: 1795321034, keyFingerprint });
    assert.deepEqual(decodeConfig(encodeConfig(encrypted), 'config'), encrypted);
    const fields = JSON.parse(encodeConfig(encrypted).toString().split('\n')[0] ?? '') as Record<string, unknown>;
    assert.deepEqual(
      [fields['suite'], fields['hash'], fields['keyFingerprint']],
      ['aes-256-gcm', 'hmac-sha256', keyFingerprint],
    );
    // Half of it is neither the one nor the other.
    for (const change of [{ hash: 'sha256' }, { keyFingerprint: null }, { keyFingerprint: 'x' }, { suite: 'none' }])
      throwsWith('E_CONFIG_INVALID', () => decodeConfig(withLine(JSON.stringify({ ...fields, ...change })), 'config'));
  });

  it('ignores fields that it does not know', () => {
    assert.deepEqual(decodeConfig(withField('later', { x: 1 }), 'config'), config);
  });

  it('refuses a field of another kind', () => {
    const wrong: [string, unknown][] = [
      ['repositoryId', 'ABC'],
      ['repositoryId', null],
      ['createdAt', '2026-02-30T00:00:00Z'],
      ['chunkSizeBytes', 1],
      ['chunkSizeBytes', '524288'],
      ['hash', 'md5'],
      ['suite', 7],
      ['keyFingerprint', 'aa'],
      ['format', '1'],
      ['format', null],
    ];
    for (const [field, value] of wrong)
      throwsWith('E_CONFIG_INVALID', () => decodeConfig(withField(field, value), 'config'));
  });

  it('refuses every file with one byte changed, cut off or added', () => {
    const good = encodeConfig(config);
    const refuses = (bytes: Buffer, what: string): void => {
      try {
        decodeConfig(bytes, 'config');
      } catch (error) {
        assert.ok(error instanceof VzvaultError);
        // A digit of the format's number that turned into another digit is another format.
        assert.ok(['E_CONFIG_INVALID', 'E_FORMAT_UNKNOWN'].includes(error.code), `${what}: ${error.line}`);
        return;
      }
      assert.fail(`accepted with ${what}`);
    };
    for (let at = 0; at < good.length; at += 1) {
      for (const bit of [0x01, 0x80]) {
        const changed = Buffer.from(good);
        changed[at] = (changed[at] ?? 0) ^ bit;
        refuses(changed, `byte ${at} changed`);
      }
      refuses(good.subarray(0, at), `${at} bytes left`);
    }
    refuses(Buffer.concat([good, Buffer.from('\n')]), 'a line added');
  });

  it('refuses what is no JSON object', () => {
    for (const line of ['', '[]', 'null', '1', '"x"', '{', '[1]'])
      throwsWith('E_CONFIG_INVALID', () => decodeConfig(withLine(line), 'config'));
  });
});
