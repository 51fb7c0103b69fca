/**
 * What waits to be sent on one connection, bounded. While much of it waits, nothing is read from the peer, so that it cannot make us
 * produce more; a peer that does not read at all loses its connection.
 */
import type { PeerSocket } from '../engine/types.js';
import { toVzvaultError, VzvaultError } from '../lib/errors.js';
import { serverLimits } from '../lib/limits.js';

/** How long the last frame of a connection may take to be sent before it is closed all the same. */
const lastFrameMs = 1_000;

export class SendQueue {
  #waitingBytes = 0;
  #isPaused = false;
  #isClosing = false;

  constructor(
    private readonly socket: PeerSocket,
    private readonly onFailure: (error: VzvaultError) => void,
  ) {}

  send(frame: Buffer, fds: readonly number[]): void {
    if (this.#isClosing) return;
    this.#waitingBytes += frame.length;
    if (this.#waitingBytes > serverLimits.sendQueueBytes) {
      this.onFailure(
        new VzvaultError('E_CONNECTION_LOST', `the peer lets ${this.#waitingBytes} bytes wait and does not read`),
      );
      return;
    }
    this.socket.send(frame, fds).then(
      () => {
        this.#sent(frame.length);
      },
      (error: unknown) => {
        this.onFailure(toVzvaultError(error));
      },
    );
    if (this.#waitingBytes > serverLimits.sendHighWaterBytes && !this.#isPaused) {
      this.#isPaused = true;
      this.socket.pause();
    }
  }

  #sent(sizeBytes: number): void {
    this.#waitingBytes -= sizeBytes;
    if (this.#isPaused && !this.#isClosing && this.#waitingBytes < serverLimits.sendLowWaterBytes) {
      this.#isPaused = false;
      this.socket.resume();
    }
  }

  /** Sends what waits and `lastFrame`, for a moment, then closes the socket. */
  close(lastFrame: Buffer | null): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (lastFrame === null && this.#waitingBytes === 0) {
      this.socket.close();
      return;
    }
    const timer = setTimeout(() => {
      this.socket.close();
    }, lastFrameMs);
    const done = (): void => {
      clearTimeout(timer);
      this.socket.close();
    };
    // Sending is in order, so this resolves after everything before it.
    this.socket.send(lastFrame ?? Buffer.alloc(0)).then(done, done);
  }

  /** The socket closed by itself. */
  closed(): void {
    this.#isClosing = true;
  }
}
