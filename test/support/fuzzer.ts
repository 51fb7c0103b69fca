/**
 * Runs properties with random input for a while: `node build/js/test/fuzz/x.fuzz.js --seed 1 --seconds 30`. The seed is printed, and
 * fast-check prints the smallest input that failed; the same seed finds it again.
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';

type Property = fc.IProperty<unknown>;

const runsPerRound = 200;

/** Exits with 1 after the first failure. Every target gets the same share of the time. */
export function fuzz(targets: Readonly<Record<string, Property>>): void {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, seconds: { type: 'string' } } });
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  const seconds = Number(values.seconds ?? 3);
  checkCanary(seed);
  const share = (seconds * 1000) / Object.keys(targets).length;
  for (const [name, property] of Object.entries(targets)) {
    const end = performance.now() + share;
    let rounds = 0;
    do {
      const details = fc.check(property, { seed: seed + rounds, numRuns: runsPerRound });
      rounds += 1;
      if (!details.failed) continue;
      console.error(`${name}: FAILED with --seed ${seed} (round ${rounds})\n${fc.defaultReportMessage(details) ?? ''}`);
      process.exit(1);
    } while (performance.now() < end);
    console.log(`${name}: ${rounds * runsPerRound} inputs, seed ${seed}`);
  }
}

/** A property that does not hold: a fuzzer that cannot see it would see nothing. */
function checkCanary(seed: number): void {
  const details = fc.check(
    fc.property(fc.nat(), (number) => number < 1000),
    { seed, numRuns: 1000 },
  );
  if (!details.failed) throw new Error('the fuzzer finds no fault where there is one');
}
