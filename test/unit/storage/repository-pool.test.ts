import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { plainKeyFile, writeKeyFile } from '../../../src/repository/keys/key-file.js';
import { KEY_BYTES, randomKey } from '../../../src/repository/keys/key-material.js';
import { createRepository, type StorageLocation } from '../../../src/repository/repository.js';
import { RepositoryPool } from '../../../src/storage/repository-pool.js';
import { FakeEngine } from '../../support/fake-engine.js';
import { ManualClock } from '../../support/manual-clock.js';
import { cleanupsOf } from '../../support/temp.js';

const path = '/mnt/cloud';
const options = { timeoutMs: 5000, doing: 'looking' };

describe('the pool of repositories', () => {
  it('keeps the secret of an encrypted one as long as it is opened by it, and overwrites it then', async (t) => {
    const engine = new FakeEngine();
    engine.disk.makeDirectory(path);
    const key = randomKey();
    const protector = { kind: 'key', key, label: '' } as const;
    await createRepository(engine, { path }, { createdAtSeconds: 0, protector });
    const keyFile = join(cleanupsOf(t).directory(), 'cloud.key');
    await writeKeyFile(keyFile, plainKeyFile(key, { repositoryId: null, createdAtSeconds: 0 }));
    const pool = new RepositoryPool(engine, new ManualClock());
    const location: StorageLocation = { path, unlocking: { keyFile } };
    const secretOf = (): Promise<Buffer | null> =>
      pool.withRepository(location, options, async ({ access }) => (access.problem === null ? access.secret : null));
    const secret = await secretOf();
    assert.ok(secret !== null && !secret.equals(Buffer.alloc(KEY_BYTES)));
    assert.equal(await secretOf(), secret);
    renameSync(keyFile, `${keyFile}.away`);
    assert.equal(await secretOf(), null);
    assert.deepEqual(secret, Buffer.alloc(KEY_BYTES));
  });
});
