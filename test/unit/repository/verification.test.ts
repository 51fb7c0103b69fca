import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Damage } from '../../../src/engine/types.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import { createRepository, type Repository } from '../../../src/repository/repository.js';
import { sharingOf } from '../../../src/repository/sessions/sharing.js';
import { CheckTimes } from '../../../src/repository/verification/check-times.js';
import { healSnapshots } from '../../../src/repository/verification/healing.js';
import { verifyRepository, type VerificationOptions } from '../../../src/repository/verification/verification.js';
import type { VerificationReport } from '../../../src/repository/verification/verification-report.js';
import { documentOf, idOf, SECOND } from '../../support/documents.js';
import { FakeEngine } from '../../support/fake-engine.js';
import { FakeProcesses } from '../../support/fake-processes.js';

const DAY = 86_400;
const [A, B, C] = ['a', 'b', 'c'].map((letter) => letter.repeat(64)) as [string, string, string];
const DAMAGE: Damage = { code: 'E_CHUNK_DAMAGED', message: 'a chunk' };

class Scene {
  readonly engine = new FakeEngine();
  readonly warnings: string[] = [];
  nowSeconds = SECOND;
  nowMs = 0;

  private constructor(private opened: Repository | null = null) {}

  static async withPacks(...packs: readonly string[]): Promise<Scene> {
    const scene = new Scene();
    scene.engine.disk.makeDirectory('/mnt');
    scene.opened = await createRepository(scene.engine, { path: '/mnt' }, { createdAtSeconds: SECOND });
    for (const pack of packs) scene.put(`packs/${pack.slice(0, 2)}/${pack}`);
    return scene;
  }

  get repository(): Repository {
    assert.ok(this.opened);
    return this.opened;
  }

  get names(): string[] {
    return [...this.engine.disk.files.keys()].map((path) => path.replace('/mnt/vzvault/', ''));
  }

  put(name: string, text = 'x'): void {
    const path = `/mnt/vzvault/${name}`;
    this.engine.disk.makeDirectory(path.slice(0, path.lastIndexOf('/')));
    this.engine.disk.files.set(path, Buffer.from(text));
  }

  /** Verifies; answers also the packs that were read, in order. */
  async verify(changes: Partial<VerificationOptions> = {}): Promise<VerificationReport & { read: readonly string[] }> {
    this.engine.store.verifiedPacks.length = 0;
    const clock = { nowSeconds: () => this.nowSeconds, monotonicMs: () => this.nowMs, sleep: async () => undefined };
    const report = await verifyRepository(this.repository, {
      ...{ clock, sharing: sharingOf({ hostname: 'node1', processes: new FakeProcesses(), clock }) },
      ...{ signal: new AbortController().signal, level: 'chunks', maxAgeSeconds: null, endMs: null },
      ...{ quarantines: true, graceMs: 0 },
      runPacks: async (read) => {
        await read(() => undefined);
      },
      runMap: async (_map, read) => await read({}),
      warn: (line) => {
        this.warnings.push(line);
      },
      ...changes,
    });
    return { ...report, read: [...this.engine.store.verifiedPacks] };
  }
}

