/** One run of the simulation: a seed makes a world, its inhabitants and everything that befalls them. */
import { Actor, type Habits, type Temper } from './actors.js';
import { SimDisk } from './directory.js';
import { Invariants } from './invariants.js';
import { NO_FAULTS, SimWorld, type Rates } from './world.js';

export type RunHabits = Partial<Omit<Habits, 'temper'>> & { readonly temper?: Partial<Temper> };

export interface RunOptions {
  readonly habits?: RunHabits;
  readonly rates?: Partial<Rates>;
  readonly maxSteps?: number;
}

export interface RunReport {
  readonly seed: number;
  readonly steps: number;
  readonly hours: number;
  readonly commits: number;
  readonly fences: number;
  readonly deletedPacks: number;
  readonly brokenReads: number;
  readonly damagedPacks: number;
  readonly quarantinedPacks: number;
  /** What went wrong, with the last operations; null where nothing did. */
  readonly failure: string | null;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** How old views really may be. */
const STALE_MS = 10 * MINUTE_MS;

const HABITS: Omit<Habits, 'temper'> = {
  ...{
    staleMs: STALE_MS,
    graceMs: STALE_MS,
    heartbeatMs: 5 * MINUTE_MS,
    pollMs: 5 * MINUTE_MS,
    fenceAfterMs: 2 * HOUR_MS,
    defects: {},
  },
};
const RATES: Rates = { crash: 0.002, pause: 0.003, failure: 0.004, lostReply: 0.004 };
const MAX_STEPS = 2500;
const TRACE_LINES = 200;

export async function runSimulation(seed: number, options: RunOptions = {}): Promise<RunReport> {
  const run = new Run(seed, options);
  let failure: string | null = null;
  try {
    await run.live();
    await run.settle();
  } catch (error) {
    failure = `${String(error)}\n${run.world.trace.slice(-TRACE_LINES).join('\n')}`;
  }
  const { world, invariants } = run;
  const { commits, fences, deletedPacks, brokenReads, damagedPacks, quarantinedPacks } = invariants;
  return {
    seed,
    steps: world.steps,
    hours: Math.round(world.nowMs / HOUR_MS),
    commits,
    fences,
    deletedPacks,
    brokenReads,
    ...{ damagedPacks, quarantinedPacks },
    failure,
  };
}

class Run {
  readonly world: SimWorld;
  readonly disk: SimDisk;
  readonly invariants: Invariants;
  readonly #habits: Habits;
  readonly #actors = new Set<Actor>();
  readonly #maxSteps: number;
  /** What each guest has. */
  readonly #contents = new Map<number, number[]>();
  #isEnding = false;
  #defect: unknown = null;

  constructor(seed: number, { habits, rates, maxSteps = MAX_STEPS }: RunOptions) {
    this.world = new SimWorld(seed, { ...RATES, ...rates });
    this.disk = new SimDisk(this.world, STALE_MS);
    this.invariants = new Invariants(this.disk);
    this.disk.observer = this.invariants;
    this.world.check = () => {
      this.invariants.check();
      if (this.#defect !== null) throw this.#defect as Error;
    };
    const { random } = this.world;
    const temper = {
      values: random.pick([8, 40, 400]),
      backupMs: random.pick([1, 4, 12]) * HOUR_MS,
      readMs: random.pick([1, 4]) * HOUR_MS,
      damages: random.pick([0, 3, 12]),
      ...{ badShare: 0.4, damagePauseMs: 3 * HOUR_MS },
    };
    this.#habits = { ...HABITS, ...habits, temper: { ...temper, ...habits?.temper } };
    this.#maxSteps = maxSteps;
  }

  /** Everybody does what they do, and anything happens. */
  async live(): Promise<void> {
    const { random } = this.world;
    const contents = this.#contents;
    const writers = 2 + random.below(4);
    const collectors = 1 + random.below(3);
    const backupPauseMs = random.pick([20, 90]) * MINUTE_MS;
    const collectionPauseMs = random.pick([20, 120]) * MINUTE_MS;
    const prunePauseMs = random.pick([20, 60, 180]) * MINUTE_MS;
    for (let writer = 0; writer < writers; writer += 1) {
      const guest = 100 + writer;
      this.#inhabit(`node${random.below(3)}`, (actor) =>
        actor.live(() => actor.backUp(guest, contents), backupPauseMs),
      );
    }
    for (let collector = 0; collector < collectors; collector += 1) {
      this.#inhabit(`node${random.below(3)}`, (actor) => actor.live(() => actor.collect(), collectionPauseMs));
    }
    for (let reader = random.below(4); reader > 0; reader -= 1) {
      this.#inhabit(`node${random.below(3)}`, (actor) =>
        actor.live(() => actor.restore(this.invariants), 30 * MINUTE_MS),
      );
    }
    this.#inhabit('node0', (actor) => actor.live(() => actor.prune(), prunePauseMs));
    const { damages, damagePauseMs } = this.#habits.temper;
    if (damages > 0) {
      for (let verifier = random.below(3); verifier >= 0; verifier -= 1) {
        this.#inhabit(`node${random.below(3)}`, (actor) => actor.live(() => actor.verify(), damagePauseMs));
      }
      this.#inhabit('nobody', (actor) => actor.live(() => this.#damage(actor), damagePauseMs));
    }
    await this.world.run(() => this.world.steps >= this.#maxSteps);
  }

