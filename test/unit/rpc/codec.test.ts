import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeBody, encodeMessage, type PlainMap } from '../../../src/rpc/codec.js';
import { throwsWith } from '../../support/assertions.js';

function roundTrip(message: PlainMap): PlainMap {
  return decodeBody(encodeMessage(message).subarray(4));
}

const key = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((text) => text !== '__proto__');
const { map } = fc.letrec<{ map: PlainMap; value: unknown }>((tie) => ({
  map: fc.dictionary(key, tie('value'), { maxKeys: 6, noNullPrototype: true }),
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 6 }),
    tie('map'),
  ),
}));

describe('encodeMessage and decodeBody', () => {
  it('carry every plain message unchanged', () => {
    fc.assert(
      fc.property(map, (message) => {
        assert.deepEqual(roundTrip(message), message);
      }),
      { numRuns: 500 },
    );
  });

  it('write integers beyond 32 bits as integers, not as floats', () => {
    for (const value of [2 ** 31, 2 ** 32, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER, -(2 ** 40), Number.MIN_SAFE_INTEGER]) {
      const frame = encodeMessage({ n: value });
      assert.ok([0xcf, 0xd3, 0xce].includes(frame[7] ?? 0), `${value} has type ${frame[7]?.toString(16)}`);
      assert.equal(roundTrip({ n: value })['n'], value);
    }
  });

  it('leave out fields that are undefined', () => {
    assert.deepEqual(roundTrip({ a: undefined, b: { c: undefined, d: 1 } }), { b: { d: 1 } });
  });

  it('replace lone surrogates, which have no UTF-8', () => {
    assert.deepEqual(roundTrip({ a: 'x\ud800y', b: '🙂' }), { a: 'x\ufffdy', b: '🙂' });
  });

  it('refuse to send what the protocol has no place for', () => {
    for (const value of [Buffer.from('x'), new Map(), new Date(0), () => 1, Symbol('x'), NaN, Infinity, 1n]) {
      throwsWith('E_INTERNAL', () => encodeMessage({ value }));
    }
    let deep: unknown = 1;
    for (let i = 0; i < 20; i += 1) deep = [deep];
    throwsWith('E_INTERNAL', () => encodeMessage({ deep }));
    throwsWith('E_INTERNAL', () => encodeMessage({ many: new Array(65_537).fill(0) }));
    throwsWith('E_INTERNAL', () => encodeMessage({ text: 'x'.repeat(12 * 1024 * 1024 + 1) }));
    throwsWith('E_FRAME_TOO_LARGE', () => encodeMessage({ a: 'x'.repeat(9_000_000), b: 'x'.repeat(9_000_000) }));
  });

  it('give objects whose prototype nobody has touched', () => {
    const decoded = roundTrip({ constructor: 1, toString: 'x', hasOwnProperty: null });
    assert.deepEqual(Object.keys(decoded).sort(), ['constructor', 'hasOwnProperty', 'toString']);
    assert.equal(Object.getPrototypeOf(decoded), Object.prototype);
    assert.equal(({} as PlainMap)['polluted'], undefined);
  });
});
