import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isProvablyGone, ownerOn } from '../../../../src/repository/sessions/session-owner.js';
import { FakeProcesses } from '../../../support/fake-processes.js';

test('an owner is gone where it could be seen and is not, never where nothing can be seen', () => {
  const processes = new FakeProcesses();
  processes.start(1);
  const owner = ownerOn('node1', processes, processes.start(42));
  assert.equal(isProvablyGone(owner, processes), false);
  processes.end(42);
  assert.equal(isProvablyGone(owner, processes), true);
  processes.isBlind = true;
  assert.equal(isProvablyGone(owner, processes), false);
  processes.isBlind = false;
  assert.equal(isProvablyGone({ ...owner, pid: 0 }, processes), false);
  assert.equal(isProvablyGone({ ...owner, bootId: '' }, processes), false);
  processes.end(1);
  assert.equal(isProvablyGone(owner, processes), false);
  processes.start(1);
  processes.reboot();
  assert.equal(isProvablyGone(owner, processes), false);
});
