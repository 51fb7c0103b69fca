/**
 * Cuts the byte stream of a connection into frames: a 4-byte big-endian length and that many bytes (docs/protocol.md, "Frame").
 *
 * A length is checked as soon as its four bytes are there; memory grows with the bytes that arrived, never with what a
 * length promises. A decoder belongs to one connection; after it threw, it is of no more use.
 */
import { VzvaultError } from '../lib/errors.js';
import { rpcLimits } from '../lib/limits.js';

const headerBytes = 4;
const smallestBuffer = 4096;

export class FrameDecoder {
  /** The beginning of a frame that has not arrived whole: bytes [0, #used) of it. */
  #partial = Buffer.alloc(0);
  #used = 0;

  constructor(private readonly limitBytes: number = rpcLimits.frameBytes) {}

  /** True while a frame has begun and not ended. */
  get isInsideFrame(): boolean {
    return this.#used > 0;
  }

  /**
   * Takes what arrived and yields the bodies of the frames that it completes. A body may share memory with `chunk`. Throws
   * E_FRAME_TOO_LARGE and E_FRAME_INVALID (length 0), after the frames before the bad one. Must be drained.
   */
  *push(chunk: Buffer): Generator<Buffer, void, void> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#used === 0 && rest.length >= headerBytes) {
        const end = headerBytes + this.#bodyLength(rest);
        if (rest.length >= end) {
          yield rest.subarray(headerBytes, end);
          rest = rest.subarray(end);
          continue;
        }
      }
      rest = this.#append(rest);
      const whole = this.#takeWhole();
      if (whole) yield whole;
    }
  }

  #bodyLength(header: Buffer): number {
    const length = header.readUInt32BE(0);
    if (length > this.limitBytes) {
      throw new VzvaultError(
        'E_FRAME_TOO_LARGE',
        `a message of ${length} bytes was announced, the limit is ${this.limitBytes}`,
      );
    }
    if (length === 0) throw new VzvaultError('E_FRAME_INVALID', 'a message of no bytes was announced');
    return length;
  }

  /** Moves bytes into the partial frame, up to the end of its header or, once that is known, of its body. Returns the others. */
  #append(bytes: Buffer): Buffer {
    const end = this.#used < headerBytes ? headerBytes : headerBytes + this.#bodyLength(this.#partial);
    const count = Math.min(end - this.#used, bytes.length);
    this.#reserve(this.#used + count, end);
    bytes.copy(this.#partial, this.#used, 0, count);
    this.#used += count;
    return bytes.subarray(count);
  }

  #reserve(neededBytes: number, endBytes: number): void {
    if (this.#partial.length >= neededBytes) return;
    // Doubling keeps a frame that arrives in crumbs from being copied once per crumb.
    const capacity = Math.max(neededBytes, Math.min(2 * this.#partial.length, endBytes), smallestBuffer);
    const grown = Buffer.allocUnsafeSlow(capacity);
    this.#partial.copy(grown, 0, 0, this.#used);
    this.#partial = grown;
  }

  #takeWhole(): Buffer | undefined {
    if (this.#used < headerBytes) return undefined;
    const end = headerBytes + this.#bodyLength(this.#partial);
    if (this.#used < end) return undefined;
    const body = this.#partial.subarray(headerBytes, end);
    this.#partial = Buffer.alloc(0);
    this.#used = 0;
    return body;
  }
}

/** One frame with this body. Throws E_FRAME_TOO_LARGE. */
export function encodeFrame(body: Buffer): Buffer {
  if (body.length > rpcLimits.frameBytes) {
    throw new VzvaultError(
      'E_FRAME_TOO_LARGE',
      `a message has ${body.length} bytes, the limit is ${rpcLimits.frameBytes}`,
    );
  }
  const frame = Buffer.allocUnsafe(headerBytes + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, headerBytes);
  return frame;
}
