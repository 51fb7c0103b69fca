/**
 * Random, mutated and hostile bytes into the decoder of frames: whatever arrives, and however it is cut, it is decoded or refused with one
 * of the protocol's codes, quickly and in bounded memory; what passes is encoded again to the same message.
 *
 *   node build/js/test/fuzz/frames.fuzz.js --seed 1 --seconds 30
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { VzvaultError, type ErrorCode } from '../../src/lib/errors.js';
import { decodeBody, encodeMessage, type PlainMap } from '../../src/rpc/codec.js';
import { encodeFrame, FrameDecoder } from '../../src/rpc/framing.js';
import { parseMessage } from '../../src/rpc/message.js';

const { values } = parseArgs({ options: { seed: { type: 'string' }, seconds: { type: 'string' } } });
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const seconds = Number(values.seconds ?? 10);

const allowed: readonly ErrorCode[] = ['E_FRAME_TOO_LARGE', 'E_FRAME_INVALID'];

const key = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => text !== '__proto__');
const { map } = fc.letrec<{ map: PlainMap; value: unknown }>((tie) => ({
  map: fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  value: fc.oneof(
    { maxDepth: 8, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, 1.5, 2 ** 53 - 1),
    fc.maxSafeInteger(),
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.array(tie('value'), { maxLength: 5 }),
    tie('map'),
  ),
}));
const envelope = fc.record(
  { id: fc.nat(), method: fc.string(), params: map, deadlineMs: fc.nat(), fds: fc.nat(20), result: map, error: map },
  { requiredKeys: [], noNullPrototype: true },
);

interface Change {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly removed: number;
}
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  // The bytes that mean something to msgpack, more often than others.
  bytes: fc.uint8Array({ maxLength: 6 }).chain((plain) =>
    fc.oneof(
      fc.constant(plain),
      fc.uint8Array({ min: 0xc0, max: 0xdf, maxLength: 3 }).map((types) => Uint8Array.from([...types, ...plain])),
      fc.constant(Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff])),
    ),
  ),
  removed: fc.nat(4),
});

function apply(bytes: Buffer, { at, bytes: inserted, removed }: Change): Buffer {
  const position = at % (bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, position), inserted, bytes.subarray(position + removed)]);
}

/** Feeds a stream in pieces; every message that comes out must survive another round. */
function feed(stream: Buffer, pieceBytes: number): void {
  const decoder = new FrameDecoder();
  try {
    for (let at = 0; at < stream.length; at += pieceBytes) {
      for (const body of decoder.push(stream.subarray(at, at + pieceBytes))) {
        const message = decodeBody(body);
        assert.deepEqual(decodeBody(encodeMessage(message).subarray(4)), message);
        parseMessage(message);
      }
    }
  } catch (error) {
    if (!(error instanceof VzvaultError)) throw error;
    assert.ok(allowed.includes(error.code), error.line);
    assert.doesNotMatch(error.message, /\n/);
  }
}

type Check = (parameters: fc.Parameters<unknown>) => void;

function check<T>(arbitrary: fc.Arbitrary<T>, run: (input: T) => void): Check {
  return (parameters) => {
    fc.assert(fc.property(arbitrary, run), parameters as fc.Parameters<[T]>);
  };
}

const pieces = fc.integer({ min: 1, max: 300 });
const checks: readonly Check[] = [
  check(fc.tuple(fc.uint8Array({ maxLength: 300 }), pieces), ([bytes, pieceBytes]) => {
    feed(Buffer.from(bytes), pieceBytes);
  }),
  check(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 300 }), pieces), ([body, pieceBytes]) => {
    feed(encodeFrame(Buffer.from(body)), pieceBytes);
  }),
  check(
    fc.tuple(fc.array(envelope, { minLength: 1, maxLength: 4 }), fc.array(change, { maxLength: 4 }), pieces),
    ([messages, changes, pieceBytes]) => {
      feed(changes.reduce(apply, Buffer.concat(messages.map((message) => encodeMessage(message)))), pieceBytes);
    },
  ),
  check(fc.tuple(envelope, fc.array(change, { minLength: 1, maxLength: 3 })), ([message, changes]) => {
    const body = changes.reduce(apply, encodeMessage(message).subarray(4));
    if (body.length > 0) feed(encodeFrame(body), body.length + 4);
  }),
];

console.log(`frames: seed ${seed}, ${seconds} s`);
const endMs = performance.now() + seconds * 1000;
let runs = 0;
for (let round = 0; performance.now() < endMs; round += 1) {
  for (const run of checks) {
    run({ seed: seed + round, numRuns: 500 });
    runs += 500;
  }
}
console.log(`frames: ${runs} runs, no fault found`);
