/**
 * One QMP connection to a QEMU process of a test: commands are answered in order, events are kept until somebody waits for them.
 *
 * The owner closes it. A connection that breaks rejects what is under way and everything later.
 */
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';

interface Message {
  readonly QMP?: unknown;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly event?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

interface Waiting {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export type QmpArguments = Readonly<Record<string, unknown>>;

/** A command that QEMU refused. */
export class QmpError extends Error {}

export class Qmp {
  readonly #commands: Waiting[] = [];
  readonly #events: { readonly name: string; readonly data: Readonly<Record<string, unknown>> }[] = [];
  #wake: () => void = () => undefined;
  #broken: Error | null = null;

  private constructor(
    private readonly socket: Socket,
    private readonly epitaph: () => string,
  ) {
    createInterface({ input: socket }).on('line', (line) => {
      this.#receive(JSON.parse(line) as Message);
    });
    socket.on('close', () => {
      this.#break(new Error('QEMU closed its monitor'));
    });
    socket.on('error', (error) => {
      this.#break(error);
    });
  }

  /** Takes the connection over. `epitaph`: what is to be said of a QEMU that went away. */
  static async open(socket: Socket, epitaph: () => string): Promise<Qmp> {
    const qmp = new Qmp(socket, epitaph);
    await qmp.execute('qmp_capabilities');
    return qmp;
  }

  /** The command's `return`. */
  async execute<T = unknown>(command: string, args: QmpArguments = {}): Promise<T> {
    if (this.#broken !== null) throw this.#lost(command);
    return await new Promise<T>((resolve, reject) => {
      this.#commands.push({ command, resolve: resolve as (value: unknown) => void, reject });
      this.socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
  }

  /** Takes the first event that fits out of those that came, or waits for it. */
  async event(name: string, fits: (data: Readonly<Record<string, unknown>>) => boolean): Promise<void> {
    for (;;) {
      const found = this.#events.findIndex((event) => event.name === name && fits(event.data));
      if (found >= 0) {
        this.#events.splice(found, 1);
        return;
      }
      if (this.#broken !== null) throw this.#lost(name);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Takes an export away from whoever uses it; resolves when its node is free. */
  async deleteExport(id: string): Promise<void> {
    await this.execute('block-export-del', { id, mode: 'hard' });
    await this.event('BLOCK_EXPORT_DELETED', (data) => data['id'] === id);
  }

  close(): void {
    this.socket.destroy();
  }

  #receive(message: Message): void {
    if (message.QMP !== undefined) return;
    if (message.event !== undefined) {
      this.#events.push({ name: message.event, data: message.data ?? {} });
      this.#wake();
      return;
    }
    const waiting = this.#commands.shift();
    if (message.error === undefined) waiting?.resolve(message.return);
    else waiting?.reject(new QmpError(`${waiting.command}: ${message.error.desc}`));
  }

  #break(error: Error): void {
    this.#broken ??= error;
    for (const { command, reject } of this.#commands.splice(0)) reject(this.#lost(command));
    this.#wake();
  }

  #lost(command: string): Error {
    return new Error(`${command}: ${this.#broken?.message ?? ''} ${this.epitaph()}`, { cause: this.#broken });
  }
}
