/** What the native core offers for the daemon's socket; types.ts has the rules that hold for all of it. */

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** One accepted connection. All callbacks come on the main thread, in order; `onClose` is the last, exactly once. */
export interface PeerSocket {
  readonly peer: PeerCredentials;
  /** Sets the handlers and starts reading. `fds` are owned by the receiver. */
  start(handlers: {
    onData: (bytes: Buffer, fds: readonly number[]) => void;
    onClose: (error: string | null) => void;
  }): void;
  /** Queues bytes; resolves when the kernel took them; rejects with E_CONNECTION_LOST. Descriptors are duplicated. */
  send(bytes: Buffer, fds?: readonly number[]): Promise<void>;
  /** Backpressure: stop and go on reading. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface SocketServer {
  close(): Promise<void>;
}
