/** Real programs on a real repository are killed at random moments, again and again: `make crash KILLS=1000`, some dozens in CI. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KillingGround, type Work } from '../support/killing-ground.js';

const kills = Number(process.env['VZVAULT_CRASH_KILLS'] ?? 24);
const seed = Number(process.env['VZVAULT_CRASH_SEED'] ?? Math.floor(Math.random() * 1e9));

const works: readonly Work[] = ['backup', 'gc', 'verify', 'restore', 'forget', 'daemon backup', 'daemon restore'];

test(`${kills} kills, seed ${seed}`, { timeout: 60_000 + kills * 60_000 }, async (t) => {
  t.diagnostic(`VZVAULT_CRASH_SEED=${seed}`);
  const ground = await KillingGround.make(t, seed);
  const counts = new Map<string, number>();
  for (let kill = 0; kill < kills; kill += 1) {
    const work = works[kill % works.length] ?? 'backup';
    try {
      const was = await ground.kill(work);
      counts.set(`${work}: ${was}`, (counts.get(`${work}: ${was}`) ?? 0) + 1);
      await ground.assertWhole();
      await ground.finish(work);
      if (kill % works.length === works.length - 1) await ground.assertAllRestore();
    } catch (error) {
      throw new Error(`kill ${kill} (${work}), seed ${seed}: ${String(error)}`, { cause: error });
    }
  }
  await ground.assertAllRestore();
  for (const [what, count] of [...counts].sort()) t.diagnostic(`${what}: ${count}`);
  const killed = [...counts].filter(([what]) => what.endsWith('killed')).reduce((sum, [, count]) => sum + count, 0);
  assert.ok(killed * 2 > kills, `${killed} of ${kills} came in time: the others were over by then`);
});