describe('a verification', () => {
  it('reads first what was checked longest ago, and leaves out what was checked within', async () => {
    const scene = await Scene.withPacks(A, B);
    assert.deepEqual((await scene.verify()).read, [A, B]);
    scene.nowSeconds += DAY;
    scene.put(`packs/cc/${C}`);
    assert.deepEqual((await scene.verify({ maxAgeSeconds: 2 * DAY })).read, [C]);
    scene.nowSeconds += DAY;
    assert.deepEqual((await scene.verify()).read, [A, B, C]);
    scene.nowSeconds += DAY;
    assert.deepEqual((await scene.verify({ maxAgeSeconds: DAY })).read, []);
    scene.nowSeconds += 1;
    assert.deepEqual((await scene.verify({ maxAgeSeconds: DAY })).read, [A, B, C]);
  });

  it('stops in time, and goes on there', async () => {
    const scene = await Scene.withPacks(A, B, C);
    scene.engine.store.fault = (point) => {
      if (point === 'verifyPacks') scene.nowMs += 1000;
    };
    const first = await scene.verify({ endMs: 1500 });
    assert.deepEqual([first.read, first.remaining], [[A, B], { packs: 1, snapshots: 0 }]);
    scene.nowSeconds += 60;
    scene.nowMs = 0;
    assert.deepEqual((await scene.verify({ endMs: 500 })).read, [C]);
  });

  it('orders snapshots among the packs, those that are marked as damaged first', async () => {
    const scene = await Scene.withPacks(A);
    const { snapshots } = scene.repository;
    await scene.verify();
    for (const [vmid, state] of [
      [100, 'ok'],
      [101, 'damaged'],
    ] as const) {
      await snapshots.commit(documentOf(idOf(vmid)));
      const checked = { state, checkedAtSeconds: SECOND + 10, message: '' } as const;
      await snapshots.sidecars.setVerifyState(idOf(vmid), checked);
    }
    scene.nowSeconds += 20;
    const order: string[] = [];
    scene.engine.store.fault = (point) => {
      if (point === 'verifyPacks') order.push('pack');
    };
    const { snapshots: reports } = await scene.verify({
      runMap: async ({ label }, read) => {
        order.push(label);
        return await read({});
      },
      maxAgeSeconds: 15,
    });
    assert.equal(reports.length, 1);
    assert.match(reports[0]?.snapshot ?? '', /^qemu\/101@/);
    assert.match(order[0] ?? '', /^qemu\/101@/);
    assert.equal(order[order.length - 2], 'pack');
  });

  it('takes a pack out of use only for damage that is seen twice', async () => {
    const scene = await Scene.withPacks(A, B);
    const { packDamages } = scene.engine.store;
    packDamages.set(A, [DAMAGE]);
    scene.engine.store.fault = (point) => {
      if (point === 'verifyPacks' && scene.engine.store.verifiedPacks.length === 1) packDamages.delete(A);
    };
    const passing = await scene.verify();
    assert.deepEqual([passing.quarantined, passing.damages], [[], [DAMAGE]]);
    scene.engine.store.fault = () => undefined;
    packDamages.set(A, [DAMAGE]);
    scene.engine.store.salvage = { chunks: 7, lost: 1 };
    const { quarantined, salvagedChunks, lostChunks } = await scene.verify();
    assert.deepEqual([quarantined, salvagedChunks, lostChunks], [[A], 7, 1]);
    assert.ok(scene.names.includes(`quarantine/${A}.pack`));
    assert.ok(!scene.names.includes(`packs/aa/${A}`));
    assert.deepEqual(
      scene.names.filter((name) => name.startsWith('sessions/')),
      [],
    );
  });

  it('reads once more what it had read before a pack went, also where nothing was lost with it', async () => {
    const scene = await Scene.withPacks(A);
    const { snapshots } = scene.repository;
    await scene.verify();
    await snapshots.commit(documentOf(idOf(100)));
    // Marked, so that it is read before the pack.
    const marked = { state: 'damaged', checkedAtSeconds: SECOND, message: 'a chunk' } as const;
    await snapshots.sidecars.setVerifyState(idOf(100), marked);
    scene.engine.store.salvage = { chunks: 7, lost: 0 };
    const read: string[] = [];
    scene.engine.store.fault = (point) => {
      if (point === 'verifyVolume' || point === 'verifyPacks') read.push(point);
      if (point === 'verifyVolume') scene.engine.store.packDamages.set(A, [DAMAGE]);
    };
    const { quarantined, snapshots: reports } = await scene.verify();
    assert.deepEqual([quarantined, reports.length], [[A], 1]);
    const volumes = read.indexOf('verifyPacks');
    assert.ok(volumes > 0);
    assert.equal(read.filter((point) => point === 'verifyVolume').length, 2 * volumes);
  });

  it('leaves a pack where it is: without a key, where it is told to, for errors that pass, and where nothing can be written', async () => {
    const scene = await Scene.withPacks(A);
    const { store } = scene.engine;
    store.packDamages.set(A, [DAMAGE]);
    assert.deepEqual((await scene.verify({ level: 'name' })).quarantined, []);
    assert.deepEqual((await scene.verify({ quarantines: false })).quarantined, []);
    store.packDamages.set(A, [{ code: 'E_STORAGE_IO', message: 'an I/O error' }]);
    assert.deepEqual((await scene.verify()).quarantined, []);
    store.packDamages.set(A, [DAMAGE]);
    scene.engine.disk.fault = (call) => {
      if (call === 'move' || call === 'replace') throw new VzvaultError('E_READ_ONLY', 'read-only file system');
    };
    const { quarantined, damages } = await scene.verify();
    assert.deepEqual([quarantined, damages], [[], [DAMAGE]]);
    assert.match(scene.warnings.join('\n'), /the pack a+ stays where it is: .*E_READ_ONLY/);
    assert.ok(scene.names.includes(`packs/aa/${A}`));
  });

  it('salvages into packs of its own, and stays until everybody can see what was moved', async () => {
    const scene = await Scene.withPacks(A, B);
    const { store, disk } = scene.engine;
    store.packDamages.set(A, [DAMAGE]);
    let sessions: readonly string[] = [];
    const clock = {
      nowSeconds: () => scene.nowSeconds,
      monotonicMs: () => scene.nowMs,
      sleep: async (durationMs: number) => {
        // Heartbeats are none of our business here.
        if (durationMs !== 120_000) await new Promise<void>(() => undefined);
        sessions = scene.names.filter((name) => name.startsWith('sessions/'));
        assert.ok(!disk.files.has(`/mnt/vzvault/packs/aa/${A}`));
      },
    };
    const sharing = sharingOf({ hostname: 'node1', processes: new FakeProcesses(), clock });
    await scene.verify({ sharing, clock, graceMs: 60_000 });
    assert.equal(sessions.length, 1);
    assert.deepEqual(store.excluded, [A, B]);
    assert.equal(store.openWriters, 0);
    assert.equal(scene.names.filter((name) => name.startsWith('sessions/')).length, 0);
  });

  it('puts a pack back where the session is gone by the time it was moved', async () => {
    const scene = await Scene.withPacks(A);
    const { store, disk } = scene.engine;
    store.packDamages.set(A, [DAMAGE]);
    disk.fault = (call) => {
      if (call !== 'move') return;
      for (const path of disk.files.keys()) if (path.includes('/sessions/')) disk.files.delete(path);
    };
    assert.deepEqual((await scene.verify()).quarantined, []);
    assert.match(scene.warnings.join(), /stays where it is: .*E_SESSION_FENCED/);
    assert.deepEqual(
      scene.names.filter((name) => /^(packs|quarantine)\//.test(name)),
      [`packs/aa/${A}`],
    );
  });

  it('names what is in packs/ and index/ under a wrong name', async () => {
    const scene = await Scene.withPacks(A);
    for (const name of [`packs/bb/${A}`, 'packs/notes.txt', 'packs/aa/x', 'index/x']) scene.put(name);
    scene.put('packs/aa/.nfs0001');
    const { damages, read } = await scene.verify();
    assert.deepEqual(read, [A]);
    assert.equal(damages.filter(({ message }) => message.includes('it has the wrong name')).length, 4);
  });

  it('says where a directory of a snapshot has no snapshot', async () => {
    const scene = await Scene.withPacks();
    scene.put('snapshots/qemu/100/20261122T041714Z/notes');
    assert.deepEqual((await scene.verify()).damages, []);
    assert.match(scene.warnings.join(), /20261122T041714Z\/ holds notes, but no snapshot/);
  });
});

describe('times of checks', () => {
  it('are never where they cannot be believed', async () => {
    const scene = await Scene.withPacks(A);
    await scene.verify();
    const { blobs } = scene.repository;
    const at = async (): Promise<number> =>
      (await CheckTimes.load(blobs, [A], () => scene.nowSeconds)).checkedAtSeconds(A, 'chunks');
    assert.equal(await at(), SECOND);
    scene.nowSeconds -= 1;
    assert.equal(await at(), 0, 'a time that lies ahead');
    scene.nowSeconds += 1;
    const file = '/mnt/vzvault/verified/aa';
    const text = scene.engine.disk.files.get(file)?.toString() ?? '';
    assert.match(text, /^a{64} 2026-11-22T04:17:14Z 2026-11-22T04:17:14Z\nsha256:[0-9a-f]{64}\n$/);
    for (const damaged of ['', text.slice(0, 80), text.replace('T04', 'T03'), `${text}x`]) {
      scene.engine.disk.files.set(file, Buffer.from(damaged));
      assert.equal(await at(), 0, JSON.stringify(damaged));
    }
  });

  it('of others are kept, those of packs that are gone are not', async () => {
    const other = `aa${'1'.repeat(62)}`;
    const scene = await Scene.withPacks(A, other);
    const { blobs } = scene.repository;
    const mine = await CheckTimes.load(blobs, [A], () => scene.nowSeconds);
    const theirs = await CheckTimes.load(blobs, [other], () => scene.nowSeconds);
    mine.note(A, 'name');
    theirs.note(other, 'chunks');
    await mine.save();
    await theirs.save();
    const both = await CheckTimes.load(blobs, [A, other], () => scene.nowSeconds);
    assert.deepEqual([both.checkedAtSeconds(A, 'name'), both.checkedAtSeconds(A, 'chunks')], [SECOND, 0]);
    assert.deepEqual([both.checkedAtSeconds(other, 'name'), both.checkedAtSeconds(other, 'chunks')], [SECOND, SECOND]);
    await blobs.remove(`packs/aa/${other}`);
    both.note(A, 'chunks');
    await both.save();
    assert.doesNotMatch(scene.engine.disk.files.get('/mnt/vzvault/verified/aa')?.toString() ?? '', /1{62}/);
  });
});

describe('healing', () => {
  async function flagged(missing?: readonly string[]): Promise<Scene> {
    const scene = await Scene.withPacks();
    const { snapshots } = scene.repository;
    await snapshots.commit(documentOf(idOf(100)));
    const state = { state: 'damaged', checkedAtSeconds: SECOND - 5, message: 'm' } as const;
    await snapshots.sidecars.setVerifyState(idOf(100), missing === undefined ? state : { ...state, missing });
    return scene;
  }
  const heal = async (scene: Scene): Promise<number> =>
    (await healSnapshots(scene.repository, { clock: { nowSeconds: () => scene.nowSeconds } })).length;
  const stateOf = (scene: Scene): Promise<unknown> => scene.repository.snapshots.sidecars.verifyState(idOf(100));

  it('takes the mark away once all that was missing can be read', async () => {
    const scene = await flagged([`data:${A}`, `data:${B}`]);
    const { volumes } = scene.engine.store;
    volumes.set(A, Buffer.from('a'));
    assert.equal(await heal(scene), 0);
    volumes.set(B, Buffer.from('b'));
    assert.equal(await heal(scene), 1);
    assert.deepEqual(await stateOf(scene), { state: 'ok', checkedAtSeconds: SECOND - 5, message: '' });
    assert.equal(await heal(scene), 0);
  });

  it('leaves a mark that another verification makes meanwhile', async () => {
    const scene = await flagged([`data:${A}`]);
    scene.engine.store.volumes.set(A, Buffer.from('a'));
    const found = { state: 'damaged', checkedAtSeconds: SECOND, message: 'n', missing: [`data:${B}`] } as const;
    const { store } = scene.engine;
    const look = store.unreadableChunks.bind(store);
    store.unreadableChunks = async (chunks) => {
      await scene.repository.snapshots.sidecars.setVerifyState(idOf(100), found);
      return await look(chunks);
    };
    assert.equal(await heal(scene), 0);
    assert.deepEqual(await stateOf(scene), found);
  });

  it('reads the snapshot as a whole where a map node was missing', async () => {
    const scene = await flagged([`map-node:${A}`]);
    scene.engine.store.volumes.set(A, Buffer.from('a'));
    let maps = 0;
    scene.engine.store.fault = (point) => {
      if (point === 'verifyVolume') maps += 1;
    };
    await heal(scene);
    assert.ok(maps > 0);
  });

  it('leaves to a verification what it cannot judge', async () => {
    assert.equal(await heal(await flagged()), 0);
    assert.equal(await heal(await flagged([])), 0);
  });
});
