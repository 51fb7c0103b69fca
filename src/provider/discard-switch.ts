/**
 * Whether ranges that are durable are given back to the sources of a job. A source that refuses, as one on a storage without discard does,
 * would refuse again: the first refusal is said once and ends it for the rest of the job.
 */
import type { Call } from './call.js';

export class DiscardSwitch {
  #isOn = true;

  get isOn(): boolean {
    return this.#isOn;
  }

  refuse(call: Call, device: string, why: string): void {
    if (!this.#isOn) return;
    this.#isOn = false;
    call.log('warn', `${device}: the fleecing image does not shrink during this job, discarding is refused: ${why}`);
  }
}
