import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  claimName,
  doneName,
  generationName,
  readLedger,
  verdictName,
} from '../../../../src/repository/collection/ledger.js';

const SID = 'a'.repeat(32);

describe('the ledger of generations', () => {
  it('has nothing to say of an empty directory', () => {
    assert.deepEqual(readLedger([]), { highest: 0, pending: null, generations: [] });
  });

  it('names the one generation that is condemned and not done, with its claims', () => {
    const { pending, highest } = readLedger([generationName(7), claimName(7, SID), verdictName(7), doneName(6)]);
    assert.equal(highest, 7);
    assert.deepEqual(pending, { number: 7, isCondemned: true, hasVerdict: true, isDone: false, claims: [SID] });
  });

  it('takes none for pending once it is done', () => {
    assert.equal(readLedger([generationName(7), doneName(7)]).pending, null);
  });

  it('takes none for pending below the highest number, whatever is there of it', () => {
    assert.equal(readLedger([generationName(3), claimName(3, SID), verdictName(3), doneName(9)]).pending, null);
    assert.equal(readLedger([generationName(3), claimName(4, SID)]).pending, null);
  });

  it('passes over names of nothing known', () => {
    const names = ['7', '000000000007.', '000000000007.claim.x', `000000000000`, '000000000007.verdict.new', '.nfs01'];
    assert.deepEqual(readLedger(names).generations, []);
  });
});
