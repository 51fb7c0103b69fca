/**
 * File descriptors that arrived on a connection, until a frame claims them. They arrive on the first byte of their frame at the
 * latest, so once a frame is whole, its own are the oldest here. Owns what it holds: whatever nobody claims is closed.
 */
import { VzvaultError } from '../lib/errors.js';
import { rpcLimits } from '../lib/limits.js';

export class DescriptorQueue {
  #waiting: number[] = [];

  constructor(private readonly closeFd: (fd: number) => void) {}

  arrived(fds: readonly number[]): void {
    this.#waiting.push(...fds);
  }

  /** The descriptors of a frame that declares `count`, now the caller's. Throws E_FRAME_INVALID where fewer came. */
  claim(count: number): number[] {
    if (count > this.#waiting.length) {
      throw new VzvaultError(
        'E_FRAME_INVALID',
        `a message declares ${count} descriptors, ${this.#waiting.length} came with it`,
      );
    }
    return this.#waiting.splice(0, count);
  }

  /** Between frames nothing can be waiting for its frame. */
  closeUnclaimed(): void {
    const unclaimed = this.#waiting;
    this.#waiting = [];
    for (const fd of unclaimed) this.closeFd(fd);
  }

  /** Inside a frame: those of that one frame at most. */
  checkBound(): void {
    if (this.#waiting.length > rpcLimits.fds) {
      throw new VzvaultError('E_FRAME_INVALID', `more than ${rpcLimits.fds} descriptors came with a message`);
    }
  }
}
