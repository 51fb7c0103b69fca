import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rpcLimits } from '../../../src/lib/limits.js';
import { checkMessageBytes } from '../../../src/rpc/msgpack-check.js';
import { throwsWith } from '../../support/assertions.js';

/** A map with the one key "k" and these bytes as its value. */
function valued(...bytes: number[]): Buffer {
  return Buffer.from([0x81, 0xa1, 0x6b, ...bytes]);
}

function refuses(bytes: Buffer, what: RegExp): void {
  const error = throwsWith('E_FRAME_INVALID', () => {
    checkMessageBytes(bytes);
  });
  assert.match(error.message, what);
}

function u32(value: number): number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return [...bytes];
}

const eight = [0, 0, 0, 0, 0, 0, 0, 1];

describe('checkMessageBytes', () => {
  const accepted: [string, number[]][] = [
    ['nil', [0xc0]],
    ['false', [0xc2]],
    ['true', [0xc3]],
    ['a small integer', [0x7f]],
    ['a small negative integer', [0xe0]],
    ['float64', [0xcb, ...eight]],
    ['uint8', [0xcc, 1]],
    ['uint16', [0xcd, 1, 2]],
    ['uint32', [0xce, 1, 2, 3, 4]],
    ['uint64 of 2^53 - 1', [0xcf, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['int8', [0xd0, 0x80]],
    ['int16', [0xd1, 1, 2]],
    ['int32', [0xd2, 1, 2, 3, 4]],
    ['int64 of -1', [0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['str8', [0xd9, 1, 65]],
    ['str16', [0xda, 0, 1, 65]],
    ['str32', [0xdb, 0, 0, 0, 1, 65]],
    ['array16', [0xdc, 0, 1, 0xc0]],
    ['array32', [0xdd, 0, 0, 0, 1, 0xc0]],
    ['map16', [0xde, 0, 1, 0xa1, 65, 0xc0]],
    ['map32', [0xdf, 0, 0, 0, 1, 0xa1, 65, 0xc0]],
    ['a key of str8', [0x81, 0xd9, 1, 65, 0xc0]],
  ];
  for (const [name, bytes] of accepted) {
    it(`accepts ${name}`, () => {
      checkMessageBytes(valued(...bytes));
    });
  }

  const refused: [string, number[]][] = [
    ['bin8', [0xc4, 1, 0]],
    ['bin16', [0xc5, 0, 1, 0]],
    ['bin32', [0xc6, 0, 0, 0, 1, 0]],
    ['ext8', [0xc7, 1, 1, 0]],
    ['ext16', [0xc8, 0, 1, 1, 0]],
    ['ext32', [0xc9, 0, 0, 0, 1, 1, 0]],
    ['float32', [0xca, 0, 0, 0, 0]],
    ['fixext1', [0xd4, 1, 0]],
    ['fixext16', [0xd8, 1, ...eight, ...eight]],
    ['0xc1', [0xc1]],
  ];
  for (const [name, bytes] of refused) {
    it(`refuses ${name}`, () => {
      refuses(valued(...bytes), /does not occur in this protocol/);
    });
  }

  it('refuses integers that a double does not hold exactly', () => {
    refuses(valued(0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0), /2\^53/);
    refuses(valued(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), /2\^53/);
    refuses(valued(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0), /2\^53/);
  });

  it('refuses what is not one map', () => {
    refuses(Buffer.from([0x90]), /not a map/);
    refuses(Buffer.from([0xc0]), /not a map/);
    refuses(Buffer.alloc(0), /not a map/);
    refuses(Buffer.from([0x80, 0x80]), /bytes follow/);
  });

  it('refuses a message that ends inside a value, at every byte', () => {
    const whole = Buffer.from([0x82, 0xa1, 97, 0xcd, 1, 2, 0xa1, 98, 0x92, 0xd9, 2, 65, 66, 0xcb, ...eight]);
    checkMessageBytes(whole);
    for (let length = 1; length < whole.length; length += 1) refuses(whole.subarray(0, length), /ends inside a value/);
  });

  it('refuses keys that come twice, are no strings, or are __proto__', () => {
    refuses(Buffer.from([0x82, 0xa1, 97, 0xc0, 0xa1, 97, 0xc0]), /"a" twice/);
    // The same key in two encodings.
    refuses(Buffer.from([0x82, 0xa1, 97, 0xc0, 0xd9, 1, 97, 0xc0]), /"a" twice/);
    refuses(Buffer.from([0x81, 0x01, 0xc0]), /not a string/);
    refuses(Buffer.from([0x81, 0xc0, 0xc0]), /not a string/);
    refuses(Buffer.concat([Buffer.from([0x81, 0xa9]), Buffer.from('__proto__'), Buffer.from([0x80])]), /__proto__/);
  });

  it('refuses strings that are not UTF-8', () => {
    for (const bad of [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
      refuses(valued(0xd9, bad.length, ...bad), /not UTF-8/);
    }
    refuses(Buffer.from([0x81, 0xa1, 0xff, 0xc0]), /not UTF-8/);
  });

  it('refuses nesting below 16 levels, and allows 16', () => {
    const nested = (levels: number): Buffer =>
      Buffer.concat([valued(), Buffer.alloc(levels - 1, 0x91), Buffer.from([0xc0])]);
    checkMessageBytes(nested(rpcLimits.depth));
    refuses(nested(rpcLimits.depth + 1), /nested deeper than 16/);
    refuses(nested(5_000_000), /nested deeper than 16/);
  });

  it('refuses more than 65,536 entries by the number alone', () => {
    refuses(valued(0xdd, ...u32(65_537)), /65537 entries/);
    refuses(valued(0xdf, ...u32(0xffff_ffff)), /4294967295 entries/);
    checkMessageBytes(valued(0xdd, ...u32(65_536), ...new Array<number>(65_536).fill(0xc0)));
  });

  it('refuses more than a million values in all', () => {
    const inner = [0xdc, 0xff, 0xff, ...new Array<number>(65_535).fill(0xc0)];
    const outer = (count: number): Buffer =>
      Buffer.concat([
        Buffer.from([0x81, 0xa1, 107, 0x90 | count]),
        ...new Array<Buffer>(count).fill(Buffer.from(inner)),
      ]);
    checkMessageBytes(outer(15));
    // 16 of them would not fit into a fixarray of 15: nest two.
    const two = Buffer.concat([
      Buffer.from([0x82, 0xa1, 97]),
      outer(15).subarray(3),
      Buffer.from([0xa1, 98]),
      outer(15).subarray(3),
    ]);
    refuses(two, /more than 1048576 values/);
  });

  it('refuses a string above 12 MiB by its length alone', () => {
    refuses(valued(0xdb, ...u32(rpcLimits.stringBytes + 1)), /a string of 12582913 bytes/);
    checkMessageBytes(
      Buffer.concat([valued(0xdb, ...u32(rpcLimits.stringBytes)), Buffer.alloc(rpcLimits.stringBytes, 65)]),
    );
  });
});
