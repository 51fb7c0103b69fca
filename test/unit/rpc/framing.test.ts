import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameDecoder } from '../../../src/rpc/framing.js';
import { throwsWith } from '../../support/assertions.js';

function header(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

function bodies(decoder: FrameDecoder, chunk: Buffer): string[] {
  return [...decoder.push(chunk)].map((body) => body.toString('latin1'));
}

describe('FrameDecoder', () => {
  it('yields the same bodies however the bytes are cut', () => {
    const chunkSizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 });
    const contents = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 12 });
    fc.assert(
      fc.property(contents, chunkSizes, (messages, sizes) => {
        const stream = Buffer.concat(messages.map((message) => encodeFrame(Buffer.from(message))));
        const decoder = new FrameDecoder();
        const seen: string[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          seen.push(...bodies(decoder, stream.subarray(at, at + size)));
          at += size;
        }
        assert.deepEqual(
          seen,
          messages.map((message) => Buffer.from(message).toString('latin1')),
        );
        assert.equal(decoder.isInsideFrame, false);
      }),
    );
  });

  it('knows that it is inside a frame from the first byte of its header on', () => {
    const decoder = new FrameDecoder();
    assert.equal(decoder.isInsideFrame, false);
    assert.deepEqual(bodies(decoder, Buffer.from([0])), []);
    assert.equal(decoder.isInsideFrame, true);
    assert.deepEqual(bodies(decoder, Buffer.from([0, 0, 2, 65])), []);
    assert.deepEqual(bodies(decoder, Buffer.from([66])), ['AB']);
    assert.equal(decoder.isInsideFrame, false);
  });

  it('refuses a length above the limit as soon as its four bytes are there', () => {
    throwsWith('E_FRAME_TOO_LARGE', () => [...new FrameDecoder(100).push(header(101))]);
    const piecewise = new FrameDecoder(100);
    assert.deepEqual(bodies(piecewise, header(101).subarray(0, 3)), []);
    throwsWith('E_FRAME_TOO_LARGE', () => [...piecewise.push(header(101).subarray(3))]);
    throwsWith('E_FRAME_TOO_LARGE', () => [...new FrameDecoder().push(header(0xffff_ffff))]);
    assert.deepEqual(bodies(new FrameDecoder(100), Buffer.concat([header(100), Buffer.alloc(100, 65)])), [
      'A'.repeat(100),
    ]);
  });

  it('refuses a frame of no bytes', () => {
    throwsWith('E_FRAME_INVALID', () => [...new FrameDecoder().push(header(0))]);
  });

  it('yields the good frames before a bad one', () => {
    const decoder = new FrameDecoder(100);
    const seen: string[] = [];
    throwsWith('E_FRAME_TOO_LARGE', () => {
      for (const body of decoder.push(Buffer.concat([encodeFrame(Buffer.from('good')), header(101)]))) {
        seen.push(body.toString());
      }
    });
    assert.deepEqual(seen, ['good']);
  });

  it('takes no more memory than arrived, whatever a length promises', () => {
    const decoders: FrameDecoder[] = [];
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 50; i += 1) {
      const decoder = new FrameDecoder();
      assert.deepEqual(bodies(decoder, Buffer.concat([header(16 * 1024 * 1024), Buffer.alloc(100)])), []);
      decoders.push(decoder);
    }
    const grownBytes = process.memoryUsage().arrayBuffers - before;
    assert.ok(grownBytes < 50 * 8192 + 65_536, `grown by ${grownBytes}`);
    assert.equal(decoders.length, 50);
  });

  it('takes a large frame in crumbs in linear time', () => {
    const frame = encodeFrame(Buffer.alloc(4 * 1024 * 1024, 7));
    const decoder = new FrameDecoder();
    let count = 0;
    for (let at = 0; at < frame.length; at += 64) count += bodies(decoder, frame.subarray(at, at + 64)).length;
    assert.equal(count, 1);
  });
});

describe('encodeFrame', () => {
  it('refuses a body above 16 MiB', () => {
    assert.equal(encodeFrame(Buffer.alloc(16 * 1024 * 1024)).length, 16 * 1024 * 1024 + 4);
    throwsWith('E_FRAME_TOO_LARGE', () => encodeFrame(Buffer.alloc(16 * 1024 * 1024 + 1)));
  });
});
