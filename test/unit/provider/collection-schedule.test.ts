import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { collectionLimits, sessionLimits } from '../../../src/lib/limits.js';
import { silentLogger } from '../../../src/lib/logger.js';
import { CollectionSchedule, type CollectionScheduleOptions } from '../../../src/provider/collection-schedule.js';
import { readNodeStorages } from '../../../src/provider/node-storages.js';
import { plainKeyFile, writeKeyFile } from '../../../src/repository/keys/key-file.js';
import { randomKey } from '../../../src/repository/keys/key-material.js';
import { createRepository } from '../../../src/repository/repository.js';
import { PassiveSession } from '../../../src/repository/sessions/passive-session.js';
import { FakeCollection } from '../../support/fake-collection.js';
import { until } from '../../support/processes.js';
import { PATH, SharingWorld } from '../../support/sharing-world.js';
import { cleanupsOf } from '../../support/temp.js';

const storage = { id: 'nas', path: PATH, isMountpoint: '' } as const;

interface Stage {
  readonly world: SharingWorld;
  readonly schedule: CollectionSchedule;
  /** What was warned of. */
  readonly warnings: string[];
}

async function setUp(changes: Partial<CollectionScheduleOptions> = {}): Promise<Stage> {
  const world = await SharingWorld.create();
  world.engine.store.garbage.uses = [FakeCollection.pack('d', 900)];
  const { engine, clock } = world;
  const warnings: string[] = [];
  const logger = silentLogger();
  logger.warn = (_fields: unknown, line?: string) => {
    warnings.push(line ?? '');
  };
  const options = { engine, sharing: world.sharing(), clock, logger, random: () => 0.5 };
  return { world, schedule: new CollectionSchedule({ ...options, ...changes }), warnings };
}

/** Looks, and lets time pass until what came of it has ended. */
async function look({ world, schedule }: Stage): Promise<void> {
  schedule.look();
  await world.until(schedule.idle());
}

/** Looks once more when what failed or was delayed is due. */
async function lookLater(stage: Stage): Promise<void> {
  stage.world.clock.advance(2 * collectionLimits.delayMs);
  await look(stage);
}

describe('the schedule of collections', () => {
  it('collects a storage that backups go into, after a delay, once a day', async () => {
    const stage = await setUp();
    const { world, schedule } = stage;
    schedule.noteUse(storage);
    const { garbage } = world.engine.store;
    await look(stage);
    assert.equal(garbage.closes, 0);
    world.clock.advance(collectionLimits.delayMs);
    await look(stage);
    assert.equal(garbage.closes, 1);
    world.clock.advance(collectionLimits.intervalMs / 2);
    await look(stage);
    assert.equal(garbage.closes, 1);
    world.clock.advance(collectionLimits.intervalMs);
    schedule.noteUse(storage);
    await look(stage);
    assert.equal(garbage.closes, 2);
  });

  it('does not give up where it cannot be read when the last one was', async () => {
    const stage = await setUp();
    const { world, schedule, warnings } = stage;
    const { store, disk } = world.engine;
    const { garbage } = store;
    garbage.uses = [FakeCollection.pack('a', 0)];
    schedule.noteUse(storage);
    await lookLater(stage);
    assert.equal(garbage.closes, 1);
    garbage.uses = [];
    const done = [...disk.files.keys()].filter((path) => path.endsWith('.done'));
    assert.equal(done.length, 1);
    for (const path of done) disk.files.set(path, Buffer.from('x'));
    world.clock.advance(collectionLimits.intervalMs);
    await lookLater(stage);
    assert.deepEqual([garbage.closes, warnings], [2, []]);
  });

  it('lets another node finish', async () => {
    const stage = await setUp();
    const { world, schedule } = stage;
    schedule.noteUse(storage);
    const { blobs, sealer } = world.repository;
    const other = await PassiveSession.open(blobs, sealer, world.sharing(), { kind: 'collector', roots: [] });
    world.clock.advance(collectionLimits.delayMs);
    await look(stage);
    assert.equal(world.engine.store.garbage.closes, 0);
    await other.end();
    world.clock.advance(collectionLimits.scheduleMs);
    await look(stage);
    assert.equal(world.engine.store.garbage.closes, 1);
  });

  it('tries again later where a collection failed, and says the same only once', async () => {
    const stage = await setUp();
    const { world, schedule, warnings } = stage;
    world.engine.disk.makeDirectory('/mnt/later');
    schedule.noteUse({ ...storage, path: '/mnt/later' });
    for (let attempt = 0; attempt < 3; attempt += 1) await lookLater(stage);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /^the collection ended: .*E_REPOSITORY_MISSING/);
    const late = await createRepository(world.engine, { path: '/mnt/later' }, { createdAtSeconds: 0 });
    await late.close();
    await lookLater(stage);
    assert.equal(world.engine.store.garbage.closes, 1);
    await schedule.stop();
  });
});

