/**
 * A world in which every operation of every process happens when the seed says so: one at a time, in any order, some never, some without their
 * reply, with any pause in between. Time is virtual.
 *
 * A process is real code that waits for promises of this world and for nothing else. The scheduler picks one operation that is due, runs it, lets
 * all code run that waited for it, and only then picks the next: the same seed gives the same run.
 */
import type { WaitingClock } from '../../../src/lib/clock.js';
import { VzvaultError } from '../../../src/lib/errors.js';
import type { ProcessIdentity, ProcessTable } from '../../../src/lib/process-identity.js';
import { SeededRandom } from '../seeded-random.js';

/** How often things go wrong, per operation. */
export interface Rates {
  readonly crash: number;
  readonly pause: number;
  /** The operation does not happen. */
  readonly failure: number;
  /** The operation happens, and an error is answered. */
  readonly lostReply: number;
}

export const NO_FAULTS: Rates = { crash: 0, pause: 0, failure: 0, lostReply: 0 };

interface Operation {
  readonly process: SimProcess;
  readonly name: string;
  dueMs: number;
  readonly isSleep: boolean;
  readonly run: () => void;
  readonly fail: (error: Error) => void;
}

export class SimWorld {
  readonly random: SeededRandom;
  rates: Rates;
  nowMs = 1_000_000;
  steps = 0;
  /** The last operations, for the report of a failure. */
  readonly trace: string[] = [];
  /** Runs after every operation; throws where an invariant does not hold. */
  check: () => void = () => undefined;
  readonly #pending: Operation[] = [];
  readonly #processes: SimProcess[] = [];
  #ids = 0;

  constructor(seed: number, rates: Rates) {
    this.random = new SeededRandom(seed);
    this.rates = rates;
  }

  start(node: string): SimProcess {
    const process = new SimProcess(this, node, 100 + this.#processes.length);
    this.#processes.push(process);
    return process;
  }

  /** 32 hex digits that no other call answers, in an order that tells nothing. */
  newId(): string {
    this.#ids += 1;
    const random = Math.floor(this.random.next() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
    return random + this.#ids.toString(16).padStart(24, '0');
  }

  isRunning(node: string, pid: number): SimProcess | null {
    return this.#processes.find((process) => process.node === node && process.pid === pid && process.isAlive) ?? null;
  }

  note(line: string): void {
    this.trace.push(`${(this.nowMs / 1000).toFixed(3)} ${line}`);
    if (this.trace.length > 4000) this.trace.shift();
  }

  schedule<T>(process: SimProcess, name: string, dueMs: number, isSleep: boolean, work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!process.isAlive) return;
      const run = (): void => {
        try {
          resolve(work());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      this.#pending.push({ process, name, dueMs, isSleep, run, fail: reject });
    });
  }

  /** Makes a sleep due. */
  wake(process: SimProcess, name: string): void {
    for (const operation of this.#pending) {
      if (operation.process === process && operation.name === name) operation.dueMs = this.nowMs;
    }
  }

  drop(process: SimProcess): void {
    for (let index = this.#pending.length - 1; index >= 0; index -= 1) {
      if (this.#pending[index]?.process === process) this.#pending.splice(index, 1);
    }
  }

  /** Runs until `isOver`, or nothing is left to do. False in the latter case. */
  async run(isOver: () => boolean): Promise<boolean> {
    await drained();
    while (!isOver()) {
      const operation = this.#next();
      if (operation === null) return false;
      this.#execute(operation);
      this.steps += 1;
      await drained();
      this.check();
    }
    return true;
  }

  #next(): Operation | null {
    for (;;) {
      const due = this.#pending.filter(({ process, dueMs }) => Math.max(dueMs, process.pausedUntilMs) <= this.nowMs);
      if (due.length > 0) {
        const picked = this.random.pick(due);
        this.#pending.splice(this.#pending.indexOf(picked), 1);
        return picked;
      }
      if (this.#pending.length === 0) return null;
      this.nowMs = Math.min(...this.#pending.map(({ process, dueMs }) => Math.max(dueMs, process.pausedUntilMs)));
    }
  }

  #execute(operation: Operation): void {
    const { random, rates } = this;
    const { process, name, isSleep } = operation;
    this.nowMs += 1 + random.below(random.chance(0.05) ? 20_000 : 300);
    if (random.chance(rates.pause)) {
      // From a second to half a day.
      process.pausedUntilMs = this.nowMs + Math.floor(1000 * 43_000 ** random.next());
      this.note(`${process.name} pauses for ${((process.pausedUntilMs - this.nowMs) / 1000).toFixed(0)} s`);
    }
    const fate = random.next();
    if (fate < rates.crash) {
      // The last operation of a process happens or does not.
      const happens = random.chance(0.5);
      this.note(`${process.name} ${name}: crash ${happens ? 'after' : 'before'}`);
      if (happens) operation.run();
      process.crash();
      return;
    }
    if (isSleep) {
      operation.run();
      return;
    }
    const isFailure = fate < rates.crash + rates.failure;
    this.note(`${process.name} ${name}${isFailure ? ': fails' : ''}`);
    if (isFailure) operation.fail(new VzvaultError('E_STORAGE_IO', `${name}: failed`));
    else operation.run();
  }

  /** Whether the process hears of what just happened. */
  takesReply(): boolean {
    return !this.random.chance(this.rates.lostReply);
  }
}

/** Everything that waited for the last operation has run. */
async function drained(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** A process on a node. Code of a process that has crashed never runs again: what it waits for does not come. */
export class SimProcess implements ProcessTable {
  isAlive = true;
  pausedUntilMs = 0;
  onCrash: () => void = () => undefined;
  #sleeps = 0;

  constructor(
    readonly world: SimWorld,
    readonly node: string,
    readonly pid: number,
  ) {}

  get name(): string {
    return `${this.node}/${this.pid}`;
  }

  readonly clock: WaitingClock = {
    nowSeconds: () => Math.floor(this.world.nowMs / 1000),
    monotonicMs: () => this.world.nowMs,
    sleep: async (durationMs, signal) => {
      if (signal?.aborted === true) return;
      this.#sleeps += 1;
      const name = `sleep ${this.#sleeps}`;
      const wake = (): void => {
        this.world.wake(this, name);
      };
      signal?.addEventListener('abort', wake, { once: true });
      await this.world.schedule(this, name, this.world.nowMs + durationMs, true, () => undefined);
      signal?.removeEventListener('abort', wake);
    },
  };

  /** One operation on what all share. */
  do<T>(name: string, work: () => T): Promise<T> {
    return this.world.schedule(this, name, this.world.nowMs, false, () => {
      const result = work();
      if (this.world.takesReply()) return result;
      this.world.note(`${this.name} ${name}: reply lost`);
      throw new VzvaultError('E_STORAGE_IO', `${name}: reply lost`);
    });
  }

  crash(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.world.drop(this);
    this.onCrash();
  }

  identify(pid: number): ProcessIdentity | null {
    if (pid === 1) return { pid, startTicks: 1 };
    return this.world.isRunning(this.node, pid) === null ? null : { pid, startTicks: pid };
  }

  hasEnded({ pid, startTicks }: ProcessIdentity): boolean {
    return this.identify(pid)?.startTicks !== startTicks;
  }

  commandLine(): readonly string[] {
    return [];
  }

  bootId(): string {
    return `boot of ${this.node}`;
  }

  pidNamespace(): string {
    return 'pid:[1]';
  }
}
