import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BoundedCache } from '../../../src/lib/bounded-cache.js';
import { mapConcurrently } from '../../../src/lib/concurrency.js';

describe('mapConcurrently', () => {
  it('answers in the order of the items, whatever ends first', async () => {
    const order = await mapConcurrently([30, 1, 15], 3, async (ms) => {
      await new Promise((settle) => setTimeout(settle, ms));
      return ms;
    });
    assert.deepEqual(order, [30, 1, 15]);
  });

  it('never has more under way than allowed', async () => {
    let running = 0;
    let most = 0;
    await mapConcurrently(
      Array.from({ length: 20 }, (_, n) => n),
      4,
      async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((settle) => setImmediate(settle));
        running -= 1;
      },
    );
    assert.equal(most, 4);
  });

  it('begins nothing after a failure', async () => {
    const begun: number[] = [];
    const work = mapConcurrently([0, 1, 2, 3, 4, 5], 2, async (n) => {
      begun.push(n);
      await Promise.resolve();
      if (n === 1) throw new Error('one');
    });
    await assert.rejects(work, /one/);
    await new Promise((settle) => setImmediate(settle));
    assert.ok(begun.length <= 4, String(begun));
  });

  it('has nothing to do with nothing', async () => {
    assert.deepEqual(await mapConcurrently([], 4, () => Promise.reject(new Error('never'))), []);
  });
});

describe('BoundedCache', () => {
  it('drops what was not used for the longest time', () => {
    const cache = new BoundedCache<string, number>(2);
    cache.set('a', 1);
    cache.set('b', 2);
    assert.equal(cache.get('a'), 1);
    cache.set('c', 3);
    assert.equal(cache.get('b'), undefined);
    assert.equal(cache.get('a'), 1);
    assert.equal(cache.get('c'), 3);
    assert.equal(cache.size, 2);
  });

  it('forgets what it is told to', () => {
    const cache = new BoundedCache<string, number>(2);
    cache.set('a', 1);
    cache.delete('a');
    assert.equal(cache.get('a'), undefined);
  });
});
