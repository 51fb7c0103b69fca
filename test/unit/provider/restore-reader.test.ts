import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { VzvaultError } from '../../../src/lib/errors.js';
import { sharingLimits } from '../../../src/lib/limits.js';
import { RestoreReader } from '../../../src/provider/restore-reader.js';
import type { ReaderRecord } from '../../../src/repository/sessions/adopted-reader.js';
import { PassiveSession } from '../../../src/repository/sessions/passive-session.js';
import { SessionFiles } from '../../../src/repository/sessions/session-files.js';
import type { Sharing } from '../../../src/repository/sessions/sharing.js';
import { SharingWorld } from '../../support/sharing-world.js';

const { heartbeatMs } = sharingLimits;

interface Left {
  readonly world: SharingWorld;
  /** Of the next daemon. */
  readonly sharing: Sharing;
  readonly record: ReaderRecord;
  readonly lines: string[];
  readonly adopt: () => RestoreReader;
  readonly counter: () => Promise<number | undefined>;
}

/** What a daemon left that had one restore open. */
async function leftOver(): Promise<Left> {
  const world = await SharingWorld.create();
  const { blobs, sealer, path } = world.repository;
  const before = world.sharing();
  const session = await PassiveSession.open(blobs, sealer, before, { roots: [] });
  session.release();
  const record = { path, sid: session.id };
  const sharing = world.sharing();
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => lines.push(line) });
  const counter = async (): Promise<number | undefined> =>
    (await new SessionFiles(blobs, sealer).read(session.id))?.counter;
  const adopt = (): RestoreReader => RestoreReader.adopt(world.engine, sharing, record, logger);
  return { world, sharing, record, lines, adopt, counter };
}

function cutOff({ engine }: SharingWorld): void {
  engine.disk.fault = () => {
    throw new VzvaultError('E_STORAGE_IO', 'the link is down');
  };
}

describe('the reader of a restore that a daemon left', () => {
  it('counts on with the next daemon, and ends with the restore', async () => {
    const { world, sharing, record, adopt, counter } = await leftOver();
    const reader = adopt();
    await world.pass(0);
    assert.deepEqual(reader.record, record);
    await world.pass(heartbeatMs);
    assert.equal(await counter(), 2);
    await reader.end();
    await reader.end();
    assert.deepEqual(world.names('sessions'), []);
    assert.equal(sharing.heartbeats.size, 0);
    assert.equal(world.engine.disk.openHandles, 1);
  });

  it('is asked for again where the storage does not answer at first, and says so once', async () => {
    const { world, record, lines, adopt, counter } = await leftOver();
    cutOff(world);
    const reader = adopt();
    for (let attempts = 0; attempts < 3; attempts += 1) await world.pass(heartbeatMs);
    assert.equal(reader.record, null);
    assert.equal(lines.filter((line) => line.includes('the link is down')).length, 1);
    assert.equal(world.engine.disk.openHandles, 1);
    world.engine.disk.fault = () => undefined;
    await world.pass(heartbeatMs);
    assert.deepEqual(reader.record, record);
    assert.match(lines.at(-1) ?? '', /went on with a session/);
    await world.pass(heartbeatMs);
    assert.equal(await counter(), 2);
    await reader.end();
    assert.deepEqual(world.names('sessions'), []);
  });

  it('holds nothing where only its session cannot be read', async () => {
    const { world, adopt } = await leftOver();
    world.engine.disk.fault = (_call, path) => {
      if (path.includes('/sessions/')) throw new VzvaultError('E_STORAGE_IO', 'the link is down');
    };
    const reader = adopt();
    await world.pass(0);
    assert.equal(world.engine.disk.openHandles, 1);
    await reader.end();
  });

  it('is not asked for any longer once the restore has ended', async () => {
    const { world, sharing, adopt } = await leftOver();
    cutOff(world);
    const reader = adopt();
    await world.pass(heartbeatMs);
    await reader.end();
    world.engine.disk.fault = () => undefined;
    const calls = world.engine.disk.calls.length;
    await world.pass(heartbeatMs);
    assert.equal(world.engine.disk.calls.length, calls);
    assert.equal(sharing.heartbeats.size, 0);
  });

  it('is ended when a storage that hung answers after the end of the restore', async () => {
    const { world, sharing, adopt } = await leftOver();
    let goOn = (): void => undefined;
    world.engine.disk.fault = () =>
      new Promise<void>((resolve) => {
        goOn = resolve;
      });
    const reader = adopt();
    await world.pass(heartbeatMs);
    await reader.end();
    world.engine.disk.fault = () => undefined;
    goOn();
    await world.pass(0);
    assert.deepEqual(world.names('sessions'), []);
    assert.equal(sharing.heartbeats.size, 0);
    assert.equal(world.engine.disk.openHandles, 1);
  });

  it('says that the data may go where the session was ended by others', async () => {
    const { world, record, lines, adopt } = await leftOver();
    await world.repository.blobs.remove(`sessions/${record.sid}`);
    const reader = adopt();
    await world.pass(0);
    assert.equal(reader.record, null);
    assert.match(lines.join(''), /the session of a restore is gone/);
    assert.equal(world.engine.disk.openHandles, 1);
    await reader.end();
  });
});
