import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ERRORS, VzvaultError } from '../../../src/lib/errors.js';
import type { PlainMap } from '../../../src/rpc/codec.js';
import { errorFields, parseMessage } from '../../../src/rpc/message.js';
import { throwsWith } from '../../support/assertions.js';

describe('parseMessage', () => {
  it('tells requests, responses and notifications apart', () => {
    assert.deepEqual(parseMessage({ id: 3, method: 'm', params: { a: 1 }, deadlineMs: 5, fds: 2 }), {
      kind: 'request',
      id: 3,
      method: 'm',
      params: { a: 1 },
      deadlineMs: 5,
      fds: 2,
    });
    assert.deepEqual(parseMessage({ method: 'cancel', params: { id: 1 } }), {
      kind: 'notification',
      method: 'cancel',
      params: { id: 1 },
    });
    assert.deepEqual(parseMessage({ id: 1, result: {} }), { kind: 'response', id: 1, outcome: { result: {} } });
  });

  it('rebuilds errors, with codes that a newer peer may have', () => {
    const known = parseMessage({ id: 1, error: errorFields(new VzvaultError('E_NO_SPACE', 'writing x: full')) });
    assert.ok(known.kind === 'response' && 'error' in known.outcome);
    assert.equal(known.outcome.error.code, 'E_NO_SPACE');
    assert.equal(known.outcome.error.message, 'writing x: full');
    const unknown = parseMessage({ id: 1, error: { code: 'E_NEWER', message: 'what' } });
    assert.ok(unknown.kind === 'response' && 'error' in unknown.outcome);
    assert.equal(unknown.outcome.error.code, 'E_INTERNAL');
    assert.equal(unknown.outcome.error.message, 'what (E_NEWER)');
  });

  const bad: [string, PlainMap][] = [
    ['nothing', {}],
    ['a method that is no string', { method: 1, params: {} }],
    ['params that are no map', { id: 1, method: 'm', params: [] }],
    ['a request without params', { id: 1, method: 'm' }],
    ['id 0', { id: 0, method: 'm', params: {} }],
    ['a negative id', { id: -1, method: 'm', params: {} }],
    ['a fractional id', { id: 1.5, method: 'm', params: {} }],
    ['an id that is text', { id: '1', method: 'm', params: {} }],
    ['deadline 0', { id: 1, method: 'm', params: {}, deadlineMs: 0 }],
    ['65 descriptors', { id: 1, method: 'm', params: {}, fds: 65 }],
    ['a response without outcome', { id: 1 }],
    ['a response with both outcomes', { id: 1, result: {}, error: { code: 'E_INTERNAL', message: '' } }],
    ['a result that is no map', { id: 1, result: 5 }],
    ['an error without code', { id: 1, error: { message: '' } }],
  ];
  for (const [what, map] of bad) {
    it(`refuses ${what}`, () => {
      throwsWith('E_FRAME_INVALID', () => parseMessage(map));
    });
  }
});

describe('errorFields', () => {
  it('says code, message, hint and whether trying again helps', () => {
    assert.deepEqual(errorFields(new VzvaultError('E_GUEST_BUSY', 'a\nb')), {
      code: 'E_GUEST_BUSY',
      message: 'a b',
      hint: ERRORS.E_GUEST_BUSY.hint,
      retryable: true,
    });
  });
});
