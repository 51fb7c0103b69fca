import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionTable } from '../../../src/provider/session-table.js';
import { FakeProcesses } from '../../support/fake-processes.js';

test('takes out the sessions whose owner is gone, and none while that cannot be told', () => {
  const processes = new FakeProcesses();
  const table = new SessionTable('job');
  const gone = { id: 'a', owner: processes.start(100) };
  const reused = { id: 'b', owner: processes.start(101) };
  const alive = { id: 'c', owner: processes.start(102) };
  for (const session of [gone, reused, alive]) table.add(session);
  processes.end(100);
  processes.start(101);
  processes.isBlind = true;
  assert.deepEqual(table.takeOrphans(processes), []);
  assert.equal(table.size, 3);
  processes.isBlind = false;
  assert.deepEqual(table.takeOrphans(processes), [gone, reused]);
  assert.deepEqual(table.all(), [alive]);
});
