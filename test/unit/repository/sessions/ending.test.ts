import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VzvaultError } from '../../../../src/lib/errors.js';
import { sharingLimits } from '../../../../src/lib/limits.js';
import { PassiveSession } from '../../../../src/repository/sessions/passive-session.js';
import type { Sharing } from '../../../../src/repository/sessions/sharing.js';
import { rejectsWith } from '../../../support/assertions.js';
import type { Call } from '../../../support/memory-directory.js';
import { SharingWorld } from '../../../support/sharing-world.js';

const { heartbeatMs } = sharingLimits;

/** From now on such calls fail for files of sessions. */
function refuse({ engine }: SharingWorld, ...calls: readonly Call[]): void {
  engine.disk.fault = (call, path) => {
    if (calls.includes(call) && path.includes('/sessions/')) throw new VzvaultError('E_STORAGE_IO', 'the link is down');
  };
}

function openReader({ repository }: SharingWorld, sharing: Sharing): Promise<PassiveSession> {
  return PassiveSession.open(repository.blobs, repository.sealer, sharing, { roots: [] });
}

for (const [what, open] of [
  ['writer', (world: SharingWorld, sharing: Sharing) => world.openWriter(sharing)],
  ['reader', openReader],
] as const) {
  describe(`the end of a ${what} that failed`, () => {
    it('is tried again after the repository was closed, is said once, and keeps nothing open', async () => {
      const world = await SharingWorld.create();
      const sharing = world.sharing();
      const session = await open(world, sharing);
      refuse(world, 'remove');
      await rejectsWith('E_STORAGE_IO', session.end());
      await world.repository.close();
      for (let beats = 0; beats < 3; beats += 1) await world.pass(heartbeatMs);
      assert.equal(world.failures.length, 1);
      assert.match(world.failures[0] ?? '', /^E_STORAGE_IO: ending the session [0-9a-f]{32} in .*: the link is down$/);
      assert.equal(sharing.heartbeats.size, 1);
      world.engine.disk.fault = () => undefined;
      await world.pass(heartbeatMs);
      assert.deepEqual(world.names('sessions'), []);
      assert.equal(sharing.heartbeats.size, 0);
      assert.equal(world.engine.disk.openHandles, 0);
    });

    it('is over where somebody else has ended the session meanwhile', async () => {
      const world = await SharingWorld.create();
      const sharing = world.sharing();
      const session = await open(world, sharing);
      refuse(world, 'remove');
      await rejectsWith('E_STORAGE_IO', session.end());
      world.engine.disk.files.delete(`/mnt/backup/vzvault/sessions/${session.id}`);
      await session.end();
      assert.equal(sharing.heartbeats.size, 0);
    });

    it('comes after a heartbeat that hung while the repository was closed, which is no defect', async () => {
      const world = await SharingWorld.create();
      const sharing = world.sharing();
      const session = await open(world, sharing);
      let goOn = (): void => undefined;
      world.engine.disk.fault = () =>
        new Promise<void>((resolve) => {
          goOn = resolve;
        });
      await world.pass(heartbeatMs);
      const ending = session.end().catch(() => undefined);
      await world.repository.close();
      world.engine.disk.fault = () => undefined;
      goOn();
      await ending;
      await world.pass(heartbeatMs);
      assert.deepEqual(world.names('sessions'), []);
      assert.equal(sharing.heartbeats.size, 0);
      assert.deepEqual(world.failures, []);
    });
  });
}

describe('a session that could not be opened', () => {
  it('is removed once that can be done', async () => {
    const world = await SharingWorld.create();
    const sharing = world.sharing();
    world.engine.disk.fault = (call, path) => {
      if (call === 'remove' || path.endsWith('/condemned')) throw new VzvaultError('E_STORAGE_IO', 'the link is down');
    };
    await rejectsWith('E_STORAGE_IO', world.openWriter(sharing));
    assert.equal(world.names('sessions').length, 1);
    await world.repository.close();
    world.engine.disk.fault = () => undefined;
    await world.pass(heartbeatMs);
    assert.deepEqual(world.names('sessions'), []);
    assert.equal(sharing.heartbeats.size, 0);
  });

  it('is over where the storage cannot be written', async () => {
    const world = await SharingWorld.create();
    const sharing = world.sharing();
    world.engine.disk.fault = (call) => {
      if (call === 'replace' || call === 'remove') throw new VzvaultError('E_READ_ONLY', 'read-only');
    };
    await rejectsWith('E_READ_ONLY', openReader(world, sharing));
    assert.equal(sharing.heartbeats.size, 0);
    assert.deepEqual(world.failures, []);
  });
});
