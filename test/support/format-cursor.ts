/** Numbers and texts of a piece of a catalogue (docs/format.md, "Catalogue": varint, text), read one behind the other. */
import { must } from './format-error.js';

const U64_BITS = 64n;

export class RecordCursor {
  #at = 0;

  constructor(private readonly bytes: Buffer) {}

  get at(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.bytes.length - this.#at;
  }

  get isAtEnd(): boolean {
    return this.remaining === 0;
  }

  u8(): number {
    const byte = this.bytes[this.#at];
    must(byte !== undefined, 'a record is cut short');
    this.#at += 1;
    return byte;
  }

  /** A varint of at most `limit`. */
  number(limit: number): number {
    const value = this.#varint();
    must(value <= BigInt(limit), 'a number is beyond its limit');
    return Number(value);
  }

  /** A zigzag varint. */
  signed(): number {
    const value = this.#varint();
    const signed = (value & 1n) === 0n ? value >> 1n : -((value + 1n) >> 1n);
    must(Number.isSafeInteger(Number(signed)), 'a time is beyond all times');
    return Number(signed);
  }

  /** One character a byte. */
  text(limitBytes: number): string {
    const length = this.number(limitBytes);
    must(length <= this.remaining, 'a text is cut short');
    this.#at += length;
    return this.bytes.toString('latin1', this.#at - length, this.#at);
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < U64_BITS; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if ((byte & 0x80) !== 0) continue;
      must(byte !== 0 || shift === 0n, 'a number is longer than it has to be');
      must(value < 1n << U64_BITS, 'a number has more than 64 bits');
      return value;
    }
    must(false, 'a number has more than 64 bits');
  }
}