describe('the storages that are collected', () => {
  it('are those that Proxmox VE lists for the node, also where no backup goes into them', async (t) => {
    const config = join(cleanupsOf(t).directory(), 'storage.cfg');
    const stage = await setUp({ nodeStorages: () => readNodeStorages('node1.example.org', config) });
    const { world } = stage;
    const { garbage } = world.engine.store;
    writeFileSync(config, `vzvault: nas\n\tpath ${PATH}\n\tnodes node2\n`);
    for (let attempt = 0; attempt < 2; attempt += 1) await lookLater(stage);
    assert.equal(garbage.closes, 0);
    writeFileSync(config, `vzvault: nas\n\tpath ${PATH}\n\tnodes node2,node1\n`);
    for (let attempt = 0; attempt < 2; attempt += 1) await lookLater(stage);
    assert.equal(garbage.closes, 1);
    writeFileSync(config, `vzvault: nas\n\tpath ${PATH}\n\tdisable\n`);
    await look(stage);
    world.clock.advance(2 * collectionLimits.intervalMs);
    await look(stage);
    assert.equal(garbage.closes, 1);
  });

  it('are those that backups go into where there is no Proxmox VE', async (t) => {
    const missing = join(cleanupsOf(t).directory(), 'storage.cfg');
    const stage = await setUp({ nodeStorages: () => readNodeStorages('node1', missing) });
    stage.schedule.noteUse(storage);
    await look(stage);
    await lookLater(stage);
    assert.equal(stage.world.engine.store.garbage.closes, 1);
  });

  it('do not wait for a list that does not come', async () => {
    let asked = 0;
    const stage = await setUp({
      nodeStorages: () => {
        asked += 1;
        return new Promise(() => undefined);
      },
    });
    const { world, schedule } = stage;
    schedule.noteUse(storage);
    world.clock.advance(collectionLimits.delayMs);
    for (let attempt = 0; attempt < 3; attempt += 1) schedule.look();
    await until('it is collected', () => world.engine.store.garbage.closes === 1);
    assert.equal(asked, 1);
  });

  it('are not tried again as long as one hangs', async (t) => {
    const { openMs } = sessionLimits;
    cleanupsOf(t).add(() => {
      Object.assign(sessionLimits, { openMs });
    });
    Object.assign(sessionLimits, { openMs: 50 });
    const stage = await setUp();
    const { world, schedule, warnings } = stage;
    const { disk } = world.engine;
    let answer: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    disk.fault = () => answered;
    schedule.noteUse(storage);
    const before = disk.calls.length;
    for (let attempt = 0; attempt < 3; attempt += 1) {
      world.clock.advance(2 * collectionLimits.delayMs);
      schedule.look();
      await schedule.idle();
    }
    assert.match(warnings.join('\n'), /^the collection ended: [^\n]+E_STORAGE_TIMEOUT[^\n]+$/);
    assert.equal(disk.calls.length, before + 1);
    disk.fault = () => undefined;
    answer();
    await until('it is tried again', async () => {
      await lookLater(stage);
      return world.engine.store.garbage.closes > 0;
    });
  });
});

describe('the schedule of an encrypted storage', () => {
  it('opens it by its key file, and says once that there is none', async (t) => {
    const keys = cleanupsOf(t).directory();
    process.env['VZVAULT_KEY_DIR'] = keys;
    cleanupsOf(t).add(() => {
      delete process.env['VZVAULT_KEY_DIR'];
    });
    const key = randomKey();
    const stage = await setUp();
    const { world, schedule, warnings } = stage;
    world.engine.disk.makeDirectory('/mnt/sealed');
    const made = await createRepository(
      world.engine,
      { path: '/mnt/sealed' },
      { createdAtSeconds: 0, protector: { kind: 'key', key: Buffer.from(key), label: 'node1' } },
    );
    await made.close();
    schedule.noteUse({ ...storage, id: 'sealed', path: '/mnt/sealed', encryptionKey: 'a'.repeat(32) });
    for (let attempt = 0; attempt < 2; attempt += 1) await lookLater(stage);
    assert.equal(world.engine.store.garbage.closes, 0);
    assert.equal(warnings.length, 1, warnings.join('\n'));
    assert.match(warnings[0] ?? '', /E_KEY_MISSING/);
    mkdirSync(keys, { recursive: true });
    await writeKeyFile(join(keys, 'sealed.enc'), plainKeyFile(key, { repositoryId: null, createdAtSeconds: 0 }));
    await lookLater(stage);
    assert.equal(world.engine.store.garbage.closes, 1);
    assert.notEqual(world.engine.openedStores.at(-1)?.key ?? null, null);
  });
});