  /** Everybody stops, some for good; then two collections, and nothing that nobody needs is left. */
  async settle(): Promise<void> {
    this.#isEnding = true;
    this.world.rates = NO_FAULTS;
    const crashed = [...this.#actors].filter(() => this.world.random.chance(0.3));
    for (const actor of crashed) actor.process.crash();
    for (const actor of this.#actors) actor.isStopping = true;
    const limit = this.world.steps + 20 * this.#maxSteps;
    const isAtRest = (): boolean => [...this.#actors].every(({ isOver }) => isOver);
    await this.world.run(() => isAtRest() || this.world.steps > limit);
    if (!isAtRest()) throw new Error('somebody does not come to rest');
    await this.#mend();
    await this.#finish('the last collections do not end', async (actor) => {
      await actor.collect();
      await actor.process.clock.sleep(this.#habits.fenceAfterMs);
      await actor.collect();
    });
    this.invariants.checkNoGarbage();
  }

  async #damage(actor: Actor): Promise<void> {
    if (this.invariants.damagedPacks < this.#habits.temper.damages) await actor.damage(this.disk);
  }

  /** What was damaged is found; what the guests still have comes back; what remains marked is what lacks something, and people remove it. */
  async #mend(): Promise<void> {
    if (this.invariants.damagedPacks === 0) return;
    await this.#finish('the last verification does not end', async (actor) => {
      const { clock } = actor.process;
      await clock.sleep(STALE_MS);
      await actor.verify();
      await clock.sleep(STALE_MS);
      for (const guest of this.#contents.keys()) await actor.backUpWhole(guest, this.#contents);
      await actor.verify();
      const incomplete = this.invariants.incomplete();
      const marked = await actor.removeMarked();
      if (marked.join() !== incomplete.join())
        throw new Error(`marked: ${marked.join()}; lacking: ${incomplete.join()}`);
    });
  }

  /** Lets one more process do something to its end. */
  async #finish(complaint: string, work: (actor: Actor) => Promise<void>): Promise<void> {
    const actor = new Actor(this.world.start('node9'), this.disk, this.#habits);
    let isOver = false;
    const done = work(actor).then(
      () => {
        isOver = true;
      },
      (error: unknown) => {
        isOver = true;
        this.#defect = error;
      },
    );
    const limit = this.world.steps + 20 * this.#maxSteps;
    await this.world.run(() => isOver || this.world.steps > limit);
    if (!isOver) throw new Error(complaint);
    await done;
  }

  /** A process that is started again some time after it crashed. */
  #inhabit(node: string, life: (actor: Actor) => Promise<void>): void {
    const process = this.world.start(node);
    const actor = new Actor(process, this.disk, this.#habits);
    this.#actors.add(actor);
    process.onCrash = () => {
      this.#actors.delete(actor);
      if (!this.#isEnding) this.#inhabit(node, life);
    };
    life(actor).catch((error: unknown) => {
      this.#defect ??= error;
    });
  }
}
