import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PackUse } from '../../../../src/engine/types.js';
import { choosePacks } from '../../../../src/repository/collection/pack-choice.js';

const LIMITS = { compactBelowPercent: 50, smallPackBytes: 1000, smallPacks: 2, compactBytes: 10_000, packs: 10 };
/** What a pack of one chunk has beside the chunk. */
const FRAME_BYTES = 148;

/** `chunkBytes` in 10 chunks, of which at most one is live. */
function pack(id: string, chunkBytes: number, liveStoredBytes: number): PackUse {
  const fileBytes = FRAME_BYTES + 9 * 52 + chunkBytes;
  return { id, fileBytes, chunks: 10, liveChunks: liveStoredBytes > 0 ? 1 : 0, liveStoredBytes };
}

const ids = (packs: readonly PackUse[]): string[] => packs.map(({ id }) => id);

describe('the choice of packs', () => {
  it('is all that hold nothing in use', () => {
    const { dead, compact } = choosePacks([pack('a', 1000, 0), pack('b', 1000, 900)], LIMITS);
    assert.deepEqual([ids(dead), ids(compact)], [['a'], []]);
  });

  it('is those below half in use, the emptiest first', () => {
    const packs = [pack('a', 1384, 851), pack('b', 1384, 852), pack('c', 1384, 1)];
    assert.deepEqual(ids(choosePacks(packs, LIMITS).compact), ['c', 'a']);
  });

  it('is none of which everything is in use, however small', () => {
    const tiny = { id: 'a', fileBytes: FRAME_BYTES + 10, chunks: 1, liveChunks: 1, liveStoredBytes: 10 };
    assert.deepEqual(choosePacks([tiny], LIMITS).compact, []);
  });

  it('is small ones only where there are many', () => {
    const small = ['a', 'b', 'c'].map((id) => pack(id, 380, 380));
    assert.deepEqual(ids(choosePacks(small.slice(1), LIMITS).compact), []);
    assert.deepEqual(ids(choosePacks(small, LIMITS).compact), ['a', 'b', 'c']);
  });

  it('ends where too much would be moved, or too many packs would go', () => {
    const packs = ['a', 'b', 'c'].map((id) => pack(id, 1000, 100));
    assert.equal(choosePacks(packs, { ...LIMITS, compactBytes: 250 }).compact.length, 2);
    assert.equal(choosePacks([...packs, pack('d', 1, 0)], { ...LIMITS, packs: 3 }).compact.length, 2);
    assert.equal(choosePacks([pack('d', 1, 0), pack('e', 1, 0)], { ...LIMITS, packs: 1 }).dead.length, 1);
  });
});
