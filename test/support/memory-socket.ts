/** A PeerSocket without a kernel. */
import type { PeerSocket } from '../../src/engine/index.js';
import { VzvaultError } from '../../src/lib/errors.js';

/** Two ends of a connection without a kernel between them. Delivery is asynchronous and in order. */
export class MemorySocket implements PeerSocket {
  readonly peer = { pid: process.pid, uid: 0, gid: 0 };
  isPaused = false;
  isClosed = false;
  /** While true nothing that is sent is taken. */
  isStuck = false;
  #other!: MemorySocket;
  #handlers: Parameters<PeerSocket['start']>[0] | undefined;
  #arrived: { bytes: Buffer; fds: readonly number[]; taken: () => void }[] = [];

  static pair(): [MemorySocket, MemorySocket] {
    const [a, b] = [new MemorySocket(), new MemorySocket()];
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  start(handlers: Parameters<PeerSocket['start']>[0]): void {
    this.#handlers = handlers;
    this.#deliver();
  }

  async send(bytes: Buffer, fds: readonly number[] = []): Promise<void> {
    if (this.isClosed || this.#other.isClosed) throw new VzvaultError('E_CONNECTION_LOST', 'closed');
    await new Promise<void>((resolve) => {
      this.#other.#arrived.push({ bytes: Buffer.from(bytes), fds, taken: resolve });
      this.#other.#deliver();
    });
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#deliver();
  }

  stick(isStuck: boolean): void {
    this.isStuck = isStuck;
    if (!isStuck) this.#deliver();
  }

  close(): void {
    for (const end of [this, this.#other]) {
      if (end.isClosed) continue;
      setImmediate(() => {
        end.#deliver();
        if (end.isClosed) return;
        end.isClosed = true;
        end.#handlers?.onClose(null);
      });
    }
  }

  #deliver(): void {
    setImmediate(() => {
      while (this.#handlers && !this.isPaused && !this.isStuck && !this.isClosed) {
        const next = this.#arrived.shift();
        if (!next) return;
        next.taken();
        this.#handlers.onData(next.bytes, next.fds);
      }
    });
  }
}
