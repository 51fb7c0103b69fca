/** Assertions about errors of ours: the code is the contract, the message is for people. */
import assert from 'node:assert/strict';
import { VzvaultError, type ErrorCode } from '../../src/lib/errors.js';

function ofCode(code: ErrorCode): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof VzvaultError, `expected a VzvaultError, got ${String(error)}`);
    assert.equal(error.code, code, error.line);
    return true;
  };
}

/** The promise rejects with a VzvaultError of that code; answers it for a look at its message. */
export async function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<VzvaultError> {
  let caught: unknown;
  await assert.rejects(promise, (error) => {
    caught = error;
    return ofCode(code)(error);
  });
  return caught as VzvaultError;
}

export function throwsWith(code: ErrorCode, work: () => unknown): VzvaultError {
  let caught: unknown;
  assert.throws(work, (error) => {
    caught = error;
    return ofCode(code)(error);
  });
  return caught as VzvaultError;
}
