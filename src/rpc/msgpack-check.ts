/**
 * Checks the bytes of a message before anything is made of them: one pass, no allocation but the sets of key names. What passes is
 * one msgpack map within the limits of docs/protocol.md, and decoding it is safe: no ext or bin types, only keys that are
 * strings and differ, only integers that a double holds, only valid UTF-8.
 */
import { isUtf8 } from 'node:buffer';
import { VzvaultError } from '../lib/errors.js';
import { rpcLimits } from '../lib/limits.js';

/** Throws E_FRAME_INVALID, telling what is wrong at which byte. */
export function checkMessageBytes(bytes: Buffer): void {
  const check = new MessageCheck(bytes);
  check.message();
}

class MessageCheck {
  #at = 0;
  #values = 0;

  constructor(private readonly bytes: Buffer) {}

  message(): void {
    const first = this.bytes[0] ?? 0;
    const isMap = (first & 0xf0) === 0x80 || first === 0xde || first === 0xdf;
    if (!isMap) throw this.#bad('the message is not a map');
    this.#value(0);
    if (this.#at !== this.bytes.length) throw this.#bad('bytes follow the message');
  }

  /** `depth`: how many maps and arrays are open. */
  #value(depth: number): void {
    this.#values += 1;
    if (this.#values > rpcLimits.values) throw this.#bad(`more than ${rpcLimits.values} values`);
    const type = this.#unsigned(1);
    if (type <= 0x7f || type >= 0xe0) return; // small integers
    if (type <= 0x8f) this.#map(type & 0x0f, depth);
    else if (type <= 0x9f) this.#array(type & 0x0f, depth);
    else if (type <= 0xbf) this.#string(type & 0x1f);
    else this.#wideValue(type, depth);
  }

  #wideValue(type: number, depth: number): void {
    switch (type) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return;
      case 0xcb: // float64
        return this.#skip(8);
      case 0xcc: // uint8 … uint32
      case 0xcd:
      case 0xce:
        return this.#skip(1 << (type - 0xcc));
      case 0xd0: // int8 … int32
      case 0xd1:
      case 0xd2:
        return this.#skip(1 << (type - 0xd0));
      case 0xcf:
      case 0xd3:
        return this.#wideInteger(type);
      case 0xd9: // str8 … str32
      case 0xda:
      case 0xdb:
        return void this.#string(this.#unsigned(1 << (type - 0xd9)));
      case 0xdc: // array16, array32
      case 0xdd:
        return this.#array(this.#unsigned(type === 0xdc ? 2 : 4), depth);
      case 0xde: // map16, map32
      case 0xdf:
        return this.#map(this.#unsigned(type === 0xde ? 2 : 4), depth);
      default: // bin, ext, fixext, float32, and 0xc1, which msgpack never uses
        throw this.#bad(`type 0x${type.toString(16)} does not occur in this protocol`);
    }
  }

  #map(count: number, depth: number): void {
    this.#open(count, depth);
    const keys = new Set<string>();
    for (let i = 0; i < count; i += 1) {
      const key = this.#key();
      if (keys.has(key)) throw this.#bad(`a map has the key ${JSON.stringify(key)} twice`);
      // An object's __proto__ is not a field of it: what decodes it into one differs from what was checked.
      if (key === '__proto__') throw this.#bad('a map has the key "__proto__"');
      keys.add(key);
      this.#value(depth + 1);
    }
  }

  #array(count: number, depth: number): void {
    this.#open(count, depth);
    for (let i = 0; i < count; i += 1) this.#value(depth + 1);
  }

  #open(count: number, depth: number): void {
    if (depth >= rpcLimits.depth) throw this.#bad(`nested deeper than ${rpcLimits.depth}`);
    if (count > rpcLimits.entries) throw this.#bad(`${count} entries, the limit is ${rpcLimits.entries}`);
  }

  #key(): string {
    const type = this.#unsigned(1);
    let text: Buffer;
    if (type >= 0xa0 && type <= 0xbf) text = this.#string(type & 0x1f);
    else if (type >= 0xd9 && type <= 0xdb) text = this.#string(this.#unsigned(1 << (type - 0xd9)));
    else throw this.#bad('a key is not a string');
    return text.toString('utf8');
  }

  #string(length: number): Buffer {
    if (length > rpcLimits.stringBytes) {
      throw this.#bad(`a string of ${length} bytes, the limit is ${rpcLimits.stringBytes}`);
    }
    const begin = this.#at;
    this.#skip(length);
    const text = this.bytes.subarray(begin, this.#at);
    if (!isUtf8(text)) throw this.#bad('a string is not UTF-8');
    return text;
  }

  #wideInteger(type: number): void {
    const begin = this.#at;
    this.#skip(8);
    const value = type === 0xcf ? this.bytes.readBigUInt64BE(begin) : this.bytes.readBigInt64BE(begin);
    if (!Number.isSafeInteger(Number(value))) throw this.#bad('an integer beyond 2^53');
  }

  /** The next 1, 2 or 4 bytes as a number. */
  #unsigned(width: number): number {
    const begin = this.#at;
    this.#skip(width);
    return this.bytes.readUIntBE(begin, width);
  }

  #skip(count: number): void {
    if (count > this.bytes.length - this.#at) throw this.#bad('the message ends inside a value');
    this.#at += count;
  }

  #bad(what: string): VzvaultError {
    return new VzvaultError('E_FRAME_INVALID', `a message is not acceptable: ${what} (at byte ${this.#at})`);
  }
}
