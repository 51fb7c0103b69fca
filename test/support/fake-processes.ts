/** A process table that tests own. */
import type { ProcessIdentity, ProcessTable } from '../../src/lib/process-identity.js';

export class FakeProcesses implements ProcessTable {
  readonly #running = new Map<number, { startTicks: number; commandLine: readonly string[] }>();
  #ticks = 1000;
  #boots = 1;
  /** Nothing can be told of any process, as where this one has no descriptor left. */
  isBlind = false;

  /** Starts a process; a pid may be given again after `end`. */
  start(pid: number, commandLine: readonly string[] = []): ProcessIdentity {
    this.#ticks += 1;
    this.#running.set(pid, { startTicks: this.#ticks, commandLine });
    return { pid, startTicks: this.#ticks };
  }

  end(pid: number): void {
    this.#running.delete(pid);
  }

  identify(pid: number): ProcessIdentity | null {
    const found = this.isBlind ? undefined : this.#running.get(pid);
    return found === undefined ? null : { pid, startTicks: found.startTicks };
  }

  hasEnded({ pid, startTicks }: ProcessIdentity): boolean {
    return !this.isBlind && this.#running.get(pid)?.startTicks !== startTicks;
  }

  commandLine(pid: number): readonly string[] | null {
    if (this.isBlind) return null;
    return this.#running.get(pid)?.commandLine ?? [];
  }

  bootId(): string {
    return `boot-${this.#boots}`;
  }

  pidNamespace(): string {
    return 'pid:[4026531836]';
  }

  /** The same processes, as far as pid and start time tell, after a restart of the machine. */
  reboot(): void {
    this.#boots += 1;
  }
}
