/**
 * Sharing and collection under everything that can happen, for as many seeds as `VZVAULT_SIMULATION_SEEDS` says (200), from
 * `VZVAULT_SIMULATION_FIRST_SEED` (1) on. A seed that fails is printed with what led to it, and does the same again.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CANARIES, ROTTEN } from '../support/simulation/canaries.js';
import { runSimulation, type RunReport } from '../support/simulation/run.js';

const SEEDS = Number(process.env['VZVAULT_SIMULATION_SEEDS'] ?? 200);
const FIRST_SEED = Number(process.env['VZVAULT_SIMULATION_FIRST_SEED'] ?? 1);
/** Every canary dies within the first of these in less than half of them. */
const CANARY_SEEDS = 400;

describe('sharing and collection, simulated', () => {
  it('keep every promise', async (t) => {
    const total = {
      steps: 0,
      hours: 0,
      commits: 0,
      fences: 0,
      deletedPacks: 0,
      brokenReads: 0,
      damagedPacks: 0,
      quarantinedPacks: 0,
    };
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
      const report = await runSimulation(seed);
      assert.equal(report.failure, null, `seed ${seed}: ${report.failure ?? ''}`);
      for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += report[key];
    }
    t.diagnostic(`seeds ${FIRST_SEED} to ${FIRST_SEED + SEEDS - 1}: ${JSON.stringify(total)}`);
    // A world in which nothing happens proves nothing.
    assert.ok(total.commits > SEEDS && total.deletedPacks > SEEDS);
    assert.ok((total.fences > 0 && total.quarantinedPacks > 0) || SEEDS < 10);
  });

  it('keep them where packs go bad all the time', async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS / 10; seed += 1) {
      const { failure, quarantinedPacks } = await runSimulation(seed, ROTTEN);
      assert.equal(failure, null, `seed ${seed}: ${failure ?? ''}`);
      assert.ok(quarantinedPacks > 0);
    }
  });

  it('run the same for the same seed', async () => {
    const runs: RunReport[] = [await runSimulation(FIRST_SEED), await runSimulation(FIRST_SEED)];
    assert.deepEqual(runs[0], runs[1]);
  });
});

describe('the simulation catches', () => {
  for (const [name, options] of Object.entries(CANARIES)) {
    it(name, async (t) => {
      for (let seed = 1; seed <= CANARY_SEEDS; seed += 1) {
        const { failure } = await runSimulation(seed, options);
        if (failure === null) continue;
        t.diagnostic(`seed ${seed}: ${failure.split('\n')[0] ?? ''}`);
        return;
      }
      assert.fail(`not within ${CANARY_SEEDS} seeds`);
    });
  }
});
